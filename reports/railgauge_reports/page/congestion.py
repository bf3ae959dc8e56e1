"""Charts of traffic that gets in its own way: how fair flows were, and what a load did to its neighbours.

Jain's index is (sum x)^2 / (n sum x^2) of the flows' rates (Jain, Chiu, Hawe, DEC TR-301, 1984); impact is
the mean time beside a load over that alone, or of its 99th percentile (GPCNeT, SC'19).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from railgauge.units import format_size
from railgauge_reports.cells import NOTHING, significant
from railgauge_reports.page.chart import Chart, Grid
from railgauge_reports.page.curves import legend

#: Settings that a chart and its table have at most: those with the least fairness, or the largest impact.
MOST_SETTINGS = 40
JAIN, SLOWEST = "Jain's index", "slowest flow / mean"
MEAN, TAIL = "mean time", "p99"


def fairness(runs: Sequence[tuple[str, pd.DataFrame]]) -> Chart | None:
    """Jain's index and the slowest flow by setting, of (pattern, case frame) of each run.

    None where no group has two flows whose rates are known.
    """
    told = [_flowing(pattern, rows) for pattern, rows in runs]
    frame = pd.concat(told, ignore_index=True) if told else pd.DataFrame()
    if frame.empty:
        return None
    made = frame.groupby("setting", sort=False).agg(
        jain=("jain", "min"),
        slowest=("share", "min"),
        groups=("jain", "size"),
        flows=("flows", "max"),
    )
    least = frame.loc[frame.groupby("setting", sort=False)["share"].idxmin()].set_index("setting")
    made = made.join(least[["flow", "rail", "GBps", "mean"]])
    shown = made.loc[made["jain"].nsmallest(MOST_SETTINGS, keep="first").index]
    shown = shown.loc[[name for name in made.index if name in set(shown.index)]].reset_index()
    points = pd.concat(
        [
            pd.DataFrame({"setting": shown["setting"], "measure": measure, "value": shown[column]})
            for measure, column in ((JAIN, "jain"), (SLOWEST, "slowest"))
        ],
        ignore_index=True,
    )
    spec = _spec(points, "value", "1 is fair", [JAIN, SLOWEST], domain=(0.0, 1.05))
    worst = frame.nsmallest(1, "jain").iloc[0]
    says = (
        f"The least fair are the flows of {worst['setting']}: Jain's index {significant(worst['jain'])},"
        f" the slowest, {worst['flow']}, has {worst['share']:.0%} of their mean rate."
    )
    return Chart("fairness", "Fairness of flows", says, spec, {"points": points}, _flows(shown))


def _flowing(pattern: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Groups of two flows and more, with the name of their setting."""
    own = rows[rows["jain"].notna() & (rows["flows"].fillna(0) > 1)]
    where = own["setting"].astype("string").fillna("round " + own["round"].astype("string"))
    sizes = own["nbytes"].map(format_size) if own["nbytes"].nunique() > 1 else ""
    return pd.DataFrame(
        {
            "setting": f"{pattern} " + where + (" of " + sizes if len(sizes) else ""),
            "jain": own["jain"].astype("float64"),
            "share": (own["slowest_flow_GBps"] / own["mean_flow_GBps"]).astype("float64"),
            "flow": own["slowest_flow"],
            "rail": own["rail"],
            "GBps": own["slowest_flow_GBps"],
            "mean": own["mean_flow_GBps"],
            "flows": own["flows"],
        }
    ).dropna(subset=["jain", "share"])


def _flows(shown: pd.DataFrame) -> Grid:
    header = (
        *(
            "traffic",
            "groups",
            "flows each",
            "Jain, least",
            "slowest flow",
            "rail",
            "GB/s",
            "mean GB/s",
        ),
        "of the mean",
    )
    rows = [
        (
            str(row["setting"]),
            f"{int(row['groups']):,}",
            f"{int(row['flows']):,}",
            significant(row["jain"]),
            str(row["flow"]),
            NOTHING if pd.isna(row["rail"]) else str(int(row["rail"])),
            significant(row["GBps"]),
            significant(row["mean"]),
            f"{row['slowest']:.0%}",
        )
        for _, row in shown.iterrows()
    ]
    return Grid("Fairness of flows by what they were part of; ranks as from>to", header, rows)


def impact(runs: Sequence[tuple[str, pd.DataFrame]]) -> Chart | None:
    """How much longer victims took beside a load, of (pattern, case frame); None where there was none."""
    told = [rows[rows["impact"].notna()] for _, rows in runs]
    frame = pd.concat(told, ignore_index=True) if told else pd.DataFrame()
    if frame.empty:
        return None
    names = frame["operation"] + " " + frame["nbytes"].map(format_size) + ", " + frame["setting"]
    frame = frame.assign(name=names)
    frame = frame.loc[frame["impact"].astype(float).nlargest(MOST_SETTINGS, keep="first").index]
    points = pd.DataFrame(
        {
            "setting": [*frame["name"], *frame["name"]],
            "measure": [MEAN] * len(frame) + [TAIL] * len(frame),
            "value": [*frame["impact"], *frame["impact_p99"]],
        }
    ).dropna()
    points["value"] = points["value"].astype("float64")
    most = max(2.0, float(np.nanmax(points["value"])) * 1.05)
    kinds = [measure for measure in (MEAN, TAIL) if (points["measure"] == measure).any()]
    spec = _spec(points, "value", "times as long as alone", kinds, domain=(0.0, most))
    worst = frame.iloc[0]
    says = (
        f"The largest impact is {significant(worst['impact'])} times: {worst['name']}."
        " 1 is what it takes alone."
    )
    header = ("victim", "mean, x", "p99, x", "load GB/s")
    rows = [
        (str(row["name"]), *(_figure(row[c]) for c in ("impact", "impact_p99", "load_GBps")))
        for _, row in frame.iterrows()
    ]
    grid = Grid("Time beside a load over the time alone", header, rows)
    return Chart("impact", "Impact of neighbours' traffic", says, spec, {"points": points}, grid)


def _figure(value: Any) -> str:
    return NOTHING if pd.isna(value) else significant(value)


def _spec(
    points: pd.DataFrame, field: str, title: str, kinds: list[str], domain: tuple[float, float]
) -> dict[str, Any]:
    """A line of dots a setting, and a rule at 1."""
    names = list(dict.fromkeys(points["setting"]))
    axis = alt.Axis(tickCount=6, format="~g")
    x = alt.X(
        f"{field}:Q", title=title, axis=axis, scale=alt.Scale(domain=list(domain), nice=False)
    )
    y = alt.Y("setting:N", title=None, sort=names, axis=alt.Axis(labelLimit=320, grid=True))
    base = alt.Chart(alt.NamedData("points"))
    dots = base.mark_point(filled=True, size=80, opacity=0.8).encode(
        x=x,
        y=y,
        color=alt.Color("measure:N", sort=None, legend=legend(kinds)),
        shape=alt.Shape("measure:N", sort=None, legend=None),
        tooltip=[
            alt.Tooltip("setting:N"),
            alt.Tooltip("measure:N"),
            alt.Tooltip(f"{field}:Q", format=".4~g"),
        ],
    )
    ideal = alt.Chart(alt.NamedData("points")).mark_rule(
        color="@ink", strokeDash=[5, 4], opacity=0.5
    )
    line = ideal.encode(x=alt.datum(1))
    made: dict[str, Any] = alt.layer(line, dots).properties(height=40 + 22 * len(names)).to_dict()
    return made
