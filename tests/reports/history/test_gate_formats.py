"""The gate to CI and to a monitor: nothing that was not judged passes, and no night adds a label."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from railgauge_reports.formats import junit, parquet, prometheus
from railgauge_reports.history import junit as gate_junit

xmlschema = pytest.importorskip("xmlschema")
SCHEMA = xmlschema.XMLSchema(Path(__file__).parent.parent / "junit.xsd")


@pytest.fixture(scope="module")
def eventful(told):
    return told()


def outcomes(gate):
    """suite -> name of a test -> (tag, message); the document is valid."""
    text = junit.render_gate(gate)
    SCHEMA.validate(text)
    return {
        suite.get("name").removeprefix("railgauge."): {
            test.get("name"): next(((of.tag, of.get("message")) for of in test), ("", ""))
            for test in suite.findall("testcase")
        }
        for suite in ElementTree.fromstring(text)
    }


def with_first(gate, **fields):
    """The gate with another first series."""
    first = msgspec.structs.replace(gate.series[0], **fields)
    return msgspec.structs.replace(gate, series=(first, *gate.series[1:]))


def test_a_slow_operation_fails_and_the_others_pass(eventful):
    made = outcomes(eventful)["series"]
    assert {name: tag for name, (tag, _) in made.items()} == {
        "sweep: all_gather busbw, 8 nodes": "failure",
        "sweep: all_reduce busbw, 8 nodes": "failure",
        "sweep: sendrecv busbw, 8 nodes": "",
    }
    assert "since 20261018, 12 nights" in made["sweep: all_reduce busbw, 8 nodes"][1]


@pytest.mark.parametrize(
    ("state", "tag"),
    [
        ("unconfirmed", "error"),
        ("changed", "error"),
        ("learning", "skipped"),
        ("acknowledged", "skipped"),
        ("improved", ""),
        ("outlier", ""),
    ],
)
def test_what_is_not_judged_is_no_pass(told, state, tag):
    gate = with_first(told(series=1, slow=None, shifted=None, acked=None), state=state)
    assert next(iter(outcomes(gate)["series"].values()))[0] == tag


@pytest.mark.parametrize("state", ["missing", "corrupt", "left out"])
def test_a_night_that_was_not_measured_is_an_error(eventful, state):
    night = msgspec.structs.replace(eventful.nights[-1], state=state, why=("nobody ran it",))
    gate = msgspec.structs.replace(eventful, nights=(*eventful.nights[:-1], night))
    tag, message = outcomes(gate)["night"]["measured"]
    assert (tag, message) == ("error", f"night 20261030 is {state}")
    assert outcomes(eventful)["night"]["measured"][0] == ""


def test_the_verdict_fails_with_what_changed(eventful):
    tag, message = outcomes(eventful)["verdict"]["verdict"]
    assert (tag, message) == ("failure", "REGRESSION (1)")
    calm = outcomes(msgspec.structs.replace(eventful, verdict=type(eventful.verdict)("PASS", 0)))
    assert calm["verdict"]["verdict"] == ("", "")
    unsure = type(eventful.verdict)("LEARNING", 6)
    assert (
        outcomes(msgspec.structs.replace(eventful, verdict=unsure))["verdict"]["verdict"][0]
        == "error"
    )


def test_names_of_test_cases_stay_from_night_to_night(told):
    one, other = told(seed=5), told(seed=6)
    assert {s: list(t) for s, t in outcomes(one).items()} == {
        s: list(t) for s, t in outcomes(other).items()
    }


def test_test_cases_are_bounded_and_what_is_left_over_still_fails(eventful):
    keys = [
        msgspec.structs.replace(s.key, operation=f"op{k:03}")
        for k, s in enumerate(eventful.series * 20)
    ]
    series = [
        msgspec.structs.replace(s, key=k) for s, k in zip(eventful.series * 20, keys, strict=True)
    ]
    made = outcomes(msgspec.structs.replace(eventful, series=tuple(series)))["series"]
    assert len(made) == gate_junit.MOST_GROUPS + 1
    assert made["all other series"][0] == "failure"


def test_hostile_names_stay_text(told):
    gate = told(names=("<script>alert(1)</script>\x00&",), hosts=("<b>\x1b[31m",))
    text = junit.render_gate(gate)
    SCHEMA.validate(text)
    assert "<script>" not in text
    assert "<b>" not in text


# a monitor --------------------------------------------------------------------------------------------


def samples(gate):
    """(name, labels without `simulated`) -> value; the text parses."""
    simulated = {("simulated", "true")}
    return {
        (s.name.removeprefix("railgauge_gate_"), frozenset(s.labels.items()) - simulated): s.value
        for family in text_string_to_metric_families(prometheus.render_gate(gate))
        for s in family.samples
    }


def value(gate, name, **labels):
    return samples(gate)[name, frozenset(labels.items())]


def test_the_monitor_has_verdict_effect_and_how_old_the_last_good_night_is(eventful):
    assert value(eventful, "verdict", verdict="REGRESSION") == 1
    assert value(eventful, "verdict", verdict="PASS") == 0
    assert value(eventful, "exit_code") == 1
    assert value(eventful, "nights", state="missing") == 1
    assert value(eventful, "nights_since_accepted") == 13  # the 17th, of 30
    assert value(eventful, "completion_timestamp_seconds") == eventful.judged_at
    worst = max(s.worse for s in eventful.series if s.key.operation == "all_reduce")
    assert value(eventful, "worst_ratio", operation="all_reduce", metric="busbw") == pytest.approx(
        worst
    )
    regressions = value(
        eventful, "series_state", operation="all_reduce", metric="busbw", state="regression"
    )
    assert regressions == 1


def test_a_history_without_an_accepted_night_says_nothing_of_its_age(told):
    gate = told(nights=5, slow=None, shifted=None, acked=None, missing=(), corrupt=(), epoch=None)
    assert not any(name == "nights_since_accepted" for name, _ in samples(gate))


def test_five_hundred_series_of_a_thousand_hosts_add_no_label(told, eventful):
    hosts = tuple(f"node{k:04d}" for k in range(1000))
    many = told(series=500, slow=((0, 1), 17, 0.16), hosts=hosts)
    assert set(samples(many)) == set(samples(eventful))
    assert "node0" not in prometheus.render_gate(many)


def test_operations_without_gauges_are_counted(eventful):
    keys = [
        msgspec.structs.replace(s.key, operation=f"op{k:03}")
        for k, s in enumerate(eventful.series * 8)
    ]
    series = [
        msgspec.structs.replace(s, key=k) for s, k in zip(eventful.series * 8, keys, strict=True)
    ]
    many = msgspec.structs.replace(eventful, series=tuple(series))
    assert value(many, "operations_left_out") == 48 - 32
    assert len({labels for name, labels in samples(many) if name == "worst_ratio"}) == 32


# rows -------------------------------------------------------------------------------------------------


def test_the_rows_hold_every_value_that_was_measured(eventful, tmp_path):
    import pandas as pd

    (tmp_path / "rows.parquet").write_bytes(parquet.render_gate(eventful))
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == 6 * 28  # one night is missing, one corrupt
    slow = rows[(rows["series"] == eventful.series[0].name) & (rows["night"] == "20261020")].iloc[0]
    assert slow["state"] == "regression"
    assert slow["value"] < slow["low"] < slow["baseline"] < slow["high"]
