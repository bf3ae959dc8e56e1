"""Ends a job that makes no progress, and says who did not arrive: the side of a rank.

Every rank has a thread that looks at the rank's progress a few times a second: the phase it is
in, and the iteration counter that the compiled loop writes. Without progress it sends a datagram
to the collector, which asks all others where they are and puts the answers together. A rank that
compiles or imports says so, and the others wait for it. While all is well a rank sends one
datagram on arrival and one on departure.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge.errors import EXIT_HANG, EXIT_NOT_MEASURED
from railgauge.launching import pmi
from railgauge.launching.collector import (
    BUSY,
    GRACE_SECONDS,
    IN_AGREEMENT,
    IN_LOAD,
    IN_LOOP,
    Beat,
    Collector,
    Kind,
)
from railgauge.linux.carriers import carriers_lost, lost_since

LOOK_SECONDS = 0.2
FORWARDING_SECONDS = 0.3  # hydra drops what it has not read when a process ends with an error
SUSPENDED_SECONDS = 1.0  # between two looks: the process was stopped
MOST_PATIENCE = 10  # times the timeout: so long may a rank say that it compiles or imports
CONTROL = "RAILGAUGE_CONTROL"  # host:port/key of the collector, set by the launching parent
_TIMED_MODULES = ("railgauge.measure", "railgauge.legs", "railgauge.gpus.leg")
ASLEEP = "_beside_others"  # of `railgauge.sampling`: waits for the other groups, as in an agreement
LOAD = "railgauge.load"
_BUSY_MODULES = ("numba", "llvmlite", "importlib", "_frozen_importlib")


def patience(timeout: float) -> float:
    """Seconds without progress after which a rank calls: the judgement is to end within `timeout`."""
    return max(timeout - GRACE_SECONDS - LOOK_SECONDS, 0.9 * timeout)


def shared_memory(pid: int) -> set[str]:
    """Files in /dev/shm that a process has mapped; a rank that is killed leaves them there."""
    with contextlib.suppress(OSError):
        maps = Path(f"/proc/{pid}/maps").read_text("utf-8")
        return set(re.findall(r"/dev/shm/\S+(?=\n)", maps))
    return set()


def _leave(exit_code: int) -> None:
    """End this process, whatever its main thread is stuck in."""
    for path in shared_memory(os.getpid()):
        with contextlib.suppress(OSError):
            os.unlink(path)
    if CONTROL not in os.environ:
        pmi.end_job(exit_code)
    os._exit(exit_code)


def _makes_load(frame: FrameType) -> bool:
    """Does a loop run for `railgauge.load`? Its iterations are not those of the case."""
    callers = (caller for caller, _ in traceback.walk_stack(frame))
    return any(caller.f_globals.get("__name__") == LOAD for caller in callers)


class Watchdog:
    """This rank's thread; `enter` a phase, `cells` is the compiled loop's progress."""

    def __init__(self, rank: int, timeout: float, cells: npt.NDArray[np.int64]) -> None:
        self.rank, self.timeout, self.cells = rank, timeout, cells
        self.phase, self.step = "MPI_Init", 0
        self.collector: Collector | None = None
        self.spread = 0.0  # seconds over which many ranks spread their calls
        self.stop = False  # the collector wants the run to end between two chunks
        self.ended: Callable[[str, int], None] = lambda *_: None  # before this process ends the job
        #: What went wrong behind the back of the calls so far, and what makes waiting calls return.
        self.fault: Callable[[], str] = lambda: ""
        self.abort: Callable[[], None] = lambda: None
        self._collectors: list[tuple[tuple[str, int], str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("", 0))
        self._host, self._done = socket.gethostname(), threading.Event()
        self._parent, self._main = os.getppid(), threading.main_thread()
        self._last = self._looked = time.monotonic()
        self._seen = (0, 0)
        self._carriers = carriers_lost()
        self._called: float | None = None
        self._borrowed = 0.0
        self._deputy = self._said = False
        self._speaking = threading.Lock()
        self._launched_here = CONTROL in os.environ
        if self._launched_here:
            self.report_to([os.environ[CONTROL]])
            self._send("hello")
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @property
    def port(self) -> int:
        """Where this rank hears a collector's words."""
        return int(self._socket.getsockname()[1])

    def report_to(self, addresses: Iterable[str]) -> None:
        """Send beats to the collectors at `host:port/key`."""
        for address in addresses:
            place, _, key = address.partition("/")
            host, _, port = place.rpartition(":")
            if self.collector and key == self.collector.key:
                host = "127.0.0.1"
            self._collectors.append(((host, int(port)), key))

    def collect(self, collector: Collector, deputy: bool) -> None:
        """Judge the other ranks from this rank's thread; a deputy speaks where rank 0 does not."""
        self._deputy, self.collector = deputy, collector

    def joined(self, rank: int) -> None:
        """MPI has started, and this is rank `rank` of it."""
        self.rank = rank
        self.enter("the beginning of the run")
        self._send("joined")

    def enter(self, phase: str) -> None:
        """Progress: a new phase has begun."""
        self.phase = phase
        self.cells[0] = 0
        self.step += 1
        self._last, self._borrowed = time.monotonic(), 0.0
        if self.rank == 0 and self._launched_here:
            self._send("phase")  # should rank 0 die, the parent knows the case

    def close(self) -> None:
        """The rank is done; nothing it does from now on is watched."""
        self._done.set()
        if self._launched_here:
            self._send("bye")

    def fail(self, message: str, exit_code: int) -> None:
        """Tell who speaks for the job why it ends; where that is nobody else, say it here."""
        if self._collectors and (self._launched_here or self.rank > 0):
            self._send("failed", exit_code, message[:8000])
            if not self._launched_here:
                time.sleep(2 * GRACE_SECONDS)  # rank 0 says it and ends the job
        else:
            self._say(message, exit_code)

    def _say(self, message: str, exit_code: int) -> None:
        with self._speaking:  # the main thread and the watchdog's may both have something to say
            if not self._said:
                self._said = True
                print(f"railgauge: error: {message}", file=sys.stderr, flush=True)
                self.ended(message, exit_code)
                time.sleep(FORWARDING_SECONDS)

    def _send(self, kind: Kind, exit_code: int = 0, text: str = "") -> None:
        where, state = ("", "") if kind in ("hello", "joined", "bye") else self._where()
        lost = lost_since(self._carriers) if kind in ("stalled", "here") else ""
        place = (self.rank, os.getpid(), self._host, self.step, text or self.phase)
        for address, key in self._collectors:
            idle = time.monotonic() - self._last
            beat = Beat(key, kind, *place, int(self.cells[0]), where, state, idle, exit_code, lost)
            with contextlib.suppress(OSError):  # the collector is gone: the deadline still holds
                self._socket.sendto(msgspec.json.encode(beat), address)

    def _where(self) -> tuple[str, str]:
        """What the main thread does: one of the collector's words, or one of our functions; its state."""
        try:
            with open(f"/proc/self/task/{self._main.native_id}/stat", encoding="ascii") as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            state = ""
        frame = sys._current_frames().get(self._main.ident or 0)
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if name.partition(".")[0] in _BUSY_MODULES:
                return BUSY, state
            if name in _TIMED_MODULES:
                return IN_LOAD if _makes_load(frame) else IN_LOOP, state
            if name == "railgauge.mpi.library" or frame.f_code.co_name == ASLEEP:
                return IN_AGREEMENT, state
            if name == LOAD:
                return IN_LOAD, state
            if name.startswith("railgauge."):
                return f"{name}.{frame.f_code.co_name}", state
            frame = frame.f_back
        return "", state

    # the thread ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._done.is_set():
            sources = [self._socket, *([self.collector.socket] if self.collector else [])]
            ready, _, _ = select.select(sources, [], [], LOOK_SECONDS)
            if self._socket in ready:
                self._hear()
            self._look(time.monotonic())
            if fault := self.fault():
                self._end_faulty(fault)
            if self.collector:
                self._judge(self.collector)
            if self._launched_here and os.getppid() != self._parent:
                _leave(EXIT_HANG)  # the launcher is gone, and with it whoever would hear us

    def _end_faulty(self, fault: str) -> None:
        """Say what a library found out by itself; the main thread then leaves the call it waits in."""
        self.fault = lambda: ""
        self.fail(f"rank {self.rank} on {self._host}: {self.phase}: {fault}", EXIT_NOT_MEASURED)
        self.abort()

    def _hear(self) -> None:
        key, _, word = self._socket.recv(256).decode(errors="replace").partition(" ")
        if key not in {known for _, known in self._collectors}:
            return
        if word == "where":
            self._send("here")
        elif word == "stop":
            self.stop = True
        elif word == "wait":
            self._last, self._called = time.monotonic(), None

    def _look(self, now: float) -> None:
        if now - self._looked > SUSPENDED_SECONDS:  # it was this process that stood still
            self._last += now - self._looked
        self._looked = now
        at = (self.step, int(self.cells[0]))
        if at != self._seen:
            self._seen, self._last = at, now
            if self._called is not None:
                self._called = None
                self._send("resumed")
        idle = now - self._last
        may_be_busy = idle > self.timeout / 4 and self._borrowed < MOST_PATIENCE * self.timeout
        if may_be_busy and self._where()[0] == BUSY:
            self._borrowed += idle
            self._last = now
            self._send("busy")
            return
        if idle <= patience(self.timeout):
            return
        if self._called is None:
            time.sleep(self.rank * 0x9E3779B1 % 4096 / 4096 * self.spread)
            self._called = time.monotonic()
            self._send("stalled")
        elif now - self._called > 2 * GRACE_SECONDS + self.spread:
            self._give_up()

    def _judge(self, collector: Collector) -> None:
        collector.drain()
        if collector.failed and not self._deputy:
            self._say(collector.failed.phase, collector.failed.exit_code)
            _leave(collector.failed.exit_code)
        message = collector.verdict()
        if message and (not self._deputy or 0 not in collector.places):
            self._say(message, EXIT_HANG)
            for beat in collector.silent():
                self._end_stopped(beat)
            _leave(EXIT_HANG)

    def _end_stopped(self, beat: Beat) -> None:
        """SIGKILL to a silent rank of this host: mpirun would wait for it as long as it is stopped."""
        with contextlib.suppress(OSError):
            theirs = Path(f"/proc/{beat.pid}/cmdline").read_bytes()
            if beat.host == self._host and theirs == Path("/proc/self/cmdline").read_bytes():
                os.kill(beat.pid, signal.SIGKILL)

    def _give_up(self) -> None:
        """End this process: nobody has judged, or there is nobody yet (MPI_Init)."""
        if not self._collectors and self.rank == 0:
            what = f"{self.phase} did not return within {self.timeout:g} s: not all ranks arrived"
            self._say(
                f"{what}.\n  next: look at the launcher's hosts, or raise --timeout", EXIT_HANG
            )
        elif not self._collectors and self.rank == 1:  # rank 0 itself may be the one
            self._done.wait(GRACE_SECONDS)
            self._say(f"{self.phase} did not return within {self.timeout:g} s", EXIT_HANG)
        _leave(EXIT_HANG)
