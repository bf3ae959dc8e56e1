"""NVML: loading it, and asking it without being surprised by what a driver or a GPU does not have.

Through nvidia-ml-py (module `pynvml`), which is loaded when it is first asked for. Nothing raises for
a fact that is absent: it is None or a reason.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import struct
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from railgauge.hardware.pcie import NVIDIA, displays

_VALUES = ("=d", "=I", "=Q", "=Q", "=q", "=i", "=H")  # by NVML_VALUE_TYPE_*
_FIELD = struct.Struct(
    "=IIqqIi8s"
)  # nvmlFieldValue_t: field, scope, time, latency, type, return, value
_NOT_AVAILABLE = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE
CONTROL = Path("/dev/nvidiactl")
Key = TypeVar("Key", bound=Hashable)


def load() -> tuple[Any, str]:
    """(NVML as a module, initialised, "") or (None, why not). Each load wants an nvmlShutdown."""
    try:
        import pynvml
    except ImportError as error:
        return None, f"nvidia-ml-py is not installed ({error})"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"NVML does not start: {error}"
    return pynvml, ""


@functools.lru_cache(maxsize=16)
def present(sysfs: Path) -> bool:
    """Whether the kernel shows an NVIDIA GPU; without one there is no reason to load anything."""
    if any(vendor == NVIDIA for _, vendor in displays(sysfs)):
        return True
    return sysfs == Path("/sys") and CONTROL.exists()  # a sandbox without PCI


class Asker:
    """NVML's answers about one GPU, None where it has none; keeps the reasons."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.reasons: list[str] = []

    def ask(self, what: str, function: str, *arguments: Any) -> Any:
        """The answer; an empty `what` does not note that there is none."""
        try:
            return getattr(self.nvml, function)(*arguments)
        except (self.nvml.NVMLError, AttributeError) as error:  # an older nvidia-ml-py lacks it
            if what:
                self.reasons.append(f"{what}: {error}")
            return None

    def field(self, handle: Any, name: str, scope: int = 0) -> float | None:
        """A field value, None where it is not supported or 0: no speed is 0."""
        number = field_number(self.nvml, name)
        if number is None:
            return None
        try:
            (value,) = field_values(self.nvml, handle, [(number, scope)])
        except (self.nvml.NVMLError, AttributeError):
            return None
        return None if isinstance(value, Refused) else float(value) or None


def bus_id(pci: Any) -> str | None:
    """NVML's PCI address as sysfs spells it; None for the zeros of a switch that a guest cannot see."""
    if pci is None or (pci.domain, pci.bus, pci.device) == (0, 0, 0):
        return None
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


# field values -----------------------------------------------------------------------------------


class Refused(NamedTuple):
    """Why there is no value; `lacking`: this GPU or driver never has one."""

    why: str
    lacking: bool


def field_number(nvml: Any, name: str) -> int | None:
    """The number of a field as nvidia-ml-py has it; None where it is too old."""
    return getattr(nvml, f"NVML_FI_DEV_{name}", None)


def field_values(
    nvml: Any, handle: Any, wanted: Sequence[tuple[int, int]]
) -> list[int | float | Refused]:
    """The values of (field, scope), asked in one call; raises NVMLError."""
    made = nvml.nvmlDeviceGetFieldValues(handle, wanted)
    return [_decoded(nvml, *answer[4:]) for answer in _FIELD.iter_unpack(bytes(made))]


def _decoded(nvml: Any, kind: int, code: int, data: bytes) -> int | float | Refused:
    if code:
        never = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_INVALID_ARGUMENT)
        return Refused(str(nvml.NVMLError(code)), code in never)
    if kind >= len(_VALUES):
        return Refused(f"a value of unknown type {kind}", False)
    value: int | float = struct.unpack_from(_VALUES[kind], data)[0]
    if value == _NOT_AVAILABLE or (isinstance(value, float) and not math.isfinite(value)):
        return Refused("NVML says that it is not available", False)
    return value


class Fields(Generic[Key]):
    """Field values of one GPU by key, all in one call.

    A key has alternatives (field name, scope), of which the first that answers counts: drivers have
    moved counters from one field to another. What the GPU lacks is asked for once.
    """

    def __init__(
        self, nvml: Any, handle: Any, wanted: Mapping[Key, Sequence[tuple[str, int]]]
    ) -> None:
        self._nvml, self._handle = nvml, handle
        self._asked: list[tuple[Key, tuple[int, int]]] = []
        self._pruned = False
        self._lacking = dict.fromkeys(wanted, Refused("this nvidia-ml-py does not know it", True))
        for key, alternatives in wanted.items():
            for name, scope in alternatives:
                number = field_number(nvml, name)
                if number is not None:
                    self._asked.append((key, (number, scope)))

    def read(self) -> dict[Key, int | Refused]:
        """The value of every key, or why it has none."""
        found: dict[Key, int | Refused] = dict(self._lacking)
        pairs = [pair for _, pair in self._asked]
        try:
            answers = field_values(self._nvml, self._handle, pairs) if pairs else []
        except (self._nvml.NVMLError, AttributeError) as error:
            return found | {key: Refused(str(error), False) for key, _ in self._asked}
        kept = []
        for (key, pair), answer in zip(self._asked, answers, strict=True):
            held = found.get(key)
            if isinstance(answer, Refused):
                if held is None or (isinstance(held, Refused) and held.lacking):
                    found[key] = answer
                if not answer.lacking:
                    kept.append((key, pair))
            elif held is None or isinstance(held, Refused):
                found[key] = int(answer)
                kept.append((key, pair))
        if not self._pruned:
            self._pruned, self._asked = True, kept
            self._lacking = {k: v for k, v in found.items() if isinstance(v, Refused) and v.lacking}
        return found


# GPUs -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Gpu:
    """A GPU that NVML shows; `bus_id` is its PCI address, or `gpuN` where NVML does not tell it."""

    index: int
    handle: Any
    bus_id: str
    name: str
    uuid: str


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """NVML and its GPUs; `lost` are those that NVML counts and does not hand out, with why."""

    nvml: Any
    gpus: tuple[Gpu, ...]
    lost: dict[str, str]


@functools.cache
def session() -> tuple[Session | None, str]:
    """NVML opened once and for the life of this process, or why it cannot be.

    nvmlInit takes seconds where nothing else keeps the driver loaded.
    """
    nvml, reason = load()
    if nvml is None:
        return None, reason
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return None, f"NVML does not count its GPUs: {error}"
    asker, gpus, lost = Asker(nvml), [], {}
    for index in range(count):
        handle = asker.ask("handle", "nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            lost[f"gpu{index}"] = asker.reasons[-1]
            continue
        address = bus_id(asker.ask("", "nvmlDeviceGetPciInfo", handle)) or f"gpu{index}"
        name = asker.ask("", "nvmlDeviceGetName", handle) or ""
        gpus.append(
            Gpu(index, handle, address, name, asker.ask("", "nvmlDeviceGetUUID", handle) or "")
        )
    return Session(nvml, tuple(gpus), lost), "" if count else "NVML shows no GPU to this process"


def opened(sysfs: Path) -> Session | None:
    """The session; None where there is no NVIDIA GPU, OSError where there is one and no NVML."""
    if not present(sysfs):
        return None
    made, reason = session()
    if made is None or reason:
        raise OSError(0, reason, "NVML")
    return made
