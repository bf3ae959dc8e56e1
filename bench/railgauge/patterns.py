"""Patterns: which groups of ranks run an operation at the same time, round after round.

A pattern is a schedule, a function from the number of ranks to rounds; a round is a tuple of
disjoint groups, a group a tuple of world ranks (a rank in no group sits the round out).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from railgauge.errors import unknown

Groups = tuple[tuple[int, ...], ...]


def _world(ranks: int) -> Iterator[Groups]:
    yield (tuple(range(ranks)),)


def _pairs(ranks: int) -> Iterator[Groups]:
    """A round-robin tournament by the circle method: every pair meets once, everybody plays.

    With an even number of ranks there are ranks - 1 rounds; with an odd number there are `ranks`
    rounds and one rank sits out in each.
    """
    seats = ranks + ranks % 2
    for turn in range(seats - 1):
        # seat 0 stays; the others move one place on in each round
        order = [0, *((seat + turn) % (seats - 1) + 1 for seat in range(seats - 1))]
        met = ((order[k], order[seats - 1 - k]) for k in range(seats // 2))
        yield tuple((min(pair), max(pair)) for pair in met if max(pair) < ranks)


_SCHEDULES: dict[str, tuple[Callable[[int], Iterator[Groups]], str]] = {
    "world": (_world, "one group of all ranks"),
    "pairs": (_pairs, "every pair once, all pairs of a round at the same time"),
}
PATTERNS = {name: summary for name, (_, summary) in _SCHEDULES.items()}


def check_pattern(name: str) -> str:
    """The name itself; raises UsageError with the closest one if there is no such pattern."""
    if name not in _SCHEDULES:
        raise unknown("pattern", name, _SCHEDULES, "railgauge list")
    return name


def rounds(name: str, ranks: int, limit: int | None = None) -> Iterator[Groups]:
    """The pattern's rounds for that many ranks, the first `limit` of them."""
    for index, groups in enumerate(_SCHEDULES[check_pattern(name)][0](ranks)):
        if index == limit:
            return
        yield groups


def round_count(name: str, ranks: int, limit: int | None = None) -> int:
    """How many rounds `rounds` yields."""
    total = 1 if name == "world" else ranks - 1 + ranks % 2
    return total if limit is None else min(total, limit)


def group_sizes(name: str, ranks: int) -> tuple[int, ...]:
    """The sizes that the pattern's groups can have."""
    return (ranks,) if name == "world" else (2,)
