"""A series over the nights of a history: what its charts are made of, and the chart of one."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from railgauge_reports.cells import NOTHING, cut
from railgauge_reports.page.chart import Chart, Grid, Spec
from railgauge_reports.page.curves import TIME_LABEL

DAY = 86_400
#: Nights in the table below a chart: the latest of those where nothing happened, and all the others first.
MOST_ROWS = 60
MOST_LABEL = 42
#: Lines of labels above a plot, their height in pixels, and the share of the plot that a label takes.
_LINES, _LINE_PIXELS, _LABEL_SHARE = 3, 14, 0.24

#: States of a night of a series. What was not accepted is outlined; the baseline knows nothing of it.
ACCEPTED, LEARNING, FLAGGED, MISSING = "accepted", "learning", "flagged", "missing"
MarkKind = Literal["epoch", "change", "ack"]


@dataclasses.dataclass(frozen=True)
class Mark:
    """Something that happened: `at` in seconds of the epoch, UTC."""

    at: float
    kind: MarkKind
    label: str


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """A series over the nights.

    `nights` has a row a night, in time: `at` (seconds of the epoch), `value` (NaN: missing), `low`, `middle`
    and `high` of the baseline (NaN: none yet), `effect` (share of the middle), `state`, `why`, `run`.
    `name` is that of its chart, `told` writes a value with its unit. Higher is better unless
    `lower_is_better`.
    """

    name: str
    title: str
    unit: str
    says: str
    nights: pd.DataFrame
    told: Callable[[float | None], str]
    marks: tuple[Mark, ...] = ()
    lower_is_better: bool = False


def over_nights(track: Track) -> Chart:
    """A series with its baseline, epochs, change points, acknowledgements, flagged and missing nights."""
    told = points(track)
    gaps, marks = _gaps(track.nights), _placed(track)
    data = {"nights": told, **({"gaps": gaps} if len(gaps) else {})}
    data |= {"marks": marks} if len(marks) else {}
    places = sorted(set(zip(marks["line"], marks["align"], strict=True)))
    kinds = tuple(kind for kind in _DASH if (marks["kind"] == kind).any())
    spec = _spec(track.unit, len(gaps) > 0, kinds, tuple(places))
    return Chart(track.name, track.title, track.says, spec, data, _grid(track))


@functools.cache
def _spec(
    unit: str,
    gaps: bool,
    kinds: tuple[MarkKind, ...],
    places: tuple[tuple[int, Literal["left", "right"]], ...],
) -> Spec:
    """The layers of one kind of chart; altair takes most of a second to check them."""
    scale = alt.Scale(zero=False, nice=False, padding=10)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", scale=scale, **labelled(unit))

    layers = _ground(y("low"), y("middle"), gaps)
    layers += [_rule(kind) for kind in kinds]
    layers += [_label(*place) for place in places]
    base = alt.Chart(alt.NamedData("nights")).encode(x=_time(), y=y("value"))
    layers += [
        base.mark_line(strokeWidth=1.5, color="@series-0", opacity=0.7),
        rings(base, 150),
        base.mark_point(filled=True, size=34, opacity=1).encode(
            color=alt.Color("state:N", legend=None, scale=_STATES),
            shape=alt.Shape("state:N", legend=None, scale=_SHAPES),
            tooltip=_TOOLTIP,
        ),
    ]
    made: Spec = alt.layer(*layers).properties(height=240).to_dict()
    return made


_STATES = alt.Scale(
    domain=[ACCEPTED, LEARNING, FLAGGED], range=["@series-0", "@faint", "@accent"]
)  # fmt: skip
_SHAPES = alt.Scale(
    domain=[ACCEPTED, LEARNING, FLAGGED], range=["circle", "square", "triangle-down"]
)
_DASH: dict[MarkKind, list[int]] = {"epoch": [6, 3], "change": [1, 0], "ack": [2, 3]}
_COLOR: dict[MarkKind, str] = {"epoch": "@ink", "change": "@accent", "ack": "@series-2"}
_TOOLTIP = [
    alt.Tooltip("night:N"),
    alt.Tooltip("shown:N", title="value"),
    alt.Tooltip("against:N", title="against baseline"),
    alt.Tooltip("band:N", title="baseline band"),
    alt.Tooltip("state:N"),
    alt.Tooltip("why:N"),
]


def labelled(unit: str) -> dict[str, Any]:
    """Title and labels of an axis: seconds are written as people read them."""
    if unit == "s":
        return {"title": "time", "axis": alt.Axis(labelExpr=TIME_LABEL)}
    return {"title": unit or None}


def rings(base: alt.Chart, size: int) -> Any:
    """Around flagged values. Of the others they are not drawn: a layer without data has no scale."""
    drawn = alt.condition(f"datum.state == '{FLAGGED}'", alt.value(1), alt.value(0))
    ring = base.mark_point(size=size, strokeWidth=2, color="@accent", filled=False)
    return ring.encode(opacity=drawn)


def _time() -> alt.X:
    axis = alt.Axis(format="%b %d", grid=False, labelSeparation=8)
    return alt.X("at:T", title=None, scale=alt.Scale(type="utc"), axis=axis)


def _ground(low: alt.Y, middle: alt.Y, gaps: bool) -> list[alt.Chart]:
    """The band and middle of the baseline, and nights that there are none of."""
    base = alt.Chart(alt.NamedData("nights")).transform_filter("isValid(datum.low)")
    base = base.encode(x=_time(), detail="stretch:N")
    made = [
        base.mark_area(opacity=0.13, color="@ink").encode(y=low, y2="high:Q"),
        base.mark_line(strokeWidth=1, strokeDash=[4, 3], color="@faint").encode(y=middle),
    ]
    if gaps:
        lost = alt.Chart(alt.NamedData("gaps"))
        lost = lost.encode(x=alt.X("from:T", scale=alt.Scale(type="utc")), x2="to:T")
        tip = alt.Tooltip("words:N", title="missing")
        made.insert(0, lost.mark_rect(color="@accent", opacity=0.14).encode(tooltip=tip))
    return made


def _rule(kind: MarkKind) -> Any:
    dash, width = _DASH[kind], 2 if kind == "change" else 1.2
    base = alt.Chart(alt.NamedData("marks")).transform_filter(f"datum.kind == '{kind}'")
    rule = base.mark_rule(color=_COLOR[kind], strokeDash=dash, strokeWidth=width)
    return rule.encode(
        x=_time(), tooltip=[alt.Tooltip("night:N"), alt.Tooltip("whole:N", title=kind)]
    )


def _label(line: int, align: Literal["left", "right"]) -> Any:
    here = f"datum.line == {line} && datum.align == '{align}'"
    base = alt.Chart(alt.NamedData("marks")).transform_filter(here)
    place = alt.value(-8 - _LINE_PIXELS * line)
    text = base.mark_text(align=align, dx=2 if align == "right" else -2, fontSize=11, clip=False)
    return text.encode(x=_time(), y=place, text="label:N")


def _placed(track: Track) -> pd.DataFrame:
    """Marks with the line and the side of their label: neighbours do not stand on each other."""
    at = track.nights["at"]
    first, span = (float(at.min()), float(at.max() - at.min()) or 1.0) if len(at) else (0.0, 1.0)
    width = span * _LABEL_SHARE
    free = [-np.inf] * _LINES
    rows = []
    for mark in sorted(track.marks, key=lambda mark: mark.at):
        right = mark.at > first + span - width  # it would run out of the plot
        begin = mark.at - width if right else mark.at
        line = next((k for k, end in enumerate(free) if end <= begin), _LINES - 1)
        free[line] = begin + width
        label, align = cut(mark.label, MOST_LABEL), "right" if right else "left"
        told = cut(mark.label, 200)
        rows.append((_ms(mark.at), mark.kind, label, told, line, align, day(mark.at)))
    columns = ["at", "kind", "label", "whole", "line", "align", "night"]
    return pd.DataFrame(rows, columns=columns)


def points(track: Track) -> pd.DataFrame:
    """A row a night; over missing nights the baseline goes on as it was."""
    nights, band = track.nights, track.nights[["low", "middle", "high"]]
    band = band.where(nights["state"] != MISSING, band.ffill())
    known = band["low"].notna()
    return pd.DataFrame(
        {
            "at": [_ms(at) for at in nights["at"]],
            "night": [day(at) for at in nights["at"]],
            "value": nights["value"].astype("Float64"),
            "shown": [track.told(value) for value in nights["value"]],
            **{name: band[name].astype("Float64") for name in band},
            # a band does not run through nights without one
            "stretch": (known != known.shift()).cumsum().astype("int64"),
            "against": [against(effect) for effect in nights["effect"]],
            "band": [_band(track, *pair) for pair in zip(band["low"], band["high"], strict=True)],
            "state": nights["state"],
            "why": [cut(str(why), 160) for why in nights["why"]],
        }
    )  # fmt: skip


def _gaps(nights: pd.DataFrame) -> pd.DataFrame:
    """Runs of missing nights, half a day to either side."""
    missing = nights[nights["state"] == MISSING]
    rows: list[list[Any]] = []
    for at, why in zip(missing["at"], missing["why"], strict=True):
        if rows and at - rows[-1][3] < 1.5 * DAY:
            rows[-1][1], rows[-1][2], rows[-1][3] = _ms(at + DAY / 2), f"{rows[-1][2]}; {why}", at
        else:
            rows.append([_ms(at - DAY / 2), _ms(at + DAY / 2), f"{day(at)}: {why}", at])
    columns = ["from", "to", "words"]
    return pd.DataFrame([row[:3] for row in rows], columns=columns)


def _grid(track: Track) -> Grid:
    """What happened first counts: nights that are not accepted, and then the latest of the others."""
    nights = track.nights
    odd = nights["state"] != ACCEPTED
    few = nights[odd].tail(MOST_ROWS)
    rest = nights[~odd].tail(max(0, MOST_ROWS - len(few)))
    shown = nights.loc[sorted([*few.index, *rest.index])]
    rows = [
        (
            day(night["at"]),
            str(night["state"]),
            track.told(night["value"]),
            _band(track, night["low"], night["high"]),
            against(night["effect"]),
            cut(str(night["why"]), 200),
            str(night["run"]),
        )
        for night in shown.to_dict("records")
    ]
    left = len(nights) - len(shown)
    caption = f"{track.title}, by night (UTC)"
    caption += (
        f"; {left} more nights are in the rows beside the page and in the JSON" if left else ""
    )
    header = ("night", "state", "value", "baseline band", "effect", "why", "run")
    return Grid(caption, header, rows, left=2)


def _band(track: Track, low: float, high: float) -> str:
    return NOTHING if pd.isna(low) else f"{track.told(low)} - {track.told(high)}"


def against(effect: float) -> str:
    return NOTHING if pd.isna(effect) else f"{effect:+.1%}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def day(seconds: float) -> str:
    """`2026-10-18`, UTC."""
    at = datetime.datetime.fromtimestamp(float(seconds), datetime.timezone.utc)
    return at.strftime("%Y-%m-%d")
