"""One case of two ranks over perftest: a server on one, a client on the other, one start a chunk.

The ranks agree through the control plane: the server's rank chooses a TCP port, starts its program and
waits until that listens; the client's rank then starts its own. Both look after them together, so that
one that fails ends both. A start gives one sample of bandwidth, or the times of all its iterations.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from railgauge.errors import HangError, NotMeasuredError
from railgauge.hardware.links import Nic
from railgauge.loop import CHECKED_ITERATIONS, FIRST_FAULTY, MISSED, PROGRESS, Table
from railgauge.perftest.output import Bandwidth, Report, parse
from railgauge.perftest.ports import fabric_address
from railgauge.perftest.programs import Program, Running, free_port
from railgauge.perftest.settings import (
    Settings,
    arguments,
    is_latency,
    iterations_of,
    program_name,
)
from railgauge.plan import Case, Plan
from railgauge.records import Batch, Overlap, Wrong
from railgauge.units import NANOSECONDS
from railgauge.world import Backend, Communicator, Place

Rows = npt.NDArray[np.int64]
LOOK_SECONDS = 0.02
PORTS_TRIED = 5  # another process may be faster to a free port
LINGER_SECONDS = 10.0  # of a server whose client has its result
WORDS_SECONDS = 1.0  # for the last words of a side whose peer has failed
MOST_SECONDS = 3600.0  # of one sample
_RUNS, _ENDED, _FAILED, _LATE = range(4)  # the later, the worse


@dataclasses.dataclass(frozen=True)
class Side:
    """What one rank brings to all its cases; `raw`: every rank's perftest shows each iteration's time."""

    plan: Plan
    settings: Settings
    programs: Mapping[str, Program]
    nic: Nic
    place: Place
    raw: bool


class End(NamedTuple):
    """One side of a pair, as the other has to know it."""

    rank: int
    host: str
    nic: Nic

    def __str__(self) -> str:
        return f"rank {self.rank} on {self.host} ({self.nic.name}:{self.nic.port})"


class Printed(NamedTuple):
    """What one start of the client gave: samples in ns, and of its heading the MTU and the kind of QP."""

    nanoseconds: tuple[int, ...]
    mtu: int | None
    connection: str
    problem: str = ""


class PairRuns:
    """A case of two ranks (see `railgauge.world.Measuring`); every chunk starts the programs anew.

    A sample of bandwidth is the time of a window of messages (`Plan.window`), of the average that
    perftest printed; of `both`, of one direction, for which half of perftest's sum counts. A latency
    sample is the time of one iteration as it happened (-U), or perftest's t_typical where a rank's
    perftest has no -U. Nobody verifies the data.
    """

    columns: tuple[str, ...] = ("duration",)

    def __init__(
        self,
        side: Side,
        backend: Backend,
        case: Case,
        group: Communicator,
        cells: Table,
        ran: Callable[[PairRuns, Printed], None],
    ) -> None:
        self._side, self.backend, self._ran = side, backend, ran
        self.case, self.group, self.cells = case, group, cells
        self.init_seconds: float | None = None  # every start connects anew
        self.period_ns = 0
        self.flows = np.zeros((0, 0), np.int64)  # perftest stamps nothing of the kind
        self.timed = group.rank == 0  # both ranks know the client's result; one keeps it
        ends = group.all_gather(End(side.place.rank, side.place.host, side.nic))
        self._client = 1 if case.call == "back" else 0
        self.client, self.server = ends[self._client], ends[1 - self._client]
        self._serves = group.rank != self._client
        self._kept: Rows | None = None
        cells[CHECKED_ITERATIONS] = cells[MISSED] = 0
        cells[FIRST_FAULTY] = -1

    def first_call(self) -> Rows:
        """A first start; it is as good as any other, so the next chunk is its samples."""
        self._kept = self._run()
        return self._kept[:1, 0]

    def chunk(self, iterations: int) -> Rows:
        """One start, however many iterations are wanted; a latency start gives all its own at once."""
        del iterations
        made, self._kept = self._kept, None
        return self._run() if made is None else made

    def completion(self, rows: Rows) -> Rows:
        return rows[:, 0]

    def faulty(self) -> bool:
        return False

    def wrong(self, place: Place) -> Wrong | None:
        del place  # perftest verifies nothing
        return None

    def batch(self) -> Batch | None:
        return None

    def overlap(self, pure_seconds: float) -> Overlap:
        raise NotImplementedError("no call form of perftest overlaps")

    def close(self) -> None:
        """Every start has ended with its chunk."""

    # one start ----------------------------------------------------------------------------------

    def _run(self) -> Rows:
        """Start both programs, wait for both, and share what the client printed; int64 [n, 1] in ns."""
        with contextlib.ExitStack() as stack:
            running, place = self._listening(stack) if self._serves else (None, None)
            address, port = self.group.broadcast(place, 1 - self._client)
            if running is None:
                _check_name(address, self.server)
                running = self._started(stack, port, address)
            self._watch(running)
            made = None if self._serves else self._printed(running)
        shared: Printed = self.group.broadcast(made, self._client)
        if shared.problem:
            raise NotMeasuredError(
                f"{self.case.describe()}: {self.client}, client of {self.server}: {shared.problem}"
            )
        self._ran(self, shared)
        return np.array(shared.nanoseconds, np.int64)[:, None]

    def _started(self, stack: contextlib.ExitStack, port: int, *address: str) -> Running:
        """This side's program; it is ended with the stack."""
        side, program = self._side, self._side.programs[program_name(self.case)]
        gpu = side.place.local_rank if side.plan.memory == "device" else None
        words = arguments(side.plan, self.case, side.settings, side.nic, gpu, raw=side.raw)
        made = Running([program.path, *words, "-p", str(port), *address])
        stack.callback(made.end)
        return made

    def _listening(self, stack: contextlib.ExitStack) -> tuple[Running, tuple[str, int]]:
        """The server, waiting for its client, and where: (address, TCP port)."""
        address, words = self._address(), ""
        deadline = time.monotonic() + self._side.plan.timeout
        for _ in range(PORTS_TRIED):
            port = free_port()
            running = self._started(stack, port)
            while not running.listens(port):
                if running.code is not None:
                    break
                if time.monotonic() > deadline:
                    raise HangError(self._told("did not begin to listen", [running.told()]))
                self._rest()
            else:
                return running, (address, port)
            words = running.told()
            if "listen" not in words and "accept" not in words:
                break
        raise NotMeasuredError(self._told("failed before its client came", [words]))

    def _address(self) -> str:
        """Where the client finds this host."""
        if self._side.settings.address == "fabric":
            return fabric_address(self._side.nic)
        return "127.0.0.1" if self.server.host == self.client.host else self.server.host

    def _watch(self, mine: Running) -> None:
        """Wait until both sides have ended; raises where one fails or takes longer than --timeout."""
        begin, lingers = time.monotonic(), 0.0
        timeout = self._side.plan.timeout
        while True:
            code, late = mine.code, time.monotonic() - begin > timeout
            state = (_LATE if late else _RUNS) if code is None else _FAILED if code else _ENDED
            states = np.full(2, _RUNS, np.int64)
            states[self.group.rank] = state
            states = self.group.maximum(states)
            if states.max() >= _FAILED:
                self._fail(mine, hangs=states.max() == _LATE)
            if states.min() == _ENDED:
                return
            if states[self._client] == _ENDED:
                lingers = lingers or time.monotonic()
                if self._agreed(time.monotonic() - lingers > LINGER_SECONDS):
                    return  # the server has nothing more to tell
            self._rest()

    def _agreed(self, what: bool) -> bool:
        return bool(self.group.maximum(np.array([what], np.int64))[0])

    def _rest(self) -> None:
        self.cells[PROGRESS] += 1  # the watchdog's: the deadline here is its own
        time.sleep(LOOK_SECONDS)

    def _fail(self, mine: Running, hangs: bool) -> NoReturn:
        """Raise what both sides have to say, the same on both ranks."""
        deadline = time.monotonic() + (0.0 if hangs else WORDS_SECONDS)
        while mine.code is None and time.monotonic() < deadline:
            self._rest()  # its peer has gone: it is about to say why that matters
        told = self.group.all_gather(mine.told())
        timeout = self._side.plan.timeout
        if hangs:
            what = f"did not end within {timeout:g} s"
            more = "a larger --timeout, or fewer messages: --config iterations=N; or "
            raise HangError(self._told(what, told, more))
        raise NotMeasuredError(self._told("failed", told))

    def _told(self, what: str, told: Sequence[str], more: str = "") -> str:
        """`told` of the group's ranks in their order, or of the server alone."""
        sides = {self._client: f"client, {self.client}", 1 - self._client: f"server, {self.server}"}
        places = [self.group.rank] if len(told) == 1 else [*sides]
        lines = [f"  {sides[at]}: {told[at if len(told) > 1 else 0]}" for at in places]
        return "\n".join(
            [
                f"{self.case.describe()}: {program_name(self.case)} {what}",
                *lines,
                f"  next: {more}the server's command and then the client's by hand",
            ]
        )

    def _printed(self, running: Running) -> Printed:
        """What the client's report says of this case."""
        report = parse(running.output())
        kind = report.facts.get("Connection type", "")
        try:
            times = _nanoseconds(self._side, self.case, report)
        except ValueError as error:
            return Printed((), None, kind, f"{error}.\n  output: {running.told()}")
        return Printed(times, report.mtu, kind)


