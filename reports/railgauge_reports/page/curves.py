"""Charts over the message size: bandwidth with what was expected, and percentiles of the time."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from railgauge.units import format_size
from railgauge_reports.cells import NOTHING, seconds, significant
from railgauge_reports.judged import Judged
from railgauge_reports.page.chart import Chart, Grid, spec_of

#: Curves that can be told apart; of more, those with the highest bandwidth are drawn.
MOST_CURVES = 8
MOST_PANELS = 4
#: Points of a chart, and rows of the table below it.
MOST_POINTS, MOST_ROWS = 2000, 300
_SIZE_LABEL = (
    "datum.value >= 1073741824 ? datum.value / 1073741824 + 'G'"
    " : datum.value >= 1048576 ? datum.value / 1048576 + 'M'"
    " : datum.value >= 1024 ? datum.value / 1024 + 'K' : datum.value + ''"
)
TIME_LABEL = (
    "datum.value >= 1 ? format(datum.value, '~g') + ' s'"
    " : datum.value >= 0.001 ? format(datum.value * 1000, '~g') + ' ms'"
    " : format(datum.value * 1000000, '~g') + ' us'"
)
#: Percentile -> column of the series frame.
PERCENTILES = {
    "fastest": "min_seconds",
    "median": "median_seconds",
    "p99": "p99_seconds",
    "p99.9": "p999_seconds",
    "slowest": "max_seconds",
}


def bandwidth(series: pd.DataFrame, judged: Judged) -> Chart | None:
    """busbw against size; None where nothing has a bandwidth."""
    told = series[series["busbw_GBps"].notna() & (series["nbytes"] > 0)]
    if told.empty:
        return None
    best = told.groupby("label", sort=False)["busbw_GBps"].max().nlargest(MOST_CURVES)
    drawn = told[told["label"].isin(best.index)].head(MOST_POINTS)
    expected = _expected(drawn, judged)
    points = pd.DataFrame(
        {
            "size": drawn["nbytes"],
            "bytes": drawn["nbytes"].map(format_size),
            "curve": drawn["label"],
            "busbw": drawn["busbw_GBps"],
            "low": drawn["busbw_low"],
            "high": drawn["busbw_high"],
            "groups": drawn["groups"],
        }
    )
    x = _sizes(drawn["nbytes"])
    color = alt.Color("curve:N", sort=None, legend=legend(best.index.tolist()))
    busbw = alt.Y("busbw:Q", title="busbw, GB/s", scale=alt.Scale(zero=True))
    base = alt.Chart(alt.NamedData("points")).encode(x=x, color=color)
    layers = [
        base.mark_area(opacity=0.18).encode(y=alt.Y("low:Q", title="busbw, GB/s"), y2="high:Q"),
        base.mark_rule(opacity=0.5).encode(y=alt.Y("low:Q", title="busbw, GB/s"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=busbw),
        base.mark_point(filled=True, size=45, opacity=1).encode(
            y=busbw,
            shape=alt.Shape("curve:N", sort=None, legend=None),
            tooltip=[
                alt.Tooltip("curve:N"),
                alt.Tooltip("bytes:N", title="size"),
                alt.Tooltip("busbw:Q", title="busbw GB/s", format=".4~g"),
                alt.Tooltip("low:Q", title="low", format=".4~g"),
                alt.Tooltip("high:Q", title="high", format=".4~g"),
                alt.Tooltip("groups:Q"),
            ],
        ),
    ]
    if len(expected):
        layers = _band(x, expected) + layers
    spec = spec_of(alt.layer(*layers).properties(height=_height(drawn)))
    peak = drawn.nlargest(1, "busbw_GBps").iloc[0]
    says = (
        f"Highest busbw {significant(float(peak['busbw_GBps']))} GB/s, of {peak['label']} at"
        f" {format_size(int(peak['nbytes']))}. {_band_words(drawn, expected, judged)}"
    )
    data = {"points": points, **({"expected": expected} if len(expected) else {})}
    return Chart(
        "bandwidth", "Bandwidth against size", says, spec, data, _bandwidth_grid(told, judged)
    )


def _expected(drawn: pd.DataFrame, judged: Judged) -> pd.DataFrame:
    rows = [
        (nbytes, operation, band.low_GBps, band.high_GBps, band.bound_GBps)
        for (operation, nbytes), band in judged.expected.items()
        if ((drawn["operation"] == operation) & (drawn["nbytes"] == nbytes)).any()
    ]
    return pd.DataFrame(rows, columns=["size", "operation", "low", "high", "bound"]).astype(
        {"low": "Float64", "high": "Float64", "bound": "Float64"}
    )


def _band(x: alt.X, expected: pd.DataFrame) -> list[alt.Chart]:
    base = alt.Chart(alt.NamedData("expected")).encode(x=x, detail="operation:N")
    band = base.mark_area(opacity=0.12, color="@ink").encode(
        y=alt.Y("low:Q", title="busbw, GB/s"), y2="high:Q"
    )
    if expected["bound"].isna().all():
        return [band]
    bound = base.mark_line(color="@ink", strokeDash=[5, 4], strokeWidth=1)
    return [band, bound.encode(y=alt.Y("bound:Q", title="busbw, GB/s"))]


def _band_words(drawn: pd.DataFrame, expected: pd.DataFrame, judged: Judged) -> str:
    if not len(expected):
        return f"{judged.unexpected[:1].upper()}{judged.unexpected[1:]}."
    below = sum(
        rate < judged.expected[operation, nbytes].low_GBps
        for operation, nbytes, rate in drawn[
            ["operation", "nbytes", "busbw_GBps"]
        ].itertuples(index=False, name=None)
        if (operation, nbytes) in judged.expected
    )  # fmt: skip
    return f"The grey band is what is expected; {below} of {len(drawn)} points lie below it."


def _bandwidth_grid(told: pd.DataFrame, judged: Judged) -> Grid:
    rows = []
    for _, row in told.head(MOST_ROWS).iterrows():
        band = judged.expected.get((str(row["operation"]), int(row["nbytes"])))
        rows.append(
            (
                str(row["label"]),
                f"{int(row['nbytes']):,}",
                significant(row["busbw_GBps"]),
                significant(row["busbw_low"]),
                significant(row["busbw_high"]),
                NOTHING if band is None else f"{band.low_GBps:.3g} - {band.high_GBps:.3g}",
                seconds(row["median_seconds"]),
                f"{int(row['groups']):,}",
            )
        )
    return Grid(
        "busbw in GB/s: the median of the groups, from the slowest to the fastest (of one group, the"
        " 95 % interval)",
        ("curve", "bytes", "busbw", "low", "high", "expected", "median time", "groups"),
        rows,
    )


def percentiles(series: pd.DataFrame) -> Chart | None:
    """Percentiles of the time against size, a panel an operation; None where no times were kept."""
    kept = series["median_seconds"].notna() & series["max_seconds"].notna()
    told = series[kept & (series["nbytes"] > 0)]
    if told.empty:
        return None
    panels = list(dict.fromkeys(told["label"]))[:MOST_PANELS]
    drawn = told[told["label"].isin(panels)].head(MOST_POINTS // len(PERCENTILES))
    parts = [
        pd.DataFrame(
            {
                "size": drawn["nbytes"],
                "bytes": drawn["nbytes"].map(format_size),
                "curve": drawn["label"],
                "percentile": name,
                "seconds": drawn[column],
                "time": drawn[column].map(seconds),
            }
        )
        for name, column in PERCENTILES.items()
    ]
    data = pd.concat(parts, ignore_index=True)
    data = data[data["seconds"] > 0]
    order = list(PERCENTILES)
    chart = (
        alt.Chart(alt.NamedData("times"))
        .mark_line(point=alt.OverlayMarkDef(filled=True, size=30), strokeWidth=1.5)
        .encode(
            x=_sizes(drawn["nbytes"]),
            y=alt.Y(
                "seconds:Q",
                title="time of an iteration",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(labelExpr=TIME_LABEL, values=_decades(data["seconds"])),
            ),
            color=alt.Color("percentile:N", sort=order, legend=legend(order)),
            strokeDash=alt.StrokeDash("percentile:N", sort=order, legend=None),
            tooltip=[
                alt.Tooltip("curve:N"),
                alt.Tooltip("bytes:N", title="size"),
                alt.Tooltip("percentile:N"),
                alt.Tooltip("time:N"),
            ],
        )
    )
    several = len(panels) > 1
    sized = (
        chart.properties(width=430, height=220)
        if several
        else chart.properties(height=_height(drawn))
    )
    made = (
        sized.facet(alt.Facet("curve:N", title=None, sort=panels), columns=2) if several else sized
    )
    worst = told.iloc[int((told["max_seconds"] / told["median_seconds"]).to_numpy(float).argmax())]
    says = (
        f"The slowest iteration is up to {float(worst['max_seconds'] / worst['median_seconds']):,.3g}"
        f" times the median ({worst['label']} at {format_size(int(worst['nbytes']))})."
    )
    return Chart(
        "percentiles", "Percentiles of the time", says, spec_of(made), {"times": data},
        _percentiles_grid(told), square=several,
    )  # fmt: skip


def _percentiles_grid(told: pd.DataFrame) -> Grid:
    rows = [
        (
            str(row["label"]),
            f"{int(row['nbytes']):,}",
            *(seconds(row[column]) for column in PERCENTILES.values()),
            f"{int(row['samples']):,}",
        )
        for _, row in told.head(MOST_ROWS).iterrows()
    ]
    return Grid(
        "Times of an iteration; of several groups the median of their medians and the largest of their"
        " percentiles. p99 needs 1,000 samples, p99.9 10,000.",
        ("curve", "bytes", *PERCENTILES, "samples"),
        rows,
    )


def _height(drawn: pd.DataFrame) -> int:
    """Pixels: of a single size there is little to see."""
    return 320 if drawn["nbytes"].nunique() > 1 else 160


def _decades(values: pd.Series) -> list[float]:
    """The powers of ten around positive values."""
    low, high = (math.log10(float(end)) for end in (values.min(), values.max()))
    return [10.0**k for k in range(math.floor(low), math.ceil(high) + 1)]


def _sizes(nbytes: pd.Series) -> alt.X:
    ticks = sorted({int(size) for size in nbytes})
    return alt.X(
        "size:Q",
        title="size, bytes",
        scale=alt.Scale(type="log", base=2, nice=False),
        axis=alt.Axis(values=ticks[:64], labelExpr=_SIZE_LABEL, grid=False),
    )


def legend(names: list[str]) -> alt.Legend | None:
    """Below the chart; None where there is but one curve."""
    if len(names) < 2:
        return None
    longest = max(map(len, names))
    return alt.Legend(
        orient="bottom", title=None, columns=5 if longest < 20 else 2, symbolOpacity=1
    )
