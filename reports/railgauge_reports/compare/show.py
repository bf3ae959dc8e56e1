"""An answer as text of 80 columns, and as Markdown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from railgauge.units import format_size
from railgauge_reports.cells import NOTHING, align, pipes, seconds, significant
from railgauge_reports.compare.answer import Answer, Row
from railgauge_reports.compare.effects import CANNOT_TELL
from railgauge_reports.compare.events import EventRow

MOST_EVENTS = 12
MOST_PAIRS = 999  # more are needed than anybody will run
MOST_CHARACTERS = 100  # of a value in the list of differences; --json has it whole
TIME, BUSBW = "time", "busbw"
METRICS = (TIME, BUSBW)
_EVENT_HEADER = ("event a GB", "A", "B", "B - A", "95 % interval", "B / A")


def text(answer: Answer, metric: str = TIME) -> str:
    """Lines for a terminal: one table for each kind of case, then what explains it."""
    lines = [f"A: {answer.a}", f"B: {answer.b}", *_told(answer)]
    for title, rows in _kinds(answer.rows):
        lines += ["", title, *align(_header(metric), [_cells(row, metric) for row in rows])]
    lines += [] if answer.rows else ["", "no case is alike on both sides"]
    if answer.events:
        lines += ["", *align(_EVENT_HEADER, _event_cells(answer.events))]
    said = [*_differences(answer), *answer.unmatched, *_notes(answer)]
    return "\n".join([*lines, *([""] if said else []), *said]) + "\n"


def markdown(answer: Answer, metric: str = TIME) -> str:
    """CommonMark with pipe tables."""
    parts = ["# railgauge: A beside B", f"- A: `{answer.a}`\n- B: `{answer.b}`"]
    parts += [f"{sentence}." for sentence in _told(answer)]
    for title, rows in _kinds(answer.rows):
        body = [_cells(row, metric) for row in rows]
        parts += [f"## {title}", pipes(_header(metric), body, right=True)]
    if answer.events:
        parts += ["## What the fabric counted", pipes(_EVENT_HEADER, _event_cells(answer.events))]
    if answer.differences or answer.compared:
        body = [(d.what, _short(d.a), _short(d.b)) for d in answer.differences]
        parts += ["## What differs", pipes(("what", "A", "B"), [*_compared(answer), *body])]
    if said := [*answer.unmatched, *_notes(answer)]:
        parts += ["## Notes", "\n".join(f"- {sentence}" for sentence in said)]
    return "\n\n".join(parts) + "\n"


def _told(answer: Answer) -> list[str]:
    count = f"{answer.launches_a} launch{'es' * (answer.launches_a != 1)} of A, {answer.launches_b} of B"
    return [count, f"intervals: {answer.method}; the same: within {answer.margin:.2%}"]


def _kinds(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of a kind and group together, with what they have in common."""
    keyed = itertools.groupby(rows, key=lambda row: f"{row.describe()}, {row.where()}")
    return [(title, list(found)) for title, found in keyed]


def _header(metric: str) -> tuple[str, ...]:
    unit = "" if metric == TIME else " GB/s"
    return ("size", f"A{unit}", f"B{unit}", f"{metric} B/A", "95 % interval", "word")


def _cells(row: Row, metric: str) -> tuple[str, ...]:
    more = "" if row.more_blocks is None else f" (+{min(row.more_blocks, MOST_PAIRS)})"
    size = format_size(row.nbytes)
    if metric == TIME:
        values = (row.a_seconds, row.b_seconds)
        sides = tuple(NOTHING if value is None else seconds(value) for value in values)
        ratios = (row.ratio, row.ratio_low, row.ratio_high)
    else:
        values = (row.a_busbw_GBps, row.b_busbw_GBps)
        sides = tuple(NOTHING if value is None else significant(value) for value in values)
        upside_down = (row.ratio, row.ratio_high, row.ratio_low)
        ratios = tuple(None if ratio is None else 1 / ratio for ratio in upside_down)  # type: ignore[assignment]
    middle, low, high = ratios
    if middle is None or (metric == BUSBW and values[0] is None):
        return (size, *sides, NOTHING, NOTHING, f"{row.word}{more}")
    between = NOTHING if low is None or high is None else f"{_ratio(low)} - {_ratio(high)}"
    return (size, *sides, _ratio(middle), between, f"{row.word}{more}")


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def _event_cells(events: Sequence[EventRow]) -> list[tuple[str, ...]]:
    made = []
    for row in sorted(events, key=lambda event: not event.noteworthy)[:MOST_EVENTS]:
        low, high = row.difference_low, row.difference_high
        between = NOTHING if low is None or high is None else f"{low:.3g} - {high:.3g}"
        unit = f" ({row.unit})" if row.unit else ""
        made.append((f"{row.event}{unit}", *_rates(row), between, _times(row.times)))
    return made


def _rates(row: EventRow) -> list[str]:
    values = (row.a_per_GB, row.b_per_GB, row.difference_per_GB)
    return ["unknown" if value is None else f"{value:.3g}" for value in values]


def _times(times: float | None) -> str:
    if times is None:
        return NOTHING
    return "only B" if math.isinf(times) else "only A" if times == 0 else f"{times:.3g} x"


def _compared(answer: Answer) -> list[tuple[str, str, str]]:
    return [(f"case: {name}", a, b) for name, (a, b) in answer.compared.items()]


def _differences(answer: Answer) -> list[str]:
    found = [*_compared(answer), *((d.what, d.a, d.b) for d in answer.differences)]
    return [f"differs: {what}: A {_short(a)}, B {_short(b)}" for what, a, b in found]


def _short(value: str) -> str:
    return value if len(value) <= MOST_CHARACTERS else f"{value[: MOST_CHARACTERS - 3]}..."


def _notes(answer: Answer) -> list[str]:
    """Notes, the reasons of rows (each once), and what the marks mean."""
    reasons: dict[str, list[str]] = {}
    for row in answer.rows:
        if row.reason:
            reasons.setdefault(f"{row.word}: {row.reason}", []).append(format_size(row.nbytes))
    made = [f"note: {note}" for note in answer.notes]
    made += [f"{reason} ({', '.join(dict.fromkeys(sizes))})" for reason, sizes in reasons.items()]
    if any(row.more_blocks is not None for row in answer.rows):
        made.append(
            f"(+N): about N more pairs would show an effect of {answer.margin:.2%}, four times in five"
        )
    elif any(row.word == CANNOT_TELL and row.ratio_low is not None for row in answer.rows):
        made.append("cannot tell: the interval holds 1, and more than the margin")
    hidden = len(answer.events) - MOST_EVENTS
    made += [f"{hidden} more events stand in --json"] if hidden > 0 else []
    return made
