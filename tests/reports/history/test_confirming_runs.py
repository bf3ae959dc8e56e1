"""How many confirming runs a regression takes, from folders to the answer."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from railgauge.errors import UsageError
from railgauge.journal import read_journal
from railgauge.simulation.faults import SlowNic
from railgauge_reports.history.confirm import confirm
from railgauge_reports.history.gate import gate_of
from railgauge_reports.history.rule import Rule
from railgauge_reports.history.walk import Scope, State, walk

NAN = np.nan
NIGHTS = 12
RULE = Rule(window=20, least=7)


def tonight(same, looks, other, rule=RULE, before=()):
    """State, scope and p of a night at 90 after others at 100 (and `before`: values just before it)."""
    quiet = 100 + np.tile([0.0, 0.1, -0.1], 4)[:, None]
    values = np.concatenate([quiet, np.array(before).reshape(-1, 1), [[90.0]]])
    rows = [np.full(values.shape, NAN) for _ in range(2)]
    rows[0][-1], rows[1][-1] = same, other
    counted = None if looks is None else np.full(values.shape, looks)
    told = walk(values, np.array([True]), same=rows[0], looks=counted, other=rows[1], rule=rule)
    return State(int(told.state[-1, 0])), Scope(int(told.scope[-1, 0])), float(told.p[-1, 0])


@pytest.mark.parametrize(
    ("same", "looks", "other", "state", "scope"),
    [
        (NAN, 0, NAN, State.UNCONFIRMED, Scope.UNKNOWN),
        (90.0, 1, NAN, State.UNCONFIRMED, Scope.UNKNOWN),
        (NAN, 0, 90.0, State.UNCONFIRMED, Scope.UNKNOWN),
        (90.0, 1, 100.0, State.UNCONFIRMED, Scope.UNKNOWN),
        (90.0, 1, 90.0, State.REGRESSION, Scope.FLEET),
        (90.0, 2, NAN, State.REGRESSION, Scope.UNKNOWN),
        (90.0, 2, 100.0, State.REGRESSION, Scope.NODES),
        (90.0, 2, 90.0, State.REGRESSION, Scope.FLEET),
        (100.0, 1, NAN, State.OUTLIER, Scope.UNKNOWN),
        (100.0, 2, 90.0, State.OUTLIER, Scope.UNKNOWN),
        (90.0, None, NAN, State.REGRESSION, Scope.UNKNOWN),
    ],
)
def test_two_confirming_runs_have_to_be_slow_and_none_on_the_same_nodes_fine(
    same, looks, other, state, scope
):
    assert tonight(same, looks, other)[:2] == (state, scope)


def test_a_second_night_confirms_the_first():
    assert tonight(NAN, 0, NAN, before=[90.0])[0] == State.REGRESSION
    assert tonight(90.0, 1, NAN, before=[90.0])[0] == State.REGRESSION
    assert tonight(100.0, 1, NAN, before=[90.0])[0] == State.OUTLIER


def test_a_site_may_ask_for_one_confirming_run_or_for_three():
    assert tonight(90.0, 1, NAN, Rule(confirm=1))[0] == State.REGRESSION
    assert tonight(90.0, 2, NAN, Rule(confirm=3))[0] == State.UNCONFIRMED
    assert tonight(90.0, 2, 90.0, Rule(confirm=3))[0] == State.REGRESSION


def test_every_look_is_evidence():
    once, twice, thrice = (tonight(90.0, looks, NAN)[2] for looks in (1, 2, 3))
    assert once ** (3 / 2) == pytest.approx(twice)
    assert once**2 == pytest.approx(thrice)


# folders ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig_of_nights(rig):
    return rig("history")


@pytest.fixture(scope="module")
def slow_night(rig_of_nights, tmp_path_factory):
    """Eight good nights and one with a slow NIC, and what a good run measures."""
    nights = rig_of_nights.Nights(
        tmp_path_factory.mktemp("slow") / "history", operations=("all_reduce",), sizes=(64 << 20,)
    )
    good = nights.add(0)
    for day in range(1, 8):
        again = good.parent / f"night{day:06.2f}"
        shutil.copytree(good, again)
        rig_of_nights.rewrite(again, rig_of_nights.FIRST + day * rig_of_nights.DAY)
    host = read_journal(good)[0].hosts[1]
    nights.add(8, name="slow", faults=[SlowNic(node=host, nic=0, share=0.5)])
    (nights.folder / "history.toml").write_text('every = "off"\n')
    return nights


@pytest.fixture
def history(slow_night, tmp_path):
    return slow_night.copy(tmp_path / "history")


def confirmed(history, rig_of_nights, *runs):
    """Put runs, "slow" or "fine", on the same nodes; the one series then."""
    for number, run in enumerate(runs):
        source = history.folder / ("slow" if run == "slow" else "night000.00")
        into = history.folder / "slow" / "confirm-same" / (f"again{number + 1}" * (number > 0))
        shutil.copytree(source, into / "run", ignore=lambda *_: ["confirm-same"])
        rig_of_nights.rewrite(into / "run", rig_of_nights.FIRST + 8.1 * rig_of_nights.DAY)
    (series,) = gate_of(history.folder).series
    return series


def test_of_confirming_runs_on_the_same_nodes_the_best_counts(history, rig_of_nights):
    series = confirmed(history, rig_of_nights, "slow", "fine")
    assert (series.state, series.same_looks) == ("outlier", 2)
    assert series.confirm_same == pytest.approx(series.baseline)
    assert "when measured again (the best of 2)" in series.sentence


def test_one_slow_confirming_run_leaves_the_night_unconfirmed_and_says_what_is_next(
    history, rig_of_nights
):
    series = confirmed(history, rig_of_nights, "slow")
    assert (series.state, series.same_looks) == ("unconfirmed", 1)
    assert "nobody looked again often enough" in series.sentence
    gate = gate_of(history.folder)
    assert gate.verdict.word == "UNCONFIRMED"
    assert "2 confirming runs would tell" in gate.reasons[0]
    assert any("--confirm" in line for line in gate.next_commands)


def test_the_history_may_ask_for_one_confirming_run(history, rig_of_nights):
    (history.folder / "history.toml").write_text('every = "off"\n[rule]\nconfirm = 1\n')
    assert confirmed(history, rig_of_nights, "slow").state == "regression"


def test_confirming_measures_twice_what_stays_slow_and_says_so(history):
    said: list[str] = []
    into = confirm(history.folder, None, (), False, 60.0, said.append)
    (series,) = gate_of(history.folder).series
    assert (series.state, series.same_looks) == ("regression", 2)
    assert len(said) == 2
    assert {path.parent.relative_to(into).as_posix() for path in into.rglob("plan.json")} == {
        "run",
        "again2/run",
    }
    with pytest.raises(UsageError, match="nothing is flagged"):
        confirm(history.folder, None, (), False, 60.0, said.append)


def test_confirming_goes_on_after_the_first_run_was_made_by_somebody(history, rig_of_nights):
    confirmed(history, rig_of_nights, "slow")
    said: list[str] = []
    confirm(history.folder, None, (), False, 60.0, said.append)
    (series,) = gate_of(history.folder).series
    assert (series.state, series.same_looks, len(said)) == ("regression", 2, 1)
