"""What an acceptance costs: measurements, seconds and node-hours, before anything runs."""

from __future__ import annotations

import math

import msgspec

from railgauge import patterns
from railgauge.plan import Plan, cases
from railgauge.stopping import WARMUP_SHARE
from railgauge.topology import Topology
from railgauge_reports.acceptance.planning import Asked, PlannedStage, measurements
from railgauge_reports.localise import PARTNERS

HOUR_SECONDS = 3600.0


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of a stage, or of all. `seconds` None: unknown (a fixed number of iterations on a real machine).

    `exact`: the modelled clock; otherwise it is what the plan's budgets allow at most. `follow_up_seconds`
    are the rounds that --adaptive adds where somebody is suspected, None where it adds none.
    """

    stage: str
    runs: int
    measurements: int
    seconds: float | None
    exact: bool
    node_hours: float | None
    follow_up_seconds: float | None = None
    follow_up_node_hours: float | None = None
    skip: str = ""


def seconds_of(plan: Plan, where: Topology) -> tuple[float | None, bool]:
    """(seconds, are they exact) of a run of the plan."""
    if plan.cluster is not None:
        from railgauge.simulation.cost import simulated_seconds

        return simulated_seconds(plan), True
    once = measurements(plan, where) * plan.budget * (1 + WARMUP_SHARE)
    if plan.duration is not None:
        return max(plan.duration + once, once), False
    return (None if plan.iterations else once), False


def stage_cost(stage: PlannedStage, asked: Asked) -> Cost:
    """What one stage takes."""
    where, spent, exact = asked.topology, 0.0, True
    unknown = False
    for run in stage.runs:
        seconds, own = seconds_of(run.plan, where)
        spent, exact = spent + (seconds or 0.0), exact and own
        unknown = unknown or seconds is None
    more = _follow_up(stage, where) if stage.pairwise and not unknown else None
    return Cost(
        stage=stage.stage.name,
        runs=len(stage.runs) + stage.audits,
        measurements=sum(measurements(run.plan, where) for run in stage.runs),
        seconds=None if unknown else spent,
        exact=exact,
        node_hours=None if unknown else node_hours(spent, asked.nodes),
        follow_up_seconds=more,
        follow_up_node_hours=None if more is None else node_hours(more, asked.nodes),
        skip=stage.skip,
    )


def _follow_up(stage: PlannedStage, where: Topology) -> float | None:
    """Seconds of the rounds in which each suspect meets three good partners."""
    spent = 0.0
    for run in stage.runs:
        seconds, _ = seconds_of(run.plan, where)
        turns = patterns.round_count(run.plan.schedule, where)
        spent += (seconds or 0.0) / max(1, turns) * PARTNERS
    return spent


def costs(stages: tuple[PlannedStage, ...], asked: Asked) -> list[Cost]:
    """One a stage, in order."""
    return [stage_cost(stage, asked) for stage in stages]


def total(each: list[Cost]) -> Cost:
    """The sum; unknown where one of them is."""
    seconds = [cost.seconds for cost in each]
    hours = [cost.node_hours for cost in each]
    more = [cost.follow_up_seconds or 0.0 for cost in each]
    more_hours = [cost.follow_up_node_hours or 0.0 for cost in each]
    return Cost(
        stage="all",
        runs=sum(cost.runs for cost in each),
        measurements=sum(cost.measurements for cost in each),
        seconds=None if None in seconds else math.fsum(filter(None, seconds)),
        exact=all(cost.exact for cost in each),
        node_hours=None if None in hours else math.fsum(filter(None, hours)),
        follow_up_seconds=math.fsum(more),
        follow_up_node_hours=math.fsum(more_hours),
    )


def node_hours(seconds: float, nodes: int) -> float:
    return seconds * nodes / HOUR_SECONDS


def in_words(plan: Plan, where: Topology, nodes: int) -> str:
    """`3 rounds of 1 case on 64 nodes, 0.2 s, 0.004 node-hours`: of a follow-up, before it starts."""
    seconds, exact = seconds_of(plan, where)
    turns = patterns.round_count(plan.schedule, where)
    told = f"{turns} round{'s' * (turns != 1)} of {len(cases(plan))} case(s) on {nodes} nodes"
    if seconds is None:
        return told
    bound = "" if exact else "at most "
    return f"{told}, {bound}{seconds:.3g} s, {node_hours(seconds, nodes):.3g} node-hours"
