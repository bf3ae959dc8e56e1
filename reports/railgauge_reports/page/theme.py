"""How charts look: in the page by the page's own colours, in a file by fixed ones on white.

Inside the page a colour is a CSS variable, so that dark mode and paper need no second drawing.
Series take the Okabe-Ito palette, which colour-blind readers tell apart; magnitudes take cividis.
"""

from __future__ import annotations

from railgauge_reports.page.chart import Chart, Spec

#: Okabe and Ito, "Color Universal Design", without black and yellow (too faint on white).
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8C510A")
INK, FAINT, GRID, ACCENT = "#1b1f24", "#59636e", "#d8dee4", "#D55E00"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
WIDTH, SQUARE = 720, 460  # pixels of a file's plot


def _config(ink: str, faint: str, grid: str, series: list[str], font: str) -> Spec:
    axis = {
        "labelColor": faint, "titleColor": ink, "domainColor": grid, "tickColor": grid,
        "gridColor": grid, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal",
        "labelLimit": 220, "labelOverlap": True,
    }  # fmt: skip
    text = {"labelColor": ink, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 11}
    return {
        "font": font,
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**text, "titleFontWeight": "normal", "labelLimit": 320},
        "header": {**text, "labelFontWeight": "bold"},
        "title": {"color": ink, "subtitleColor": ink, "anchor": "start", "fontSize": 14},
        "text": {"color": ink},
        "range": {"category": series},
    }


#: What the words of marks are: in the page, where they follow light and dark, and in a file.
_WORDS = ("accent", "ink", "faint", "grid", *(f"series-{number}" for number in range(len(SERIES))))
_PAGE = {f"@{word}": f"var(--{word})" for word in _WORDS}
_FILE = dict(zip(_PAGE, (ACCENT, INK, FAINT, GRID, *SERIES), strict=True))


def in_page(chart: Chart) -> Spec:
    """The specification for the page, without data."""
    names = [f"var(--series-{number})" for number in range(len(SERIES))]
    return {
        **_painted(chart.spec, _PAGE),
        **({} if chart.square else {"width": "container"}),
        "background": "transparent",
        "config": _config("var(--ink)", "var(--faint)", "var(--grid)", names, FONT),
    }


def in_file(chart: Chart, warning: str = "") -> Spec:
    """The specification for a file of its own, with data, title and `warning` above it."""
    title = {"text": chart.title, "subtitle": [warning] if warning else []}
    return {
        **_painted(chart.spec, _FILE),
        **({} if chart.square else {"width": WIDTH}),
        "title": title,
        "background": "white",
        "padding": 12,
        "datasets": chart.records(),
        "config": _config(INK, FAINT, GRID, list(SERIES), "sans-serif"),
    }


def _painted(part: Spec, words: dict[str, str]) -> Spec:
    """A copy in which the words of marks, as `@accent`, have become colours."""
    return {name: _value(value, words) for name, value in part.items() if name != "config"}


def _value(value: object, words: dict[str, str]) -> object:
    if isinstance(value, dict):
        return _painted(value, words)
    if isinstance(value, list):
        return [_value(item, words) for item in value]
    return words.get(value, value) if isinstance(value, str) else value
