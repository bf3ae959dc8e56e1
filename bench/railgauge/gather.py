"""Bringing the facts of one case together: samples to one file a node, results to rank 0."""

from __future__ import annotations

import time

import numpy as np

from railgauge.clocks import Offset
from railgauge.journal import Folder, sample_path
from railgauge.loop import CHECKED_ITERATIONS, MISSED
from railgauge.measure import columns_of
from railgauge.patterns import Groups
from railgauge.plan import OVERLAPPING, Case, Plan, case_traffic
from railgauge.records import Block, Counted, GroupResult, Result, Wrong, encode_ranks
from railgauge.sampling import Outcome
from railgauge.statistics import Summary, summarise
from railgauge.units import NANOSECONDS
from railgauge.world import Measuring, World

_RANK_BITS = 20  # a rank of a group fits below 2^20, a duration in ns above it


class Gatherer:
    """Writes every node's samples and makes the Result on rank 0."""

    def __init__(self, plan: Plan, world: World, folder: Folder) -> None:
        self.plan, self.world, self.folder = plan, world, folder

    def gather(
        self,
        case: Case,
        index: int,
        groups: Groups,
        measurement: Measuring | None,
        outcome: Outcome,
        started: float,
        clock: Offset,
        counted: Counted | None,
    ) -> tuple[Result, list[Summary]] | None:
        """The case's journal line and its groups' summaries on rank 0 (None elsewhere).

        When it returns, the samples are safely on disk.
        """
        place = self.world.places[self.world.rank]
        group_result = self._group(groups, measurement, outcome)
        blocks = self._samples(case, groups, measurement, outcome, clock)
        n = len(groups[0])
        transfers = case.entry.transfers(n, self.plan.window) * self.plan.streams
        summary = None
        if group_result is not None:
            seconds = np.multiply(outcome.maxima, NANOSECONDS / transfers, dtype=np.float64)
            summary = summarise(seconds, self.plan.precision)
        made = self.world.gather((place.rank, group_result, summary, counted))
        if made is None:
            return None
        leaders = {
            rank: (result, summary) for rank, result, summary, _ in made if result is not None
        }
        busy = {rank for ranks in groups for rank in ranks}
        factor = case.bus_factor(n)
        if case.operation == "alltoallv":
            factor = case_traffic(self.plan, case.count, n).bus_factor()
        result = Result(
            case=case,
            round=index,
            started=started,
            seconds=time.time() - started,
            stopped=outcome.stopped,
            groups=tuple(leaders[ranks[0]][0] for ranks in groups),
            samples=tuple(blocks),
            transfers=transfers,
            bus_factor=factor,
            counted=tuple(tally for *_, tally in made if tally is not None),
            idle=encode_ranks(rank for rank in range(self.world.size) if rank not in busy),
        )
        return result, [leaders[ranks[0]][1] for ranks in groups]

    def _group(
        self, groups: Groups, measurement: Measuring | None, outcome: Outcome
    ) -> GroupResult | None:
        if measurement is None:
            return None
        overlap = None
        asked = self.plan.overlap and measurement.case.call in OVERLAPPING
        if asked and len(outcome.maxima):
            overlap = measurement.overlap(float(np.median(outcome.maxima)) * NANOSECONDS)
        batch = measurement.batch() if "launch" in measurement.columns else None
        choice = measurement.backend.choice(measurement.case)
        cells, place = measurement.cells, self.world.places[self.world.rank]
        mine = (int(cells[CHECKED_ITERATIONS]), int(cells[MISSED]), measurement.wrong(place))
        everybody: list[tuple[int, int, Wrong | None]] | None = measurement.group.gather(mine)
        if everybody is None:
            return None
        return GroupResult(
            ranks=encode_ranks(next(ranks for ranks in groups if place.rank in ranks)),
            first_call_ns=outcome.first_call_ns,
            warmup_iterations=outcome.warmup_iterations,
            steady=outcome.steady,
            iterations=len(outcome.maxima),
            checked_iterations=min(checked for checked, _, _ in everybody),
            missed_windows=max(missed for _, missed, _ in everybody),
            wrong=tuple(wrong for _, _, wrong in everybody if wrong),
            overlap=overlap,
            batch=batch,
            init_seconds=measurement.init_seconds,
            choice=choice,
            allowed=measurement.backend.allowed(measurement.case),
        )

    # samples ------------------------------------------------------------------------------------

    def _samples(
        self,
        case: Case,
        groups: Groups,
        measurement: Measuring | None,
        outcome: Outcome,
        clock: Offset,
    ) -> list[Block]:
        """The blocks of all nodes on rank 0; above the sample budget only the slowest ranks."""
        timed = measurement is not None and measurement.timed
        rows = outcome.rows if timed else outcome.rows[:0]
        total = sum(self.world.node.all_gather(rows.nbytes))
        if self.world.node.rank == 0:
            path = sample_path(self.folder.path, self.world.places[self.world.rank].node)
            total += path.stat().st_size if path.exists() else 0
        if int(self.world.maximum(np.array([total]))[0]) > self.plan.sample_budget:
            return self._slowest(groups, measurement, outcome)
        stamped = self.world.node.gather(self.world.rank if timed else None)
        gathered = self.world.node.gather_values(rows)
        blocks = None
        if self.world.leaders is not None:
            block = None
            ranks = [rank for rank in stamped or [] if rank is not None]
            if ranks and gathered is not None:
                node = self.world.places[self.world.rank].node
                block = Block(
                    node=node,
                    offset=self.folder.append_samples(node, gathered),
                    ranks=encode_ranks(ranks),
                    columns=columns_of(self.plan, case),
                    clock_ns=clock.clock_ns,
                )
            blocks = self.world.leaders.gather(block)
        return [block for block in blocks or [] if block]

    def _slowest(
        self, groups: Groups, measurement: Measuring | None, outcome: Outcome
    ) -> list[Block]:
        """Per group and iteration the duration of the slowest rank and which it was."""
        rows = None
        if measurement:
            data = outcome.rows
            stamped = measurement.columns[0] == "entry"
            mine = data[:, 1] - data[:, 0] if stamped else data[:, 0]
            coded = (mine << _RANK_BITS) | measurement.group.rank
            slowest = measurement.group.maximum(coded)
            ranks = np.array(next(r for r in groups if self.world.rank in r), np.int64)
            if measurement.group.rank == 0:
                rows = np.stack([outcome.maxima, ranks[slowest & ((1 << _RANK_BITS) - 1)]], axis=1)
        made = self.world.gather((self.world.rank, rows))
        if made is None:
            return []
        kept = {rank: data for rank, data in made if data is not None}
        offset = self.folder.append_samples(0, np.stack([kept[ranks[0]] for ranks in groups]))
        return [Block(node=0, offset=offset, ranks="", columns=("duration", "rank"))]
