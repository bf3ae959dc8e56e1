"""Charts of a stage whose runs are measured at growing numbers of nodes, and what was expected of each."""

from __future__ import annotations

import dataclasses
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from railgauge.errors import UsageError
from railgauge.units import format_size
from railgauge_reports.acceptance.rows import Asked, Rows, expected_of, plain
from railgauge_reports.cells import NOTHING, significant
from railgauge_reports.judged import Band
from railgauge_reports.page.chart import Chart, Grid, spec_of
from railgauge_reports.page.curves import MOST_CURVES, MOST_ROWS
from railgauge_reports.page.curves import legend as legend_of
from railgauge_reports.series import labels


@dataclasses.dataclass(frozen=True, eq=False)
class Scales:
    """`frame`: a row an operation, size and number of nodes: label, operation, nodes, ranks, nbytes, the
    median, lowest and highest busbw of its groups, and `expected_low`, `expected_high` (NA: not known).
    """

    frame: pd.DataFrame
    reason: str

    def bands(self, nodes: int) -> dict[tuple[str, int], Band]:
        """What is expected at one number of nodes, by (operation, size)."""
        known = self.frame[(self.frame["nodes"] == nodes) & self.frame["expected_low"].notna()]
        columns = ["operation", "nbytes", "expected_low", "expected_high"]
        return {
            (str(operation), int(nbytes)): Band(float(low), float(high))
            for operation, nbytes, low, high in known[columns].itertuples(index=False, name=None)
        }


def scales_of(rows: Rows) -> Scales:
    """The rows of a stage by how many nodes took part; groups of the same size are one point."""
    told = rows.frame
    told = told[told["busbw_GBps"].notna() & (told["nbytes"] > 0)]
    told = told.assign(nodes=told["hosts"].str.count(" ").astype("int64") + 1, label=labels(told))
    keys = ["label", "nodes", "nbytes"]
    made = told.groupby(keys, sort=False).agg(
        run=("run", "first"),
        operation=("operation", "first"),
        ranks=("ranks", "first"),
        asked=("asked", "first"),
        busbw=("busbw_GBps", "median"),
        low=("busbw_GBps", "min"),
        high=("busbw_GBps", "max"),
        groups=("busbw_GBps", "size"),
    )
    return _with_expected(made.reset_index().sort_values(keys, kind="stable"), rows)


def _with_expected(frame: pd.DataFrame, rows: Rows) -> Scales:
    low, high, reason = [], [], ""
    columns = ["run", "operation", "nodes", "ranks", "asked", "nbytes"]
    for run, operation, nodes, ranks, name, nbytes in frame[columns].itertuples(
        index=False, name=None
    ):
        try:
            asked = Asked(str(run), str(operation), int(nodes), int(ranks), plain(name))
            band = expected_of(rows, asked, [int(nbytes)])
            low.append(float(band.busbw_GBps(band.seconds_high)[0]))
            high.append(float(band.busbw_GBps(band.seconds_low)[0]))
        except UsageError as error:
            reason = str(error).splitlines()[0]
            low.append(np.nan)
            high.append(np.nan)
    known = np.isfinite(low) & np.isfinite(high)
    parts = {"expected_low": low, "expected_high": high}
    more = {name: pd.Series(part, frame.index, "Float64") for name, part in parts.items()}
    made = frame.assign(**{name: part.where(known) for name, part in more.items()})
    return Scales(made, reason)


def scaling(scales: Scales) -> Chart | None:
    """busbw of the largest size against nodes; None where there is but one number of nodes."""
    frame = scales.frame
    if frame.empty or frame["nodes"].nunique() < 2:
        return None
    largest = frame[frame["nbytes"] == frame.groupby("label")["nbytes"].transform("max")]
    best = largest.groupby("label")["busbw"].max().nlargest(MOST_CURVES)
    drawn = largest[largest["label"].isin(best.index)]
    points = drawn[["label", "nodes", "busbw", "low", "high", "groups"]].assign(
        size=drawn["nbytes"].map(format_size)
    )
    known = drawn[drawn["expected_low"].notna()]
    bands = known[["label", "nodes", "expected_low", "expected_high"]]
    spec = spec_of(_layers(points, len(bands) > 0))
    data = {"points": points, **({"expected": bands} if len(bands) else {})}
    return Chart(
        "scaling", "busbw against nodes", _says(drawn, known, scales.reason), spec, data, _grid(frame)
    )  # fmt: skip


