"""Bringing the facts of one case together on rank 0, as one line of the journal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from railgauge.clocks import Offset
from railgauge.journal import Folder
from railgauge.keeping import Keeper
from railgauge.load import Load
from railgauge.loop import CHECKED_ITERATIONS, MISSED
from railgauge.patterns import Flow, Group, Round, group_of
from railgauge.plan import OVERLAPPING, Case, Plan, case_traffic
from railgauge.rank_lists import encode_ranks
from railgauge.records import Block, Counted, FlowBlock, GroupResult, Pressure, Result, Wrong
from railgauge.samples import Rows, in_seconds
from railgauge.sampling import Outcome
from railgauge.statistics import Summary, jain, summarise
from railgauge.units import GIGA, NANOSECONDS
from railgauge.world import Measuring, World, on_rank_0


class Share(NamedTuple):
    """What one rank has to say of a case; None where it has no part in that."""

    rank: int
    group: GroupResult | None
    summary: Summary | None
    counted: Counted | None
    moved: tuple[int, float] | None  # bytes and seconds of its load
    flows: dict[int, float]  # source -> median seconds of its messages


class Gatherer:
    """Has every node's samples kept and makes the Result on rank 0."""

    def __init__(self, plan: Plan, world: World, folder: Folder) -> None:
        self.plan, self.world = plan, world
        self.keeper = Keeper(plan, world, folder)

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
        rank = self.world.rank
        mine = group_of(round_, rank)
        sources = _sources(mine, rank)
        group_result = self._group(mine, measurement, outcome)
        blocks = self.keeper.blocks(case, mine, measurement, outcome, clock)
        flow_blocks = self.keeper.flow_blocks(sources, outcome) if case.entry.directed else []
        summary = None
        if group_result is not None:
            transfers = transfers_of(self.plan, case, round_)
            summary = summarise(in_seconds(outcome.maxima, transfers), self.plan.precision)
        moved = (load.nbytes, load.seconds) if load else None
        medians = _medians(sources, outcome.flows)
        share = Share(rank, group_result, summary, counted, moved, medians)
        shares = on_rank_0(self.world, share if any(share[1:]) else None)
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
        self, group: Group | None, measurement: Measuring | None, outcome: Outcome
    ) -> GroupResult | None:
        if measurement is None or group is None:
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


def _sources(group: Group | None, rank: int) -> list[int]:
    """Who sends to a rank of the group, in the order of its messages."""
    return [source for source, target in group.flows if target == rank] if group else []


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
