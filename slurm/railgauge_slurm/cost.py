"""What a job costs, and the limit that it is given, before it is submitted."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import msgspec

from railgauge.errors import UsageError
from railgauge.plan import Plan
from railgauge.topology import Topology
from railgauge.units import format_seconds
from railgauge_reports.acceptance.cost import costs, node_hours, seconds_of, total
from railgauge_reports.acceptance.planning import Asked, PlannedStage

#: The limit is this many times what the plan's budgets allow at most: verification, gathering and writing
#: between the timed windows are in no budget (assumed; `railgauge slurm status` tells what it took).
MARGIN = 1.5
#: Seconds ahead of the first timed window of every launched run: the launcher, imports from a shared file
#: system, compiled loops, MPI_Init (assumed: a file server serves all ranks).
START_SECONDS = 20.0
#: SIGTERM comes so long before the limit: a chunk ends, its line is written, the job is requeued. Slurm looks
#: once a minute and may send it up to 60 s early (sbatch(1), --signal).
WARNING_SECONDS = 120
_SLURM_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", re.ASCII)


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` of measuring, exact of a modelled cluster, else at most; None: unknown, the limit was typed.

    `suspected_seconds` are what --adaptive adds where somebody is suspected. `node_hours` are of `seconds`,
    `limit_node_hours` what the limit allows; of all blocks together.
    """

    runs: int
    seconds: float | None
    exact: bool
    suspected_seconds: float
    node_hours: float | None
    minutes: int
    warning_seconds: int
    limit_node_hours: float
    limit: str


class Needed(NamedTuple):
    """Launched runs and their seconds (None: unknown); `exact`: by a model's clock, which is not ours."""

    runs: int
    seconds: float | None
    suspected_seconds: float
    exact: bool


def of_stages(stages: tuple[PlannedStage, ...], asked: Asked, adaptive: bool) -> Needed:
    """What an acceptance needs."""
    whole = total(costs(stages, asked))
    more = (whole.follow_up_seconds or 0.0) if adaptive else 0.0
    return Needed(whole.runs, whole.seconds, more, asked.modelled)


def of_plan(plan: Plan, each: int) -> Needed:
    """What one run needs on nodes of `each` ranks."""
    where = Topology(tuple(rank // each for rank in range(plan.ranks)))
    seconds, exact = seconds_of(plan, where)
    return Needed(1, seconds, 0.0, exact)


def cost(needed: Needed, nodes: int, typed: str | None) -> Cost:
    """The cost on all nodes together, with the limit as typed or derived; raises UsageError."""
    runs, seconds, more, exact = needed
    if typed is not None:
        minutes, why = parse_minutes(typed), "as typed"
    elif seconds is None:
        raise UsageError(
            "how long a fixed number of iterations takes is not known beforehand.\n"
            "  next: --time 30 (minutes)"
        )
    else:
        own = 0.0 if exact else MARGIN * (seconds + more)
        minutes = math.ceil((own + runs * START_SECONDS + WARNING_SECONDS) / 60)
        why = (
            f"{MARGIN:g} x the time at most, {START_SECONDS:g} s a launched run,"
            f" {WARNING_SECONDS} s from SIGTERM to the limit"
        )
    return Cost(
        runs=runs,
        seconds=seconds,
        exact=exact,
        suspected_seconds=more,
        node_hours=None if seconds is None else node_hours(seconds, nodes),
        minutes=minutes,
        warning_seconds=min(WARNING_SECONDS, minutes * 60 // 3),
        limit_node_hours=node_hours(minutes * 60.0, nodes),
        limit=why,
    )


def duration(seconds: float) -> str:
    """`0.42 s`, `3.5 min`, `2.1 h`."""
    if seconds < 120:
        return format_seconds(seconds)
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def parse_minutes(text: str) -> int:
    """Minutes of `30`, `30:00`, `2:00:00`, `1-12`, `1-12:30` as sbatch reads --time; raises UsageError."""
    found = _SLURM_TIME.fullmatch(text.strip())
    parts = [int(part or 0) for part in found.groups()] if found else []
    if found is None or not any(parts):
        raise UsageError(
            f"--time {text}: expected minutes, or Slurm's H:M:S, D-H, D-H:M:S.\n  next: --time 30"
        )
    days, first, second, third = parts
    if found[1] is not None:  # days-hours:minutes:seconds
        seconds = ((days * 24 + first) * 60 + second) * 60 + third
    elif found[4] is not None:  # hours:minutes:seconds
        seconds = (first * 60 + second) * 60 + third
    else:  # minutes:seconds
        seconds = first * 60 + second
    return math.ceil(seconds / 60)