def _layers(points: pd.DataFrame, banded: bool) -> Any:
    ticks = sorted({int(nodes) for nodes in points["nodes"]})
    x = alt.X(
        "nodes:Q",
        title="nodes of a group",
        scale=alt.Scale(type="log", base=2, nice=False),
        axis=alt.Axis(values=ticks[:64], format="d", grid=False),
    )
    names = list(dict.fromkeys(points["label"]))
    title = "busbw, GB/s"
    color = alt.Color("label:N", sort=None, legend=legend_of(names))
    base = alt.Chart(alt.NamedData("points")).encode(x=x, color=color)
    spread = base.mark_rule(opacity=0.5).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    busbw = alt.Y("busbw:Q", title=title, scale=alt.Scale(zero=True))
    line = base.mark_line(strokeWidth=2).encode(y=busbw)
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=busbw,
        shape=alt.Shape("label:N", sort=None, legend=None),
        tooltip=[
            alt.Tooltip("label:N", title="operation"),
            alt.Tooltip("nodes:Q"),
            alt.Tooltip("size:N"),
            alt.Tooltip("busbw:Q", title="median GB/s", format=".4~g"),
            alt.Tooltip("low:Q", title="slowest group", format=".4~g"),
            alt.Tooltip("high:Q", title="fastest group", format=".4~g"),
            alt.Tooltip("groups:Q"),
        ],
    )
    layers = [spread, line, dots]
    if banded:
        band = (
            alt.Chart(alt.NamedData("expected"))
            .mark_area(opacity=0.12, color="@ink")
            .encode(
                x=x,
                y=alt.Y("expected_low:Q", title=title),
                y2="expected_high:Q",
                detail="label:N",
            )
        )
        layers.insert(0, band)
    return alt.layer(*layers).properties(height=320)


def _says(drawn: pd.DataFrame, known: pd.DataFrame, reason: str) -> str:
    last = drawn[drawn["nodes"] == drawn["nodes"].max()].nsmallest(1, "busbw").iloc[0]
    said = (
        f"Among {int(last['nodes']):,} nodes {last['label']} of {format_size(int(last['nbytes']))}"
        f" reaches {significant(float(last['busbw']))} GB/s."
    )
    if known.empty:
        return f"{said} No expectation{f': {reason}' if reason else ''}."
    below = int((known["busbw"] < known["expected_low"]).sum())
    return f"{said} The grey band is what is expected; {below} of {len(known)} points lie below it."


def _grid(frame: pd.DataFrame) -> Grid:
    columns = ["label", "nbytes", "nodes", "busbw", "low", "high", "expected_low", "expected_high"]
    rows = [
        (
            str(label),
            format_size(int(nbytes)),
            f"{int(nodes):,}",
            *(significant(value) for value in (busbw, low, high)),
            NOTHING if pd.isna(least) else f"{least:.3g} - {most:.3g}",
            f"{int(groups):,}",
        )
        for label, nbytes, nodes, busbw, low, high, least, most, groups in frame[[*columns, "groups"]]
        .sort_values(["label", "nbytes", "nodes"], kind="stable")
        .head(MOST_ROWS)
        .itertuples(index=False, name=None)
    ]  # fmt: skip
    header = (*("operation", "size", "nodes", "busbw", "slowest", "fastest", "expected", "groups"),)
    return Grid(
        "busbw in GB/s by nodes: the median of the groups, the slowest and the fastest",
        header,
        rows,
        left=2,
    )
