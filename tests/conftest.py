"""What the tests of all four floors share: quiet, repeatable Hypothesis, and runs of the main job."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from railgauge.journal import JOURNAL, read_journal
from railgauge.launching.launch import STOPPING, find_launcher
from railgauge.launching.watchdog import shared_memory
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
        sys.modules[name] = module  # a dataclass looks its module up
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


class Recorded:
    """What leaves a run folder behind."""

    folder: Path

    @property
    def records(self) -> list[Record]:
        return read_journal(self.folder)

    @property
    def results(self) -> list[Result]:
        return [record for record in self.records if isinstance(record, Result)]


@dataclasses.dataclass(frozen=True)
class Measured(Recorded):
    """An ended `railgauge run`: exit code, both streams, and its folder."""

    code: int
    stdout: str
    stderr: str
    folder: Path


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


# jobs that a test stops, kills or starts in an odd way -----------------------------------------------

PATIENCE_SECONDS = 90.0  # of a test for things that take a second on an idle machine
RANK_NAMES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "RANK")


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a started run ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def errors(self) -> int:
        """How many error messages there are."""
        return self.stderr.count("railgauge: error:")


def _runs_python(pid: int) -> bool:
    try:
        return b"python" in os.path.basename(os.readlink(f"/proc/{pid}/exe").encode())
    except OSError:
        return False


def _heed_signals() -> None:
    """As under a terminal: nohup, and a script's background jobs, hand on that they are ignored."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


class Job(Recorded):
    """A process of a test, and everything that it starts: known by a mark in the environment."""

    def __init__(self, argv: Sequence[str], folder: Path, scratch: Path, **more: str) -> None:
        self.folder, self._mark = folder, f"RAILGAUGE_TEST_JOB={scratch}"
        scratch.mkdir()
        own = {"RAILGAUGE_TEST_JOB": str(scratch), "TMPDIR": str(scratch)}
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self._files = [(scratch / name).open("w+") for name in ("stdout", "stderr")]
        self._memory: set[str] = set()
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            argv,
            env=os.environ | root | own | more,
            stdin=subprocess.DEVNULL,
            stdout=self._files[0],
            stderr=self._files[1],
            start_new_session=True,
            preexec_fn=_heed_signals,
        )

    def end(self) -> Ended:
        """Wait for the end of the process that was started."""
        code = self.process.wait(PATIENCE_SECONDS)
        seconds = time.monotonic() - self.began
        texts = [Path(file.name).read_text() for file in self._files]
        return Ended(code, *texts, seconds)

    def said(self) -> str:
        """What stands on stderr so far."""
        return Path(self._files[1].name).read_text()

    def until(self, what: Callable[[], object], why: str) -> None:
        """Wait until `what()` is true."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what():
            assert time.monotonic() < deadline, f"waited in vain for {why}"
            time.sleep(0.02)

    def until_measured(self, cases: int = 1) -> None:
        """Wait until the journal holds that many cases and the next one is under way."""

        def measured() -> bool:
            running = self.process.poll() is None
            journal = self.folder / JOURNAL
            if journal.exists() and journal.read_bytes().count(b'"record":"case"') >= cases:
                return True
            assert running, self.end()
            return False

        self.until(measured, f"{cases} cases in the journal")

    def until_ranks(self, ranks: int) -> None:
        """Wait until that many ranks run."""
        self.until(lambda: len(self.ranks()) == ranks, f"{ranks} ranks")

    def left(self) -> dict[int, dict[str, str]]:
        """pid -> environment of all living processes that the job consists of."""
        found = {}
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    lines = (path / "environ").read_bytes().decode(errors="replace").split("\0")
                    state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                    if self._mark in lines and state != "Z":
                        pairs = (line.partition("=") for line in lines)
                        found[int(path.name)] = {name: value for name, _, value in pairs}
        return found

    def ranks(self) -> dict[int, int]:
        """rank -> pid of the Python processes that a launcher started."""
        found = {}
        for pid, environ in self.left().items():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                name = next((n for n in RANK_NAMES if n in environ), None)
                if name and b"python" in os.path.basename(words[0]) and b"railgauge" in words:
                    self._memory |= shared_memory(pid)
                    found[int(environ[name])] = pid
        return found

    def kill(self) -> None:
        """SIGKILL to railgauge and its ranks at once; mpiexec is left to clean up after itself."""
        self.ranks()
        launchers = {pid for pid in self.left() if not _runs_python(pid)}
        for _ in range(2):
            for pid in self.left().keys() - launchers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 3
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def clean(self) -> None:
        self.kill()
        self.process.wait(PATIENCE_SECONDS)
        for file in self._files:
            file.close()
        for path in self._memory:  # which a killed rank leaves behind
            Path(path).unlink(missing_ok=True)

    def until_nothing_is_left(self) -> None:
        self.until(lambda: not self.left(), f"the end of {self.left()}")


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """`jobs(argv, VARIABLE=...)`: start it; `{output}` in argv is the run folder of the test."""
    made: list[Job] = []

    def start(argv: Sequence[str], **more: str) -> Job:
        output = tmp_path / "run"
        words = [word.replace("{output}", str(output)) for word in argv]
        made.append(Job(words, output, tmp_path / f"job{len(made)}", **more))
        return made[-1]

    yield start
    for job in made:
        job.clean()
