"""How much longer B takes than A: the effect, its interval, and a word that the interval bears.

All arithmetic is on logarithms of time ratios, where "twice" and "half" are the same distance. The unit
is a *launch*, never an iteration: iterations of one launch share its memory, cores and neighbours, so
that their interval says nothing of the next launch, and a test that counts them as repetitions finds a
difference nearly every time.

Three situations, from strong to weak:

- pairs of launches in alternation (`paired`): the signed-rank interval of the pairs' log ratios;
- several launches a side, not paired (`unpaired`): Welch's t on log medians, because 3 + 3 launches have
  no rank interval at all;
- one launch on a side (`unpaired` too): how much launches differ cannot be seen in one, so a spread is
  assumed beside the block-based interval of its median: `spread`, or what the blocks of the launch
  differ by among themselves where that is more (a machine that wanders within a second will not stand
  still until the next launch).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from railgauge.statistics import BLOCKS, T_975
from railgauge_reports.compare import signed_rank
from railgauge_reports.compare.signed_rank import Values

ALPHA = 0.05
#: Smaller effects are "the same" where nothing else is said (`--margin`).
MARGIN = 0.02
#: How much the medians of launches differ, as a share: assumed where one launch a side cannot show it.
SPREAD = 0.02
POWER = 0.8
#: Variance of the Hodges-Lehmann estimate over that of the mean, for a normal distribution.
_RANK_COST = math.pi / 3

FASTER, SLOWER, SAME, CANNOT_TELL = "faster", "slower", "same", "cannot tell"


@dataclasses.dataclass(frozen=True)
class Effect:
    """log(time of B / time of A), its interval, and one-sided p values of four claims.

    `low` and `high` bound the interval at level 1 - ALPHA / looks (infinite where there is none).
    `p_longer`, `p_shorter`: against "B does not take longer (less time)". `p_below`, `p_above`: against
    "the effect is the margin or more", "minus the margin or less". All p are times the number of looks.
    `blocks` are pairs, or launches of the side with fewer.
    """

    estimate: float
    low: float
    high: float
    p_longer: float
    p_shorter: float
    p_below: float
    p_above: float
    blocks: int

    @property
    def p_differs(self) -> float:
        """Two-sided."""
        return min(1.0, 2 * min(self.p_longer, self.p_shorter))

    @property
    def p_same(self) -> float:
        """Of two one-sided tests: that the effect lies between minus the margin and the margin."""
        return max(self.p_below, self.p_above)


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one side says of one case: log medians of its launches, float64 [launches].

    `within` is the standard error of the log median inside a launch, where there is one launch only.
    """

    logs: Values
    within: float = math.nan


def paired(log_ratios: Values, margin: float = MARGIN, looks: int = 1) -> Effect | None:
    """The effect of pairs (float64 [pairs], at least one); None of no pair.

    `looks` is how often the data may be looked at before the study ends: each look has an equal share
    of ALPHA (Bonferroni), so that the claims hold at whichever look it stops, however the looks depend
    on each other. (Repeated confidence intervals: Jennison and Turnbull 1989. Pocock's constant bound
    assumes normal increments and would make intervals 7 % narrower at five looks.)
    """
    if not len(log_ratios):
        return None
    values = log_ratios[: signed_rank.MOST_VALUES]
    bound = math.log1p(margin)
    low, high = signed_rank.interval(values, ALPHA / looks)
    return Effect(
        estimate=signed_rank.estimate(values),
        low=low,
        high=high,
        p_longer=min(1.0, looks * signed_rank.chance_above(values, 0.0)),
        p_shorter=min(1.0, looks * signed_rank.chance_below(values, 0.0)),
        p_below=min(1.0, looks * signed_rank.chance_below(values, bound)),
        p_above=min(1.0, looks * signed_rank.chance_above(values, -bound)),
        blocks=len(values),
    )


