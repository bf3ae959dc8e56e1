"""Pairs decomposed: which nodes, rails of nodes, leaves and pairs of leaves make the slow ones slow.

log(bandwidth) = level of its rail and tier - max(losses of its factors) + noise. First each meeting is
one sample, the median over its rails: rounds, leaves, pairs of leaves and nodes are looked for. What
these do not explain is looked at rail by rail: rails of nodes, whole rails, pairs of leaves on one rail.
Then levels, noise and the rate of chance are taken anew without what was explained, until it stays.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from railgauge_reports.localise.explain import (
    TRANSIENT_RATE,
    Explained,
    Factor,
    Kind,
    chance_rate,
    explain,
    log_odds,
)
from railgauge_reports.localise.meetings import (
    OF_A_MEDIAN,
    OWN_LEVEL,
    Levels,
    Meetings,
    centred,
    levels_of,
    low_below,
    over_rails,
)
from railgauge_reports.localise.pairs import Floats, Ints

#: Chances of being bad before looking: a node in a hundred (field reports of acceptance find one or
#: two), a leaf's uplinks as often, spread over the pairs that it is in; a whole leaf or rail a tenth of it.
BAD_NODE, BAD_LEAF, BAD_RAIL, BAD_ROUND = 0.01, 0.001, 0.001, 0.01
LEAST_OF_LEAVES = 3  # low samples that a leaf or a pair of leaves takes
MOST_PASSES = 4
#: A node is at fault as a whole unless so many of its rails are healthy.
HEALTHY_RAILS = 0.25
#: A rail of a slow node is healthy where it lost less than this share of what the node lost.
HEALTHY_SHARE = 0.25
MOST_LOOSE = 20
#: So many pairs faster than the level are too many to be noise.
MUCH = 0.05


@dataclasses.dataclass(frozen=True, eq=False)
class Stage:
    """One look: `values` are centred samples (any shape), `threshold` below which they are low.

    `low` are the flat numbers of low samples, in the order of `explained.covered`; `rate` is the chance
    of one by accident; `normal` counts normal samples of each node (stage 1) or rail of a node (stage 2).
    """

    values: Floats
    noise: float
    threshold: float
    low: Ints
    explained: Explained
    rate: float
    normal: Ints


@dataclasses.dataclass(frozen=True, eq=False)
class Decomposed:
    """What was found in `meetings`; numbers of rails of a node are node * rails + column.

    `pair_of` is the number of each meeting's pair of leaves ([m], or empty), `leaf_pairs` [pairs, 2].
    `loose` are classes of two ends that nothing clears: their only samples are low.
    """

    meetings: Meetings
    levels: Levels
    whole: Stage
    by_rail: Stage | None
    leaf_pairs: Ints
    pair_of: Ints
    loose: tuple[tuple[Factor, ...], ...]

    @property
    def fast(self) -> float:
        """Share of the meetings that lie twice as far above the level as low ones lie below it."""
        values = self.whole.values[np.isfinite(self.whole.values)]
        return float(np.mean(values > 2 * self.whole.threshold)) if len(values) else 0.0


def decompose(met: Meetings, leaves: int) -> Decomposed:
    """Find the factors; `leaves` is how many leaf switches there are (0: unknown).

    Where a good part of the pairs is faster than the level, most may be slow (3 bad nodes of 8 are in 18 of
    28 pairs): then the fast ones are tried as the level, and stay it where no more than half of the nodes
    (rounds, pairs of leaves) are needed to explain the rest, and fewer samples remain unexplained than
    were too fast.
    """
    made = _decomposed(met, leaves, np.ones(met.logs.shape, bool))
    if made.fast <= MUCH:
        return made
    high = centred(met, made.levels) > 2 * made.whole.threshold
    other = _decomposed(met, leaves, high)
    left = np.count_nonzero(~other.whole.explained.covered) / max(1, len(met.a))
    found = other.whole.explained
    blamed = Counter(factor.kind for one in (found.factors, *found.classes) for factor in one)
    among = {
        "node": met.nodes,
        "round": int(met.round.max()) + 1,
        "leaf pair": len(other.leaf_pairs),
    }
    few = all(2 * blamed[kind] <= count for kind, count in among.items())
    return other if few and left + other.fast < made.fast else made


def _decomposed(met: Meetings, leaves: int, weighed: np.ndarray) -> Decomposed:
    """`weighed` (bool [rails, m]): what the first level is taken from."""
    pairs, pair_of = _leaf_pairs(met)
    rates = (TRANSIENT_RATE, TRANSIENT_RATE)
    before: set[tuple[str, int]] | None = None
    for _ in range(MOST_PASSES):
        levels = levels_of(met, weighed)
        whole, by_rail = _look(met, centred(met, levels), leaves, pairs, pair_of, rates)
        now = _found(whole) | (_found(by_rail) if by_rail else set())
        rates = (whole.rate, by_rail.rate if by_rail else whole.rate)
        if now == before:
            break
        before = now
        weighed = _unexplained(met, whole, by_rail)
    loose = _loose(met, whole, by_rail)
    return Decomposed(met, levels, whole, by_rail, pairs, pair_of, loose)


def _found(stage: Stage) -> set[tuple[str, int]]:
    return {(factor.kind, factor.number) for factor in stage.explained.factors}


def _leaf_pairs(met: Meetings) -> tuple[Ints, Ints]:
    """The pairs of leaves that met ([pairs, 2], the lower first), and each meeting's number among them."""
    if met.leaf_a is None or met.leaf_b is None:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    low = np.minimum(met.leaf_a, met.leaf_b).astype(np.int64)
    high = np.maximum(met.leaf_a, met.leaf_b).astype(np.int64)
    many = int(high.max()) + 1 if len(high) else 1
    keys, number = np.unique(low * many + high, return_inverse=True)
    return np.stack([keys // many, keys % many], axis=1), number


def _look(
    met: Meetings,
    values: Floats,
    leaves: int,
    pairs: Ints,
    pair_of: Ints,
    rates: tuple[float, float],
) -> tuple[Stage, Stage | None]:
    # of few meetings the noise is known from single rails alone
    of_a_rail, _ = low_below(values)
    least = min(1.0, OF_A_MEDIAN / np.sqrt(len(met.rails))) * of_a_rail
    kinds = _whole_kinds(met, leaves, pairs, pair_of)
    whole = _stage(over_rails(values), kinds, rates[0], least)
    if len(met.rails) == 1:
        return whole, None
    whole = _without_partial(whole, values)
    taken = np.zeros(len(met.a), bool)
    taken[whole.low[whole.explained.covered]] = True
    left = np.where(taken, np.nan, values).ravel()
    return whole, _stage(left, _rail_kinds(met, leaves, pairs, pair_of), rates[1])


Kinds = tuple[tuple[str, tuple[Ints, ...], int, float, int, float], ...]


def _stage(values: Floats, kinds: Kinds, rate: float, least_noise: float = 0.0) -> Stage:
    """Find what explains the low ones of `values`; kinds are (name, ends, size, prior, least, share)."""
    noise, threshold = low_below(values, least_noise)
    with np.errstate(invalid="ignore"):
        is_low = values < -threshold
        is_normal = values >= -threshold
    low = np.flatnonzero(is_low)
    made = tuple(
        Kind(
            name,
            sum(
                (np.bincount(end[is_normal & (end >= 0)], minlength=size) for end in ends),
                np.zeros(size, np.int64),
            ),
            tuple(end[low] for end in ends),
            prior,
            least,
            share,
        )
        for name, ends, size, prior, least, share in kinds
    )
    explained = explain(values[low], made, max(rate, TRANSIENT_RATE), 3 * noise)
    left = int(np.count_nonzero(~explained.covered))
    return Stage(
        values,
        noise,
        threshold,
        low,
        explained,
        chance_rate(left, left + int(np.count_nonzero(is_normal))),
        made[-1].normal,
    )


def _whole_kinds(met: Meetings, leaves: int, pairs: Ints, pair_of: Ints) -> Kinds:
    made: list[tuple[str, tuple[Ints, ...], int, float, int, float]] = []
    rounds = np.bincount(met.round) if len(met.round) else np.zeros(0, np.int64)
    if np.count_nonzero(rounds >= OWN_LEVEL) > 1:
        made.append(("round", (met.round,), len(rounds), BAD_ROUND, OWN_LEVEL // 2, 0.5))
    if leaves > 1 and met.leaf_a is not None and met.leaf_b is not None:
        other = np.where(met.leaf_a == met.leaf_b, -1, met.leaf_b)
        made.append(("leaf", (met.leaf_a, other), leaves, BAD_LEAF, LEAST_OF_LEAVES, 0.1))
        made.append(("leaf pair", (pair_of,), len(pairs), BAD_NODE / leaves, LEAST_OF_LEAVES, 0.1))
    made.append(("node", (met.a, met.b), met.nodes, BAD_NODE, 2, 0.1))
    return tuple(made)


def _rail_kinds(met: Meetings, leaves: int, pairs: Ints, pair_of: Ints) -> Kinds:
    """Kinds of samples in the order of `logs`, rail by rail, flat."""
    rails = len(met.rails)
    column = np.repeat(np.arange(rails, dtype=np.int32), len(met.a))
    made: list[tuple[str, tuple[Ints, ...], int, float, int, float]] = []
    made.append(("rail", (column,), rails, BAD_RAIL, 2, 0.5))
    if leaves > 1 and len(pairs):
        own = np.tile(pair_of, rails) * rails + column
        prior = BAD_NODE / leaves / rails
        made.append(("leaf pair rail", (own,), len(pairs) * rails, prior, LEAST_OF_LEAVES, 0.1))
    ends = tuple(np.tile(end, rails) * rails + column for end in (met.a, met.b))
    made.append(("nic", ends, met.nodes * rails, BAD_NODE / rails, 2, 0.1))
    return tuple(made)


def _without_partial(whole: Stage, values: Floats) -> Stage:
    """Nodes of which some rails are healthy are left to the look at single rails."""
    kept, covered = [], whole.explained.covered.copy()
    for factor in whole.explained.factors:
        if factor.kind == "node":
            own = values[:, whole.low[factor.samples]]
            tested = np.isfinite(own).any(axis=1)
            healthy = np.nanmedian(own[tested], axis=1) > HEALTHY_SHARE * factor.level
            if healthy.mean() >= HEALTHY_RAILS:
                covered[factor.samples] = False
                continue
        kept.append(factor)
    explained = dataclasses.replace(whole.explained, factors=tuple(kept), covered=covered)
    return dataclasses.replace(whole, explained=explained)


def _unexplained(met: Meetings, whole: Stage, by_rail: Stage | None) -> np.ndarray:
    """bool [rails, m]: measurements that say something of the level."""
    kept = np.ones(met.logs.shape, bool)
    kept[:, whole.low[whole.explained.covered]] = False
    if by_rail is not None:
        kept.ravel()[by_rail.low[by_rail.explained.covered]] = False
    return kept


def _loose(met: Meetings, whole: Stage, by_rail: Stage | None) -> tuple[tuple[Factor, ...], ...]:
    """Low samples that nothing explains, at ends without a normal one: either end, or the only one.

    A NIC beside a bad node has one sample less than the others; too few to accuse it are no reason to
    clear it.
    """
    stage = by_rail or whole
    rails = len(met.rails) if by_rail else 1
    left = np.flatnonzero(~stage.explained.covered)
    at = stage.low[left] % len(met.a)
    column = stage.low[left] // len(met.a) if by_rail else np.zeros(len(left), np.int64)
    ends = [end[at].astype(np.int64) * rails + column for end in (met.a, met.b)]
    alone = [stage.normal[end] == 0 for end in ends]
    kind, prior = ("nic" if by_rail else "node"), BAD_NODE / rails

    def factor(number: int, rows: Ints) -> Factor:
        odds = float(log_odds(np.array(len(rows)), np.array(0), stage.rate, prior))
        level = float(np.median(stage.values[stage.low[rows]]))
        return Factor(kind, number, len(rows), 0, level, odds, rows)

    both = np.flatnonzero(alone[0] & alone[1])
    deepest = both[np.argsort(stage.values[stage.low[left[both]]])[:MOST_LOOSE]]
    either = [tuple(factor(int(end[k]), left[k : k + 1]) for end in ends) for k in deepest]
    single = np.flatnonzero(alone[0] ^ alone[1])
    number = np.where(alone[0], *ends)[single]
    only = np.unique(number)[:MOST_LOOSE].tolist()
    return (*either, *((factor(n, left[single[number == n]]),) for n in only))
