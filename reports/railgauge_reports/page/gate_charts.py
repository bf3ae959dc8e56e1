"""Which series of a gate are drawn, and how, within a budget for all of them."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from railgauge_reports.cells import cut
from railgauge_reports.history import morning
from railgauge_reports.history.answer import Gate, SeriesResult
from railgauge_reports.history.naming import told
from railgauge_reports.history.tracks import Shift, over
from railgauge_reports.page import glance, nights
from railgauge_reports.page.chart import Chart
from railgauge_reports.page.nights import Mark, Track
from railgauge_reports.page.stages import weight

#: Bytes of the charts of single series, with their tables; the library and all else leave that much.
MOST_BYTES = 1_100_000
#: Series with a chart of their own.
MOST_CHARTS = 16
_PLAIN = ("accepted", "learning", "missing")


@dataclasses.dataclass(frozen=True)
class GateCharts:
    """`ordered` are all series, those that changed first; `left_out` says which have no chart."""

    ordered: tuple[SeriesResult, ...]
    overview: Chart | None
    changed: tuple[Chart, ...]
    left_out: str
    others: Chart | None


def drawn_of(gate: Gate, moved: Sequence[Shift]) -> GateCharts:
    """The charts of a gate; `moved` are its change points."""
    ordered = _ordered(gate, moved)
    eventful = [series for series in ordered if _eventful(series, moved)]
    names = {series.name for series in eventful}
    quiet = [series for series in ordered if series.name not in names]
    single, wide = eventful[:MOST_CHARTS], _spread(ordered, glance.MOST_SERIES)
    small = _spread(quiet, glance.MOST_SMALL)
    once = {series.name: series for series in (*single, *wide, *small)}
    tracks = {name: track_of(gate, s, moved, k) for k, (name, s) in enumerate(once.items())}
    changed, left_out = _charts([tracks[s.name] for s in single], len(eventful))
    return GateCharts(
        tuple(ordered),
        glance.overview([tracks[s.name] for s in wide], len(ordered)),
        changed,
        left_out,
        glance.small([tracks[s.name] for s in small], len(quiet)),
    )


def _eventful(series: SeriesResult, moved: Sequence[Shift]) -> bool:
    """Did anything happen to it on any night of the history?"""
    flagged = any(state in morning.FLAGGED for state in series.states)
    return flagged or any(shift.series.name == series.name for shift in moved)


def _ordered(gate: Gate, moved: Sequence[Shift]) -> list[SeriesResult]:
    """As the gate has them, the worst first; those where something happened before come next."""
    moves = {shift.series.name for shift in moved}
    flagged = [series for series in gate.series if series.state in morning.FLAGGED]
    rest = [series for series in gate.series if series.state not in morning.FLAGGED]
    rest.sort(key=lambda s: (s.name not in moves, "acknowledged" not in s.states))
    return flagged + rest


def _spread(ordered: Sequence[SeriesResult], most: int) -> list[SeriesResult]:
    """The first ones of every operation, `most` in all, in their order."""
    turn: Counter[str] = Counter()
    turns = []
    for place, series in enumerate(ordered):
        turns.append((turn[series.key.operation], place))
        turn[series.key.operation] += 1
    return [ordered[place] for place in sorted(place for _, place in sorted(turns)[:most])]


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
        told=functools.partial(told, series.key),
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
            by = {a.author for a in gate.acks if a.night in (night.name, night.folder)}
            yield Mark(night.started, "ack", " by ".join(("acknowledged", *sorted(by)[:1])))


def _charts(tracks: Sequence[Track], total: int) -> tuple[tuple[Chart, ...], str]:
    """Those that there is room for, and a sentence about the others of `total`."""
    made: list[Chart] = []
    spent = 0
    for track in tracks:
        chart = nights.over_nights(track)
        spent += weight(chart)
        if spent > MOST_BYTES:
            break
        made.append(chart)
    left = total - len(made)
    return tuple(made), f"{left} more series changed." if left else ""