def unpaired(a: Sample, b: Sample, margin: float = MARGIN, spread: float = SPREAD) -> Effect | None:
    """The effect of launches that are no pairs; None where a side has none, or too few samples."""
    if not len(a.logs) or not len(b.logs):
        return None
    middle = float(b.logs.mean() - a.logs.mean())
    parts = [*_variance(a, b, spread), *_variance(b, a, spread)]
    variance = sum(part for part, _ in parts)
    if not math.isfinite(variance):
        return None
    error = math.sqrt(variance)
    # Welch and Satterthwaite; an assumed spread has infinite degrees of freedom
    weight = sum(part**2 / freedom for part, freedom in parts)
    freedom = variance**2 / weight if weight else math.inf
    bound = math.log1p(margin)

    def above(centre: float) -> float:
        return (
            float(stats.t.sf((middle - centre) / error, freedom))
            if error
            else float(middle <= centre)
        )

    def below(centre: float) -> float:
        return (
            float(stats.t.cdf((middle - centre) / error, freedom))
            if error
            else float(middle >= centre)
        )

    half = float(stats.t.ppf(1 - ALPHA / 2, freedom)) * error
    return Effect(
        estimate=middle,
        low=middle - half,
        high=middle + half,
        p_longer=above(0.0),
        p_shorter=below(0.0),
        p_below=below(bound),
        p_above=above(-bound),
        blocks=min(len(a.logs), len(b.logs)),
    )


def _variance(one: Sample, other: Sample, spread: float) -> list[tuple[float, float]]:
    """(variance, degrees of freedom) of the parts that the error of a side's mean is made of."""
    n = len(one.logs)
    if n > 1:
        return [(float(one.logs.var(ddof=1)) / n, n - 1.0)]
    inside = one.within * math.sqrt(BLOCKS)
    parts = [(spread**2, math.inf)] if spread >= inside else [(inside**2, BLOCKS - 1.0)]
    if len(other.logs) > 1:
        seen = float(other.logs.var(ddof=1))
        if seen > parts[0][0]:
            parts = [(seen, len(other.logs) - 1.0)]
    return [*parts, (one.within**2, BLOCKS - 1.0)]


def within(low: float | None, high: float | None) -> float:
    """Standard error of log(median) from its 95 % interval (`railgauge.statistics`); infinite without."""
    if low is None or high is None or low <= 0:
        return math.inf
    return math.log(high / low) / (2 * T_975)


# words ----------------------------------------------------------------------------------------------


def words(effects: Sequence[Effect | None]) -> list[str]:
    """FASTER, SLOWER, SAME or CANNOT_TELL for each row of one comparison.

    SAME: two one-sided tests reject effects of the margin or more; an effect that is shown and is
    smaller than the margin is the same too. Claims are made at a false discovery rate of ALPHA over
    all rows (Benjamini and Hochberg): where nothing differs, ALPHA is the chance that any row of the
    whole comparison says so.
    """
    known = [effect for effect in effects if effect is not None]
    same = iter(_discovered([effect.p_same for effect in known]))
    differs = iter(_discovered([effect.p_differs for effect in known]))
    made = []
    for effect in effects:
        if effect is None:
            made.append(CANNOT_TELL)
            continue
        is_same, is_different = next(same), next(differs)
        differently = SLOWER if effect.estimate > 0 else FASTER
        made.append(SAME if is_same else differently if is_different else CANNOT_TELL)
    return made


def _discovered(chances: Sequence[float]) -> list[bool]:
    """Which of the claims with these p values hold at a false discovery rate of ALPHA."""
    if not chances:
        return []
    return [bool(q <= ALPHA) for q in stats.false_discovery_control(np.asarray(chances))]


def more_blocks(
    log_ratios: Values, margin: float = MARGIN, looks: int = 1, rows: int = 1
) -> int | None:
    """How many more pairs would show an effect of the margin with POWER; None of fewer than 3 pairs.

    n = ((z(1 - alpha/2) + z(POWER)) * s / margin)^2, alpha being ALPHA over looks; s, the spread of one
    pair as the estimate feels it, is what the 95 % interval of the pairs so far says, and where there is
    none yet their standard deviation. At least what the test needs to say anything at all of one row
    among `rows`.
    """
    n = len(log_ratios)
    if n < 3:
        return None
    low, high = signed_rank.interval(log_ratios, ALPHA)
    s = (high - low) / 2 * math.sqrt(n) / float(stats.norm.isf(ALPHA / 2))
    if not math.isfinite(s):
        s = float(log_ratios.std(ddof=1)) * _RANK_COST**0.5
    z = float(stats.norm.isf(ALPHA / looks / 2) + stats.norm.ppf(POWER))
    needed = math.ceil((z * s / math.log1p(margin)) ** 2)
    floor = math.ceil(math.log2(2 * looks * rows / ALPHA))
    needed = max(needed, floor)
    return max(2, needed - n + (needed - n) % 2)
