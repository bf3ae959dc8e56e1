"""The signed-rank interval against another implementation, and against what it promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from railgauge_reports.compare.signed_rank import (
    chance_above,
    chance_below,
    cumulative,
    estimate,
    interval,
    walsh_averages,
)


@pytest.mark.parametrize("n", [1, 4, 9, 30])
def test_p_is_that_of_the_signed_rank_test_by_another_implementation(n):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    above = stats.wilcoxon(values, alternative="greater", method="exact").pvalue
    below = stats.wilcoxon(values, alternative="less", method="exact").pvalue
    assert chance_above(values, 0.0) == pytest.approx(above)
    assert chance_below(values, 0.0) == pytest.approx(below)


def test_the_distribution_is_that_of_all_choices_of_signs():
    sums = [sum(ranks) for k in range(6) for ranks in itertools.combinations(range(1, 6), k)]
    expected = np.cumsum(np.bincount(sums, minlength=16)) / 2**5
    assert cumulative(5) == pytest.approx(expected)


def test_the_interval_holds_exactly_the_centres_that_the_test_does_not_reject():
    values = np.random.default_rng(3).normal(0, 1, 12)
    low, high = interval(values, 0.05)
    for inside in (low + 1e-9, (low + high) / 2, high - 1e-9):
        assert min(chance_above(values, inside), chance_below(values, inside)) > 0.025
    assert chance_above(values, low - 1e-9) <= 0.025
    assert chance_below(values, high + 1e-9) <= 0.025


def test_five_values_have_no_95_percent_interval_and_six_have_their_extremes():
    assert interval(np.arange(5.0), 0.05) == (-math.inf, math.inf)
    assert interval(np.arange(6.0), 0.05) == (0, 5)


def test_one_value_far_off_moves_neither_estimate_nor_interval_far():
    values = np.append(np.linspace(-0.01, 0.01, 11), 3.0)
    low, high = interval(values, 0.05)
    assert -0.01 < low < estimate(values) < high < 0.02


def test_ties_count_against_every_claim():
    zeros = np.zeros(10)
    assert chance_above(zeros, 0.0) == chance_below(zeros, 0.0) == 1
    assert interval(zeros, 0.05) == (0, 0)
    assert len(walsh_averages(zeros)) == 55


def test_the_interval_holds_the_centre_as_often_as_it_says_whatever_the_noise():
    random = np.random.default_rng(7)
    for draw in (
        random.standard_cauchy,
        lambda n: random.choice([-1, 1], n) * random.random(n) ** 9,
    ):
        held = sum(low <= 0 <= high for low, high in (interval(draw(9), 0.05) for _ in range(800)))
        assert held / 800 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 800)
