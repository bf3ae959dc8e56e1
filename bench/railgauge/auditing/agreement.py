"""What most nodes have, and who has something else."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from railgauge.rank_lists import encode_ranks

NAMED = 8  # of the outliers, so many are named


class Vote(NamedTuple):
    """A value as text, of a device (`where`) or the whole node, as a rank read it.

    `shown` is what a person reads; where that does not tell values apart, the value itself is shown.
    """

    host: str
    where: str
    rank: int
    value: str
    shown: str


class Agreement(NamedTuple):
    """`alike`, or in `words` who differs; `hosts` and `ranks` are theirs."""

    alike: bool
    expected: str
    words: str
    hosts: tuple[str, ...]
    ranks: str


def majority(votes: Sequence[Vote], by_rank: bool = False) -> Agreement | None:
    """Compare; None where there is nothing to compare (one vote).

    Every node has one vote, which its devices (or ranks) share: a value has the majority that more
    than half of the nodes have. Where none has, nobody is named as being wrong.
    """
    if len(votes) < 2:
        return None
    voices: dict[str, int] = {}
    for vote in votes:
        voices[vote.host] = voices.get(vote.host, 0) + 1
    weights: dict[str, Fraction] = {}
    for vote in votes:
        weights[vote.value] = weights.get(vote.value, Fraction(0)) + Fraction(1, voices[vote.host])
    best = max(weights, key=lambda value: weights[value])
    words_of = _words(votes)
    everybody = tuple(voices)
    if len(weights) == 1:
        return Agreement(
            True,
            "",
            f"{_count(votes, by_rank)} have {words_of[best]}",
            everybody,
            _ranks(votes, by_rank),
        )
    if 2 * weights[best] <= len(voices):
        shares = "; ".join(
            f"{_who([v for v in votes if v.value == value])}: {words_of[value]}"
            for value in sorted(weights, key=lambda value: -weights[value])[:NAMED]
        )
        words = f"{len(weights)} values and no majority: {shares}"
        return Agreement(False, "the same everywhere", words, everybody, _ranks(votes, by_rank))
    odd = [vote for vote in votes if vote.value != best]
    most = _count([v for v in votes if v.value == best], by_rank)
    parts = [
        f"{_who([v for v in odd if v.value == value])}: {words_of[value]}"
        for value in dict.fromkeys(vote.value for vote in odd)
    ]
    words = f"{'; '.join(parts[:NAMED])} where {most} have {words_of[best]}"
    return Agreement(
        False,
        words_of[best],
        words,
        tuple(dict.fromkeys(v.host for v in odd)),
        _ranks(odd, by_rank),
    )


def _who(votes: Sequence[Vote]) -> str:
    """`node07 (mlx5_0, mlx5_1), node09`."""
    places: dict[str, list[str]] = {}
    for vote in votes:
        places.setdefault(vote.host, []).append(vote.where)
    named = []
    for host, wheres in list(places.items())[:NAMED]:
        known = list(dict.fromkeys(filter(None, wheres)))
        named.append(f"{host} ({', '.join(known[:NAMED])})" if known else host)
    more = len(places) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _count(votes: Sequence[Vote], by_rank: bool) -> str:
    hosts = len({vote.host for vote in votes})
    if by_rank:
        return f"{len(votes)} ranks"
    if hosts > 1:
        return f"{hosts} nodes"
    return f"{len(votes)} devices"


def _ranks(votes: Sequence[Vote], by_rank: bool) -> str:
    return encode_ranks(sorted({vote.rank for vote in votes})) if by_rank else ""


def _words(votes: Sequence[Vote]) -> dict[str, str]:
    """Value -> how it is shown."""
    plain = {vote.value: vote.shown for vote in votes}
    alike = len(set(plain.values())) < len(plain)
    return {value: _cut(value if alike else shown) for value, shown in plain.items()}


def _cut(value: str) -> str:
    text = value.strip('"')
    return text if len(text) <= 60 else f"{text[:57]}..."
