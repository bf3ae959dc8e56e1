"""Starting N ranks through the embedded MPI, and answering for how they ended."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from railgauge.errors import HangError, InterruptedRunError, NotMeasuredError, RailgaugeError
from railgauge.launching.collector import GRACE_SECONDS, Collector
from railgauge.launching.launchers import embedded_library, no_mpi, one_host
from railgauge.launching.watchdog import CONTROL, shared_memory
from railgauge.linux.parents import end_with_parent

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
LOOK_SECONDS = 0.2
QUOTED_LINES = 12
ROOT_ALLOWED = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: How the messages begin with which hydra and prterun report the end of a process.
OBITUARY = re.compile(
    rb"^(?:[=-]{60,}$|YOUR APPLICATION TERMINATED|\[mpiexec@|\[proxy:|prterun )", re.MULTILINE
)


@dataclasses.dataclass(frozen=True)
class Launcher:
    """An mpiexec and the family of its options: `mpich` or `openmpi`."""

    path: str
    family: str

    def argv(self, ranks: int, command: Sequence[str], survivors: bool = False) -> list[str]:
        """The command line that starts `command` on that many ranks of this machine.

        With `survivors` the ranks that are left go on when one dies: they can still say where
        they are, and it is the caller's to end them.
        """
        crowded = ranks > cores()
        bind = "none" if crowded else "core"
        if self.family == "openmpi":
            more = ["--oversubscribe"] if crowded else []
            more += ["--enable-recovery"] if survivors else []
            return [self.path, "-n", str(ranks), "--bind-to", bind, *more, *command]
        more = ["-disable-auto-cleanup"] if survivors else []
        return [self.path, "-n", str(ranks), "-bind-to", bind, *more, *command]

    def environment(self, ranks: int) -> dict[str, str]:
        """Variables that the ranks need: one thread each, and waiting that yields where CPUs are few.

        Open MPI ends where nobody (cron, a service, `env -i`) has set HOME.
        """
        made = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        if self.family == "openmpi":
            made["HOME"] = str(Path.home())
            if os.geteuid() == 0:
                made |= ROOT_ALLOWED
            if ranks > len(os.sched_getaffinity(0)):
                made["OMPI_MCA_mpi_yield_when_idle"] = "1"
        return made


def find_launcher() -> Launcher:
    """The mpiexec of the MPI in this Python environment, else the one on the path."""
    beside = Path(sys.executable).parent / "mpiexec"
    family = embedded_library()
    if family and beside.exists():
        return Launcher(str(beside), family)
    for name in ("mpiexec", "mpirun"):
        if path := shutil.which(name):
            return Launcher(path, _family(path))
    raise no_mpi("neither in this Python environment nor an mpiexec on the path")


def cores() -> int:
    """Physical cores that this process may use: what Open MPI counts as slots and binds to.

    Hardware threads of one core name the same siblings; without sysfs each counts as a core.
    """
    found = set()
    for cpu in os.sched_getaffinity(0):
        try:
            found.add(Path(SIBLINGS.format(cpu)).read_text("ascii"))
        except OSError:
            found.add(f"{cpu}")
    return len(found)


def _family(path: str) -> str:
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return "openmpi" if any(word in text for word in ("Open MPI", "OpenRTE", "PRRTE")) else "mpich"


class Talk(threading.Thread):
    """Passes what the launcher's pipe brings on as it comes, and holds its obituaries back.

    mpiexec explains at length (hydra partly on stdout) that a process ended; where we know better,
    nobody is to read that.
    """

    def __init__(self, pipe: IO[bytes] | None, to: IO[bytes]) -> None:
        super().__init__(name="talk", daemon=True)
        assert pipe is not None
        self._pipe, self._to, self._held = pipe, to, bytearray()
        self.start()

    def run(self) -> None:
        with self._pipe:
            while data := os.read(self._pipe.fileno(), 1 << 16):
                found = None if self._held else OBITUARY.search(data)
                cut = 0 if self._held else found.start() if found else len(data)
                with contextlib.suppress(OSError):
                    self._to.write(data[:cut])
                    self._to.flush()
                self._held += data[cut:]

    def rest(self) -> bytes:
        """What was held back."""
        self.join(1.0)
        held, self._held = bytes(self._held), bytearray()
        return held

    def release(self) -> None:
        """Pass on what was held back: nobody knows better."""
        with contextlib.suppress(OSError):
            self._to.write(self.rest())
            self._to.flush()


class Launch:
    """Ranks that this process started: it collects their beats and answers for their ending."""

    def __init__(self, ranks: int, command: Sequence[str], timeout: float) -> None:
        self._launcher = find_launcher()
        self.ranks = ranks
        here = one_host()
        host = "127.0.0.1" if here else socket.gethostname()
        self.collector = Collector(ranks, timeout, host)
        self._pids: dict[int, int] = {}  # pidfd -> rank
        self._died: list[int] = []  # seen at once: which was first nobody can tell
        self._asked_to_stop = 0
        argv = self._launcher.argv(ranks, command, survivors=here)
        own = {CONTROL: self.collector.address}
        self._handlers = {s: signal.signal(s, self._stop) for s in STOPPING if _heeded(s)}
        try:
            self.process = subprocess.Popen(
                argv,
                env={**os.environ, **self._launcher.environment(ranks), **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a terminal's ^C reaches this process alone
                preexec_fn=end_with_parent,
            )
        except OSError as error:
            self._forget()
            raise NotMeasuredError(
                f"{argv[0]} cannot be started: {error.strerror}\n  next: {argv[0]} --version"
            ) from None
        self._data = Talk(self.process.stdout, sys.stdout.buffer)
        self._talk = Talk(self.process.stderr, sys.stderr.buffer)
        self._ended = os.pidfd_open(self.process.pid)

    def wait(self) -> None:
        """Wait until all ranks have left; how the run ended is the last record of its journal.

        Raises HangError where ranks made no progress or one died, and the error that a rank
        reported. SIGINT, SIGTERM and SIGHUP are passed on, so that the ranks end between two
        chunks; a second one ends them at once.
        """
        try:
            while self.process.poll() is None:
                self._look()
                self._pass_on()
                if message := self.collector.verdict():
                    raise HangError(message)
                if self._died or self.collector.failed or self._asked_to_stop > 1:
                    self._gather_last_words()
                    break
                if self.collector.all_gone_for(self.collector.timeout):
                    break  # the launcher does not end, and has nothing more to do
            else:
                self._look(0.0)
            self._judge()
            self._talk.release()
            self._data.release()
        finally:
            self._kill()
            os.close(self._ended)
            self._forget()

    def _forget(self) -> None:
        self.collector.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _look(self, seconds: float = LOOK_SECONDS) -> None:
        sources: list[Any] = [self.collector.socket, self._ended, *self._pids]
        ready, _, _ = select.select(sources, [], [], seconds)
        for beat in self.collector.drain():
            # elsewhere the same pid is another process here
            if beat.kind == "hello" and beat.host == socket.gethostname():
                with contextlib.suppress(OSError):  # gone already
                    self._pids[os.pidfd_open(beat.pid)] = beat.rank
        gone = [descriptor for descriptor in ready if descriptor in self._pids]
        ranks = [self._pids.pop(descriptor) for descriptor in gone]
        for descriptor in gone:
            os.close(descriptor)
        self._died = self._died or [rank for rank in ranks if not self.collector.left(rank)]

    def _pass_on(self) -> None:
        """Ask rank 0 to stop, again and again: it may not be there yet."""
        if self._asked_to_stop:
            self.collector.tell([0], "stop")

    def _gather_last_words(self) -> None:
        """Where the other ranks are, so that the message can name the case."""
        others = set(self.collector.beats) - set(self._died)
        self.collector.ask(others)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and not others <= self.collector.places.keys():
            if self.collector.failed or self.process.poll() is not None:
                break
            self._look(0.05)

    def _judge(self) -> None:
        """Raise what the ranks reported, or what their launcher's ending means."""
        beats, launcher = self.collector.beats, self._launcher
        if failed := self.collector.failed:
            raise failed_error(failed.phase, failed.exit_code)
        if self._asked_to_stop > 1:
            raise InterruptedRunError(f"ended by a second signal.\n  next: {self.collector.next}")
        if self.collector.all_gone:
            return
        if self._died:
            raise HangError(self.collector.mourn(self._died))
        said = "".join(f"\n  | {line}" for line in self._rest().splitlines()[:QUOTED_LINES])
        raise NotMeasuredError(
            f"{launcher.path} ended with {self.process.returncode}; {len(beats)} of {self.ranks} ranks"
            f" had started.{said}\n  next: {' '.join(launcher.argv(self.ranks, ['hostname']))}"
        )

    def _rest(self) -> str:
        return (self._talk.rest() + self._data.rest()).decode(errors="replace").strip()

    def _stop(self, _number: int, _frame: object) -> None:
        self._asked_to_stop += 1

    def _kill(self) -> None:
        """End whatever is left of the job, also ranks that were stopped."""
        segments = [shared_memory(self.collector.beats[rank].pid) for rank in self._pids.values()]
        if self.process.poll() is None:
            self._end_ranks()
        for patience, number in ((2.0, signal.SIGTERM), (2.0, signal.SIGKILL)):
            try:
                self.process.wait(patience if self.collector.beats else 0.1)
                break
            except subprocess.TimeoutExpired:
                _signal(-self.process.pid, number)
        self.process.wait()
        self._end_ranks()
        for descriptor in self._pids:
            os.close(descriptor)
        self._pids.clear()
        for talk in (self._data, self._talk):
            talk.join(1.0)
        for segment in set().union(*segments):
            Path(segment).unlink(missing_ok=True)

    def _end_ranks(self) -> None:
        """SIGKILL to the ranks of this host that are still there (a pidfd names no other process)."""
        for descriptor in self._pids:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def failed_error(message: str, exit_code: int) -> RailgaugeError:
    """The error that a rank reported, as this process's own."""
    error = RailgaugeError(message)
    error.exit_code = exit_code
    return error


def _heeded(number: signal.Signals) -> bool:
    """Is the signal not ignored (nohup, a background job of a script)?"""
    return signal.getsignal(number) is not signal.SIG_IGN


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if pid > 0:
            os.kill(pid, number)
        else:
            os.killpg(-pid, number)
