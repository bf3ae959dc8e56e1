"""When a value is worse or better than its baseline, and how surprising that is. Pure, on whole columns.

Worse means: by at least `mads` raw median absolute deviations of the baseline and by at least `effect` of
its median. Both are asked for: the first alone calls a quiet series bad for nothing that matters, the
second alone a noisy one for nothing at all.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Standard deviation of a Gaussian over its raw MAD (1 / the upper quartile of the standard normal).
SIGMA_OF_MAD = 1.4826
#: A MAD tells a Gaussian's spread as well as a standard deviation of 0.37 as many values does (its
#: asymptotic relative efficiency; Rousseeuw and Croux, JASA 88, 1993).
MAD_EFFICIENCY = 0.37


@dataclasses.dataclass(frozen=True)
class Rule:
    """The figures of the gate; README, "A gate for every night", has the study behind them.

    A baseline is the last `window` accepted nights, of fewer than `least` there is none. An improvement
    enters it after `improved` nights in a row, a new environment after `epoch` nights. `rate` is the
    share of false alarms among the alarms of a night (Benjamini and Hochberg, JRSS B 57, 1995).
    """

    window: int = 20
    least: int = 7
    mads: float = 4.0
    effect: float = 0.02
    improved: int = 3
    epoch: int = 7
    rate: float = 0.05


RULE = Rule()


class Judgement(NamedTuple):
    """Of values against baselines, each [series]; all False and NaN where either is unknown.

    `worse` is the share of the median by which a value is worse (negative: better), `mads` the same in
    raw MADs (infinite where the MAD is 0).
    """

    worse: Floats
    mads: Floats
    slow: Flags
    better: Flags


def judge(
    values: Floats, median: Floats, mad: Floats, larger: Flags, rule: Rule = RULE
) -> Judgement:
    """Values against baselines, all [series]; `larger` is better where it is set."""
    return against(values, median, mad, larger, smallest_effect(median, mad, rule))


def against(
    values: Floats, median: Floats, mad: Floats, larger: Flags, smallest: Floats
) -> Judgement:
    """`judge`, where the smallest effect is known already."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lost = np.where(larger, median - values, values - median)
        scale = np.abs(median)
        worse = np.where(lost == 0, 0.0, lost / scale)
        mads = np.where(lost == 0, 0.0, lost / mad)
        slow, better = worse >= smallest, -worse >= smallest
    return Judgement(worse, mads, slow, better)


def smallest_effect(median: Floats, mad: Floats, rule: Rule = RULE) -> Floats:
    """The smallest share of the median that is seen: max(`effect`, `mads` MADs of the baseline)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(mad == 0, 0.0, rule.mads * mad / np.abs(median))
    return np.where(np.isnan(median), np.nan, np.maximum(rule.effect, spread))


def p_values(worse: Floats, smallest: Floats, nights: npt.NDArray[np.int64], rule: Rule) -> Floats:
    """One-sided: how often a night with nothing amiss is at least so much worse; NaN where unknown.

    A Student t of the loss in robust standard deviations, for a value that is new and a median of
    `nights` values that is known as badly as its spread. The deviation is taken from the smallest effect
    that counts, so that a series of less noise than that is not called surprising for nothing.
    """
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = rule.mads / SIGMA_OF_MAD * worse / smallest
        known = np.maximum(nights, 2)
        t = deviations / np.sqrt(1 + 1 / known)
        freedom = np.maximum(1.0, MAD_EFFICIENCY * (known - 1))
    return np.asarray(np.where(np.isnan(t), np.nan, stdtr(freedom, -t)), np.float64)


def discoveries(p: Floats, rate: float = RULE.rate) -> Flags:
    """Which of these p values are no chance, with that share of false ones among them at most.

    Benjamini and Hochberg's step-up; NaN is no member of the family.
    """
    known = np.flatnonzero(~np.isnan(p))
    found = np.zeros(p.shape, np.bool_)
    if not known.size:
        return found
    ordered = known[np.argsort(p[known], kind="stable")]
    allowed = rate * np.arange(1, known.size + 1) / known.size
    below = np.flatnonzero(p[ordered] <= allowed)
    if below.size:
        found[ordered[: below[-1] + 1]] = True
    return found
