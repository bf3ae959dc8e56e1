"""Legs on a device: everything is enqueued, and the device's clock is read after each iteration.

Two clocks: a kernel that stamps `%globaltimer`, or CUDA events. Either gives one duration an
iteration, as percentiles and stragglers need, and costs the device a little each time; so a leg of
its own, without them, is timed as one batch, as nccl-tests does. A kernel that spins ahead of the
first iteration hides the time that launching takes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from railgauge.compute import Compute, HostCompute
from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device, Launches
from railgauge.gpus.memory import Kernels
from railgauge.layouts import Group as GroupFacts
from railgauge.loop import CLOCK, Step, Table, back_to_back_loop, execute, stamp_cost, table
from railgauge.needs import reads_clock
from railgauge.plan import Case, Plan
from railgauge.units import NANOSECONDS
from railgauge.world import Batch, Bound, Communicator
from railgauge_kernels import burning, waiting
from railgauge_kernels.ladders import Geometry, Kernel

ONE = Geometry(1, 1)
BURN = burning.LADDER[0]
MOST_STAMPS = 1 << 18  # 2 MiB of them: more than a chunk has iterations
LAUNCH_NS, MOST_AHEAD = 10_000, 200  # the spin lasts as long as launching so many takes at most


class Stamps:
    """Room for stamps of the device's clock, and the step that adds one: `%globaltimer`, in ns."""

    def __init__(self, device: Device, kernels: Kernels, stream: int, most: int) -> None:
        self._device, self._most = device, most
        self._cursor, self._at = device.allocate(8), device.allocate(8 * most)
        self._launches = Launches()
        self.step = self._launches.step(
            kernels[waiting.STAMP.function], ONE, stream, self._cursor, self._at, most
        )
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._device.set_bytes(self._cursor, 0, 8)

    def read(self) -> Table:
        """The stamps since the last `clear`, int64 [n] in ns."""
        count = np.zeros(1, np.int64)
        self._device.download(count, self._cursor)
        made = np.zeros(min(int(count[0]), self._most), np.int64)
        if len(made):
            self._device.download(made, self._at)
        return made

    def close(self) -> None:
        self._device.free(self._at)
        self._device.free(self._cursor)


class DeviceClock(Protocol):
    """How a leg's iterations are told apart on the device."""

    def begin(self) -> Step:
        """What is enqueued ahead of the first iteration."""

    def ticked(self, launches: int) -> Table:
        """int64 [sets, steps, STEP_WIDTH]: the programs of a leg, each with its tick at the end."""

    def durations(self) -> Table:
        """Of the leg that is done, in ns: int64 [iterations]."""

    def close(self) -> None: ...


class StampClock:
    """The stamping kernel; it is part of the programs (of a graph, after each of its operations)."""

    def __init__(self, stamps: Stamps, programs: Table) -> None:
        self._stamps, self._programs = stamps, programs

    def begin(self) -> Step:
        self._stamps.clear()
        return self._stamps.step

    def ticked(self, launches: int) -> Table:
        del launches
        return self._programs

    def durations(self) -> Table:
        return np.diff(self._stamps.read())

    def close(self) -> None:
        """The stamps are the backend's."""


