"""Many series over the nights of a history: all at a glance, and the quiet ones as small charts."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from railgauge_reports.cells import NOTHING, cut
from railgauge_reports.page.chart import Chart, Grid
from railgauge_reports.page.nights import (
    ACCEPTED,
    FLAGGED,
    MISSING,
    Track,
    against,
    day,
    labelled,
    points,
    rings,
)

#: Rows of the overview, small charts, points of all small charts together.
MOST_SERIES, MOST_SMALL, MOST_POINTS = 40, 24, 6000
#: Nights of the overview, and how many of them a thick outline does not hide.
MOST_NIGHTS, FEW_NIGHTS = 92, 45
#: The share from which on an effect is drawn at its full depth.
DEEPEST = 0.2
_WORSE, _BETTER = "worse than the baseline", "better"


def overview(shown: Sequence[Track], total: int) -> Chart | None:
    """The last nights of many series by how far they lie from their baselines; None where none has one.

    `total` is how many series there are.
    """
    parts = []
    for track in shown:
        nights = track.nights.tail(MOST_NIGHTS)
        worse = nights["effect"].astype("Float64") * (-1 if track.lower_is_better else 1)
        parts.append(
            pd.DataFrame(
                {
                    "series": cut(track.title, 60),
                    "night": [day(at) for at in nights["at"]],
                    "depth": worse.abs().clip(0, DEEPEST),
                    "side": [_WORSE if share < 0 else _BETTER for share in worse.fillna(0)],
                    "against": [against(effect) for effect in nights["effect"]],
                    "state": nights["state"],
                }
            )
        )
    if not parts:
        return None
    data = pd.concat(parts, ignore_index=True)
    if data["depth"].isna().all():
        return None
    data = data[data["depth"].notna() | (data["state"] != ACCEPTED)]
    order = list(dict.fromkeys(data["series"]))
    every = sorted(set(data["night"]))
    x = alt.X(
        "night:O",
        title=None,
        scale=alt.Scale(domain=every),
        axis=alt.Axis(
            labelAngle=0, labelOverlap=True, grid=False, labelExpr="slice(datum.label, 5)"
        ),
    )
    y = alt.Y("series:N", sort=order, title=None, axis=alt.Axis(labelLimit=300))
    legend = alt.Legend(orient="bottom", title=None, symbolType="square")
    side = alt.Color(
        "side:N",
        scale=alt.Scale(domain=[_WORSE, _BETTER], range=["@accent", "@series-0"]),
        legend=legend,
    )
    # of what lies near its baseline hardly anything is drawn, so that light and dark look alike
    shades = alt.Scale(domain=[0, DEEPEST], range=[0.05, 1])
    depth = alt.Opacity("depth:Q", scale=shades, legend=None)
    tip = _tips("series", "night", "against", "state")
    base = alt.Chart(alt.NamedData("cells")).encode(x=x, y=y, tooltip=tip)
    layers = [
        base.transform_filter("isValid(datum.depth)").mark_rect().encode(color=side, opacity=depth),
        base.transform_filter(f"datum.state == '{MISSING}'").mark_text(
            text="x", color="@faint", fontSize=11
        ),
        base.transform_filter(f"datum.state == '{FLAGGED}'").mark_rect(
            filled=False, stroke="@ink", strokeWidth=1.6 if len(every) <= FEW_NIGHTS else 0.7
        ),
    ]
    spec = alt.layer(*layers).properties(height=18 * len(order)).to_dict()
    says = (
        "A cell is a night of a series, the stronger the farther from its baseline (full at"
        f" {DEEPEST:.0%}); flagged ones are outlined, x has no value."
    )
    if total > len(shown):
        says += (
            f" Of {total} series {len(shown)} are drawn: of each operation those that changed most."
        )
    if any(len(track.nights) > MOST_NIGHTS for track in shown):
        says += f" The last {MOST_NIGHTS} nights."
    return Chart(
        "overview", "All series at a glance", says, spec, {"cells": data}, _overview_grid(shown)
    )


def _tips(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:N") for name in names]


def _overview_grid(tracks: Sequence[Track]) -> Grid:
    rows = []
    for track in tracks:
        told = track.nights[track.nights["value"].notna()]
        counts = [
            int((track.nights["state"] == state).sum()) for state in (ACCEPTED, FLAGGED, MISSING)
        ]
        last = told.iloc[-1] if len(told) else None
        rows.append(
            (
                track.title,
                *(
                    (NOTHING, NOTHING, NOTHING)
                    if last is None
                    else (
                        track.told(last["middle"]),
                        track.told(last["value"]),
                        against(last["effect"]),
                    )
                ),
                *map(str, counts),
            )
        )
    header = (
        "series",
        "baseline",
        "last night",
        "effect",
        "accepted",
        "flagged",
        "missing",
    )
    return Grid("The last night of each series against its baseline", header, rows, left=1)


def small(tracks: Sequence[Track], total: int) -> Chart | None:
    """Many series as small charts, of `total`; None where there are none."""
    shown = list(tracks[:MOST_SMALL])
    if not shown:
        return None
    each = max(20, MOST_POINTS // len(shown))
    parts = [
        points(track).tail(each).assign(series=cut(track.title, 60))
        for track in shown
    ]  # fmt: skip
    kept = ["series", "at", "night", "value", "shown", "low", "high", "stretch", "state", "against"]
    data = pd.concat(parts, ignore_index=True)[kept]
    units = {track.unit for track in shown}
    same = labelled(units.pop() if len(units) == 1 else "") | {"title": None}
    y = alt.Y("value:Q", scale=alt.Scale(zero=False), **same)
    ticks = alt.Axis(format="%b %d", tickCount=3, grid=False)
    x = alt.X("at:T", title=None, scale=alt.Scale(type="utc"), axis=ticks)
    base = alt.Chart(alt.NamedData("small")).encode(x=x)
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.13, color="@ink")
    tip = [*_tips("night", "against", "state"), alt.Tooltip("shown:N", title="value")]
    layers = [
        band.encode(
            y=alt.Y("low:Q", scale=alt.Scale(zero=False), **same), y2="high:Q", detail="stretch:N"
        ),
        base.mark_line(strokeWidth=1.2, color="@series-0").encode(y=y),
        base.mark_point(filled=True, size=16, opacity=1, color="@series-0").encode(
            y=y, tooltip=tip
        ),
        rings(base.encode(y=y), 70),
    ]
    facet = alt.Facet(
        "series:N",
        title=None,
        sort=[cut(track.title, 60) for track in shown],
        header=alt.Header(labelAnchor="start", labelLimit=290),
    )
    chart = alt.layer(*layers).properties(width=290, height=80).facet(facet, columns=3)
    chart = chart.resolve_scale(y="independent")
    left = total - len(shown)
    says = (
        "Each with a scale of its own; the grey band is the baseline's, a ring is a flagged night."
    )
    says += f" {left} more are in the rows beside the page and in the JSON." if left else ""
    spec = chart.to_dict()
    return Chart(
        "small", "The other series", says, spec, {"small": data}, _overview_grid(shown), True
    )