def _nanoseconds(side: Side, case: Case, report: Report) -> tuple[int, ...]:
    """The samples in the client's report; raises ValueError that says what is amiss with it."""
    found = report.latencies if is_latency(case) else report.bandwidths
    rows = [row for row in found if row.nbytes == case.nbytes]
    if len(rows) != 1:
        shown = "; ".join(report.remarks[:3]) or "nothing"
        raise ValueError(
            f"{program_name(case)} printed {len(rows)} rows for {case.nbytes} bytes, expected one"
            f" (what else it printed: {shown})"
        )
    (row,) = rows
    if isinstance(row, Bandwidth):
        directions = 2 if case.call == "both" else 1
        seconds = [row.seconds * side.plan.window * directions]
    elif side.raw:
        expected = iterations_of(case, side.settings) - 1
        if len(row.raw) < expected:
            raise ValueError(
                f"{program_name(case)} printed {len(row.raw)} raw times, expected {expected}"
            )
        seconds = list(row.raw[:expected])
    else:
        seconds = [row.typical or 0.0]
    if not all(NANOSECONDS / 2 < value < MOST_SECONDS for value in seconds):
        raise ValueError(f"{program_name(case)} printed a time that cannot be")
    return tuple(round(value / NANOSECONDS) for value in seconds)


def _check_name(address: str, server: End) -> None:
    """Raise NotMeasuredError where this host does not know the server's name: perftest says less."""
    try:
        socket.getaddrinfo(address, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise NotMeasuredError(
            f"{address}, the host of {server}, has no IPv4 address on {socket.gethostname()}: {error}.\n"
            "  next: --config address=fabric (the address of the server's RDMA interface), or /etc/hosts"
        ) from None
