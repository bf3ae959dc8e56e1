"""The page in a real browser: drawn without a network, closed to scripts, readable, keyboard first."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
playwright = pytest.importorskip("playwright.sync_api")
#: WCAG 2.2, 1.4.3: of text, and 1.4.11: of graphics.
TEXT, GRAPHICS = 4.5, 3.0


class Opened(NamedTuple):
    """The page that a browser has open, with what it said and what it asked for."""

    tab: Any
    said: list[str]
    requested: list[str]
    address: str


@pytest.fixture(scope="module")
def opened(shown, tmp_path_factory) -> Iterator[Opened]:
    """One load for the tests of this file; each leaves the tab as it found it."""
    path: Path = tmp_path_factory.mktemp("browser") / "page.html"
    path.write_text(shown.text, encoding="utf-8")
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []  # chromium refuses root otherwise
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        tab = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        said: list[str] = []
        requested: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
        tab.on("request", lambda request: requested.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_function("document.documentElement.dataset.ready == 'yes'")
        yield Opened(tab, said, requested, path.as_uri())
        browser.close()


def test_it_draws_every_chart_without_a_word_and_without_a_request(opened, shown):
    drawn = "[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.drawn)"
    assert opened.tab.evaluate(drawn) == ["yes"] * len(shown.page.charts)
    shapes = "[...document.querySelectorAll('[data-chart]')].map(c => c.querySelectorAll('svg path').length)"
    assert all(count > 10 for count in opened.tab.evaluate(shapes))
    assert opened.said == []
    assert opened.requested == [opened.address]


def test_the_matrix_has_a_mark_a_pair_and_outlines_the_slow_ones(opened):
    marks = "document.querySelectorAll('[data-chart=data-pairs] svg .mark-rect.role-mark path')"
    strokes = f"[...{marks}].filter(p => p.getAttribute('stroke') == 'var(--accent)').length"
    assert opened.tab.evaluate(strokes) == 10  # five pairs, in both triangles
    assert opened.tab.evaluate(f"{marks}.length") == 30 + 10


def test_hovering_a_pair_tells_its_rate_and_no_name_becomes_markup(opened, shown):
    cell = opened.tab.locator("[data-chart=data-pairs] svg .mark-rect path").first
    cell.hover()
    tip = opened.tab.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    words = tip.inner_text()
    assert "slowest GB/s" in words
    assert any(name in words for name in shown.names)
    assert (
        opened.tab.evaluate("document.querySelectorAll('#vg-tooltip-element script, b').length")
        == 0
    )
    opened.tab.mouse.move(0, 0)


def test_the_policy_blocks_eval_and_scripts_that_were_not_there(opened):
    # in a task of its own: what a debugger evaluates is free to do so
    later = "new Promise(r => setTimeout(() => { try { r(eval('1 + 1')) } catch (e) { r(e.name) } }, 0))"
    assert opened.tab.evaluate(later) == "EvalError"
    added = """new Promise(done => {
      addEventListener('securitypolicyviolation', e => done(e.effectiveDirective), { once: true });
      const script = document.createElement('script');
      script.textContent = 'window.smuggled = 1';
      document.body.append(script);
    })"""
    assert opened.tab.evaluate(added) == "script-src-elem"
    assert opened.tab.evaluate("window.smuggled") is None
    opened.said.clear()  # the browser tells of both


def test_the_keyboard_reaches_everything(opened):
    tab = opened.tab
    tab.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.textContent.trim().split('\\n')[0]"))
    assert reached[0] == "Skip to the charts"
    links = tab.evaluate("[...document.querySelectorAll('nav a')].map(a => a.textContent)")
    summaries = tab.evaluate("[...document.querySelectorAll('summary')].map(s => s.textContent)")
    assert set(links) <= set(reached)
    assert set(summaries) <= set(reached)
    tab.locator("summary").first.focus()
    ring = "getComputedStyle(document.activeElement).outlineWidth"
    assert float(tab.evaluate(ring).removesuffix("px")) >= 2
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.querySelector('details').open")
    tab.keyboard.press("Enter")


def test_headings_tables_and_charts_are_named_for_who_does_not_see_them(opened):
    tab = opened.tab
    levels = tab.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert tab.evaluate("[...document.querySelectorAll('.scroll table')].every(t => t.caption)")
    assert tab.evaluate("[...document.querySelectorAll('.scroll th')].every(t => t.scope)")
    names = tab.evaluate("[...document.querySelectorAll('.chart')].map(c => c.ariaLabel)")
    assert all(len(name) > 30 for name in names)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_told_apart_in_the_light_and_in_the_dark(opened, scheme):
    opened.tab.emulate_media(color_scheme=scheme)
    style = "getComputedStyle(document.documentElement)"
    names = ["paper", "panel", "ink", "faint", "link", "good", "bad", "unsure", "accent"]
    names += [f"series-{k}" for k in range(8)]
    colours = {
        name: opened.tab.evaluate(f"{style}.getPropertyValue('--{name}').trim()") for name in names
    }
    paper = colours["paper"]
    assert (luminance(paper) > 0.5) == (scheme == "light")
    for name in ("ink", "faint", "link", "good", "bad", "unsure"):
        assert contrast(colours[name], paper) >= TEXT, name
    assert contrast(colours["ink"], colours["panel"]) >= TEXT
    for name in ("accent", *(f"series-{k}" for k in range(8))):
        assert contrast(colours[name], paper) >= GRAPHICS, name
    label = "getComputedStyle(document.querySelector('.chart svg text')).fill"
    assert opened.tab.evaluate(label) == rgb_text(colours["faint"])
    opened.tab.emulate_media(color_scheme="light")


def test_nothing_runs_over_the_edge_of_a_narrow_screen(opened):
    opened.tab.set_viewport_size({"width": 360, "height": 700})
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 360
    opened.tab.set_viewport_size({"width": 1280, "height": 900})


def test_paper_is_white_and_shows_the_tables(opened):
    opened.tab.emulate_media(color_scheme="dark")
    pages = opened.tab.pdf()
    assert pages.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pages)) <= 12
    opened.tab.emulate_media(media="print")
    paper = "getComputedStyle(document.body).backgroundColor"
    assert opened.tab.evaluate(paper) == "rgb(255, 255, 255)"
    opened.tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.tab.evaluate("document.querySelector('details.values').open")
    opened.tab.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert not opened.tab.evaluate("document.querySelector('details.values').open")
    opened.tab.emulate_media(media="screen", color_scheme="light")


def channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def rgb_text(colour: str) -> str:
    return f"rgb({', '.join(map(str, channels(colour)))})"


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [
        c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels(colour)
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
