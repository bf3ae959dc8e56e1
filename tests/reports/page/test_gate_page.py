"""The page of a gate: what changed on its first screen, its charts, its size, and nothing that runs."""

from __future__ import annotations

import html
import os
import re
import shutil

import msgspec
import pytest

from railgauge_reports.formats import html as page_format
from railgauge_reports.page import glance, nights
from railgauge_reports.page.document import document, gate_document
from railgauge_reports.page.gate import gate_page, whole
from railgauge_reports.page.gate_charts import MOST_CHARTS

HOSTILE = "<script>alert(1)</script>"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def eventful(told):
    return told(names=(HOSTILE, '"></table>'), hosts=("<b>n0</b>", "n{{7*7}}"))


@pytest.fixture(scope="module")
def gated(eventful):
    return gate_page(eventful)


@pytest.fixture(scope="module")
def text(gated):
    return gate_document(gated)


def test_the_first_screen_says_what_changed_since_when_and_what_was_lost(gated):
    said = [finding.sentence for finding in gated.worst]
    assert gated.heading == "What changed, since when"
    assert "since 20261018, 12 nights" in said[0]
    assert (gated.worst[0].severity, gated.word, gated.tone) == ("fail", "REGRESSION", "bad")
    assert "night 20261024 is missing" in said
    assert any("nvidia-nccl-cu13: 2.28.9 -> 2.29.2" in sentence for sentence in said)
    assert any("A. Operator until 2026-12-31" in sentence for sentence in said)
    facts = {fact.name: fact.value for fact in gated.facts}
    assert facts["series slower"] == "2 of 6"
    assert facts["nights accepted"] == "17 of 30"
    assert facts["smallest effect seen"] == "2.0%"


def test_a_quiet_night_has_a_page_that_says_so(told):
    gate = told(slow=None, shifted=None, acked=None, missing=(), corrupt=(), epoch=None)
    gated = gate_page(gate)
    assert (gated.heading, gated.tone, gated.worst) == ("Nothing changed", "good", ())
    assert gated.drawn.changed == ()
    assert gated.drawn.others is not None


def test_a_history_that_learns_has_nothing_at_a_glance_and_still_a_page(told):
    gate = told(nights=3, slow=None, shifted=None, acked=None, missing=(), corrupt=(), epoch=None)
    made = gate_document(gate_page(gate))
    assert "There is nothing to draw yet" in made


def test_a_series_that_changed_has_a_chart_with_its_events(gated):
    chart = gated.drawn.changed[0]
    marks = chart.data["marks"]
    assert list(marks["kind"]) == ["epoch", "change"]
    assert list(marks["night"]) == ["2026-10-10", "2026-10-18"]
    states = chart.data["nights"].set_index("night")["state"]
    assert states["2026-10-05"] == nights.LEARNING
    assert states["2026-10-12"] == nights.ACCEPTED
    assert states["2026-10-18"] == nights.FLAGGED
    assert list(chart.data["gaps"]["words"].str.slice(0, 10)) == ["2026-10-21", "2026-10-24"]


def test_the_band_is_what_the_gate_takes_for_the_same_and_there_is_none_while_it_learns(
    eventful, gated
):
    series, drawn = eventful.series[0], gated.drawn.changed[0].data["nights"]
    assert drawn["low"].isna().sum() == 7
    last = drawn.iloc[-1]
    assert last["low"] == pytest.approx(series.baseline * (1 - series.smallest_effect))
    assert last["high"] == pytest.approx(series.baseline * (1 + series.smallest_effect))
    assert drawn["low"].notna().iloc[7:].all()  # also over the night that is missing


def test_an_acknowledged_shift_is_marked_and_the_band_moves(gated):
    chart = gated.drawn.changed[2]
    ack = chart.data["marks"].query("kind == 'ack'").iloc[0]
    assert (ack["night"], ack["label"]) == ("2026-10-28", "acknowledged by A. Operator")
    band = chart.data["nights"].set_index("night")["middle"]
    assert band["2026-10-30"] < 0.96 * band["2026-10-27"]


def test_every_chart_has_its_values_in_a_table_below(gated, text):
    drawn = gated.drawn
    for chart in (drawn.overview, *drawn.changed, drawn.others):
        assert chart.grid.rows
        assert f"Values: {html.escape(chart.title, quote=False)}" in text.replace("&#34;", '"')
    row = drawn.changed[0].grid.rows[17]
    assert row[:2] == ("2026-10-18", "flagged")
    assert row[4].startswith("-1")


