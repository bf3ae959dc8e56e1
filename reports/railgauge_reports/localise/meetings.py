"""Pair rows as meetings: one row a pair and round with a column a rail, centred on the fleet."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from railgauge_reports.localise.pairs import Floats, Ints, PairTable

#: A share lost below which nobody is called slow, whatever the noise.
EFFECT = 0.02
#: Floor of the noise (standard deviation of log bandwidth): a quiet fleet must not flag 0.3 %.
FLOOR = 0.005
#: A sample is low where it lies so many standard deviations of the noise below the fleet.
Z_SAMPLE = 2.5
#: Fewer measurements have no fleet to be compared with.
FEWEST = 5
#: A rail, or a tier of the fabric, has a level of its own where it has so many measurements.
OWN_LEVEL = 8
#: Standard error of a median over that of a mean, for many samples of a normal distribution.
OF_A_MEDIAN = math.sqrt(math.pi / 2)
#: MAD of a normal distribution times this is its standard deviation.
MAD_TO_SIGMA = 1.4826
#: Of those at the level or faster, a majority but for a tie: 4 nodes with one bad have 3 good pairs of 6.
MAJORITY = 0.45


@dataclasses.dataclass(frozen=True, eq=False)
class Meetings:
    """`logs` is log(GB/s), float64 [rails, m], NaN untested; a, b, round are int32 [m].

    `leaf_a`, `leaf_b` are int32 [m] or None; `inside` bool [m]: both under one leaf. `rails` are the
    numbers of the rows of `logs`.
    """

    a: Ints
    b: Ints
    round: Ints
    logs: Floats
    rails: tuple[int, ...]
    nodes: int
    leaf_a: Ints | None
    leaf_b: Ints | None
    forth: Floats | None = None
    back: Floats | None = None

    @property
    def inside(self) -> np.ndarray:
        if self.leaf_a is None or self.leaf_b is None:
            return np.zeros(len(self.a), bool)
        return np.asarray(self.leaf_a == self.leaf_b)


def meetings_of(table: PairTable) -> Meetings:
    """The rows of a table put together by pair and round; of the same row twice the last one counts."""
    many = len(table.nodes)
    low, high = np.minimum(table.a, table.b), np.maximum(table.a, table.b)
    key = (table.round.astype(np.int64) * many + low) * many + high
    order = None
    if len(key) and np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key = key[order]
    first = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else np.zeros(0, bool)
    meeting = np.cumsum(first) - 1
    if order is not None:  # back to the order of the rows
        meeting, at = np.empty_like(meeting), meeting
        meeting[order] = at
    heads = np.flatnonzero(first) if order is None else order[first]
    rails = np.flatnonzero(np.bincount(table.rail.astype(np.int64) + 1)) - 1
    column = np.searchsorted(rails, table.rail)
    shape = (len(rails), len(heads))

    def spread(values: Floats) -> Floats:
        made = np.full(shape, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            good = np.isfinite(values) & (values > 0)
            made[column, meeting] = np.log(np.where(good, values, np.nan))
        return made

    swapped = table.a > table.b
    forth = back = None
    if table.forth is not None and table.back is not None:
        forth = spread(np.where(swapped, table.back, table.forth))
        back = spread(np.where(swapped, table.forth, table.back))
    a, b = low[heads], high[heads]
    leaf = table.leaf_of
    return Meetings(
        a=a,
        b=b,
        round=table.round[heads],
        logs=spread(table.gbps),
        rails=tuple(int(rail) for rail in rails),
        nodes=many,
        leaf_a=None if leaf is None else leaf[a],
        leaf_b=None if leaf is None else leaf[b],
        forth=forth,
        back=back,
    )


# levels ---------------------------------------------------------------------------------------------


def fleet_level(values: Floats) -> float:
    """Where healthy ones lie, of finite values [n], in logs; NaN for none.

    Faults only lower a bandwidth, so the level is the median of the values that lie no further than
    3 standard deviations below the upper quartile (the spread is taken between 75 % and 87.5 %, which
    are 0.476 of a standard deviation apart), as long as nearly half of all lie there; where fewer do, the
    fast ones are a kind of their own and the plain median is the level.
    """
    if not len(values):
        return float("nan")
    middle, upper, top = (float(q) for q in np.quantile(values, (0.5, 0.75, 0.875)))
    spread = max(FLOOR, (top - upper) / 0.476)
    near = values[values >= upper - 3 * spread]
    return float(np.median(near)) if len(near) >= MAJORITY * len(values) else middle


def fleet_noise(centred: Floats) -> float:
    """Standard deviation of log bandwidth, from the MAD of those above the level: faults lie below.

    Where that is more than twice the MAD of those below, there is a kind of pairs that is faster than
    most, and the MAD below is taken.
    """
    sides = [centred[centred >= 0], -centred[centred <= 0]]
    above, below = (MAD_TO_SIGMA * float(np.median(s)) if len(s) else 0.0 for s in sides)
    return max(FLOOR, below if above > 2 * max(below, FLOOR) else above)


@dataclasses.dataclass(frozen=True)
class Levels:
    """Level of log bandwidth for each (rail, inside a leaf or not), float64 [rails, 2], and for all."""

    by_rail: Floats
    whole: float
    counted: Ints  # [rails, 2]: measurements behind each


def levels_of(met: Meetings, weighed: np.ndarray) -> Levels:
    """Levels from the measurements that `weighed` (bool [rails, m]) takes in."""
    inside = met.inside
    tiers = (~inside, inside)
    usable = weighed & np.isfinite(met.logs)
    if not usable.any():
        usable = np.isfinite(met.logs)
    whole = fleet_level(met.logs[usable])
    by_rail = np.full((len(met.rails), 2), whole)
    counted = np.zeros((len(met.rails), 2), np.int64)
    for rail, logs in enumerate(met.logs):
        own = logs[usable[rail]]
        if len(own) >= OWN_LEVEL:
            by_rail[rail] = fleet_level(own)
        for tier, members in enumerate(tiers):
            values = logs[usable[rail] & members]
            counted[rail, tier] = len(values)
            if OWN_LEVEL <= len(values) < len(own):
                by_rail[rail, tier] = fleet_level(values)
    return Levels(by_rail, whole, counted)


def centred(met: Meetings, levels: Levels, logs: Floats | None = None) -> Floats:
    """Log bandwidth over the level of its rail and tier, float64 [rails, m]."""
    own = levels.by_rail[:, met.inside.astype(np.int8)]
    return np.asarray((met.logs if logs is None else logs) - own)


def over_rails(values: Floats) -> Floats:
    """Median over the rails of each meeting, float64 [m]; NaN where no rail was tested."""
    if len(values) == 1:
        return np.asarray(values[0])
    ordered = np.sort(values, axis=0)  # NaN comes last
    tested = np.isfinite(values).sum(axis=0)
    low = np.maximum(tested - 1, 0) // 2
    high = np.where(tested > 0, tested // 2, 0)
    at = np.arange(values.shape[1])
    return np.asarray((ordered[low, at] + ordered[high, at]) / 2)


def low_below(centred_values: Floats, least: float = 0.0) -> tuple[float, float]:
    """(noise, threshold): below minus the threshold a sample is low; both gates have to be passed."""
    noise = max(least, fleet_noise(centred_values[np.isfinite(centred_values)]))
    return noise, max(-float(np.log1p(-EFFECT)), Z_SAMPLE * noise)
