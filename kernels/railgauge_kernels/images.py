"""From kernel sources to code that a driver loads: no device is needed. What was compiled is kept on disk.

Both roads end in CUBIN for one architecture rather than in PTX: nonsense in inline PTX is found
here and not at loading, and a driver that is older than the compiler loads it all the same.
The compilers (numba.cuda with NVVM and nvJitLink, NVRTC through cuda.core) are imported when
the first image is asked for.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.resources
import io
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from railgauge_kernels.kept import kept

#: Compute capability: (9, 0) is sm_90.
Capability = tuple[int, int]

_INSTALL = (
    "pip install 'numba-cuda[cu13]' 'cuda-core[cu13]' 'cuda-toolkit[nvrtc,cudart,cccl]==13.*'"
)


class ImageError(Exception):
    """A kernel could not be compiled: a compiler is missing, or it rejected the source."""


@dataclass(frozen=True)
class Image:
    """CUBIN for one architecture, and the kernels that it holds, for cuModuleGetFunction."""

    code: bytes
    functions: tuple[str, ...]


def architecture(capability: Capability) -> str:
    """(9, 0) -> "sm_90"."""
    return f"sm_{capability[0]}{capability[1]}"


@functools.cache
def _edition() -> str:
    """A digest of this package's sources and of the compilers' versions."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*")):
        if source.suffix in (".py", ".cu"):
            digest.update(source.read_bytes())
    for name in ("numba-cuda", "nvidia-nvvm", "nvidia-cuda-nvrtc", "nvidia-nvjitlink"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(importlib.metadata.version(name).encode())
    return digest.hexdigest()[:16]


def _kept(what: str, capability: Capability, made_by: Callable[[], Image]) -> Image:
    """The image from the cache on disk, or compiled and put there."""

    def written() -> bytes:
        image = made_by()
        return " ".join(image.functions).encode() + b"\n" + image.code

    name = f"{what}-{architecture(capability)}-{_edition()}"
    functions, _, code = kept(name, written).partition(b"\n")
    return Image(code, tuple(functions.decode().split()))


@functools.cache
def pattern_image(itemsize: int, capability: Capability) -> Image:
    """`compile_pattern`, from the cache on disk where it has been compiled before."""
    what = f"pattern_{itemsize}"
    return _kept(what, capability, lambda: compile_pattern(itemsize, capability))


@functools.cache
def cuda_image(source: str, capability: Capability) -> Image:
    """`compile_cuda`, from the cache on disk where it has been compiled before."""
    return _kept(source, capability, lambda: compile_cuda(source, capability))


def compile_pattern(itemsize: int, capability: Capability) -> Image:
    """fill_W, check_W, settle_W and guard for elements of W = `itemsize` bytes (1, 2, 4 or 8).

    Parameters as in `device_pattern`, all of 64 bits. Raises ImageError.
    """
    what = f"the pattern kernels for {architecture(capability)}"
    with _compiling(what):
        from cuda.core import Program, ProgramOptions
        from numba import cuda, types

        from railgauge_kernels import device_pattern

        merged, names = "", []
        for name, kernel in device_pattern.kernels(itemsize).items():
            parameters = [types.int64] * device_pattern.PARAMETERS[name.partition("_")[0]]
            ptx, _ = cuda.compile_ptx(
                kernel,
                types.void(*parameters),
                cc=capability,
                device=False,
                # at most 64 registers: four blocks then hide the latency of memory
                launch_bounds=(device_pattern.BLOCK, 4),
            )
            header, body = _plain_entry(ptx, name)
            merged = (merged or header) + body
            names.append(name)
        options = ProgramOptions(name="pattern", arch=architecture(capability))
        code = Program(merged, "ptx", options).compile("cubin").code
    return Image(bytes(code), tuple(names))


def _plain_entry(ptx: str, name: str) -> tuple[str, str]:
    """(header, rest) of a module of one kernel, whose mangled name becomes `name`.

    Numba's `_ZN08NumbaEnv...` variables, which only the host uses, would clash between modules.
    """
    header, size, body = ptx.partition(".address_size 64")
    (mangled,) = re.findall(r"\.visible \.entry (\w+)\(", body)
    lines = (line for line in body.splitlines() if not line.startswith(".common .global"))
    return header + size, "\n".join(lines).replace(mangled, name) + "\n"


def compile_cuda(source: str, capability: Capability) -> Image:
    """The kernels of `railgauge_kernels/cuda/SOURCE`, compiled by NVRTC as C++17.

    Warnings are errors. Raises ImageError with the compiler's log.
    """
    what = f"{source} for {architecture(capability)}"
    with _compiling(what):
        from cuda import pathfinder
        from cuda.core import Program, ProgramOptions

        folder = importlib.resources.files("railgauge_kernels.cuda")
        log = io.StringIO()
        with importlib.resources.as_file(folder) as sources:
            options = ProgramOptions(
                name=source,
                arch=architecture(capability),
                std="c++17",
                include_path=[str(sources), *_headers(pathfinder)],
            )
            program = Program(folder.joinpath(source).read_text(), "c++", options)
            code = bytes(program.compile("cubin", logs=log).code)
    if log.getvalue().strip():
        raise ImageError(f"{what}: warnings are errors\n{log.getvalue()}")
    return Image(code, entries(code))


def _headers(pathfinder: Any) -> list[str]:
    """Folders of cuda_fp16.h and its kin."""
    found = pathfinder.find_nvidia_header_directory("cudart")
    if found is None:
        raise ImportError("the headers of nvidia-cuda-runtime are not installed")
    return [found]


def entries(cubin: bytes) -> tuple[str, ...]:
    """Names of the kernels in a CUBIN, in the order of its symbol table.

    CUBIN is ELF64; entry points are function symbols whose `st_other` has NVIDIA's bit 0x10
    (STO_CUDA_ENTRY, as nvdisasm prints it).
    """
    begin, size, count = (
        struct.unpack_from("<Q", cubin, 0x28)[0],
        *struct.unpack_from("<HH", cubin, 0x3A),
    )
    sections = [struct.unpack_from("<IIQQQQIIQQ", cubin, begin + size * i) for i in range(count)]
    found = []
    for _, kind, _, _, offset, nbytes, link, *_ in sections:
        if kind != 2:  # SHT_SYMTAB
            continue
        names = sections[link][4]
        for at in range(offset, offset + nbytes, 24):
            name, info, other = struct.unpack_from("<IBB", cubin, at)
            if info & 15 == 2 and other & 0x10:  # STT_FUNC
                found.append(cubin[names + name : cubin.index(b"\0", names + name)].decode())
    return tuple(found)


@contextlib.contextmanager
def _compiling(what: str) -> Iterator[None]:
    """Turns whatever the compilers raise into ImageError."""
    try:
        yield
    except ImageError:
        raise
    except ImportError as error:
        raise ImageError(f"{what}: {error}\n  next: {_INSTALL}") from error
    except Exception as error:
        raise ImageError(f"{what}: {error}") from error