def test_neighbouring_labels_do_not_stand_on_each_other():
    import pandas as pd

    day = nights.DAY
    frame = pd.DataFrame(
        {
            "at": [k * day for k in range(100)],
            "value": 1.0,
            "low": None,
            "middle": None,
            "high": None,
        }
    ).assign(effect=None, state=nights.ACCEPTED, why="", run="")
    marks = tuple(nights.Mark(k * day, "epoch", f"mark {k}") for k in (10, 12, 14, 60, 95))
    track = nights.Track("t", "t", "GB/s", "", frame, str, marks)
    placed = nights.over_nights(track).data["marks"]
    assert list(placed["line"][:3]) == [0, 1, 2]
    assert placed["line"].iloc[3] == 0
    assert list(placed["align"]) == ["left"] * 4 + ["right"]


def test_the_weekly_view_has_the_night_the_effect_and_its_interval(gated):
    row = gated.weekly.rows[0]
    assert row[0] == "20261018"
    assert row[3] == "2 (2 worse)"
    effect, low, high = (float(part) for part in re.findall(r"[-+][\d.]+", row[5]))
    assert low < effect < high
    assert low < -16.0 < high
    assert len(gated.by_series.rows) == 2


def test_names_that_are_markup_stay_text(text):
    assert "<script>alert" not in text
    assert "</table>'" not in text
    assert "<b>n0" not in text
    assert html.escape(HOSTILE) in text


def test_the_policy_is_that_of_every_page(text, shown):
    policy = re.compile(r'Content-Security-Policy" content="([^"]*)"')
    assert policy.findall(text) == policy.findall(document(shown.page))


@pytest.fixture(scope="module")
def large(told):
    slow = tuple(range(0, 500, 4))
    gate = told(nights=365, series=500, slow=(slow, 340, 0.16), epoch=100)
    return gate, gate_page(gate)


def test_a_year_of_five_hundred_series_is_below_three_megabytes_and_the_rest_lies_beside(large):
    gate, gated = large
    assert len(gate_document(gated).encode()) < 3_000_000
    assert not whole(gate)
    assert page_format.beside_gate(gate)[:4] == b"PAR1"


def test_of_many_series_every_operation_is_seen_at_a_glance(large):
    drawn = large[1].drawn
    cells = drawn.overview.data["cells"]
    assert cells["series"].nunique() == glance.MOST_SERIES
    assert {name.split(" ")[0] for name in cells["series"]} == {
        "all_reduce",
        "all_gather",
        "sendrecv",
    }
    assert cells["night"].nunique() == glance.MOST_NIGHTS
    assert 1 <= len(drawn.changed) <= MOST_CHARTS
    assert drawn.left_out.endswith("more series changed.")


def test_a_small_history_is_whole_and_has_nothing_beside(eventful):
    assert whole(eventful)
    assert page_format.beside_gate(eventful) is None


def test_times_are_lower_the_better_and_written_as_times(told):
    gate = told()
    key = msgspec.structs.replace(gate.series[0].key, metric="time")
    seconds = [None if value is None else 1e-3 / value for value in gate.series[0].values]
    slow = msgspec.structs.replace(
        gate.series[0], key=key, unit="s", larger_is_better=False, values=tuple(seconds),
        medians=tuple(None if m is None else 1e-3 / m for m in gate.series[0].medians),
    )  # fmt: skip
    gated = gate_page(msgspec.structs.replace(gate, series=(slow,)))
    chart = gated.drawn.changed[0]
    assert chart.grid.rows[19][2].endswith(" us")
    cells = gated.drawn.overview.data["cells"].set_index("night")
    assert cells.loc["2026-10-20", "side"] == "worse than the baseline"
    assert gated.by_series.rows[0][2] == "worse"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_draws_all_of_it_without_a_word_and_without_a_request(text, gated, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "gate.html"
    path.write_text(text, encoding="utf-8")
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    said: list[str] = []
    requested: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        tab = browser.new_page(viewport={"width": 360, "height": 700})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: said.append(dialog.message))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_function("document.documentElement.dataset.ready == 'yes'")
        drawn = tab.evaluate(
            "[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.drawn)"
        )
        wide = tab.evaluate("document.documentElement.scrollWidth")
        rings = "[data-chart=data-series-0] svg path[stroke='var(--accent)'][opacity='1']"
        ringed = tab.evaluate(f'document.querySelectorAll("{rings}").length')
        browser.close()
    assert drawn == ["yes"] * (2 + len(gated.drawn.changed))
    assert (said, requested) == ([], [path.as_uri()])
    assert wide <= 360
    assert ringed == 11  # flagged nights from the 18th to the 30th, without two
