"""The kernels of `railgauge_kernels.cuda` as a library for the CPU: every line but the PTX is theirs.

`ordered.cu`, `bulk.cu` and `tensor.cu` here stand before the sources of those names, which hold the
PTX. The headers of NVIDIA's narrow floats work on the host too.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from cuda import pathfinder

import railgauge_kernels.cuda
from railgauge_kernels.catalogue import KERNELS
from railgauge_kernels.ladders import Geometry

HERE = Path(__file__).parent
NAME = "libkernels.so"
_FLAGS = ["-std=c++20", "-O2", "-ffp-contract=off", "-fPIC", "-fno-exceptions", "-fno-rtti"]


def build(folder: Path) -> Path:
    """Compile into `folder`; the library's path."""
    sources = Path(next(iter(railgauge_kernels.cuda.__path__)))
    include = pathfinder.find_nvidia_header_directory("cudart")
    common = ["g++", *_FLAGS, f"-I{HERE}", f"-I{sources}", "-isystem", include]
    objects, running = [], []
    for source in sorted({kernel.source for kernel in KERNELS}):
        objects.append(str(folder / f"{source}.o"))
        names = [kernel.function for kernel in KERNELS if kernel.source == source]
        rows = "".join(f'{{"{name}", (void *){name}, arity({name})}},' for name in names)
        unit = folder / f"{source}.cpp"
        unit.write_text(
            f"#include <{source}>\n"
            "template <class... A> static constexpr int arity(void (*)(A...)) { return sizeof...(A); }\n"
            f"static on_cpu_kernel rows[] = {{{rows}}};\n"
            f"static on_cpu_kernels list(rows, {len(names)});\n"
        )
        command = [*common, "-w", "-include", str(HERE / "on_cpu.h"), "-c", str(unit)]
        running.append(subprocess.Popen([*command, "-o", objects[-1]]))
    failed = [process for process in running if process.wait()]  # all of them end here
    if failed:
        raise RuntimeError("the kernels do not compile for the CPU")
    warned = ["-Wall", "-Wextra", "-Werror", "-shared", "-pthread", str(HERE / "on_cpu.cpp")]
    subprocess.run([*common, *warned, *objects, "-o", str(folder / NAME)], check=True)
    return folder / NAME


class Launcher:
    """Launches kernels of a built library by name; the call returns when the grid has ended."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        find = self._library.on_cpu_find
        find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_void_p]
        run = self._library.on_cpu_launch
        run.restype, run.argtypes = None, [ctypes.c_void_p, *[ctypes.c_int] * 3, ctypes.c_void_p]
        self._find: Callable[..., int | None] = find
        self._run: Callable[..., None] = run

    def __call__(self, function: str, geometry: Geometry, *parameters: int) -> None:
        arity = ctypes.c_int()
        found = self._find(function.encode(), ctypes.addressof(arity))
        assert found, f"no kernel {function}"
        assert arity.value == len(parameters), f"{function} takes {arity.value} parameters"
        words = np.array(parameters, np.int64)
        self._run(found, geometry.blocks, geometry.threads, arity.value, words.ctypes.data)
