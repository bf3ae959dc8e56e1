"""Rounds again and again: a plan with a `duration` repeats its rounds until the time is over.

Round r of repetition k has the index k * rounds + r, so that every measurement has a place of its own in
the journal. A repetition that has begun is brought to its end: every case and round of a soak is
measured equally often, and what is missing can be told from the journal alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from railgauge import patterns
from railgauge.plan import Plan
from railgauge.schedules import Round
from railgauge.topology import Topology


def repeated(
    plan: Plan, where: Topology, begun: int, again: Callable[[], bool]
) -> Iterator[tuple[int, Round]]:
    """(index, round): the pattern's rounds once, or with a duration as long as `again` says so.

    `again` is asked at the start of every repetition but the first and those that were `begun` before.
    """
    index = 0
    for turn in itertools.count():
        if turn and (plan.duration is None or (turn >= begun and not again())):
            return
        for round_ in patterns.rounds(plan.schedule, where):
            yield index, round_
            index += 1


def round_of(plan: Plan, where: Topology, index: int) -> int:
    """The round of the pattern that a round with this index is a repetition of."""
    if plan.duration is None:
        return index
    return index % patterns.round_count(plan.schedule, where)


def repetitions(plan: Plan, where: Topology, measured: Iterable[int]) -> int:
    """How many repetitions were begun, by the indices of the measured rounds; at least one."""
    if plan.duration is None:
        return 1
    return max(measured, default=0) // patterns.round_count(plan.schedule, where) + 1
