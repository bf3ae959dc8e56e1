"""What the page of a gate says, as text and tables: the template only arranges it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from railgauge_reports.cells import NOTHING, cut
from railgauge_reports.history import morning
from railgauge_reports.history.answer import Gate, SeriesResult, SeriesState
from railgauge_reports.history.named import Named, named_by
from railgauge_reports.history.tracks import Shift, over, shifts
from railgauge_reports.judged import Finding, Severity
from railgauge_reports.page import glance, nights
from railgauge_reports.page.chart import Chart, Grid
from railgauge_reports.page.content import WORST, Fact, FirstScreen
from railgauge_reports.page.gate_tables import (
    by_series_table,
    grid,
    named_table,
    nights_table,
    series_say,
    series_table,
    weekly_says,
    weekly_table,
)
from railgauge_reports.page.nights import Mark, Track
from railgauge_reports.page.stages import weight

#: Bytes of the charts of single series, with their tables; the library and all else leave that much.
MOST_BYTES = 1_100_000
#: Series with a chart of their own, and notes.
MOST_CHARTS, MOST_ROWS = 16, 60
#: Series whose nights are looked through for what the overview and the small charts morning.
MOST_TRACKS = 120
_SEVERITY: dict[str, Severity] = {
    "regression": "fail",
    "changed": "warning",
    "unconfirmed": "warning",
    "outlier": "note",
    "improved": "note",
    "acknowledged": "note",
}
_PLAIN = ("accepted", "learning", "missing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GatePage(FirstScreen):
    """Everything of the page of a gate; empty tuples and None are sections that are left out."""

    overview: Chart | None
    changed: tuple[Chart, ...]
    left_out: str
    others: Chart | None
    weekly: Grid | None
    weekly_says: str
    by_series: Grid | None
    series: Grid
    series_say: str
    nights: Grid
    nights_say: str
    epochs: Grid | None
    acks: Grid | None
    named: Grid | None
    notes: tuple[str, ...]
    beside: bool

    @property
    def heading(self) -> str:
        return "What changed, since when" if self.worst else "Nothing changed"

    @property
    def clean(self) -> str:
        return "Every series that was judged lies within its baseline."


def gate_page(gate: Gate) -> GatePage:
    """The page of a gate. Reads the folders of two nights for who they name."""
    found, moved = named_by(gate), shifts(gate)
    ordered = _ordered(gate, moved)
    tracks = {s.name: track_of(gate, s, moved, k) for k, s in enumerate(ordered[:MOST_TRACKS])}
    eventful = {s.name for s in ordered if s.state in morning.FLAGGED}
    eventful |= {shift.series.name for shift in moved}
    changed, left_out = _charts([t for name, t in tracks.items() if name in eventful])
    drawn = {chart.title for chart in changed}
    rest = [track for track in tracks.values() if track.title not in drawn]
    measured = sum(series.value is not None for series in gate.series)
    return GatePage(
        warning=gate.warning,
        word=gate.verdict.word,
        besides=f"night {gate.tonight.name}",
        subtitle=f"nightly gate of {gate.folder}",
        seconds=gate.tonight.started or gate.judged_at,
        coverage=f"{gate.coverage.rstrip('.')}.",
        measured=measured,
        planned=len(gate.series),
        facts=_facts(gate),
        worst=tuple(_findings(gate, found)),
        commands=gate.next_commands,
        advice=frozenset(c for c in gate.next_commands if c.startswith("(")),
        overview=glance.overview([*tracks.values()]),
        changed=changed,
        left_out=left_out,
        others=glance.small(rest),
        weekly=weekly_table(gate, moved),
        weekly_says=weekly_says(moved),
        by_series=by_series_table(gate, moved),
        series=series_table(gate, ordered),
        series_say=series_say(gate),
        nights=nights_table(gate),
        nights_say=morning.counted_nights(gate),
        epochs=grid("Environments, the latest first", morning.EPOCHS, morning.epoch_rows(gate), 5),
        acks=grid("Acknowledgements", morning.ACKS, morning.ack_rows(gate), 7),
        named=named_table(found),
        notes=tuple(cut(told.sentence, 400) for told in gate.told[:MOST_ROWS]),
        beside=not whole(gate),
    )


def whole(gate: Gate) -> bool:
    """Does the page hold every value of every series?"""
    return len(gate.series) <= MOST_CHARTS and len(gate.nights) <= nights.MOST_ROWS


# the first screen -------------------------------------------------------------------------------------


def _findings(gate: Gate, found: Sequence[Named]) -> Iterator[Finding]:
    """What changed, and beside it who the night itself names."""
    states = [series.state for series in gate.series]
    severity: Severity = next((_SEVERITY[s] for s in morning.FLAGGED if s in states), "note")
    told = morning.changes(gate)
    for number, sentence in enumerate(told[:WORST]):
        kind = next((_SEVERITY[state] for state in morning.FLAGGED if state in sentence), severity)
        yield Finding(cut(sentence, 400), kind if number else severity)
        if not number:
            for suspect in found[:2]:
                nights_ = " and ".join(suspect.nights)
                yield Finding(
                    f"Named by night {nights_}: {suspect.words}", "warning", suspect.hosts
                )
    if len(told) > WORST:
        yield Finding(f"{len(told) - WORST} more changes stand below", "note")
    for alarm in [told_.sentence for told_ in gate.told if told_.alarms][:WORST]:
        yield Finding(cut(alarm, 400), "warning")


def _facts(gate: Gate) -> tuple[Fact, ...]:
    counts = Counter(night.state for night in gate.nights)
    states = Counter(series.state for series in gate.series)
    slow = sum(states[state] for state in morning.WORSE)
    worst = max(gate.series, key=lambda s: s.worse if s.worse is not None else -1.0, default=None)
    bad = worst is not None and worst.worse is not None and worst.worse > 0
    seen = [s.smallest_effect for s in gate.series if s.smallest_effect is not None]
    quiet = f"from {min(seen):.1%} to {max(seen):.1%} by series" if seen else "still learning"
    odd = ", ".join(
        f"{counts[s]} {s}" for s in ("flagged", "changed", "missing", "corrupt") if counts[s]
    )
    return (
        Fact("series slower", f"{slow:,} of {len(gate.series):,}", _words(states)),
        Fact(
            "largest effect",
            f"-{worst.worse:.1%}" if bad and worst and worst.worse is not None else NOTHING,
            cut(worst.words, 80) if bad and worst else "nothing is worse than its baseline",
        ),
        Fact(
            "nights accepted",
            f"{counts['accepted'] + counts['learning']:,} of {len(gate.nights):,}",
            odd or "none flagged, none missing",
        ),
        Fact(
            "smallest effect seen", f"{np.median(seen):.1%}" if seen else NOTHING, f"median; {quiet}"
        ),
    )  # fmt: skip


def _words(states: Counter[SeriesState]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.most_common(3))


# series over the nights -------------------------------------------------------------------------------


def _ordered(gate: Gate, moved: Sequence[Shift]) -> list[SeriesResult]:
    """As the gate has them, the worst first; those that only changed before come next."""
    moves = {shift.series.name for shift in moved}
    flagged = [series for series in gate.series if series.state in morning.FLAGGED]
    rest = [series for series in gate.series if series.state not in morning.FLAGGED]
    return flagged + sorted(rest, key=lambda series: series.name not in moves)


def track_of(gate: Gate, series: SeriesResult, moved: Sequence[Shift], number: int) -> Track:
    """A series as its charts want it."""
    columns = over(series, len(gate.nights))
    states = [*series.states, *["missing"] * (len(gate.nights) - len(series.states))]
    frame = pd.DataFrame(
        {
            "at": [night.started for night in gate.nights],
            "night": [night.name for night in gate.nights],
            "value": columns.value,
            "low": columns.low,
            "middle": columns.middle,
            "high": columns.high,
            "effect": columns.effect,
            "state": [nights.FLAGGED if state not in _PLAIN else state for state in states],
            "why": [
                "; ".join(filter(None, (state if state not in _PLAIN else "", *night.why[:1])))
                for state, night in zip(states, gate.nights, strict=True)
            ],
            "run": [night.folder for night in gate.nights],
        }
    )
    frame = frame[frame["at"].notna()].reset_index(drop=True)
    return Track(
        name=f"series-{number}",
        title=series.words,
        unit=series.unit,
        says=cut(_says(series), 600),
        nights=frame,
        marks=tuple(_marks(gate, series, moved)),
        lower_is_better=not series.larger_is_better,
    )


def _says(series: SeriesResult) -> str:
    seen = series.smallest_effect
    visible = "" if seen is None else f" The smallest effect that would be flagged is {seen:.1%}."
    return f"{series.sentence.rstrip('.')}.{visible}"


def _marks(gate: Gate, series: SeriesResult, moved: Sequence[Shift]) -> Iterator[Mark]:
    for epoch in gate.epochs[1:]:
        began = gate.nights[epoch.night].started
        if began is not None and epoch.changes:
            yield Mark(began, "epoch", ", ".join(change.sentence() for change in epoch.changes))
    for shift in moved:
        began = gate.nights[shift.change.night].started
        if shift.series.name == series.name and began is not None:
            yield Mark(
                began,
                "change",
                f"{shift.change.effect:+.1%} since {gate.nights[shift.change.night].name}",
            )
    for night, state in zip(gate.nights, series.states, strict=False):
        if state == "acknowledged" and night.started is not None:
            by = next((a.author for a in gate.acks if a.night == night.name), series.acknowledged)
            yield Mark(night.started, "ack", f"acknowledged{f' by {by}' if by else ''}")


def _charts(tracks: Sequence[Track]) -> tuple[tuple[Chart, ...], str]:
    """Those that there is room for, and a sentence about the others."""
    made: list[Chart] = []
    spent = 0
    for track in tracks[:MOST_CHARTS]:
        chart = nights.over_nights(track)
        spent += weight(chart)
        if spent > MOST_BYTES:
            break
        made.append(chart)
    left = len(tracks) - len(made)
    more = (
        "" if left <= 0 else f"{left} more series changed; they are small charts, or in the rows."
    )
    return tuple(made), more
