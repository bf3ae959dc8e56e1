"""One case in one round on one rank: prepare, warm up, time, verify. Facts, no opinion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge import world
from railgauge.buffers import Buffers
from railgauge.dtypes import dtype_named
from railgauge.errors import NotMeasuredError
from railgauge.inputs import EXPECTED, FOUND, WRONG
from railgauge.layouts import NO_FLOWS, Ends
from railgauge.loop import (
    CHECKED_ITERATIONS,
    CLOCK,
    FIRST_FAULTY,
    MISSED,
    Table,
    barrier_loop,
    execute,
    stamp_cost,
    synchronised_loop,
    table,
)
from railgauge.needs import (
    check_interval,
    columns_of,
    data_of,
    group_facts,
    overwrites,
    reads_clock,
    sets_of,
)
from railgauge.plan import Case, Plan
from railgauge.records import Batch, Overlap, Wrong
from railgauge.samples import Rows, completion_ns
from railgauge.units import NANOSECONDS
from railgauge.world import Backend, Bound, Communicator, Place

SETTLING = 2  # first iterations of a back-to-back leg, which still see its start
OVERLAP_ITERATIONS = 100
FEWEST_IN_BATCH = 20  # nccl-tests' default number of iterations


class Measurement:
    """A case bound to this rank's buffers; `chunk` runs iterations and returns their stamps.

    `group` is the communicator of this rank's group, `cells` the int64[CELLS] that the watchdog
    reads, `clock_ns` what brings this rank's clock to rank 0's.
    """

    def __init__(
        self,
        plan: Plan,
        case: Case,
        round_index: int,
        group: Communicator,
        backend: Backend,
        cells: Table,
        clock_ns: int,
        init_seconds: float | None = None,
        ends: Ends = NO_FLOWS,
    ) -> None:
        self.plan, self.case, self.group, self.cells = plan, case, group, cells
        self.clock_ns, self.backend, self.init_seconds = clock_ns, backend, init_seconds
        self.facts = group_facts(plan, case, group.size, group.rank, ends)
        layout = case.entry.layout(self.facts)
        seed = (plan.seed * 1_000_003 + case.index * 8191 + round_index) & 0x7FFFFFFF
        dtype = dtype_named(case.dtype)
        record = data_of(plan, case, group.size, seed)
        self.buffers = Buffers(
            layout, dtype, record, group.rank, sets_of(plan, case), backend.memory
        )
        self.bound: Bound = backend.bind(plan, case, self.facts, group, self.buffers)
        self.cells[CHECKED_ITERATIONS] = self.cells[MISSED] = 0
        self.cells[FIRST_FAULTY] = -1
        self._checked(execute(table(self.buffers.inputs())))
        self._spoil = table(self.buffers.spoiled())
        self._restore = table(self.buffers.restored())
        self._verify = table(self.buffers.verification())
        self._every = check_interval(plan, case)
        self.timed = reads_clock(case, self.facts)
        self._batches: list[world.Batch] = []
        self.columns = columns_of(plan, case)
        self.flows = np.zeros((0, len(ends.sources)), np.int64)  # the last chunk's
        self.period_ns = 0  # of a synchronised window; set by the caller once a time is known

    # timing -------------------------------------------------------------------------------------

    def first_call(self) -> Rows:
        """The group's time of the very first iteration in ns, int64 [1]; every set is then verified."""
        self._checked(execute(self._spoil))
        rows = self._after_barriers(self.bound.programs[0], 1, moves=False)
        for program in self.bound.programs[1:]:
            self._checked(execute(program) or execute(self.bound.wait))
        self._verify_now(first=0, iterations=1)
        return np.asarray(self.group.maximum(rows[:, 1] - rows[:, 0]))

    def chunk(self, iterations: int) -> Rows:
        """Stamps of that many iterations (a whole rotation back to back): int64 [n, columns]."""
        if self.case.timing == "back_to_back":
            return self._rotation(iterations)
        if self.case.timing == "synchronised" and self.period_ns:
            return self._windows(iterations)
        return self._after_barriers(self.bound.programs[0], iterations)

    def _after_barriers(self, program: Table, iterations: int, *, moves: bool = True) -> Rows:
        """The barrier loop; a program that `moves` nothing is neither spoiled nor verified."""
        stamps = self._stamps(iterations)
        nothing = table([])
        checked = self.cells[CHECKED_ITERATIONS]
        self._checked(
            barrier_loop(
                CLOCK,
                self.bound.barrier,
                self._spoil if moves else nothing,
                self._restore if moves else nothing,
                np.concatenate([program, self.bound.wait]),
                self._verify if moves else nothing,
                self.buffers.report,
                self._every,
                self.cells,
                stamps,
            )
        )
        if not moves:  # the loop went through the motions
            self.cells[CHECKED_ITERATIONS] = checked
        self._note_flows(stamps)
        return stamps

    def _stamps(self, iterations: int) -> Rows:
        """Room for so many iterations, with as much for their messages."""
        if self.bound.flow_clock:
            self.bound.flow_clock.begin(iterations)
        return np.zeros((iterations, 2), np.int64)

    def _note_flows(self, stamps: Rows) -> None:
        """What each incoming message took since this rank entered: int64 [iterations, messages]."""
        if self.bound.flow_clock:
            self.flows = self.bound.flow_clock.since(stamps[:, 0])

    def _windows(self, iterations: int) -> Rows:
        stamps = self._stamps(iterations)
        # all begin well after the slowest rank has heard of it
        now = np.array([self._now() + self.clock_ns], np.int64)
        start = int(self.group.maximum(now)[0]) + 20 * self.period_ns + 200_000 - self.clock_ns
        self._checked(
            synchronised_loop(
                CLOCK,
                start,
                self.period_ns,
                self._spoil,
                self._restore,
                np.concatenate([self.bound.programs[0], self.bound.wait]),
                self._verify,
                self.buffers.report,
                self._every,
                self.cells,
                stamps,
            )
        )
        self._note_flows(stamps)
        return stamps

    def _rotation(self, iterations: int) -> Rows:
        """A long leg, and one turn through the sets that starts from spoiled outputs and is verified.

        In place the long leg is missing: a set can be used once before its inputs are restored.
        """
        sets = self.bound.leg.sets
        self._batch(max(FEWEST_IN_BATCH, iterations // 4))
        turns = 0 if overwrites(self.case) else -(-(iterations + SETTLING) // sets)
        legs = [self._leg(turns * sets), self._leg(max(sets, SETTLING + 1))]
        self._verify_now(first=turns * sets, iterations=min(iterations, len(legs[1])))
        return np.concatenate(legs)[-iterations:]

    def _verify_now(self, first: int, iterations: int) -> None:
        """Verify all sets, which hold the results of that many samples, the `first` among them."""
        before = self.buffers.report[WRONG]
        self._checked(execute(self.bound.settle) or execute(self._verify))
        self.cells[CHECKED_ITERATIONS] += iterations
        if self.buffers.report[WRONG] != before and self.cells[FIRST_FAULTY] < 0:
            self.cells[FIRST_FAULTY] = first

    def _leg(self, iterations: int) -> Rows:
        self._checked(execute(self._spoil))
        execute(self.bound.barrier)
        if not iterations:
            return np.zeros((0, len(self.columns)), np.int64)
        code, rows = self.bound.leg.run(iterations, self.cells)
        self._checked(code)
        return np.asarray(rows[SETTLING:])

    def _batch(self, iterations: int) -> None:
        """The same as one batch; inputs and outputs are restored by the next leg."""
        execute(self.bound.barrier)
        code, batch = self.bound.leg.batch(iterations, self.cells)
        self._checked(code)
        if batch:
            self._batches.append(batch)

    def _now(self) -> int:
        stamps = np.zeros(1, np.int64)
        stamp_cost(CLOCK, stamps)
        return int(stamps[0])

    def _checked(self, code: int) -> None:
        if code:
            raise NotMeasuredError(f"{self.case.describe()}: {self.backend.explain(code)}")

    def completion(self, rows: Rows) -> Rows:
        """Time of each iteration over the whole group in ns, the same on all of its ranks."""
        if self.case.timing != "synchronised":
            mine = completion_ns(self.columns, self.case.timing, rows[None], np.zeros(1, np.int64))
            return np.asarray(self.group.maximum(mine))
        last = self.group.maximum(rows[:, 1] + self.clock_ns)
        return np.asarray(last + self.group.maximum(-(rows[:, 0] + self.clock_ns)))

    # what came out ------------------------------------------------------------------------------

    def wrong(self, place: Place) -> Wrong | None:
        """The first wrong element or overwritten guard byte of this rank so far."""
        report, prefix = self.buffers.report, ""
        if not report[WRONG]:
            if not self.buffers.check_guards():
                return None
            report, prefix = self.buffers.guard_report, "guard of "
        buffer, index = self.buffers.located(report)
        digits = 2 * self.buffers.dtype.itemsize if not prefix else 2
        mask = (1 << (4 * digits)) - 1
        return Wrong(
            rank=place.rank,
            host=place.host,
            buffer=prefix + buffer,
            index=index,
            expected=f"0x{int(report[EXPECTED]) & mask:0{digits}x}",
            found=f"0x{int(report[FOUND]) & mask:0{digits}x}",
            elements=int(report[WRONG]),
            iteration=int(self.cells[FIRST_FAULTY]) if self.cells[FIRST_FAULTY] >= 0 else None,
        )

    def faulty(self) -> bool:
        """Has this rank found wrong data?"""
        return bool(self.buffers.report[WRONG])

    def batch(self) -> Batch | None:
        """All legs as one batch, the slowest rank of the group; None where none was timed so."""
        iterations, *nanoseconds = np.sum(self._batches or [world.Batch(0, 0, 0)], axis=0).tolist()
        slowest = self.group.maximum(np.array(nanoseconds, np.int64))
        host, device = (slowest * NANOSECONDS).tolist()
        if not self._batches:
            return None
        return Batch(iterations=iterations, host_seconds=host, device_seconds=device)

    def overlap(self, pure_seconds: float) -> Overlap:
        """Run the operation with computation between its start and its wait (see `Overlap`)."""
        compute = self.bound.compute
        # as long as the operation itself
        trial = 10_000
        took = self._median(compute.steps(trial), 10, moves=False)
        rounds = max(1, round(trial * pure_seconds / took))
        program, work = self.bound.programs[0], compute.steps(rounds)
        start, wait = np.split(program, [self.bound.waits_at])
        alone = len(self.bound.programs) == 1  # the other sets' outputs would stay spoiled
        pure = self._median(program, OVERLAP_ITERATIONS, moves=alone)
        compute.seconds()
        computing = self._median(work, OVERLAP_ITERATIONS, moves=False)
        compute.seconds()
        both = np.concatenate([start, work, wait])
        together = self._median(both, OVERLAP_ITERATIONS, moves=alone)
        beside = np.array([compute.seconds()])
        return Overlap(
            pure_seconds=pure,
            compute_seconds=computing,
            together_seconds=together,
            beside_seconds=float(self.group.maximum(beside)[0]),
        )

    def _median(self, program: Table, iterations: int, *, moves: bool = True) -> float:
        rows = self._after_barriers(np.ascontiguousarray(program), iterations, moves=moves)
        mine: npt.NDArray[np.int64] = rows[:, 1] - rows[:, 0]
        return float(np.median(self.group.maximum(mine))) * NANOSECONDS

    def close(self) -> None:
        """Free persistent requests, then the buffers; nothing may be measured afterwards."""
        self.bound.close()
        self.buffers.close()
