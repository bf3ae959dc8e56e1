"""When a series changed: found where it is, and not found where nothing did."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from scipy import stats

from railgauge_reports.history.change_points import (
    FEWEST,
    chance_of_largest,
    change_points,
    partition,
    rank_statistic,
    tempered,
)

NIGHTS = 365


def noise(kind: str, random: np.random.Generator, nights: int = NIGHTS) -> np.ndarray:
    """Nights of 100 GB/s with 1 % noise (standard deviation), nothing amiss."""
    logs = random.normal(0, 0.01, nights)
    if kind == "tail":
        logs = -random.exponential(0.01, nights)
    if kind == "outliers":
        logs += np.log(0.75) * (random.random(nights) < 0.03)
    if kind == "alike":  # neighbours correlated by 0.5
        for night in range(1, nights):
            logs[night] = 0.5 * logs[night - 1] + math.sqrt(0.75) * logs[night]
    return 100 * np.exp(logs)


def nights_of(values, **asked) -> list[int]:
    return [change.night for change in change_points(values, **asked)]


@pytest.mark.parametrize("kind", ["plain", "tail", "outliers", "alike"])
def test_a_year_without_a_change_has_one_in_at_most_one_percent_of_series(kind):
    random = np.random.default_rng(11)
    # magnitude 0: nothing but the test protects
    false = sum(bool(change_points(noise(kind, random), magnitude=0)) for _ in range(20))
    assert stats.binomtest(false, 20, 0.01, alternative="greater").pvalue > 0.01, false


@pytest.mark.parametrize("kind", ["plain", "tail", "outliers", "alike"])
@pytest.mark.parametrize("effect", [-0.05, 0.06])
def test_a_lasting_step_is_found_in_its_place_with_its_size(kind, effect):
    random = np.random.default_rng(12)
    for _ in range(5):
        values = noise(kind, random, 150)
        values[100:] *= 1 + effect
        found = change_points(values)
        (change,) = [made for made in found if abs(made.night - 100) <= 2]
        assert change.last == change.night - 1
        assert change.low <= effect <= change.high
        assert change.low < change.effect < change.high
        assert change.high - change.low < 0.05
        assert change.after / change.before - 1 == pytest.approx(change.effect, abs=0.01)
        assert change.p < 1e-3


def test_a_dip_that_was_repaired_is_two_changes():
    values = noise("outliers", np.random.default_rng(13))
    values[200:210] *= 0.95
    first, second = change_points(values)
    assert (first.night, second.night) == (200, 210)
    assert first.effect < -0.03
    assert second.effect > 0.03
    assert first.after == second.before


def test_a_step_after_a_much_larger_one_is_found_too():
    values = noise("plain", np.random.default_rng(14), 200)
    values[80:] *= 0.5
    values[140:] *= 0.96
    assert nights_of(values) == pytest.approx([80, 140], abs=1)


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_single_bad_nights_are_no_change(bad):
    values = noise("plain", np.random.default_rng(15), 60)
    values[30 : 30 + bad] *= 0.75
    values[50] *= 1.4
    assert change_points(values) == ()


def test_a_night_is_moved_to_the_edge_of_its_week_and_a_step_stays():
    logs = np.tile([0.0, 0.01, -0.01], 10)
    logs[15:] -= 0.3
    logs[5] = -0.3
    calm = tempered(logs)
    assert -0.05 < calm[5] < -0.02
    assert np.delete(calm, 5) == pytest.approx(np.delete(logs, 5))


def test_gaps_keep_the_numbers_of_nights():
    values = noise("plain", np.random.default_rng(16), 120)
    values[60:] *= 0.9
    whole = change_points(values)
    values[[3, 58, 59, 60, 100]] = [math.nan, 0.0, -1.0, math.inf, math.nan]
    (change,) = change_points(values)
    assert (change.last, change.night) == (57, 61)
    assert change.effect == pytest.approx(whole[0].effect, abs=0.005)


def test_the_magnitude_decides_what_is_worth_a_line():
    values = noise("plain", np.random.default_rng(17))
    values[180:] *= 0.985
    assert change_points(values) == ()
    assert nights_of(values, magnitude=0.01) == pytest.approx([180], abs=8)


def test_a_slow_drift_is_told_in_steps_of_the_magnitude_or_more():
    values = noise("plain", np.random.default_rng(18)) * np.linspace(1, 0.92, NIGHTS)
    found = change_points(values, magnitude=0.02)
    assert 1 <= len(found) <= 4
    assert all(change.after / change.before <= 0.98 for change in found)


def test_less_confidence_finds_more_and_asks_for_narrower_intervals():
    values = noise("plain", np.random.default_rng(19), 20)
    values[14:] *= 0.98
    assert nights_of(values, magnitude=0.01) == []
    (change,) = change_points(values, magnitude=0.01, confidence=0.8)
    assert 0.01 < change.p <= 0.2
    assert change.high - change.low < 0.02


def test_fewer_than_five_nights_on_a_side_say_nothing():
    high, low = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2], [80.0, 81.0, 79.0, 80.5]
    assert nights_of(high * 10 + low) == []
    assert nights_of(high * 10 + [*low, 80.2]) == [60]
    assert FEWEST == 5


@pytest.mark.parametrize(
    "values",
    [
        [],
        [100.0],
        [math.nan] * 40,
        [0.0] * 40,
        [math.inf, -math.inf] * 20,
        [100.0] * 400,
        [5e-324] * 30,
        [1.7e308] * 30,
    ],
)
def test_a_series_without_a_change_of_any_kind_has_none(values):
    assert change_points(values) == ()


def test_a_series_without_noise_changes_where_it_does():
    (change,) = change_points([100.0] * 12 + [90.0] * 12)
    assert (change.night, change.before, change.after) == (
        12,
        pytest.approx(100),
        pytest.approx(90),
    )
    assert change.low == change.effect == change.high == pytest.approx(-0.1)


def test_neither_the_unit_nor_the_direction_of_time_matters():
    values = noise("outliers", np.random.default_rng(20), 200)
    values[120:] *= 0.93
    (change,) = change_points(values)
    (scaled,) = change_points(values * 1e-6)
    assert (scaled.night, scaled.effect) == (change.night, pytest.approx(change.effect))
    (turned,) = change_points(values[::-1])
    assert turned.night == 200 - change.night
    assert turned.effect == pytest.approx(1 / (1 + change.effect) - 1, rel=1e-6)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"magnitude": -0.1}, "magnitude -0.1"),
        ({"magnitude": 1.0}, "magnitude 1.0"),
        ({"magnitude": math.nan}, "magnitude nan"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"confidence": math.nan}, "confidence nan"),
    ],
)
def test_a_magnitude_or_confidence_that_is_none_is_refused(asked, words):
    with pytest.raises(ValueError, match=words):
        change_points([100.0] * 20, **asked)


# the parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 20, 60, 200])
def test_the_chance_of_the_largest_statistic_bounds_that_of_permutations(n):
    ranks = np.random.default_rng(n).permuted(np.tile(np.arange(1.0, n + 1), (4000, 1)), axis=1)
    cuts = np.arange(FEWEST, n - FEWEST + 1)
    before = np.cumsum(ranks, axis=1)[:, cuts - 1]
    spread = np.sqrt(cuts * (n - cuts) * (n + 1) / 12)
    standard = np.abs(before - cuts * (n + 1) / 2) / spread
    assert rank_statistic(ranks[0], int(cuts[-1])) == pytest.approx(standard[0, -1])
    largest = standard.max(axis=1)
    for statistic in (2.0, 2.5, 3.0, 3.5):
        seen = int(np.count_nonzero(largest >= statistic))
        bound = chance_of_largest(statistic, n)
        assert stats.binomtest(seen, 4000, bound, alternative="greater").pvalue > 0.01
        # 1 would be a bound, too
        assert bound < 3 * (seen + 3 * math.sqrt(seen) + 10) / 4000
    assert chance_of_largest(1.0, n) == chance_of_largest(0.0, n) == 1.0


def test_the_rank_statistic_is_that_of_mann_and_whitney_with_ties():
    random = np.random.default_rng(21)
    values = random.integers(0, 6, 40).astype(float)
    for cut in (5, 17, 35):
        theirs = stats.mannwhitneyu(
            values[:cut], values[cut:], use_continuity=False, method="asymptotic"
        ).pvalue
        assert 2 * stats.norm.sf(rank_statistic(values, cut)) == pytest.approx(theirs)


@pytest.fixture(scope="module")
def ruptures():
    """The oracle, where it has a release."""
    if sys.version_info >= (3, 14):
        pytest.skip("ruptures has no release for this Python")
    import ruptures

    return ruptures


def cost(values: np.ndarray, cuts: list[int]) -> float:
    return sum(float(np.sum((part - part.mean()) ** 2)) for part in np.split(values, cuts))


@pytest.mark.parametrize("seed", range(6))
def test_the_partition_is_the_one_that_ruptures_finds(ruptures, seed):
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.choice([0, 0, 0, 1], 60) * random.normal(0, 3, 60))
    values = steps + random.normal(0, 1, 60)
    price = (2.0, 6.0, 15.0)[seed % 3]
    ours = partition(values, price)
    mine = cost(values, ours) + price * len(ours)
    assert mine <= cost(values, []) + 1e-9
    oracle = ruptures.Dynp(model="l2", min_size=FEWEST, jump=1).fit(values)
    for number in range(1, 60 // FEWEST):
        *theirs, _ = oracle.predict(n_bkps=number)
        assert mine <= cost(values, theirs) + price * number + 1e-9
        assert number != len(ours) or ours == theirs


def test_whole_series_are_cut_where_ruptures_cuts_them(ruptures):
    random = np.random.default_rng(22)
    found = 0
    for _ in range(10):
        values = noise("plain", random, 120)
        for place in random.choice(np.arange(10, 110), 2, replace=False):
            values[place:] *= random.choice([0.93, 0.95, 1.06])
        *theirs, _ = (
            ruptures.KernelCPD(kernel="linear", min_size=FEWEST, jump=1)
            .fit(np.log(values))
            .predict(pen=3 * math.log(120) * 0.01**2)
        )
        ours = nights_of(values)
        assert set(ours) <= set(theirs), (ours, theirs)
        found += len(ours)
    assert found >= 18
