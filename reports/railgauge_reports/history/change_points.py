"""When a series of nights changed, and by how much: for the weekly view, not for the pager.

Four steps, each against one way of being fooled:

1. A night far from the week around it is moved to the edge of what that week shows (`tempered`), so
   that single bad nights make no segment of their own.
2. `partition` finds the best of all ways to cut the series into constant levels (least squares, a
   price for each cut): exact, and a dip that was repaired is found, which splitting in two misses.
3. Every cut is tested by ranks of the nights as measured (Mann-Whitney; no assumption on tails). The
   place was chosen to look best, so p is that of the largest of all places (`chance_of_largest`); and
   the weather of a cluster lasts longer than a night, so the statistic is divided by what the
   correlation of neighbouring nights adds to it. The least credible cut goes first, its neighbours
   grow together, and the rest are tested again.
4. Changes smaller than `magnitude` are not worth a line.

Why not a library: ruptures (BSD-2) finds step 2 alone, has no release for Python 3.14 and takes longer
to import than 300 series take here. It is the oracle of the tests.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

#: Nights on either side of a change at least: of nights of which 3 in 100 are bad, four in a row that
#: are bad come once in three thousand years.
FEWEST = 5
MAGNITUDE = 0.02
CONFIDENCE = 0.99
#: Half the width of the week that a night is compared with, and how many standard deviations it may lie
#: from its median.
WEEK, FAR = 3, 3.0
#: Price of a cut in variances of a night, times log(nights): 3 is that of the modified BIC (N. Zhang,
#: D. Siegmund, Biometrics 63, 2007). Cheaper here, because every cut is tested afterwards.
PRICE = 2.0
#: Standard deviation over the raw median absolute deviation, of a normal distribution.
SIGMAS = 1.4826
#: Correlation of neighbouring nights that is allowed for at most.
MOST_CORRELATED = 0.9


@dataclasses.dataclass(frozen=True)
class Change:
    """One lasting change. `night` is the index of the first night after it, `last` of the last before.

    `before` and `after` are medians over the nights up to the neighbouring changes. `effect` is after /
    before - 1, by Hodges and Lehmann (the median over all pairs of a night before and one after), in
    the interval `low` to `high` of the asked confidence; `p` is its chance in a series that does not
    change.
    """

    night: int
    last: int
    before: float
    after: float
    effect: float
    low: float
    high: float
    p: float


def change_points(
    values: Sequence[float] | Values, magnitude: float = MAGNITUDE, confidence: float = CONFIDENCE
) -> tuple[Change, ...]:
    """The changes of a series, in time; `values` [nights] are rates or times, one a night.

    A night without one (NaN, infinite, 0 or less) is a gap: it is left out and keeps its index. Changes
    of less than `magnitude` (a share) are left out. A series that does not change has a change with a
    chance of about 1 - `confidence` or less. ValueError of a magnitude or a confidence that is none.
    """
    if not 0 <= magnitude < 1:
        raise ValueError(f"magnitude {magnitude}: expected a share from 0 to below 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: expected a share between 0 and 1")
    measured = np.asarray(values, np.float64)
    nights = np.flatnonzero(np.isfinite(measured) & (measured > 0))
    if len(nights) < 2 * FEWEST:
        return ()
    logs = np.log(measured[nights])
    calm = tempered(logs)
    # a change of less than the magnitude is not looked for, however quiet the series is
    variance = max(_step_spread(calm), math.log1p(magnitude) / 10, 1e-9) ** 2
    cuts = partition(calm, PRICE * math.log(len(calm)) * variance)
    return tuple(
        _change(logs, nights, cut, confidence)
        for cut in _credible(logs, calm, cuts, magnitude, 1 - confidence)
    )


def tempered(logs: Values) -> Values:
    """[nights] with those that lie far from the median of the nights around them moved nearer."""
    padded = np.pad(logs, WEEK, constant_values=math.nan)
    around = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * WEEK + 1), axis=1)
    reach = FAR * max(SIGMAS * float(np.median(np.abs(logs - around))), 1e-9)
    calm: Values = np.clip(logs, around - reach, around + reach)
    return calm


def _step_spread(logs: Values) -> float:
    """Standard deviation of a night, from differences of neighbours: a change touches one of them."""
    return SIGMAS * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2)


def partition(values: Values, price: float, fewest: int = FEWEST) -> list[int]:
    """First indices of the segments after the first, of the cheapest way to cut `values` [n].

    A segment costs the sum of squares about its mean, and each cut `price`; a segment has `fewest` values
    or more. Optimal partitioning (B. Jackson et al., IEEE Signal Processing Letters 12, 2005) without
    the pruning of PELT, which saves nothing where changes are rare: O(n^2), n of them in NumPy.
    """
    n = len(values)
    centred = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    best = np.full(n + 1, math.inf)  # of the first k values
    best[0] = -price
    came_from = np.zeros(n + 1, np.int64)
    for end in range(fewest, n + 1):
        starts = np.arange(end - fewest + 1)
        total = sums[end] - sums[starts]
        costs = best[starts] + price + squares[end] - squares[starts] - total**2 / (end - starts)
        came_from[end] = int(np.argmin(costs))
        best[end] = costs[came_from[end]]
    cuts = []
    where = int(came_from[n])
    while where:
        cuts.append(where)
        where = int(came_from[where])
    return cuts[::-1]


class _Cut(NamedTuple):
    """A cut between two segments (indices; `end` is past the last), and what its test says."""

    start: int
    cut: int
    end: int
    p: float
    inflation: float  # of the variance, by the likeness of neighbours


def _credible(
    logs: Values, calm: Values, cuts: list[int], magnitude: float, alpha: float
) -> list[_Cut]:
    """The cuts that are left when those that are not credible, and then those that are too small, went.

    Of those, the one goes first whose going costs the least squares, not the one with the largest p:
    where noise has cut the neighbourhood of a true change into short pieces, all p are large.
    """

    @functools.cache  # a cut that goes changes its neighbours alone
    def statistic(start: int, cut: int, end: int) -> float:
        return rank_statistic(logs[start:end], cut - start)

    @functools.cache
    def gain(start: int, cut: int, end: int) -> float:
        step = float(calm[cut:end].mean() - calm[start:cut].mean())
        return step**2 * (cut - start) * (end - cut) / (end - start)

    cuts = list(cuts)
    while cuts:
        inflation = _inflation(calm, cuts)
        around = list(zip([0, *cuts], cuts, [*cuts[1:], len(logs)], strict=False))
        chances = [
            chance_of_largest(statistic(*place) / math.sqrt(inflation), place[2] - place[0])
            for place in around
        ]
        out = [k for k, p in enumerate(chances) if p > alpha]
        out = out or [k for k, place in enumerate(around) if _size(logs, *place) < magnitude]
        if not out:
            return [_Cut(*place, p, inflation) for place, p in zip(around, chances, strict=True)]
        del cuts[min(out, key=lambda k: gain(*around[k]))]
    return []


def _size(logs: Values, start: int, cut: int, end: int) -> float:
    """By what share the median changes at a cut."""
    return abs(math.expm1(np.median(logs[cut:end]) - np.median(logs[start:cut])))


def _inflation(calm: Values, cuts: list[int]) -> float:
    """By what the variance of a mean over nights grows because neighbouring nights are alike.

    (1 + r) / (1 - r) of the correlation r of neighbours within segments (that of an autoregressive
    series of the first order), never below 1.
    """
    residuals = [part - part.mean() for part in np.split(calm, cuts)]
    power = sum(float(part @ part) for part in residuals)
    if power <= len(calm) * 1e-18:  # what is left is rounding
        return 1.0
    lagged = sum(float(part[1:] @ part[:-1]) for part in residuals)
    # each segment's own mean takes about one part in its length off the correlation
    r = lagged / power + len(residuals) / len(calm)
    r = min(max(r, 0.0), MOST_CORRELATED)
    return (1 + r) / (1 - r)


def rank_statistic(values: Values, cut: int) -> float:
    """|z| of Mann and Whitney, of values [n] before and from `cut`; ties counted, 0 where all are equal."""
    from scipy import stats

    n = len(values)
    ranks = stats.rankdata(values)
    spread = float(np.sum((ranks - (n + 1) / 2) ** 2)) / (n - 1)  # (n (n+1) / 12 without ties)
    if spread <= 0:
        return 0.0
    over = float(ranks[cut:].sum()) - (n - cut) * (n + 1) / 2
    return abs(over) / math.sqrt(cut * (n - cut) / n * spread)


def chance_of_largest(statistic: float, n: int, fewest: int = FEWEST) -> float:
    """P(the largest standardised statistic over all cuts of n nights is `statistic` or more), at most.

    Of a Brownian bridge, standardised, from `fewest` / n to 1 - `fewest` / n (L. Vostrikova, Theory of
    Probability and its Applications 26, 1981; Csorgo and Horvath, Limit Theorems in Change-Point
    Analysis, 1997, (1.3.26)). Nights are steps and ranks have short tails: the true chance is smaller.
    """
    if statistic <= 1:
        return 1.0
    share = fewest / n
    span = max(2 * math.log((1 - share) / share), 0.0)
    square = statistic * statistic
    density = statistic * math.exp(-square / 2) / math.sqrt(2 * math.pi)
    return min(1.0, density * (span * (1 - 1 / square) + 4 / square))


def _change(logs: Values, nights: npt.NDArray[np.intp], cut: _Cut, confidence: float) -> Change:
    """What a cut says, with the numbers of the nights."""
    from scipy import stats

    before, after = logs[cut.start : cut.cut], logs[cut.cut : cut.end]
    pairs = np.sort((after[:, None] - before[None, :]).ravel())
    sizes = len(before), len(after)
    spread = math.sqrt(cut.inflation * sizes[0] * sizes[1] * (sum(sizes) + 1) / 12)
    # the pairs that the test does not reject (Hollander, Wolfe, Chicken, Nonparametric Statistical
    # Methods, 4.3); a cut that is credible has some left on either side
    outside = max(int(len(pairs) / 2 - stats.norm.isf((1 - confidence) / 2) * spread), 0)
    return Change(
        night=int(nights[cut.cut]),
        last=int(nights[cut.cut - 1]),
        before=math.exp(np.median(before)),
        after=math.exp(np.median(after)),
        effect=math.expm1(np.median(pairs)),
        low=math.expm1(pairs[outside]),
        high=math.expm1(pairs[len(pairs) - 1 - outside]),
        p=cut.p,
    )
