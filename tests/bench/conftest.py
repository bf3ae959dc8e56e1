"""Runs of the main job that a test stops, kills or starts in an odd way; nothing is left of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from railgauge.journal import JOURNAL, read_journal
from railgauge.launch import STOPPING
from railgauge.records import Record, Result
from railgauge.watchdog import shared_memory


class Library(Protocol):
    """tests/conftest.py's fixture `library`."""

    python: str


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


class Job:
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

    @property
    def records(self) -> list[Record]:
        return read_journal(self.folder)

    @property
    def results(self) -> list[Result]:
        return [record for record in self.records if isinstance(record, Result)]


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


@pytest.fixture
def run(jobs: Callable[..., Job]) -> Callable[..., Job]:
    """`run("-n", "2", ...)`: `railgauge run --output {output} ...` of this or that Python."""

    def start(*arguments: str, python: str = sys.executable, **more: str) -> Job:
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
