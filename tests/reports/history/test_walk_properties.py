"""What holds of every history, whatever its values."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from railgauge_reports.history.rule import RULE
from railgauge_reports.history.walk import FLAGGED, Ack, State, walk

NIGHTS = st.integers(1, 40)
VALUES = st.one_of(st.floats(80, 120), st.sampled_from([100.0, 95.0, 106.0, float("nan")]))


@st.composite
def histories(draw: st.DrawFn) -> dict[str, object]:
    nights, series = draw(NIGHTS), draw(st.integers(1, 3))
    shape = (nights, series)
    matrix = arrays.arrays(np.float64, shape, elements=VALUES)
    steps = draw(st.lists(st.booleans(), min_size=nights, max_size=nights))
    acks = [
        Ack(first, np.array(draw(st.lists(st.booleans(), min_size=series, max_size=series))), last)
        for first, last in draw(
            st.lists(
                st.tuples(st.integers(0, nights - 1), st.one_of(st.none(), st.integers(0, nights))),
                max_size=2,
            )
        )
    ]
    return {
        "values": draw(matrix),
        "larger": np.array(draw(st.lists(st.booleans(), min_size=series, max_size=series))),
        "epochs": np.cumsum(np.array(steps) & (np.arange(nights) % 7 == 0)),
        "same": draw(matrix),
        "other": draw(matrix),
        "acks": acks,
    }


@given(histories())
@settings(max_examples=30)
def test_a_night_does_not_depend_on_what_came_after_it(history: dict) -> None:
    whole = walk(**history)
    cut = len(history["values"]) // 2
    part = {
        name: value[:cut] if name in ("values", "epochs", "same", "other") else value
        for name, value in history.items()
    }
    before = walk(**part)
    for name in ("state", "median", "mad", "p", "since", "acked"):
        np.testing.assert_array_equal(getattr(whole, name)[:cut], getattr(before, name))


@given(histories(), st.floats(1e-9, 1e9))
@settings(max_examples=30)
def test_other_units_decide_nothing_else(history: dict, scale: float) -> None:
    """But for values that lie on a limit exactly, which rounding moves: powers of two round nothing."""
    exact = float(2.0 ** np.round(np.log2(scale)))
    scaled = {
        name: value * exact if name in ("values", "same", "other") else value
        for name, value in history.items()
    }
    one, other = walk(**history), walk(**scaled)
    np.testing.assert_array_equal(one.state, other.state)
    np.testing.assert_array_equal(one.p, other.p)
    np.testing.assert_array_equal(one.median * exact, other.median)


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_series_do_not_know_of_each_other(history: dict, random: object) -> None:
    order = list(range(history["values"].shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = {
        **history,
        **{name: history[name][:, order] for name in ("values", "same", "other")},
        "larger": history["larger"][order],
        "acks": [Ack(a.first, a.series[order], a.last) for a in history["acks"]],
    }
    one, other = walk(**history), walk(**shuffled)
    np.testing.assert_array_equal(one.state[:, order], other.state)


@given(arrays.arrays(np.float64, (30, 1), elements=VALUES))
@settings(max_examples=50)
def test_the_baseline_is_made_of_accepted_nights_alone(values: np.ndarray) -> None:
    """Of nights without an acknowledgement or another environment, until an improvement has lasted.

    After a regression they enter three at a time, in a row that is nearer to the baseline than to it.
    """
    made = walk(values, np.array([True]))
    accepted: list[float] = []
    waiting: list[float] | None = None
    for night in range(len(values)):
        state = State(int(made.state[night, 0]))
        if state is State.IMPROVED:
            return
        if accepted:
            assert made.median[night, 0] == np.median(accepted[-RULE.window :])
            away = np.abs(np.array(accepted[-RULE.window :]) - made.median[night, 0])
            assert made.mad[night, 0] == np.median(away)
        if state is State.REGRESSION:
            waiting = []
        if state is State.ACCEPTED and waiting is not None:
            waiting = [*waiting, float(values[night, 0])][-RULE.improved :]
            half = made.median[night, 0] * (1 - made.smallest[night, 0] / 2)
            if len(waiting) == RULE.improved and np.median(waiting) > half:
                accepted, waiting = accepted + waiting, None
        elif state in (State.ACCEPTED, State.LEARNING):
            accepted.append(float(values[night, 0]))
        else:
            assert state in FLAGGED or state is State.MISSING


@given(histories())
@settings(max_examples=30)
def test_what_is_flagged_is_worse_by_as_much_as_is_asked_for(history: dict) -> None:
    made = walk(**history)
    worse = np.isin(made.state, (State.UNCONFIRMED, State.REGRESSION, State.CHANGED, State.OUTLIER))
    assert (made.worse[worse] >= RULE.effect).all()
    assert (made.mads[worse] >= RULE.mads * (1 - 1e-12)).all()
    assert (made.nights[worse] >= RULE.least).all()
    fine = made.state == State.ACCEPTED
    assert (np.abs(made.worse[fine]) < made.smallest[fine]).all()
    known = ~np.isnan(made.p)
    assert ((made.p[known] >= 0) & (made.p[known] <= 1)).all()
