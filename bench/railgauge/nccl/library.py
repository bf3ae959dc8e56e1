"""The NCCL that is loaded: its bindings, what its version has, and how its communicators are configured."""

from __future__ import annotations

import ctypes
import dataclasses
import socket
import typing
from collections.abc import Sequence
from typing import Any

from railgauge.errors import HostError, UsageError
from railgauge.gpus.cuda import DeviceFacts
from railgauge.nccl.calls import SELECTING
from railgauge.plan import Plan, typed_fields

LEAST_VERSION, WINDOWS, FP8, SELECTION = 21_800, 22_700, 22_400, 23_100  # NCCL 2.18, 2.27, ...
FP8_CAPABILITY = (9, 0)
#: A communicator that does not block would have to be asked between the calls of a loop.
_NOT_OURS = ("blocking",)


@dataclasses.dataclass(frozen=True)
class Library:
    """nccl4py's low-level bindings, its core, and the library that both have loaded."""

    bindings: Any
    core: Any
    functions: ctypes.CDLL
    version: int

    @property
    def name(self) -> str:
        """`NCCL 2.28.9`."""
        v = self.version
        return f"NCCL {v // 10_000}.{v // 100 % 100}.{v % 100}"

    def has(self, function: str) -> bool:
        return hasattr(self.functions, function)

    def address(self, function: str) -> int:
        return ctypes.cast(getattr(self.functions, function), ctypes.c_void_p).value or 0

    def last_words(self) -> str:
        """ncclGetLastError, which wants no communicator (nccl.h)."""
        asked = self.functions.ncclGetLastError
        asked.restype, asked.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
        return (asked(None) or b"").decode(errors="replace")

    def check(self, plan: Plan, gpu: DeviceFacts) -> None:
        """Raise UsageError for what this version, or the GPU, lacks."""
        narrow = [name for name in plan.dtypes if name.startswith("float8")]
        if self.version < LEAST_VERSION:
            raise UsageError(f"{self.name} is too old.\n  expected: at least NCCL 2.18")
        if narrow and self.version < FP8:
            raise UsageError(
                f"--dtype {narrow[0]}: {self.name} has no such type (it came with NCCL 2.24).\n"
                "  next: pip install -U nvidia-nccl-cu13, or --dtype bfloat16"
            )
        if narrow and gpu.capability < FP8_CAPABILITY:
            raise UsageError(
                f"--dtype {narrow[0]}: {gpu.name} (sm_{gpu.capability[0]}{gpu.capability[1]})"
                " cannot reduce it.\n  expected: sm_90 or later\n  next: --dtype bfloat16"
            )
        if plan.register == "symmetric" and self.version < WINDOWS:
            raise UsageError(
                f"--register symmetric: {self.name} has no windows (they came with NCCL 2.27).\n"
                "  next: --register local"
            )
        if plan.algorithms and not all(self.has(name) for name in SELECTING.values()):
            values = ",".join(plan.algorithms)
            raise UsageError(
                f"--algorithm {values}: {self.name} takes none with a call (NCCL 2.31 does).\n"
                f"  next: --sweep NCCL_ALGO={values}, which starts the ranks anew for each"
            )

    def configuration(self, asked: Sequence[tuple[str, str]]) -> Any | None:
        """ncclConfig_t by nccl4py from `NAME=VALUE`; raises UsageError that names the field."""
        if not asked:
            return None
        kinds = typing.get_type_hints(self.core.NCCLConfig)
        allowed = {
            name: kind
            for name, kind in kinds.items()
            if not name.startswith("_") and name not in _NOT_OURS
        }
        return self.core.NCCLConfig(**typed_fields(asked, allowed))

    def selection(self, algorithm: str) -> Any:
        """ncclCollConfig_t that admits one algorithm; kept by whoever passes its `ptr`."""
        made = self.bindings.CollConfig()
        made.alg_selection = algorithm
        return made


def load() -> Library:
    """The library that nccl4py finds; raises HostError."""
    try:
        from nccl import core
        from nccl.bindings import nccl

        version = int(nccl.get_version())
        return Library(nccl, core, ctypes.CDLL("libnccl.so.2"), version)
    except (ImportError, OSError, RuntimeError) as error:
        raise HostError(
            f"NCCL cannot be loaded on {socket.gethostname()}: {error}.\n"
            "  next: pip install 'railgauge[cuda13]' (or cuda12), or railgauge run --backend mpi"
        ) from None
