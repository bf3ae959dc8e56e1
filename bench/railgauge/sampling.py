"""How many iterations a case gets: warm up until steady, sample until it is enough.

All ranks of the world go through here together, also those that sit the round out: the number of
iterations of each chunk, and the end, are agreed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from railgauge.load import Load
from railgauge.plan import Plan
from railgauge.samples import Rows, in_seconds
from railgauge.stopping import CHUNK_SECONDS, Stopping, Warmup
from railgauge.units import NANOSECONDS
from railgauge.world import Measuring, World

MOST_CHUNK = 100_000  # iterations: a device has room for the stamps of so many
LEAD_SECONDS = 0.01  # that a load has to build up
LOOK_SECONDS = 0.0002  # how often ranks look whether all others are through
#: Why a series may end, the reason that says least about it last; groups agree on the last one.
REASONS = ("", "count", "precision", "limit", "budget")


@dataclasses.dataclass(frozen=True)
class Beside:
    """Do other ranks do something else meanwhile, make load, and is it this rank that makes it?"""

    others: bool = False
    loaded: bool = False
    load: Load | None = None


@dataclasses.dataclass
class Outcome:
    """What one rank has after sampling: its stamps int64 [n, columns], its group's maxima int64 [n].

    `flows` are the times of the messages that came in, int64 [n, messages].
    """

    rows: Rows
    maxima: Rows
    first_call_ns: int = 0
    warmup_iterations: int = 0
    steady: bool = False
    stopped: str = ""
    flows: Rows = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.int64))


def sample(
    plan: Plan,
    world: World,
    measurement: Measuring | None,
    interrupted: Callable[[], bool],
    beside: Beside | None = None,
) -> Outcome:
    """Run the case's first call, warm-up and samples on this rank (None: it only agrees)."""
    return _Sampling(plan, world, measurement, interrupted, beside or Beside()).run()


class _Sampling:
    def __init__(
        self,
        plan: Plan,
        world: World,
        measurement: Measuring | None,
        interrupted: Callable[[], bool],
        beside: Beside,
    ) -> None:
        self.plan, self.world, self.measurement = plan, world, measurement
        self.interrupted, self.beside = interrupted, beside
        self.cost = 0.0  # wall seconds an iteration, of the slowest rank
        self.halt = ""

    def run(self) -> Outcome:
        rows, maxima = self._nothing()
        first = self.measurement.first_call() if self.measurement else maxima
        outcome = Outcome(rows, maxima, first_call_ns=int(first.sum()))
        self._warm_up(outcome, first)
        self._sample(outcome)
        return outcome

    def _warm_up(self, outcome: Outcome, first: Rows) -> None:
        warmup = Warmup(self.plan)
        series = [first]
        while not self.halt:
            wish = warmup.next_chunk(self._largest()) if self.measurement else 0
            wanted = self._agree(wish)
            if wanted <= 0:
                break
            _, maxima = self._chunk(wanted)
            if len(maxima):
                warmup.add(in_seconds(maxima))
                series.append(maxima)
            else:
                warmup.done += wanted
        outcome.warmup_iterations, outcome.steady = warmup.done, warmup.steady
        period = self._period_ns(np.concatenate(series)[-64:]) if self.measurement else 0
        agreed = self._agree(period)
        if self.measurement:
            self.measurement.period_ns = agreed

    def _period_ns(self, recent: Rows) -> int:
        """A synchronised window: what nearly all iterations took, and the untimed work beside it."""
        untimed = max(0.0, self.cost / NANOSECONDS - float(np.median(recent)))
        return int(1.5 * (float(np.quantile(recent, 0.9)) + untimed)) + 1_000

    def _sample(self, outcome: Outcome) -> None:
        stopping = Stopping(self.plan)
        rows: list[Rows] = []
        maxima: list[Rows] = []
        flows: list[Rows] = []
        begin = time.monotonic()
        while not self.halt:
            wanted = max(1, min(stopping.target() - stopping.done, self._largest()))
            more_rows, more_maxima = self._chunk(self._agree(wanted))
            rows.append(more_rows)
            maxima.append(more_maxima)
            if self.measurement:
                flows.append(self.measurement.flows)
            stopping.done = self._agree(sum(len(m) for m in maxima))
            (elapsed,) = self.world.maximum(np.array([time.monotonic() - begin]))
            series = [in_seconds(np.concatenate(maxima))] if self.measurement else []
            reason = stopping.look(series, float(elapsed))
            votes = np.array([not reason, REASONS.index(reason)], np.int64)
            on, weakest = self.world.maximum(votes)
            if not on:
                outcome.stopped = REASONS[weakest]
                break
        outcome.stopped = self.halt or outcome.stopped
        if rows:
            keep = self.plan.iterations
            outcome.rows = np.ascontiguousarray(np.concatenate(rows)[:keep])
            outcome.maxima = np.concatenate(maxima)[:keep]
            outcome.flows = np.concatenate(flows or [outcome.flows])[:keep]

    def _chunk(self, iterations: int) -> tuple[Rows, Rows]:
        """(this rank's stamps, its group's maxima); afterwards all know whether to halt."""
        before = time.monotonic()
        rows, maxima = self._nothing()
        wrong = 0
        if self.beside.others:
            rows = self._beside_others(iterations, rows)
        elif self.measurement:
            rows = self.measurement.chunk(iterations)
        if self.measurement:
            maxima = self.measurement.completion(rows)
            wrong = int(self.measurement.faulty())
        cost = (time.monotonic() - before) / max(1, iterations)
        agreed = self.world.maximum(np.array([cost, wrong, self.interrupted()], np.float64))
        self.cost = float(agreed[0])
        self.halt = "wrong data" if agreed[1] else "interrupted" if agreed[2] else ""
        return rows, maxima

    def _beside_others(self, iterations: int, rows: Rows) -> Rows:
        """A chunk beside other groups, idle ranks and a load, which begins before and ends after all.

        Those that have nothing to do sleep: waiting inside MPI would take a CPU from those that measure.
        """
        if self.beside.loaded:
            self.world.barrier()
        if self.beside.load:
            self.beside.load.until(self.world.meet())
            return rows
        if self.measurement:
            time.sleep(LEAD_SECONDS if self.beside.loaded else 0)
            rows = self.measurement.chunk(iterations)
        over = self.world.meet()
        while not over():
            time.sleep(LOOK_SECONDS)
        return rows

    def _nothing(self) -> tuple[Rows, Rows]:
        """What `_chunk` returns, of no iterations."""
        columns = len(self.measurement.columns) if self.measurement else 0
        return np.zeros((0, columns), np.int64), np.zeros(0, np.int64)

    def _largest(self) -> int:
        return max(1, min(MOST_CHUNK, int(CHUNK_SECONDS / self.cost))) if self.cost else 1

    def _agree(self, value: int) -> int:
        return int(self.world.maximum(np.array([value], np.int64))[0])
