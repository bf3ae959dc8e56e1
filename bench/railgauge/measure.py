"""One case in one round on one rank: prepare, warm up, time, verify. Facts, no opinion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge import patterns
from railgauge.buffers import Buffers, footprint
from railgauge.dtypes import dtype_named
from railgauge.errors import NotMeasuredError
from railgauge.inputs import EXPECTED, FOUND, WRONG, data_record
from railgauge.layouts import Group
from railgauge.loop import (
    CHECKED_ITERATIONS,
    CLOCK,
    FIRST_FAULTY,
    MISSED,
    Step,
    Table,
    back_to_back_loop,
    barrier_loop,
    execute,
    stamp_cost,
    synchronised_loop,
    table,
)
from railgauge.plan import Case, Plan, case_traffic, cases
from railgauge.records import Overlap, Wrong
from railgauge.reducers import compute_address
from railgauge.samples import Rows, completion_ns
from railgauge.units import NANOSECONDS
from railgauge.world import Backend, Bound, Communicator, Place

WINDOW_BYTES = 16 << 10  # receive slots of a window stay within a first-level cache
CHECK_BYTES = 4 << 10  # an iteration is verified for so many bytes of a message ...
FEWEST, MOST = 8, 64  # ... but at most every 8th (the work next to it shows), at least every 64th
# in place every iteration of a chunk needs buffers of its own
IN_PLACE_BYTES, FEWEST_SETS, MOST_SETS = 64 << 10, 4, 256
SETTLING = 2  # first iterations of a back-to-back leg, which still see its start
OVERLAP_ITERATIONS = 100


def slot_count(plan: Plan, case: Case) -> int:
    """Receive buffers of a rank: a window's, a rotation's (back to back), or one."""
    size = max(case.nbytes, 1)
    if case.entry.windowed:
        return max(1, min(plan.window, WINDOW_BYTES // size))
    if case.timing == "back_to_back":
        own = max(FEWEST_SETS, min(MOST_SETS, IN_PLACE_BYTES // size))
        return own if overwrites(case) else plan.buffers
    return 1


def overwrites(case: Case) -> bool:
    """Does an iteration overwrite inputs that the next one needs?"""
    return case.placement == "in" and "out" in case.entry.placements


def check_interval(plan: Plan, case: Case) -> int:
    """Every how many iterations the output is spoiled before and verified after (1: every one)."""
    return plan.check_every or max(FEWEST, min(MOST, case.nbytes // CHECK_BYTES))


def columns_of(case: Case) -> tuple[str, ...]:
    """The columns of the case's stamps (`journal.Block`)."""
    return ("duration",) if case.timing == "back_to_back" else ("entry", "exit")


def reads_clock(case: Case, group: Group) -> bool:
    """Does this rank stamp its iterations? Back to back, of a pair only the one that sends first.

    The other's reading would lengthen what the first one measures (README, "When the clock runs").
    """
    return case.timing != "back_to_back" or not case.entry.even or group.me < group.n // 2


def group_facts(plan: Plan, case: Case, n: int, me: int) -> Group:
    """What the case's layout depends on for place `me` in a group of `n`."""
    traffic = case_traffic(plan, case.count, n) if case.operation == "alltoallv" else None
    return Group(n, me, case.root or 0, case.count, traffic, case.placement == "in")


def memory_needed(plan: Plan, case: Case, n: int, me: int) -> int:
    """Bytes of buffers that place `me` in a group of `n` allocates for the case."""
    layout = case.entry.layout(group_facts(plan, case, n, me))
    itemsize = dtype_named(case.dtype).itemsize
    return footprint(layout, itemsize, slot_count(plan, case), case.placement == "in")


