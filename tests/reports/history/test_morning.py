"""The morning report in words: what changed since when comes first, and nothing is lost on the way."""

from __future__ import annotations

import msgspec
import pytest

from railgauge_reports import formats
from railgauge_reports.formats import markdown
from railgauge_reports.history import morning


@pytest.fixture(scope="module")
def eventful(told):
    return told()


def test_a_slow_series_is_told_with_its_level_effect_first_night_and_what_was_measured_again(
    eventful,
):
    first = morning.changes(eventful)[0]
    series = eventful.series[0]
    assert first.startswith(
        f"{series.words}: {series.baseline:.1f} GB/s -> {series.value:.1f} GB/s (-1"
    )
    assert f"{series.mads:.0f} MADs) since 20261018, 12 nights" in first
    assert f"slow again on the same nodes ({series.value:.1f} GB/s)" in first
    assert first.endswith("on other nodes nobody looked")


@pytest.mark.parametrize(
    ("scope", "says"),
    [("nodes", "these nodes alone, others are fine"), ("fleet", "others are slow too")],
)
def test_it_says_whether_the_nodes_or_the_fleet_are_slow(eventful, scope, says):
    series = msgspec.structs.replace(eventful.series[0], scope=scope, confirm_other=77.0)
    sentence = morning.from_to(eventful, series)
    assert says in sentence
    word = "fine" if scope == "nodes" else "slow"
    assert f"{word} again on other nodes (77.0 GB/s)" in sentence


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("outlier", "slow, and fine when measured again; fine again on the same nodes"),
        ("unconfirmed", "slower, and nobody looked again"),
        ("changed", "slower since the environment changed"),
        ("improved", "faster"),
        ("acknowledged", "another level, acknowledged by A. Operator"),
    ],
)
def test_every_state_has_words_of_its_own(eventful, state, says):
    by = "A. Operator" if state == "acknowledged" else ""
    series = msgspec.structs.replace(eventful.series[0], state=state, acknowledged=by)
    assert says in morning.from_to(eventful, series)


def test_series_that_changed_alike_are_one_sentence_and_the_worst_stands_for_them(told):
    gate = told(series=12, slow=((0, 3, 6, 1), 17, 0.16), shifted=None, acked=None)
    said = morning.changes(gate)
    assert len(said) == 2  # all_reduce and all_gather
    head = next(line for line in said if line.startswith("all_reduce"))
    own = [s for s in gate.of_state("regression") if s.key.operation == "all_reduce"]
    worst = max(own, key=lambda s: abs(s.effect))
    assert head.startswith(f"all_reduce: 3 of 4 series slower, most of all {worst.words}: ")


def test_a_new_environment_is_a_change_and_an_old_one_is_none(told):
    gate = told(slow=None, shifted=None, acked=None, epoch=27)
    assert not morning.changes(gate)
    new = msgspec.structs.replace(gate.epochs[1], is_new=True)
    young = msgspec.structs.replace(gate, epochs=(gate.epochs[0], new))
    assert morning.changes(young) == [
        "the environment, since 20261028: nvidia-nccl-cu13: 2.28.9 -> 2.29.2"
    ]


def test_the_mail_begins_with_what_changed_and_is_short(eventful):
    text = markdown.render_gate(eventful)
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == "# REGRESSION (1): night 20261030 of nightly"
    assert lines[1].startswith("**SIMULATED")
    assert lines[2] == f"- {morning.changes(eventful)[0]}"
    assert len(text) < 3000


def test_the_mail_has_lost_nights_environments_and_acknowledgements(eventful):
    text = markdown.render_gate(eventful)
    assert "- night 20261024 missing: no folder for this night" in text
    assert "- night 20261021 corrupt: journal.jsonl: is no text" in text
    assert "- 20261010 (21 nights): nvidia-nccl-cu13: 2.28.9 -> 2.29.2" in text
    assert "by A. Operator until 2026-12-31: ticket 4711" in text
    assert "1 corrupt, 1 missing" in text


def test_a_quiet_night_says_so(told):
    gate = told(slow=None, shifted=None, acked=None, missing=(), corrupt=(), epoch=None)
    text = markdown.render_gate(gate)
    assert text.startswith("# PASS (0)")
    assert "- nothing changed" in text
    assert "| series |" not in text


def test_five_hundred_slow_series_are_still_a_mail(told):
    gate = told(series=500, slow=(tuple(range(500)), 17, 0.16), shifted=None, acked=None)
    text = markdown.render_gate(gate)
    assert len(text) < 6000
    assert f"{500 - morning.MOST_SERIES} more series changed" in text


def test_names_that_would_end_a_cell_or_a_line_do_not(told):
    gate = told(names=("a|b\nc",))
    rows = [line for line in markdown.render_gate(gate).splitlines() if line.startswith("| a\\")]
    assert len(rows) == 1
    assert rows[0].count(" | ") == 7
    assert rows[0].startswith("| a\\|b c | ")


def test_the_first_reason_of_a_night_is_told_and_how_many_there_are(eventful):
    night = msgspec.structs.replace(eventful.nights[0], why=("one", "two", "three"))
    assert morning.why(night) == "one (and 2 more)"
    assert morning.why(msgspec.structs.replace(night, why=())) == ""


def test_nights_that_were_only_accepted_are_not_called_flagged(eventful):
    night = msgspec.structs.replace(
        eventful.nights[0], flagged={"accepted": 4, "regression": 2, "learning": 1}
    )
    assert morning.night_row(night)[4] == "2 regression"


@pytest.mark.parametrize("name", ["table", "json", "markdown", "html", "junit", "prometheus"])
def test_the_formats_for_people_ci_and_monitors_show_a_gate(name):
    assert callable(formats.gate_renderer(name))
