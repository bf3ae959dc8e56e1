"""A soak: rounds again and again until the time is over, each repetition with places of its own."""

from __future__ import annotations

import itertools

import pytest

from railgauge.errors import UsageError
from railgauge.plan import Plan
from railgauge.plan_rules import validate
from railgauge.records import End, Gap, Result
from railgauge.repeating import repeated, repetitions, round_of
from railgauge.topology import Topology

FOUR = Topology((0, 1, 2, 3))
PAIRS = Plan(ranks=4, pattern="pairs", operations=("sendrecv",))
SOAK = Plan(ranks=4, pattern="pairs", operations=("sendrecv",), duration=1.0)


def test_without_a_duration_rounds_run_once_and_nobody_is_asked():
    made = list(repeated(PAIRS, FOUR, 0, lambda: pytest.fail("asked")))
    assert [index for index, _ in made] == [0, 1, 2]
    assert round_of(PAIRS, FOUR, 2) == 2
    assert repetitions(PAIRS, FOUR, [0, 1, 2]) == 1


def test_rounds_go_on_counting_and_repeat_the_same_groups():
    asked = iter([True, False])
    made = list(repeated(SOAK, FOUR, 0, lambda: next(asked)))
    assert [index for index, _ in made] == [0, 1, 2, 3, 4, 5]
    assert [round_ for _, round_ in made[:3]] == [round_ for _, round_ in made[3:]]
    assert [round_of(SOAK, FOUR, index) for index, _ in made] == [0, 1, 2, 0, 1, 2]


def test_what_was_begun_before_is_walked_through_without_asking():
    asked = []
    made = list(repeated(SOAK, FOUR, 3, lambda: asked.append(1)))
    assert len(made) == 9
    assert asked == [1]
    assert repetitions(SOAK, FOUR, [0, 7]) == 3
    assert repetitions(SOAK, FOUR, [5]) == 2
    assert repetitions(SOAK, FOUR, []) == 1


@pytest.mark.parametrize("duration", [0, -1, float("nan"), float("inf")])
def test_a_duration_that_is_no_time_is_refused(duration):
    with pytest.raises(UsageError, match="--duration"):
        validate(Plan(ranks=2, duration=duration))


@pytest.mark.mpi
def test_ranks_repeat_their_rounds_until_the_time_is_over(measure):
    options = ("-n", "2", "--sizes", "8", "--iterations", "10", "--duration", "3")
    first = measure(*options)
    indices = [result.round for result in first.results]
    assert first.code == 0
    assert indices == list(range(len(indices)))
    assert len(indices) > 1


@pytest.mark.mpi
def test_a_soak_that_measures_nothing_ends_at_once(measure):
    made = measure(
        *("-n", "2", "--sizes", "1M", "--max-memory", "1K", "--duration", "3600", "--timeout", "60")
    )
    assert made.code == 6
    assert sum(isinstance(record, Gap) for record in made.records) <= 2
    assert isinstance(made.records[-1], End)
    assert not [record for record in made.records if isinstance(record, Result)]


def test_indices_never_repeat():
    endless = repeated(SOAK, FOUR, 0, lambda: True)
    seen = [index for index, _ in itertools.islice(endless, 100)]
    assert seen == list(range(100))
