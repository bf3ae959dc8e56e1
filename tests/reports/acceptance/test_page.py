"""The page of an acceptance: what it says, that it stays small and closed, and that a browser draws it."""

from __future__ import annotations

import itertools
import os
import re
import shutil

import altair as alt
import msgspec
import pytest

from railgauge_reports.acceptance.judge import judge, read_acceptance
from railgauge_reports.page import stages
from railgauge_reports.page.acceptance import acceptance_page
from railgauge_reports.page.document import acceptance_document

MOST_BYTES = 3_000_000
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def result(confirmed):
    return judge(read_acceptance(confirmed))


@pytest.fixture(scope="module")
def shown(result):
    return acceptance_page(result)


@pytest.fixture(scope="module")
def text(shown):
    return acceptance_document(shown)


def chart(shown, name):
    return next(c for stage in shown.drawn for c in stage.charts if c.name == name)


def test_the_first_screen_says_verdict_coverage_who_is_at_fault_and_what_next(shown):
    assert (shown.word, shown.measured, shown.planned) == ("FAIL", 7, 7)
    assert shown.worst[0].sentence.startswith("rail 1 of node0005: ")
    assert (
        "confirmed against good partners; 1 finding in pairs: busbw-of-median"
        in shown.worst[0].sentence
    )
    assert shown.worst[0].severity == "fail"
    assert shown.commands[0].startswith("rail 1 of node0005: ")
    assert shown.commands[0] in shown.advice
    assert shown.warning.startswith("SIMULATED")
    facts = {fact.name: fact.value for fact in shown.facts}
    assert (facts["nodes tested"], facts["NICs tested"], facts["faults"]) == (
        "12 of 12",
        "24 of 24",
        "1",
    )


def test_stages_follow_ups_limits_and_what_was_not_tested_are_told(shown):
    cells = [dict(zip(shown.stages.header, row, strict=True)) for row in shown.stages.rows]
    assert [(row["stage"], row["verdict"]) for row in cells] == [
        ("pairs", "✕ FAIL"),
        ("sweep", "✓ PASS"),
    ]
    assert float(cells[0]["node-hours"]) > 0
    assert [row[0] for row in shown.follow_ups.rows] == ["01-pairs-verify", "01-pairs-quiet"]
    assert shown.suspects[0].word == "✕ confirmed"
    assert [row[3] for row in shown.limits.rows] == ["✕ FAIL (1)", "✓ PASS"]
    assert shown.limits.rows[1][4] == "of <b>this</b> test"
    assert any("soak" in what for what in shown.untested)


def test_stages_of_pairs_and_of_scales_have_their_charts(shown):
    names = [c.name for stage in shown.drawn for c in stage.charts]
    assert names == [
        *("pairs-pairs", "pairs-players", "pairs-rails", "sweep-scaling", "sweep-bandwidth"),
    ]
    assert "» node0005" in set(chart(shown, "pairs-pairs").columns()["cells"]["row"])
    scaling = chart(shown, "sweep-scaling").columns()
    assert scaling["points"]["nodes"] == [4, 12]
    assert set(scaling["points"]["size"]) == {"256M"}
    assert len(scaling["expected"]["expected_low"]) == 2
    low, high = scaling["expected"]["expected_low"], scaling["expected"]["expected_high"]
    assert all(0 < least < most for least, most in zip(low, high, strict=True))
    of_size = chart(shown, "sweep-bandwidth").columns()
    assert of_size["points"]["size"] == [64 << 20, 256 << 20]
    assert of_size["expected"]["high"][1] == high[1]  # of the same size and number of nodes


def test_every_chart_is_one_that_vega_lite_knows(shown):
    for stage in shown.drawn:
        for each in stage.charts:
            alt.Chart.from_dict(each.spec, validate=True)


def test_charts_without_room_are_named(result, monkeypatch):
    monkeypatch.setattr(stages, "MOST_BYTES", 12_000)
    page = acceptance_page(result)
    drawn = [c.name for stage in page.drawn for c in stage.charts]
    assert "pairs-pairs" in drawn
    assert "pairs-rails" not in drawn
    assert "Pairs of each rail" in page.drawn[0].left
    assert "Left out, so that this file stays small: " in acceptance_document(page)


def test_the_page_is_closed_and_no_string_becomes_markup(text):
    assert len(text.encode()) < MOST_BYTES
    assert text.index('class="simulated"') < text.index("<h1")
    assert "<b>this</b>" not in text
    assert "of &lt;b&gt;this&lt;/b&gt; test" in text
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"<[^>]+\s(?:style|on\w+|src)=", markup)
    ids = re.findall(r' id="([^"]+)"', markup)
    assert len(ids) == len(set(ids))
    targets = set(re.findall(r'href="#([^"]+)"', markup))
    assert targets <= set(ids)


def test_many_faults_and_long_sentences_stay_below_the_limit(result):
    (pairs, sweep) = result.stages
    (one,) = pairs.findings
    many = tuple(
        msgspec.structs.replace(
            one, hosts=(f"n{k}",), place=f"n{k}", name=f"f{k}", sentence="<" * 5000
        )
        for k in range(2000)
    )
    suspects = tuple(
        msgspec.structs.replace(
            pairs.suspects[0], target=f"n{k}", hosts=(f"n{k}",), next_test="&" * 5000
        )
        for k in range(500)
    )
    full = msgspec.structs.replace(pairs, findings=many, suspects=suspects)
    page = acceptance_page(msgspec.structs.replace(result, stages=(full, sweep)))
    assert page.faults_left == 2000 - len(page.faults)
    assert len(acceptance_document(page).encode()) < MOST_BYTES


def test_an_acceptance_whose_runs_are_gone_has_a_page(rig, healthy):
    rig.take(healthy)
    (rig.folder / "01-pairs" / "journal.jsonl").unlink()
    done = rig.call("report", str(rig.folder), "--format", "html")
    assert done.code == 3
    assert "data-chart=" not in done.out


def test_a_waived_acceptance_shows_its_waivers(rig, confirmed):
    rig.take(confirmed)
    waiver = '[[waivers]]\nfinding = "pairs/*/node0005*"\nauthor = "A"\nreason = "r"\nexpires = 2199-01-01\n'
    file = rig.file("waivers.toml", waiver)
    done = rig.call(
        "accept",
        "--resume",
        "--output",
        str(rig.folder),
        "--waivers",
        str(file),
        "--format",
        "html",
    )
    assert done.code == 0
    assert '<span class="besides">with waivers</span>' in done.out
    assert "counts: pairs/*/node0005*, by A until 2199-01-01: r" in done.out
    assert "Nothing was found wrong in what was measured." in done.out


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_draws_every_chart_without_a_word_and_without_a_request(shown, text, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []  # chromium refuses root otherwise
    said, requested = [], []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        tab = browser.new_page(viewport={"width": 360, "height": 700})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_function("document.documentElement.dataset.ready == 'yes'")
        drawn = tab.evaluate(
            "[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.drawn)"
        )
        levels = tab.evaluate(
            "[...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])"
        )
        width = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert drawn == ["yes"] * sum(len(stage.charts) for stage in shown.drawn)
    assert (said, requested) == ([], [path.as_uri()])
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert width <= 360
