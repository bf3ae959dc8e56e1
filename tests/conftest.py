"""What the tests of all four floors share: quiet, repeatable Hypothesis, and runs of the main job."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from railgauge.journal import read_journal
from railgauge.launch import find_launcher
from railgauge.records import Record, Result

HYDRA_LEFTOVERS = "hydra_hwloc_xmlfile_*"  # in /tmp: of an mpiexec that a test has killed
BEGAN = time.time()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Once, after all workers: remove what killed launchers could not."""
    if not hasattr(session.config, "workerinput"):
        for path in Path("/tmp").glob(HYDRA_LEFTOVERS):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime >= BEGAN and path.stat().st_uid == os.getuid():
                    path.unlink()


# no example database: a test leaves no file behind; derandomised: a failure repeats
settings.register_profile(
    "railgauge",
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # of the machine, not of the test
)
settings.load_profile("railgauge")

OPENMPI = "RAILGAUGE_TEST_OPENMPI"
RIGS = Path(__file__).parent / "rigs"


@pytest.fixture(scope="session")
def rig() -> Callable[[str], ModuleType]:
    """`rig("gpu_stand_in")`: the module of that rig."""

    @functools.cache
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, RIGS / name / "__init__.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def kernels_on_cpu(
    rig: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The product's CUDA C++ kernels as a library for the CPU."""
    built: Path = rig("cuda_on_cpu").build(tmp_path_factory.mktemp("kernels"))
    return built


@pytest.fixture(scope="session")
def gpu_stand_in(
    rig: Callable[[str], ModuleType],
    kernels_on_cpu: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """What LD_PRELOAD must hold for a machine with GPUs and NCCL."""
    folder = tmp_path_factory.mktemp("stand_in")
    built: str = rig("gpu_stand_in").build(folder, kernels_on_cpu)
    return built


@pytest.fixture(scope="session")
def fake_nvml(rig: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A libnvidia-ml.so.1 of a machine with GPUs, for LD_PRELOAD (see the rig for its variables)."""
    built: Path = rig("fake_nvml").build(tmp_path_factory.mktemp("nvml"))
    return built


@dataclasses.dataclass(frozen=True)
class Measured:
    """An ended `railgauge run`: exit code, both streams, and its folder."""

    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def records(self) -> list[Record]:
        return read_journal(self.folder)

    @property
    def results(self) -> list[Result]:
        return [record for record in self.records if isinstance(record, Result)]


@pytest.fixture
def measure(tmp_path: Path) -> Callable[..., Measured]:
    """`railgauge run --output FOLDER ARGUMENTS` in a process of its own; `python` chooses the MPI."""

    def run(*arguments: str, python: str = sys.executable, **environment: str) -> Measured:
        folder = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        done = subprocess.run(
            [python, "-m", "railgauge", "run", "--output", str(folder), *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        return Measured(done.returncode, done.stdout, done.stderr, folder)

    return run


@dataclasses.dataclass(frozen=True)
class Library:
    """An MPI library: its family (`mpich`, `openmpi`) and the interpreter of its environment."""

    family: str
    python: str


@pytest.fixture(params=["embedded", "openmpi"])
def library(request: pytest.FixtureRequest) -> Library:
    """The MPI of this environment, and that of the one which a variable names."""
    if request.param == "embedded":
        return Library(find_launcher().family, sys.executable)
    if not os.environ.get(OPENMPI):
        pytest.skip(f"{OPENMPI} does not name the python of an environment with Open MPI")
    return Library("openmpi", os.environ[OPENMPI])


@pytest.fixture
def on_gpus(measure: Callable[..., Measured], gpu_stand_in: str) -> Callable[..., Measured]:
    """`on_gpus("-n", "2", ..., FAKE_GPU_COUNT="1")`: `railgauge run` on the stand-in's GPUs."""
    machine = {"LD_PRELOAD": gpu_stand_in, "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    return lambda *arguments, **more: measure(*arguments, **machine | more)
