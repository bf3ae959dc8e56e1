"""Situations of one series, night by night: what each of them is, and what later nights are held against."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from railgauge_reports.history.rule import RULE, discoveries, p_values
from railgauge_reports.history.walk import Ack, Scope, State, Walk, walk

#: Ten nights of a good series: median 100, MAD 0.5.
GOOD = (100.0, 100.5, 99.5, 100.2, 99.8, 100.6, 99.4, 100.1, 99.9, 100.5)
L, A, I, O, U, C, R, K = (  # noqa: E741 (one letter a night)
    *(State.LEARNING, State.ACCEPTED, State.IMPROVED, State.OUTLIER, State.UNCONFIRMED),
    *(State.CHANGED, State.REGRESSION, State.ACKNOWLEDGED),
)
M = State.MISSING
NONE = float("nan")


def walked(
    values: tuple[float, ...],
    same: dict[int, float] | None = None,
    other: dict[int, float] | None = None,
    epochs: tuple[int, ...] | None = None,
    acks: tuple[tuple[int, int | None], ...] = (),
    larger: bool = True,
) -> Walk:
    """GOOD and then these; `same`, `other` and `acks` count nights from the end of GOOD."""
    whole = np.array([*GOOD, *values])[:, None]
    looks = []
    for told in (same, other):
        column = np.full(whole.shape, np.nan)
        for night, value in (told or {}).items():
            column[len(GOOD) + night] = value
        looks.append(column)
    numbers = None if epochs is None else [*[0] * len(GOOD), *epochs]
    given = [
        Ack(len(GOOD) + first, np.array([True]), None if last is None else len(GOOD) + last)
        for first, last in acks
    ]
    return walk(
        whole, np.array([larger]), epochs=numbers, same=looks[0], other=looks[1], acks=given
    )


def states(made: Walk) -> list[State]:
    """Of the nights behind GOOD."""
    return [State(int(state)) for state in made.state[len(GOOD) :, 0]]


@dataclasses.dataclass(frozen=True)
class Situation:
    """`values` and what follows from them; see `walked`."""

    sentence: str
    values: tuple[float, ...]
    expected: tuple[State, ...]
    same: dict[int, float] = dataclasses.field(default_factory=dict)
    other: dict[int, float] = dataclasses.field(default_factory=dict)
    epochs: tuple[int, ...] | None = None
    acks: tuple[tuple[int, int | None], ...] = ()


SITUATIONS = (
    Situation("a night like the others is accepted", (100.3,), (A,)),
    Situation("a loss of less than 2 % is accepted", (98.2,), (A,)),
    Situation("a loss that nobody looked at again is unconfirmed", (95.0,), (U,)),
    Situation("a loss that the same nodes show again is a regression", (95.0,), (R,), {0: 95.1}),
    Situation(
        "a loss that only a run on other nodes shows is not confirmed", (95.0,), (U,), {}, {0: 95.0}
    ),
    Situation("a loss that is gone when measured again is an outlier", (95.0,), (O,), {0: 99.9}),
    Situation(
        "fine on the same nodes is an outlier whatever others are",
        (95.0,),
        (O,),
        {0: 100.0},
        {0: 95.0},
    ),
    Situation("a second slow night confirms the first", (95.0, 95.1), (U, R)),
    Situation("a night without a value ends no streak", (95.0, NONE, 95.1), (U, M, R)),
    Situation("a good night ends a streak", (95.0, 100.0, 95.0), (U, A, U)),
    Situation("an outlier ends a streak", (95.0, 95.0, 95.0), (U, O, U), {1: 100.0}),
    Situation("a regression stays one until it is gone", (95.0,) * 3 + (100.0,), (U, R, R, A)),
    Situation("slow nights do not become the baseline", (95.0,) * 30 + (97.0,), (U, *[R] * 29, R)),
    Situation("a better level counts after three nights", (106.0,) * 3 + (100.0,), (I, I, I, U)),
    Situation("two better nights are not a level", (106.0,) * 2 + (100.0,), (I, I, A)),
    Situation(
        "better nights that are not in a row are no level",
        (106.0, 106.0, 100.0, 106.0, 100.0),
        (I, I, A, I, A),
    ),
    Situation(
        "slow from the first night of a new environment on is changed",
        (95.0, 95.0),
        (C, C),
        epochs=(1, 1),
    ),
    Situation(
        "slow later in a new environment is not because of it",
        (100.0, 95.0),
        (A, U),
        epochs=(1, 1),
    ),
    Situation(
        "who was slow before the environment changed stays a regression",
        (95.0, 95.0, 95.0),
        (U, R, R),
        epochs=(0, 0, 1),
    ),
    Situation(
        "an accident on the first night of an environment is an outlier",
        (95.0, 95.0),
        (O, C),
        {0: 100.0},
        epochs=(1, 1),
    ),
    Situation(
        "a new environment has its own level after seven nights",
        (95.0,) * 8 + (91.0,),
        (*[C] * 7, A, U),
        epochs=(1,) * 9,
    ),
    Situation(
        "what is acknowledged is the level from then on",
        (95.0, 95.2, 95.1, 90.0),
        (U, K, A, U),
        acks=((1, None),),
    ),
    Situation(
        "an acknowledgement of a night that is fine does nothing",
        (100.0, 95.0),
        (A, U),
        acks=((0, None),),
    ),
    Situation(
        "an acknowledgement covers no later loss",
        (95.0, 95.0, 85.0, 85.0),
        (K, A, U, R),
        acks=((0, None),),
    ),
    Situation(
        "after its last night the level from before counts again",
        (95.0, 95.0, 95.0, 95.0, 100.0),
        (K, A, R, R, A),
        acks=((0, 1),),
    ),
    Situation(
        "until then a further loss is flagged", (95.0, 85.0, 95.0), (K, U, A), acks=((0, 2),)
    ),
    Situation("an acknowledged gain counts at once", (106.0, 100.0), (K, U), acks=((0, None),)),
    Situation("an infinite value is none", (float("inf"),), (M,)),
)


@pytest.mark.parametrize("case", SITUATIONS, ids=lambda case: case.sentence)
def test_that(case: Situation) -> None:
    made = walked(case.values, case.same, case.other, case.epochs, case.acks)
    assert states(made) == list(case.expected)


@pytest.mark.parametrize("case", SITUATIONS, ids=lambda case: case.sentence)
def test_that_of_a_time_which_is_better_where_it_is_smaller(case: Situation) -> None:
    """The same of seconds: 200 minus the value is as far on the other side."""
    mirrored = tuple(200 - value for value in case.values)
    looks = [{night: 200 - v for night, v in told.items()} for told in (case.same, case.other)]
    made = walked(mirrored, *looks, case.epochs, case.acks, larger=False)
    assert states(made) == list(case.expected)


def test_seven_nights_are_learned_and_the_eighth_is_judged() -> None:
    made = walk(np.array([*GOOD[:7], 50.0])[:, None], np.array([True]))
    assert [State(int(s)) for s in made.state[:, 0]] == [*[L] * 7, U]
    assert made.nights[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_nights_of_two_environments_are_not_learned_together() -> None:
    values = np.array([*GOOD[:4], *GOOD[:8]])[:, None]
    made = walk(values, np.array([True]), epochs=[0] * 4 + [1] * 8)
    assert [State(int(s)) for s in made.state[:, 0]] == [*[L] * 11, A]


def test_the_baseline_is_the_median_of_the_last_twenty_accepted_nights() -> None:
    values = np.array([*range(100, 108), *[104.0, 103.0] * 12, 90.0, 104.0])[:, None]
    made = walk(values, np.array([True]))
    assert made.median[-1, 0] == 103.5
    assert made.mad[-1, 0] == 0.5
    assert made.nights[-1, 0] == RULE.window


def test_both_four_mads_and_two_percent_are_asked_for() -> None:
    noisy = np.array([100.0, 104, 96, 103, 97, 104, 96, 100, 100, 95.0])[:, None]
    quiet = np.array([*[100.0] * 9, 98.1])[:, None]
    for values in (noisy, quiet):
        made = walk(values, np.array([True]))
        assert made.state[-1, 0] == State.ACCEPTED
    assert made.smallest[-1, 0] == RULE.effect
    assert walk(noisy, np.array([True])).smallest[-1, 0] == pytest.approx(4 * 3 / 100)
    assert walk(np.array([*[100.0] * 9, 98.0])[:, None], np.array([True])).state[-1, 0] == U


def test_where_it_is_slow_is_known_from_other_nodes_alone() -> None:
    nodes = walked((95.0, 95.0), {0: 95.0}, {0: 100.0})
    assert nodes.scope[-2:, 0].tolist() == [Scope.NODES, Scope.NODES]
    fleet = walked((95.0,), {0: 95.0}, {0: 95.0})
    assert fleet.scope[-1, 0] == Scope.FLEET
    assert walked((95.0,), {0: 95.0}).scope[-1, 0] == Scope.UNKNOWN


def test_a_streak_is_known_by_its_first_night() -> None:
    made = walked((95.0, 95.0, 100.0, 95.0))
    assert made.since[-4:, 0].tolist() == [10, 10, -1, 10]
    made = walked((95.0, 100.0, 95.0, 95.0))
    assert made.since[-4:, 0].tolist() == [10, -1, 12, 12]


def test_a_regression_is_over_after_three_good_nights_and_they_enter_the_baseline() -> None:
    made = walked((95.0, 95.0, 99.9, 100.2, 100.1, 95.0))
    assert states(made)[-6:] == [U, R, A, A, A, U]
    assert made.nights[-6:, 0].tolist() == [len(GOOD)] * 5 + [len(GOOD) + 3]
    assert made.since[-1, 0] == len(GOOD) + 5


@pytest.mark.parametrize("larger", [True, False])
def test_the_better_nights_of_a_lower_level_do_not_become_the_baseline(larger: bool) -> None:
    nights = (97.0, 97.0, *(98.6, 98.7, 98.8, 97.0) * 20)
    made = walked(nights if larger else tuple(200 - v for v in nights), larger=larger)
    assert made.median[-1, 0] == made.median[len(GOOD), 0]
    assert set(states(made)[-80:]) == {A, R}


def test_a_regression_that_is_acknowledged_is_over() -> None:
    made = walked((95.0, 95.0, 95.0, 95.1, 94.9, 95.0, 90.0), acks=((1, None),))
    assert states(made)[-5:] == [A, A, A, A, U]
    assert made.nights[-2:, 0].tolist() == [len(GOOD) + 5, len(GOOD) + 6]


def test_a_night_that_was_not_measured_is_no_good_night() -> None:
    made = walked((95.0, 95.0, 100.0, np.nan, 100.0, 95.0, 100.0, 100.0, np.nan, 100.0, 100.0))
    assert states(made)[-11:] == [U, R, A, State.MISSING, A, R, A, A, State.MISSING, A, A]
    assert made.nights[-2:, 0].tolist() == [len(GOOD), len(GOOD) + 3]


def test_an_acknowledged_level_keeps_the_scatter_from_before() -> None:
    made = walked((95.0, 95.0, 95.0), acks=((0, None),))
    assert made.median[-1, 0] == 95.0
    assert 0 < made.mad[-1, 0] < 0.6
    assert made.nights[-1, 0] == len(GOOD) + 2


def test_what_was_confirmed_is_less_likely_chance() -> None:
    alone = walked((97.0,)).p[-1, 0]
    again = walked((97.0,), {0: 97.0}).p[-1, 0]
    both = walked((97.0,), {0: 97.0}, {0: 97.0}).p[-1, 0]
    assert again == pytest.approx(alone**3)  # of two runs, the best
    assert both == pytest.approx(alone**4)
    assert walked((97.0,), {0: 100.0}).p[-1, 0] > 0.1


def test_no_loss_is_even_odds_and_a_gain_is_no_surprise() -> None:
    nights = np.array([20, 20, 20])
    p = p_values(np.array([0.0, 0.05, -0.05]), np.full(3, 0.02), nights, RULE)
    assert p[0] == 0.5
    assert p[1] < 1e-3
    assert p[2] == pytest.approx(1 - p[1])


def test_discoveries_are_those_of_benjamini_and_hochberg() -> None:
    """The example of their paper (JRSS B 57, 1995, table 1): four of fifteen at 5 %."""
    p = np.array(
        [
            *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240),
            *(0.4262, 0.5719, 0.6528, 0.7590, 1.0),
        ]
    )
    order = np.random.default_rng(1).permutation(15)
    found = discoveries(p[order], 0.05)
    assert sorted(p[order][found]) == [0.0001, 0.0004, 0.0019, 0.0095]
    assert not discoveries(np.array([np.nan, np.nan])).any()
    assert discoveries(np.array([np.nan, 0.04])).tolist() == [False, True]


def test_a_walk_over_no_nights_has_none() -> None:
    assert walk(np.zeros((0, 3)), np.ones(3, bool)).state.shape == (0, 3)
    assert walk(np.zeros((5, 0)), np.ones(0, bool)).state.shape == (5, 0)