class EventClock:
    """An event after every launch; of a graph, one for all of its `each` operations."""

    def __init__(self, device: Device, stream: int, programs: Table, each: int) -> None:
        self._device, self._stream, self._bare, self._each = device, stream, programs, each
        self._events: list[int] = []
        self._used = 0

    def begin(self) -> Step:
        if not self._events:
            self._events.append(self._device.new_event())
        return cuda.record(self._events[0], self._stream)

    def ticked(self, launches: int) -> Table:
        while len(self._events) <= launches:
            self._events.append(self._device.new_event())
        self._used = launches
        ticks = np.stack([table([cuda.record(e, self._stream)]) for e in self._events[1:]])
        turns = -(-launches // len(self._bare))
        programs = np.tile(self._bare, (turns, 1, 1))[:launches]
        return np.concatenate([programs, ticks[:launches]], axis=1)

    def durations(self) -> Table:
        pairs = zip(self._events[: self._used], self._events[1:], strict=False)
        spans = [self._device.nanoseconds(first, last) // self._each for first, last in pairs]
        return np.repeat(np.array(spans, np.int64), self._each)

    def close(self) -> None:
        for event in self._events:
            self._device.free_event(event)


class DeviceLeg:
    """Iterations of `bare` programs, `each` operations in one of them (a graph launches several).

    With `spin` a kernel keeps the device waiting while the first operations are enqueued; nccl-tests
    has no such thing. `timed` as in `railgauge.legs`.
    """

    def __init__(
        self,
        device: Device,
        kernels: Kernels,
        bare: Table,
        clock: DeviceClock,
        each: int,
        timed: bool,
        spin: bool,
    ) -> None:
        self._device, self._bare, self._clock = device, bare, clock
        self._each, self._timed = each, timed
        self.sets = len(bare) * each
        self._launches = Launches()
        self._events = [device.new_event(), device.new_event()]
        self._flag = device.allocate_host(8)  # stays 0: the spin ends with its time
        self._spin = kernels[waiting.SPIN.function] if spin else 0

    def run(self, iterations: int, cells: Table) -> tuple[int, Table]:
        """See `railgauge.world.Leg`: int64 [iterations, 2], duration and launch."""
        launches = -(-iterations // self._each)
        programs = self._clock.ticked(launches)
        begin = [*self._ahead(launches * programs.shape[1]), self._clock.begin()]
        code, host = self._enqueue(begin, programs, launches, cells, [])
        if code or not self._timed:
            return code, np.zeros((iterations, 2), np.int64)
        launch = np.repeat(np.diff(host) // self._each, self._each)
        return 0, np.stack([self._clock.durations(), launch], axis=1)[:iterations]

    def batch(self, iterations: int, cells: Table) -> tuple[int, Batch | None]:
        """At least that many iterations as one: the host's clock, and two events."""
        launches = -(-iterations // self._each)
        first, last = (cuda.record(event, self._device.stream) for event in self._events)
        began = _now()
        code, _ = self._enqueue([first], self._bare, launches, cells, [last])
        if code:
            return code, None
        took = _now() - began
        return 0, Batch(launches * self._each, took, self._device.nanoseconds(*self._events))

    def _ahead(self, steps: int) -> list[Step]:
        if not self._spin:
            return []
        limit = LAUNCH_NS * min(MOST_AHEAD, steps)
        return [self._launches.step(self._spin, ONE, self._device.stream, self._flag, limit)]

    def _enqueue(
        self, begin: list[Step], programs: Table, launches: int, cells: Table, end: list[Step]
    ) -> tuple[int, Table]:
        host = np.zeros(launches + 1, np.int64)
        code = execute(table(begin))
        code = code or back_to_back_loop(CLOCK, programs, cells, host, True)
        code = code or execute(table([*end, cuda.synchronise(self._device.stream)]))
        return code, host

    def close(self) -> None:
        self._clock.close()
        for event in self._events:
            self._device.free_event(event)
        self._device.free_host(self._flag)


def _now() -> int:
    stamps = np.zeros(1, np.int64)
    stamp_cost(CLOCK, stamps)
    return int(stamps[0])


class DeviceCompute:
    """Work on all multiprocessors, on a stream of its own, stamped before and after."""

    def __init__(self, device: Device, kernels: Kernels) -> None:
        self._device, self._kernel = device, kernels[BURN.function]
        self.stream = device.new_stream()
        self._stamps = Stamps(device, kernels, self.stream, 1024)
        self._launches = Launches()
        blocks = device.facts.multiprocessors
        self._geometry = Geometry(blocks, BURN.threads)
        nbytes = burning.traffic(BURN.threads * blocks).written
        self._state = device.allocate(nbytes)
        device.set_bytes(self._state, 0, nbytes)

    def steps(self, rounds: int) -> Table:
        """Stamp, burn, stamp: each run of them adds two stamps."""
        work = self._launches.step(self._kernel, self._geometry, self.stream, self._state, rounds)
        return table([self._stamps.step, work, self._stamps.step])

    def seconds(self) -> float:
        """Median of what the work took since the last call."""
        pairs = self._stamps.read()
        pairs = pairs[: len(pairs) // 2 * 2].reshape(-1, 2)
        self._stamps.clear()
        return float(np.median(pairs[:, 1] - pairs[:, 0])) * NANOSECONDS if len(pairs) else 0.0

    def close(self) -> None:
        self._stamps.close()
        self._device.free(self._state)
        self._device.free_stream(self.stream)


class DeviceTiming:
    """How a case's programs are timed on a device; its stamps serve all cases."""

    def __init__(self, device: Device, kernels: Kernels) -> None:
        self._device, self._kernels = device, kernels
        self._stamps = Stamps(device, kernels, device.stream, MOST_STAMPS)

    @staticmethod
    def needs(plan: Plan) -> list[Kernel]:
        """The kernels that a plan's timing calls."""
        return [waiting.STAMP, waiting.SPIN, *([BURN] if plan.overlap else [])]

    def ticked(self, programs: Table) -> Table:
        """The programs, each with a stamp behind it."""
        tick = table([self._stamps.step])
        return np.stack([np.concatenate([program, tick]) for program in programs])

    def bound(
        self,
        plan: Plan,
        case: Case,
        facts: GroupFacts,
        group: Communicator,
        bare: Table,
        closes: contextlib.ExitStack,
        *,
        graph: Callable[[Table], Table] | None = None,
    ) -> Bound:
        """A case whose steps only enqueue, ready to be timed; `graph` makes all turns one launch.

        What others write into this rank's memory by themselves is there once all have met.
        """
        stream = self._device.stream
        each, ticked = 1, self.ticked(bare)
        if graph:
            each = len(bare)
            bare, ticked = graph(bare), graph(ticked)
        clock: DeviceClock = StampClock(self._stamps, ticked)
        if plan.clock == "event":
            clock = EventClock(self._device, stream, bare, each)
        timed = reads_clock(case, facts)
        leg = DeviceLeg(self._device, self._kernels, bare, clock, each, timed, plan.spin)
        closes.callback(leg.close)
        compute: Compute = HostCompute()
        wait = [cuda.synchronise(stream)]
        if plan.overlap:
            compute = work = DeviceCompute(self._device, self._kernels)
            closes.callback(work.close)
            wait.append(cuda.synchronise(work.stream))
        barrier = group.barrier_program()
        return Bound(
            programs=bare,
            waits_at=bare.shape[1],
            wait=table(wait),
            barrier=barrier,
            settle=barrier if case.entry.copies else table([]),
            leg=leg,
            compute=compute,
            close=closes.close,
            keep=[],
        )

    def close(self) -> None:
        self._stamps.close()
