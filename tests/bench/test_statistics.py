"""An interval of the median covers it as often as it says, also where samples depend on each other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import t

from railgauge.statistics import (
    BLOCKS,
    P99_SAMPLES,
    T_975,
    Summary,
    median_interval,
    relative_width,
    summarise,
    summarise_rows,
)

TIMES = st.lists(st.floats(1e-7, 10.0), min_size=1, max_size=150).map(np.array)


def autocorrelated(n: int, rho: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Lognormal times with median 1 whose logarithms are AR(1)."""
    noise = lfilter([1], [1, -rho], random.standard_normal(n + 200))[200:]
    return np.exp(0.1 * noise)


def coverage(n: int, rho: float, series: int) -> float:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(series):
        low, high = median_interval(autocorrelated(n, rho, random))
        hits += low <= 1 <= high
    return hits / series


@pytest.mark.parametrize(
    ("n", "rho", "least"),
    # observed (600 series): 0.95 0.93 0.93, 0.96 0.95 0.95, 0.93; 400 series spread by +-0.02
    [
        (256, 0.0, 0.92),
        (256, 0.3, 0.91),
        (256, 0.6, 0.90),
        (1000, 0.0, 0.93),
        (1000, 0.3, 0.92),
        (1000, 0.6, 0.92),
        (1000, 0.9, 0.90),
    ],
)
def test_the_interval_covers_the_median_of_autocorrelated_samples(n, rho, least):
    assert least <= coverage(n, rho, 400) <= 0.985


@pytest.mark.parametrize(("n", "rho"), [(32, 0.0), (64, 0.0), (64, 0.3)])
def test_few_blocks_of_two_to_four_samples_still_cover(n, rho):
    # observed (600 series): 0.92, 0.94, 0.94
    assert coverage(n, rho, 400) >= 0.88


@pytest.mark.parametrize("n", [6, 8, 12, 20, 31])
def test_few_independent_samples_are_covered_by_order_statistics(n):
    # the binomial interval is conservative; observed (600 series): 0.96 to 0.99
    assert coverage(n, 0.0, 400) >= 0.94


def test_intervals_shrink_with_more_samples():
    random = np.random.default_rng(2)
    series = autocorrelated(16384, 0.5, random)
    widths = [relative_width(series[:n]) for n in (64, 512, 4096, 16384)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 5


def test_the_quantile_of_t_is_that_of_its_degrees_of_freedom():
    assert pytest.approx(t.ppf(0.975, BLOCKS - 1)) == T_975


@pytest.mark.parametrize("each", [2, 50])
def test_the_interval_is_t_times_the_standard_error_of_the_medians_of_sixteen_blocks(each):
    medians = 10 + np.random.default_rng(6).permutation(BLOCKS) / BLOCKS
    samples = np.repeat(medians, each)
    half = t.ppf(0.975, 15) * math.sqrt(np.square(medians - medians.mean()).sum() / 15 / 16)
    middle = np.median(samples)
    assert median_interval(samples) == pytest.approx((middle - half, middle + half))
    assert relative_width(samples) == pytest.approx(half / middle)


@pytest.mark.parametrize(
    ("n", "below"),
    # ranks of the 95 % binomial interval (any table of the sign test)
    [(6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (17, 4), (20, 5), (25, 7), (31, 9)],
)
def test_order_statistics_are_those_of_the_sign_test(n, below):
    samples = np.random.default_rng(n).permutation(n).astype(float)
    assert median_interval(samples) == (below, n - 1 - below)


@pytest.mark.parametrize("n", range(1, 6))
def test_fewer_than_six_samples_have_no_interval(n):
    samples = np.arange(1.0, n + 1)
    assert median_interval(samples) == (-math.inf, math.inf)
    assert relative_width(samples) == math.inf
    summary = summarise(samples)
    assert (summary.low, summary.high, summary.stable) == (None, None, False)
    assert summary.median == (n + 1) / 2


def test_an_empty_series_says_nothing():
    assert summarise(np.zeros(0)) == Summary(0)
    assert relative_width(np.zeros(0)) == math.inf


@given(samples=TIMES)
def test_a_summary_is_ordered_and_within_its_samples(samples):
    made = summarise(samples)
    assert made.samples == len(samples)
    assert made.median == np.median(samples)
    assert made.minimum == samples.min() <= made.median <= samples.max() == made.maximum
    if made.low is not None:
        assert made.minimum <= made.low <= made.median <= made.high <= made.maximum


@given(samples=TIMES, exponent=st.integers(-20, 20))
def test_a_change_of_unit_changes_nothing_else(samples, exponent):
    one, other = summarise(samples), summarise(samples * 2.0**exponent)
    assert other.median == one.median * 2.0**exponent
    assert other.stable == one.stable
    assert relative_width(samples * 2.0**exponent) == pytest.approx(relative_width(samples))


@given(samples=TIMES, low=st.floats(1e-4, 0.1), more=st.floats(1.0, 5.0))
def test_what_is_stable_stays_so_with_a_wider_precision(samples, low, more):
    if summarise(samples, low).stable:
        assert summarise(samples, low * more).stable


def test_p99_needs_a_thousand_samples():
    assert P99_SAMPLES == 1000
    assert summarise(np.arange(1.0, 1000.0)).p99 is None
    assert summarise(np.arange(1.0, 1001.0)).p99 == pytest.approx(990.01)


def test_one_straggler_in_fifty_is_the_p99_and_not_the_median():
    samples = np.full(2000, 1e-6)
    samples[::50] += 100e-6
    made = summarise(samples)
    assert made.median == 1e-6
    assert made.p99 == pytest.approx(101e-6)


def test_a_series_whose_halves_differ_is_not_stable():
    random = np.random.default_rng(3)
    steady = 1 + 0.001 * random.standard_normal(2000)
    assert summarise(steady).stable
    drifted = np.concatenate([steady[:1000], 1.05 * steady[1000:]])
    assert not summarise(drifted, 0.02).stable


def test_a_wide_interval_is_not_stable():
    noisy = np.exp(np.random.default_rng(4).standard_normal(64))
    assert not summarise(noisy, 0.01).stable
    assert summarise(noisy, 5.0).stable


def test_times_of_zero_have_no_relative_width():
    assert relative_width(np.zeros(64)) == math.inf
    assert not summarise(np.zeros(64)).stable


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 20, 31, 32, 33, 100, 1000, 10_000])
def test_series_side_by_side_are_summarised_as_each_alone(n):
    random = np.random.default_rng(n)
    rows = np.round(np.exp(random.normal(0, 0.02, (5, n))), 2)  # with ties
    rows[1], rows[2, : n // 2] = 0, 1.2
    made = summarise_rows(rows, 0.02)
    assert [made.of(k) for k in range(5)] == [summarise(row, 0.02) for row in rows]
    assert len({made.of(k).median for k in range(5)}) > 2 * (n > 0)
