"""Warm-up ends when times agree; sampling ends by count, precision, budget or limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from railgauge.plan import Plan
from railgauge.stopping import MAX_ITERATIONS, MIN_ITERATIONS, STEADY, Stopping, Warmup


def warm_up(seconds: Iterator[float], plan: Plan, largest: int = 10**6) -> Warmup:
    warmup = Warmup(plan)
    while (chunk := warmup.next_chunk(largest)) > 0:
        assert chunk <= largest
        warmup.add(np.full(chunk, next(seconds)))
    return warmup


def forever(*seconds: float) -> Iterator[float]:
    yield from seconds
    while True:
        yield seconds[-1]


def series(plan: Plan, sigma: float = 0.5, seconds_each: float = 0.0) -> tuple[str, int, int]:
    """(why it stopped, iterations, looks) of a simulated series."""
    random = np.random.default_rng(1)
    stopping, samples, looks = Stopping(plan), np.zeros(0), 0
    while True:
        wanted = max(1, min(stopping.target() - stopping.done, 5000))
        samples = np.append(samples, np.exp(sigma * random.standard_normal(wanted)))
        stopping.done = len(samples)
        looks += 1
        if reason := stopping.look([samples], seconds_each * stopping.done):
            return reason, stopping.done, looks


# warm-up ---------------------------------------------------------------------------------------


def test_a_steady_series_is_warm_after_the_least_number_of_iterations():
    warmup = warm_up(forever(1e-6), Plan(ranks=2))
    assert warmup.steady
    assert MIN_ITERATIONS <= warmup.done < 2 * MIN_ITERATIONS


def test_warm_up_goes_on_while_times_fall():
    falling = [1e-6 * 0.8**k for k in range(9)]
    warmup = warm_up(forever(*falling), Plan(ranks=2))
    assert warmup.steady
    assert warmup.done >= 2 ** (len(falling) - 1)


def test_a_slower_chunk_does_not_count_as_steady():
    warmup = Warmup(Plan(ranks=2))
    for seconds in (1.0, 1.0, 1.0 + 1.1 * STEADY):
        warmup.add(np.full(16, seconds))
    assert not warmup.steady
    warmup.add(np.full(16, 1.0 + 0.9 * STEADY))
    warmup.add(np.full(16, 1.0 - 0.9 * STEADY))
    assert warmup.steady


def test_warm_up_takes_at_most_a_share_of_the_budget():
    warmup = warm_up(forever(*(0.9**k for k in range(1000))), Plan(ranks=2, budget=10.0))
    assert not warmup.steady
    assert warmup.done == 4  # 1 s, 0.9 s and, as that is still below a fifth of 10 s, two more


@pytest.mark.parametrize(("asked", "largest"), [(0, 100), (5, 100), (5, 2), (300, 64)])
def test_a_fixed_warm_up_is_neither_more_nor_less(asked, largest):
    assert warm_up(forever(1.0), Plan(ranks=2, warmup=asked), largest).done == asked


def test_chunks_double_up_to_what_a_signal_may_wait_for():
    warmup = Warmup(Plan(ranks=2))
    chunks = []
    for k in range(14):
        chunks.append(warmup.next_chunk(10**6))
        warmup.add(np.full(chunks[-1], 1e-9 * 0.5**k))
    assert chunks == [1, *(2**k for k in range(11)), 1024, 1024]
    assert warmup.next_chunk(7) == 7


# sampling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 31, 32, 1000, 30_000])
def test_a_fixed_count_is_the_only_reason_to_stop(count):
    plan = Plan(ranks=2, iterations=count, budget=1e-6)
    assert series(plan, sigma=0.0, seconds_each=1.0)[:2] == ("count", count)


def test_sampling_stops_when_the_median_is_known_well_enough():
    reason, narrow, _ = series(Plan(ranks=2, precision=0.02))
    assert reason == "precision"
    reason, wide, _ = series(Plan(ranks=2, precision=0.1))
    assert reason == "precision"
    assert MIN_ITERATIONS < wide < narrow < MAX_ITERATIONS


def test_constant_times_need_the_least_number_of_iterations():
    assert series(Plan(ranks=2), sigma=0.0) == ("precision", MIN_ITERATIONS, 1)


def test_sampling_stops_when_the_budget_is_used_up():
    plan = Plan(ranks=2, precision=1e-4, budget=1.0)
    reason, done, _ = series(plan, seconds_each=0.01)
    assert reason == "budget"
    assert done >= 100


def test_the_budget_ends_a_series_also_between_two_looks():
    stopping = Stopping(Plan(ranks=2, budget=1.0))
    stopping.done = 3
    assert stopping.look([np.ones(3)], 0.9) == ""
    assert stopping.look([np.ones(3)], 1.0) == "budget"


def test_sampling_stops_at_the_limit_and_not_an_iteration_later():
    reason, done, looks = series(Plan(ranks=2, precision=1e-5, budget=1e9))
    assert (reason, done) == ("limit", MAX_ITERATIONS)
    assert looks < 30  # their number grows with the logarithm of the sample


def test_every_group_must_be_known_well_enough():
    plan = Plan(ranks=2)
    noisy = np.exp(np.random.default_rng(1).standard_normal(MIN_ITERATIONS))
    calm = np.ones(MIN_ITERATIONS)
    for samples, reason in (([calm, calm], "precision"), ([calm, noisy], ""), ([], "precision")):
        stopping = Stopping(plan, done=MIN_ITERATIONS)
        assert stopping.look(samples, 0.0) == reason


def test_between_looks_nothing_is_looked_at():
    stopping = Stopping(Plan(ranks=2), done=MIN_ITERATIONS - 1)
    assert stopping.look([np.ones(MIN_ITERATIONS - 1)], 0.0) == ""
    assert stopping.target() == MIN_ITERATIONS