def check_data(plan: Plan) -> None:
    """Raise UsageError where no data exists by which a case could be checked exactly."""
    n = patterns.group_sizes(plan.pattern, plan.ranks)[0]
    for case in cases(plan):
        data_record(dtype_named(case.dtype), case.op, n, plan.seed)


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
    ) -> None:
        self.plan, self.case, self.group, self.cells = plan, case, group, cells
        self.clock_ns, self.backend = clock_ns, backend
        self.facts = group_facts(plan, case, group.size, group.rank)
        layout = case.entry.layout(self.facts)
        seed = (plan.seed * 1_000_003 + case.index * 8191 + round_index) & 0x7FFFFFFF
        dtype = dtype_named(case.dtype)
        self.record = data_record(dtype, case.op, group.size, seed)
        self.buffers = Buffers(
            layout, dtype, self.record, group.rank, slot_count(plan, case), self.facts.in_place
        )
        self.bound: Bound = backend.bind(plan, case, self.facts, group, self.buffers)
        self.cells[CHECKED_ITERATIONS] = self.cells[MISSED] = 0
        self.cells[FIRST_FAULTY] = -1
        execute(table(self.buffers.inputs()))
        self._spoil = table(self.buffers.spoiled())
        self._restore = table(self.buffers.restored())
        self._verify = table(self.buffers.verification())
        self._every = check_interval(plan, case)
        self.timed = reads_clock(case, self.facts)
        self.period_ns = 0  # of a synchronised window; set by the caller once a time is known

    # timing -------------------------------------------------------------------------------------

    def first_call(self) -> Rows:
        """The group's time of the very first iteration in ns, int64 [1]; every set is then verified."""
        execute(self._spoil)
        rows = self._after_barriers(self.bound.programs[0], 1, moves=False)
        for program in self.bound.programs[1:]:
            self._checked(execute(program))
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
        stamps = np.zeros((iterations, 2), np.int64)
        nothing = table([])
        checked = self.cells[CHECKED_ITERATIONS]
        self._checked(
            barrier_loop(
                CLOCK,
                self.bound.barrier,
                self._spoil if moves else nothing,
                self._restore if moves else nothing,
                program,
                self._verify if moves else nothing,
                self.buffers.report,
                self._every,
                self.cells,
                stamps,
            )
        )
        if not moves:  # the loop went through the motions
            self.cells[CHECKED_ITERATIONS] = checked
        return stamps

    def _windows(self, iterations: int) -> Rows:
        stamps = np.zeros((iterations, 2), np.int64)
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
                self.bound.programs[0],
                self._verify,
                self.buffers.report,
                self._every,
                self.cells,
                stamps,
            )
        )
        return stamps

    def _rotation(self, iterations: int) -> Rows:
        """A long leg, and one turn through the sets that starts from spoiled outputs and is verified.

        In place the long leg is missing: a set can be used once before its inputs are restored.
        """
        sets = len(self.bound.programs)
        turns = 0 if overwrites(self.case) else -(-(iterations + SETTLING) // sets)
        legs = [self._leg(turns * sets), self._leg(max(sets, SETTLING + 1))]
        self._verify_now(first=turns * sets, iterations=min(iterations, len(legs[1])))
        return np.concatenate(legs)[-iterations:, None]

    def _verify_now(self, first: int, iterations: int) -> None:
        """Verify all sets, which hold the results of that many samples, the `first` among them."""
        before = self.buffers.report[WRONG]
        execute(self._verify)
        self.cells[CHECKED_ITERATIONS] += iterations
        if self.buffers.report[WRONG] != before and self.cells[FIRST_FAULTY] < 0:
            self.cells[FIRST_FAULTY] = first

    def _leg(self, iterations: int) -> Rows:
        execute(self._spoil)
        execute(self.bound.barrier)
        stamps = np.zeros(iterations + 1, np.int64)
        self._checked(back_to_back_loop(CLOCK, self.bound.programs, self.cells, stamps, self.timed))
        return np.diff(stamps)[SETTLING:]

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
            mine = completion_ns(
                columns_of(self.case), self.case.timing, rows[None], np.zeros(1, np.int64)
            )
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

    def overlap(self, pure_seconds: float) -> Overlap:
        """Run the operation with computation between its start and its wait (see `Overlap`)."""
        state = np.ones(1, np.float64)

        def compute(rounds: int) -> Table:
            return table([Step(compute_address(), (state.ctypes.data, rounds))])

        # as long as the operation itself
        trial = 10_000
        took = self._median(compute(trial), 10, moves=False)
        rounds = max(1, round(trial * pure_seconds / took))
        program = self.bound.programs[0]
        start, wait = np.split(program, [self.bound.waits_at])
        together = np.concatenate([start, compute(rounds), wait])
        return Overlap(
            pure_seconds=self._median(program, OVERLAP_ITERATIONS),
            compute_seconds=self._median(compute(rounds), OVERLAP_ITERATIONS, moves=False),
            together_seconds=self._median(together, OVERLAP_ITERATIONS),
        )

    def _median(self, program: Table, iterations: int, *, moves: bool = True) -> float:
        rows = self._after_barriers(np.ascontiguousarray(program), iterations, moves=moves)
        mine: npt.NDArray[np.int64] = rows[:, 1] - rows[:, 0]
        return float(np.median(self.group.maximum(mine))) * NANOSECONDS

    def close(self) -> None:
        """Free persistent requests, then the buffers; nothing may be measured afterwards."""
        self.bound.close()
        self.buffers.close()
