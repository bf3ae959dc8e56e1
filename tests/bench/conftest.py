"""Runs of the main job that a test stops, kills or starts in an odd way; nothing is left of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest


class Library(Protocol):
    """tests/conftest.py's fixture `library`."""

    python: str


@pytest.fixture
def run(jobs: Callable[..., Any]) -> Callable[..., Any]:
    """`run("-n", "2", ...)`: `railgauge run --output {output} ...` of this or that Python."""

    def start(*arguments: str, python: str = sys.executable, **more: str) -> Any:
        argv = [python, "-m", "railgauge", "run", "--output", "{output}", *arguments]
        return jobs(argv, **more)

    return start


@pytest.fixture(scope="session")
def preloadable() -> Callable[..., Path]:
    """`preloadable(source, output, *flags)`: C code made into a library that LD_PRELOAD takes."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to build a shim with")

    def build(source: str, output: Path, *flags: str) -> Path:
        command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", *flags]
        command += ["-xc", "-", "-o", str(output), "-ldl"]
        subprocess.run(command, input=source, text=True, check=True)
        return output

    return build


@pytest.fixture
def mpi_python(library: Library) -> str:
    """The interpreter of an environment with that MPI library."""
    return library.python


@pytest.fixture
def mpiexec() -> Callable[[str], str]:
    """The launcher that belongs to a Python: mpiexec beside it."""
    return lambda python: str(Path(python).parent / "mpiexec")
