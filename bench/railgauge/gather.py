"""Bringing the facts of one case together: samples to one file a node, results to rank 0."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from railgauge.clocks import Offset
from railgauge.journal import Folder, sample_path
from railgauge.load import Load
from railgauge.loop import CHECKED_ITERATIONS, MISSED
from railgauge.needs import columns_of
from railgauge.patterns import Flow, Group, Round
from railgauge.plan import OVERLAPPING, Case, Plan, case_traffic
from railgauge.records import (
    Block,
    Counted,
    FlowBlock,
    GroupResult,
    Pressure,
    Result,
    Wrong,
    encode_ranks,
)
from railgauge.samples import Rows, in_seconds
from railgauge.sampling import Outcome
from railgauge.statistics import Summary, jain, summarise
from railgauge.units import GIGA, NANOSECONDS
from railgauge.world import Measuring, World

_RANK_BITS = 20  # a rank of a group fits below 2^20, a duration in ns above it


class Share(NamedTuple):
    """What one rank has to say of a case; None where it has no part in that."""

    rank: int
    group: GroupResult | None
    summary: Summary | None
    counted: Counted | None
    moved: tuple[int, float] | None  # bytes and seconds of its load
    flows: dict[int, float]  # source -> median seconds of its messages


class Gatherer:
    """Writes every node's samples and makes the Result on rank 0."""

    def __init__(self, plan: Plan, world: World, folder: Folder) -> None:
        self.plan, self.world, self.folder = plan, world, folder

    def gather(
        self,
        case: Case,
        index: int,
        round_: Round,
        measurement: Measuring | None,
        outcome: Outcome,
        started: float,
        clock: Offset,
        counted: Counted | None,
        load: Load | None = None,
    ) -> tuple[Result, list[Summary]] | None:
        """The case's journal line and its groups' summaries on rank 0 (None elsewhere).

        When it returns, the samples are safely on disk.
        """
        place = self.world.places[self.world.rank]
        groups = tuple(group.ranks for group in round_.groups)
        group_result = self._group(round_, measurement, outcome)
        blocks = self._samples(case, groups, measurement, outcome, clock)
        flow_blocks = self._flows(round_, outcome) if case.entry.directed else []
        summary = None
        if group_result is not None:
            transfers = transfers_of(self.plan, case, round_)
            summary = summarise(in_seconds(outcome.maxima, transfers), self.plan.precision)
        moved = (load.nbytes, load.seconds) if load else None
        medians = _medians(_sources(round_, place.rank), outcome.flows)
        mine = Share(place.rank, group_result, summary, counted, moved, medians)
        shares: list[Share] | None = self.world.gather(mine)
        if shares is None:
            return None
        results = {share.rank: share.group for share in shares if share.group}
        result = result_of(
            self.plan,
            case,
            index,
            round_,
            [results[group.ranks[0]] for group in round_.groups],
            world_size=self.world.size,
            started=started,
            seconds=time.time() - started,
            stopped=outcome.stopped,
            blocks=blocks,
            flow_blocks=flow_blocks,
            counted=[share.counted for share in shares if share.counted],
            pressure=pressure_of(round_, [share.moved for share in shares if share.moved]),
        )
        took = {(source, share.rank): t for share in shares for source, t in share.flows.items()}
        summaries = {share.rank: share.summary for share in shares if share.summary}
        in_order = [summaries[group.ranks[0]] for group in round_.groups]
        return result, with_fairness(round_, in_order, took, case.nbytes)

    def _group(
        self, round_: Round, measurement: Measuring | None, outcome: Outcome
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
        group = next(group for group in round_.groups if place.rank in group.ranks)
        return GroupResult(
            ranks=encode_ranks(group.ranks),
            rail=group.rail,
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

    def _flows(self, round_: Round, outcome: Outcome) -> list[FlowBlock]:
        """The blocks of all nodes on rank 0; as many of the last iterations as the budget leaves."""
        incoming = outcome.flows.shape[1] if len(outcome.flows) else 0  # nobody stamped them
        if not int(self.world.maximum(np.array([incoming]))[0]):
            return []
        rank, node = self.world.rank, self.world.places[self.world.rank].node
        mine = [(source, rank) for source in _sources(round_, rank)] if incoming else []
        room = self.plan.sample_budget - self._stored(node)
        iterations = int(self.world.maximum(np.array([len(outcome.flows)]))[0])
        width = 8 * sum(self.world.node.all_gather(incoming))
        fit = max(1, room // width) if width else iterations
        keep = -int(self.world.maximum(np.array([-min(fit, iterations)]))[0])
        kept = outcome.flows[-keep:] if incoming else np.zeros((0, 0), np.int64)
        flows = self.world.node.gather(mine)
        gathered = self.world.node.gather_values(np.ascontiguousarray(kept.T))
        if self.world.leaders is None:
            return []
        block = None
        everyone = [flow for part in flows or [] for flow in part]
        if everyone and gathered is not None:
            offset = self.folder.append_samples(node, gathered)
            block = FlowBlock(node=node, offset=offset, flows=tuple(everyone), iterations=keep)
        return [made for made in self.world.leaders.gather(block) or [] if made]

    def _stored(self, node: int) -> int:
        """Bytes of samples that the node has stored already; 0 where another rank stores them."""
        path = sample_path(self.folder.path, node)
        return path.stat().st_size if self.world.node.rank == 0 and path.exists() else 0

    # samples ------------------------------------------------------------------------------------

    def _samples(
        self,
        case: Case,
        groups: Sequence[tuple[int, ...]],
        measurement: Measuring | None,
        outcome: Outcome,
        clock: Offset,
    ) -> list[Block]:
        """The blocks of all nodes on rank 0; above the sample budget only the slowest ranks."""
        timed = measurement is not None and measurement.timed
        rows = outcome.rows if timed else outcome.rows[:0]
        total = sum(self.world.node.all_gather(rows.nbytes))
        total += self._stored(self.world.places[self.world.rank].node)
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
        self,
        groups: Sequence[tuple[int, ...]],
        measurement: Measuring | None,
        outcome: Outcome,
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


def transfers_of(plan: Plan, case: Case, round_: Round) -> int:
    """Messages of one iteration: a sample divided by it is the time reported."""
    return case.entry.transfers(len(round_.groups[0].ranks), plan.window) * plan.streams


def result_of(
    plan: Plan,
    case: Case,
    index: int,
    round_: Round,
    groups: Sequence[GroupResult],
    *,
    world_size: int,
    started: float,
    seconds: float,
    stopped: str,
    blocks: Sequence[Block],
    flow_blocks: Sequence[FlowBlock] = (),
    counted: Sequence[Counted] = (),
    pressure: Pressure | None = None,
) -> Result:
    """The journal line of a case in round `index`, whoever measured it.

    `groups` are in the order of `round_.groups`; `blocks` and `flow_blocks` say where their samples
    lie already; `counted` is by node. `started` is in seconds of the epoch, `stopped` the reason why
    the series ended (`railgauge.sampling.REASONS`, or what broke them off).
    """
    n = len(round_.groups[0].ranks)
    factor = case.bus_factor(n)
    if case.operation == "alltoallv":
        factor = case_traffic(plan, case.count, n).bus_factor()
    busy = {*round_.loading, *(rank for group in round_.groups for rank in group.ranks)}
    return Result(
        case=case,
        round=index,
        started=started,
        seconds=seconds,
        stopped=stopped,
        groups=tuple(groups),
        samples=tuple(blocks),
        transfers=transfers_of(plan, case, round_),
        bus_factor=factor,
        idle=encode_ranks(rank for rank in range(world_size) if rank not in busy),
        name=round_.name,
        flows=tuple(flow_blocks),
        pressure=pressure,
        counted=tuple(counted),
    )


def with_fairness(
    round_: Round, summaries: Sequence[Summary], took: Mapping[Flow, float], nbytes: int
) -> list[Summary]:
    """The summaries of a round's groups, each with how fair its flows were (median seconds each)."""
    return [
        dataclasses.replace(summary, remark=_fairness(group, took, nbytes))
        for summary, group in zip(summaries, round_.groups, strict=True)
    ]


def pressure_of(round_: Round, moved: Sequence[tuple[int, float]]) -> Pressure | None:
    """What the ranks that load have done together."""
    if not round_.load:
        return None
    return Pressure(
        kind=round_.load,
        ranks=encode_ranks(round_.loading),
        nbytes=sum(nbytes for nbytes, _ in moved),
        seconds=max((seconds for _, seconds in moved), default=0.0),
    )


def _sources(round_: Round, rank: int) -> list[int]:
    """Who sends to a rank, in the order of its messages."""
    return [source for group in round_.groups for source, target in group.flows if target == rank]


def _medians(sources: Sequence[int], flows: Rows) -> dict[int, float]:
    """Source -> median seconds of its messages, from int64 [n, messages] in ns."""
    if not flows.size:
        return {}
    seconds = np.median(in_seconds(flows), axis=0)
    return dict(zip(sources, seconds.tolist(), strict=True))


def _fairness(group: Group, took: Mapping[Flow, float], nbytes: int) -> str:
    """How fair a group's flows were and which was slowest, from their median seconds."""
    rates = {flow: nbytes / took[flow] / GIGA for flow in group.flows if took.get(flow)}
    if len(rates) < 2:
        return ""
    slowest = min(rates, key=lambda flow: rates[flow])
    return (
        f"Jain {jain(list(rates.values())):.3f}, slowest {slowest[0]}>{slowest[1]}"
        f" {rates[slowest]:.3g} GB/s"
    )
