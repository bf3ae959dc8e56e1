"""A capture as people read it: rows of settings, and what changed between two."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from railgauge.capturing.capture import Capture, Row
from railgauge.counting import Change, Place


def place_text(place: Place) -> str:
    return f"{place.source} {place.device}" + (f" port {place.port}" if place.port else "")


def rows_text(rows: Iterable[Row], mark: str = "") -> list[str]:
    """One line of plain values a row, and below it one for each list or table in it."""
    lines = []
    for row in rows:
        plain = [f"{name} {told(value)}" for name, value in row.items() if _is_plain(value)]
        lines.append(f"{mark}{', '.join(plain) or 'facts'}")
        lines += [f"{mark}  {n}: {told(v)}" for n, v in row.items() if not _is_plain(v)]
    return lines


def problems_text(capture: Capture) -> list[str]:
    """What was odd, by line."""
    return [
        f"{f'line {problem.line}' if problem.line else 'file'}: {problem.what}"
        for problem in capture.problems
    ]


def told(value: Any) -> str:
    """Booleans by priority as the priorities that are on; tables grouped by value; None as UNKNOWN."""
    match value:
        case None:
            return "UNKNOWN"
        case bool():
            return "yes" if value else "no"
        case list() if len(value) == 8 and all(isinstance(cell, bool) for cell in value):
            on = [str(n) for n, cell in enumerate(value) if cell]
            return f"on for {', '.join(on)}" if on else "off for all"
        case list() if any(isinstance(cell, dict) for cell in value):
            return "; ".join(told(cell) for cell in value)
        case list():
            return ", ".join(told(cell) for cell in value) or "none"
        case dict() if len(value) > 8 and all(isinstance(key, int) for key in value):
            return _grouped(value)
        case dict():
            between = ", " if all(map(_is_plain, value.values())) else "; "
            return between.join(f"{key} {told(cell)}" for key, cell in value.items()) or "none"
    return str(value)


def change_text(change: Change) -> str:
    """A line of a table: place, name, by how much, and what else there is to say."""
    gauge = change.kind.arithmetic == "gauge"
    by = "?" if change.delta is None else f"{change.delta:,}"
    unit = change.kind.unit
    values = f"{_value(change.before)} -> {_value(change.after)}"
    note = change.note or ("gauge, the larger" if gauge else "")
    line = f"  {place_text(change.place):28} {change.name:40} {f'{by} {unit}'.rstrip():>22}  {values}  {note}"
    return line.rstrip()


def _is_plain(value: Any) -> bool:
    return not isinstance(value, list | dict)


def _value(value: int | None) -> str:
    return "?" if value is None else f"{value}"


def _grouped(table: dict[int, Any]) -> str:
    """{0: 0, 1: 0, 8: 1} -> `0-1: 0; 8: 1`: keys that follow one another and have the same value."""
    runs: list[tuple[int, int, Any]] = []
    for key in sorted(table):
        if runs and runs[-1][1] == key - 1 and runs[-1][2] == table[key]:
            runs[-1] = (runs[-1][0], key, table[key])
        else:
            runs.append((key, key, table[key]))
    return "; ".join(f"{a}-{b}: {told(v)}" if a != b else f"{a}: {told(v)}" for a, b, v in runs)
