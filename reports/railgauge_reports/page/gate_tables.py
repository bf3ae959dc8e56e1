"""The tables of the page of a gate: series, nights, change points, suspects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from railgauge_reports.cells import NOTHING, cut
from railgauge_reports.history import morning
from railgauge_reports.history.answer import Gate, SeriesResult
from railgauge_reports.history.named import Named
from railgauge_reports.history.tracks import Shift
from railgauge_reports.page.chart import Grid

#: Rows of the tables of series, nights, change points and everything else.
MOST_SERIES, MOST_NIGHTS, MOST_SHIFTS, MOST_ROWS = 120, 62, 40, 60


def grid(
    caption: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: int
) -> Grid | None:
    more = f"; {len(rows) - MOST_ROWS} more are in the JSON" if len(rows) > MOST_ROWS else ""
    return Grid(f"{caption}{more}", header, rows[:MOST_ROWS], left) if rows else None


def series_table(gate: Gate, ordered: Sequence[SeriesResult]) -> Grid:
    rows = [
        (
            *morning.series_row(gate, series),
            _chance(series.p),
            morning.again(series) or NOTHING,
        )
        for series in ordered[:MOST_SERIES]
    ]
    left = len(ordered) - len(rows)
    more = f"; {left} more are in the JSON and the rows" if left else ""
    return Grid(
        f"Series of the night against their baselines{more}",
        (*morning.SERIES, "p", "measured again"),
        rows,
        2,
    )


def _chance(p: float | None) -> str:
    """A p value, never smaller than anybody can mean."""
    return NOTHING if p is None else "< 1e-9" if p < 1e-9 else f"{p:.2g}"


def series_say(gate: Gate) -> str:
    chance = sum(s.state in morning.WORSE and not s.counts for s in gate.series)
    say = (
        "A series is flagged where it is worse than the median of its last accepted nights by four raw"
        " MADs or more and by 2 % or more."
    )
    return say + (
        f" {chance} of the flagged ones may be chance (Benjamini-Hochberg)." if chance else ""
    )


def nights_table(gate: Gate) -> Grid:
    plain = ("accepted", "learning")
    odd = [night for night in gate.nights if night.state not in plain][-MOST_NIGHTS:]
    kept = {
        night.name
        for night in [*gate.nights[-(MOST_NIGHTS - min(len(odd), MOST_NIGHTS // 2)) :], *odd]
    }
    rows = [morning.night_row(night) for night in reversed(gate.nights) if night.name in kept]
    left = len(gate.nights) - len(rows)
    more = f"; {left} older ones that were accepted are in the JSON" if left else ""
    return Grid(f"Nights, the latest first{more}", morning.NIGHTS, rows, 3)


def named_table(found: Sequence[Named]) -> Grid | None:
    rows = [
        (n.target, n.words, n.verified or "not verified", " and ".join(n.nights), n.next, n.folder)
        for n in found
    ]
    header = ("suspect", "what pairs say", "", "named by night", "next test", "evidence")
    return grid("Who the pairs of the nights accuse", header, rows, 6)


def weekly_table(gate: Gate, moved: Sequence[Shift]) -> Grid | None:
    """A row a night on which series changed for good."""
    by_night: dict[int, list[Shift]] = {}
    for shift in moved:
        by_night.setdefault(shift.change.night, []).append(shift)
    changes = {epoch.night: epoch.changes for epoch in gate.epochs[1:]}
    rows = []
    for night in sorted(by_night, reverse=True):
        found = by_night[night]
        worst = max(found, key=lambda s: abs(s.change.effect))
        rows.append(
            (
                gate.nights[night].name,
                cut(worst.series.words, 90),
                ", ".join(c.sentence() for c in changes.get(night, ())) or NOTHING,
                f"{len(found)} ({sum(s.worse for s in found)} worse)",
                f"{np.median([s.change.effect for s in found]):+.1%}",
                f"{worst.change.effect:+.1%} ({worst.change.low:+.1%} to {worst.change.high:+.1%})",
            )
        )
    header = (
        "since night",
        "most of all",
        "environment",
        "series",
        "median effect",
        "largest (99 % interval)",
    )
    return grid("When the history changed for good, the latest first", header, rows, 3)


def weekly_says(moved: Sequence[Shift]) -> str:
    if not moved:
        return "No series changed for good: no change point of 2 % or more has five nights on either side."
    return (
        "Change points of 2 % or more with five nights on either side; single bad nights make none. They tell"
        " when something changed, a week later than the gate tells that it did."
    )


def by_series_table(gate: Gate, moved: Sequence[Shift]) -> Grid | None:
    rows = [
        (
            shift.series.words,
            gate.nights[shift.change.night].name,
            "worse" if shift.worse else "better",
            f"{shift.change.before:.4g} -> {shift.change.after:.4g} {shift.series.unit}",
            f"{shift.change.effect:+.1%}",
            f"{shift.change.low:+.1%} to {shift.change.high:+.1%}",
            _chance(shift.change.p),
        )
        for shift in moved
    ]
    header = ("series", "since night", "", "median before -> after", "effect", "99 % interval", "p")
    more = f"; {len(rows) - MOST_SHIFTS} more are in the JSON" if len(rows) > MOST_SHIFTS else ""
    return Grid(f"Change points by series{more}", header, rows[:MOST_SHIFTS], 4) if rows else None
