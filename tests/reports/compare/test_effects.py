"""Effects of known launches, and the words that their intervals bear."""

from __future__ import annotations

import math

import numpy as np
import pytest

from railgauge_reports.compare.effects import (
    CANNOT_TELL,
    FASTER,
    SAME,
    SLOWER,
    Sample,
    more_blocks,
    paired,
    unpaired,
    within,
    words,
)


def pairs(ratio: float, spread: float = 0.005, n: int = 12, seed: int = 1) -> np.ndarray:
    return np.log(ratio) + np.random.default_rng(seed).normal(0, spread, n)


def launches(median: float, spread: float, n: int, seed: int = 1) -> Sample:
    return Sample(np.log(median) + np.random.default_rng(seed).normal(0, spread, n))


def single(median: float, error: float = 0.001) -> Sample:
    return Sample(np.array([math.log(median)]), error)


@pytest.mark.parametrize(
    ("ratio", "word"), [(1.05, SLOWER), (0.95, FASTER), (1.0, SAME), (1.005, SAME)]
)
def test_pairs_of_a_known_effect_get_its_word_and_an_interval_that_holds_it(ratio, word):
    effect = paired(pairs(ratio))
    assert math.exp(effect.low) <= ratio <= math.exp(effect.high)
    assert words([effect]) == [word]


def test_wide_intervals_and_few_pairs_cannot_tell():
    assert words([paired(pairs(1.0, spread=0.05))]) == [CANNOT_TELL]
    few = paired(pairs(1.5, n=5))
    assert (words([few]), few.low) == ([CANNOT_TELL], -math.inf)
    assert words([None]) == [CANNOT_TELL]
    assert paired(np.array([])) is None


def test_an_effect_that_is_shown_and_smaller_than_the_margin_is_the_same():
    effect = paired(pairs(1.01, spread=0.001))
    assert effect.p_differs < 0.01
    assert words([effect]) == [SAME]
    assert words([paired(pairs(1.01, spread=0.001), margin=0.005)]) == [SLOWER]


def test_more_looks_make_wider_intervals():
    once, often = paired(pairs(1.03)), paired(pairs(1.03), looks=5)
    assert often.low < once.low < once.high < often.high
    assert often.p_longer == pytest.approx(5 * once.p_longer)


def test_one_small_p_among_many_rows_is_chance_and_many_are_not():
    weak = paired(pairs(1.02, spread=0.03, n=12, seed=13))
    nothing = [paired(pairs(1.0, spread=0.04, seed=k)) for k in range(19)]
    assert 0.003 < weak.p_differs < 0.05
    assert words([weak]) == [SLOWER]
    assert words([weak, *nothing])[0] == CANNOT_TELL
    assert words([weak] * 20) == [SLOWER] * 20


def test_two_single_launches_need_more_than_their_assumed_spread_to_differ():
    assert words([unpaired(single(1.0), single(1.02))]) == [CANNOT_TELL]
    assert words([unpaired(single(1.0), single(1.05))]) == [CANNOT_TELL]
    assert words([unpaired(single(1.0), single(1.07))]) == [SLOWER]
    assert words([unpaired(single(1.0), single(1.02), spread=0.001)]) == [SLOWER]
    assert words([unpaired(single(1.0), single(1.0), spread=0.001)]) == [SAME]


def test_a_single_launch_is_taken_to_differ_from_the_next_at_least_as_its_blocks_do():
    assert words([unpaired(single(1.0, 0.01), single(1.1, 0.01))]) == [CANNOT_TELL]
    assert words([unpaired(single(1.0, 0.01), single(1.2, 0.01))]) == [SLOWER]


def test_a_single_launch_is_taken_to_vary_as_the_other_side_is_seen_to():
    wild = launches(1.0, 0.2, 4)
    assert words([unpaired(wild, single(float(np.exp(wild.logs.mean())) * 1.2))]) == [CANNOT_TELL]


def test_several_launches_a_side_show_what_one_each_cannot():
    a, b = launches(1.0, 0.005, 5, seed=1), launches(1.02, 0.005, 5, seed=2)
    effect = unpaired(a, b)
    assert effect.low < math.log(1.02) < effect.high
    assert words([effect]) == [SLOWER]


def test_launches_that_do_not_vary_at_all_have_a_point_for_an_interval():
    same = Sample(np.zeros(3))
    effect = unpaired(same, same)
    assert (effect.low, effect.high, words([effect])) == (0, 0, [SAME])


def test_a_side_without_launches_or_with_too_few_samples_has_no_effect():
    assert unpaired(Sample(np.array([])), single(1.0)) is None
    assert unpaired(single(1.0, math.inf), single(1.0)) is None
    assert within(None, None) == within(0.0, 1.0) == math.inf
    assert within(1.0, math.exp(2 * 2.1314495)) == pytest.approx(1)


def test_welch_intervals_hold_the_truth_as_often_as_they_say():
    held = 0
    for seed in range(400):
        effect = unpaired(launches(1, 0.01, 4, 2 * seed), launches(1.03, 0.03, 6, 2 * seed + 1))
        held += effect.low <= math.log(1.03) <= effect.high
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)


def test_the_pairs_still_needed_grow_with_the_noise_and_shrink_with_the_margin():
    quiet, loud = (pairs(1.0, spread=s, n=10) for s in (0.01, 0.06))
    assert more_blocks(loud) > more_blocks(quiet)
    assert more_blocks(loud, margin=0.05) < more_blocks(loud, margin=0.02)
    assert more_blocks(quiet[:2]) is None
    assert more_blocks(loud) % 2 == 0


def test_with_the_pairs_that_it_asks_for_an_effect_of_the_margin_is_found_four_times_in_five():
    found = 0
    for seed in range(200):
        first = pairs(1.02, spread=0.03, n=20, seed=seed)
        n = 20 + more_blocks(first)
        found += words([paired(pairs(1.02, spread=0.03, n=n, seed=1000 + seed))]) == [SLOWER]
    assert found / 200 >= 0.7
