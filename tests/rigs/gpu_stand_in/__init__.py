"""A driver and an NCCL that need no GPU: their devices are this machine's memory and threads.

Programs that preload them run as on GPUs: memory that other processes can map, streams that are threads,
events, graphs, kernels by name (fill, check and settle are a twin of `railgauge_kernels.pattern` in C, all
others the product's own, see `cuda_on_cpu`), and collectives that move real bytes between processes.
Nothing is left in /dev/shm: memory is anonymous files.

Variables: FAKE_GPU_COUNT, FAKE_GPU_NAMES, FAKE_GPU_CAPABILITY, FAKE_GPU_MEMORY (bytes), FAKE_GPU_DRIVER,
FAKE_GPU_PEER=0, FAKE_GPU_FAULT=function:nth:code,
FAKE_GPU_CORRUPT=kernel; FAKE_NCCL_VERSION, FAKE_NCCL_LOG=path,
FAKE_NCCL_CORRUPT=rank:nth (a bit of the nth collective there), FAKE_NCCL_FAULT=function:nth:code,
FAKE_NCCL_ASYNC=nth, FAKE_NCCL_STALL=rank:nth.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from railgauge_kernels import pattern

HERE = Path(__file__).parent
KINDS = ("MOVED", "SUM", "PROD", "EXTREME")
REPORT = ("WRONG", "WHERE", "EXPECTED", "FOUND", "SETTLED", "NOWHERE")
OTHERS = {*KINDS, *REPORT, "FIELDS", "MASK32", "REDUCED"}


def _header() -> str:
    """Where the fields of a record stand, so that the twin in C follows `pattern`."""
    kinds = {name: getattr(pattern, name) for name in KINDS}
    known = {name: value for name, value in vars(pattern).items() if name.isupper()}
    fields = {k: v for k, v in known.items() if k not in OTHERS}
    lines = [f"enum {{ {', '.join(f'{k} = {v}' for k, v in fields.items())} }};"]
    lines.append(f"enum {{ {', '.join(f'P_{k} = {v}' for k, v in kinds.items())} }};")
    return "\n".join(lines) + "\n"


def build(folder: Path, kernels: Path, *flags: str) -> str:
    """Compile both libraries into `folder`; what LD_PRELOAD must hold. -DOLD: NCCL before 2.28.

    `kernels` is the library of the product's kernels.
    """
    (folder / "fields.h").write_text(_header())
    made = [str(kernels)]
    for source, name in (("cuda.c", "libcuda.so.1"), ("nccl.c", "libnccl.so.2")):
        made.append(str(folder / name))
        command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
        command += [f"-I{folder}", f"-Wl,-soname,{name}", *flags, str(HERE / source)]
        subprocess.run([*command, "-o", made[-1], str(kernels), "-ldl", "-lm"], check=True)
    return " ".join(made)
