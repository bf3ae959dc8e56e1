"""The chart of what the fabric counted, each count beside the pair or group that made it."""

from __future__ import annotations

import altair as alt
import pandas as pd

from railgauge.rank_lists import decode_ranks
from railgauge.units import format_size
from railgauge_reports.cells import NOTHING, significant
from railgauge_reports.counters import events
from railgauge_reports.page.chart import Chart, Grid, spec_of
from railgauge_reports.page.matrix import ROW_PIXELS

MOST_BARS, MOST_ROWS = 15, 40
#: Hosts that are named beside a count; what more hosts did at once is no pair's.
MOST_HOSTS = 4


def counted(counters: pd.DataFrame, rows: pd.DataFrame) -> Chart | None:
    """The largest changes of known events; None where nothing was counted.

    `counters` is `counters.counter_frame`, `rows` the case frame.
    """
    found = events(counters)
    if found.empty:
        return None
    top = found.sort_values("delta", ascending=False, na_position="last", kind="stable")
    shown = top.head(MOST_ROWS)
    keys = ["host", "device", "port", "counter"]
    rising = found[found["delta"] > 0]
    totals = rising.groupby(keys, sort=False).agg(
        delta=("delta", "sum"), event=("event", "first"), cases=("delta", "size")
    )
    bars = totals.nlargest(MOST_BARS, "delta", keep="first").reset_index()
    data = pd.DataFrame(
        {
            "what": [
                f"{row['host']} {_device(row)} {row['counter']}" for _, row in bars.iterrows()
            ],
            "event": bars["event"].fillna("").to_numpy(),
            "delta": bars["delta"].astype("Float64").to_numpy(),
            "cases": bars["cases"].to_numpy(),
        }
    )
    ticks = [10**k for k in range(19) if k == 0 or 10 ** (k - 1) < bars["delta"].max(skipna=True)]
    chart = (
        alt.Chart(alt.NamedData("events"))
        .mark_bar(height={"band": 0.7}, opacity=0.85)
        .encode(
            x=alt.X(
                "delta:Q",
                title="change over the run, warm-up included",
                scale=alt.Scale(type="symlog"),
                axis=alt.Axis(values=[0, *ticks], labelExpr="format(datum.value, '~s')"),
            ),
            y=alt.Y("what:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False)),
            color=alt.Color(
                "event:N", sort=None, legend=alt.Legend(orient="bottom", title=None, columns=4)
            ),
            tooltip=[
                alt.Tooltip("what:N", title="counter"),
                alt.Tooltip("event:N"),
                alt.Tooltip("delta:Q", format=","),
                alt.Tooltip("cases:Q", title="in measurements"),
            ],
        )
        .properties(height=ROW_PIXELS * max(1, len(data)))
    )
    return Chart(
        "counters",
        "What the fabric counted",
        f"{len(found):,} changes of known events in {len(totals):,} counters; the largest are drawn.",
        spec_of(chart),
        {"events": data},
        _grid(shown, _where(shown, rows), len(found)),
    )


def _device(row: pd.Series) -> str:
    return f"{row['device']}/{row['port']}" if row["port"] else str(row["device"])


def _where(shown: pd.DataFrame, rows: pd.DataFrame) -> dict[int, tuple[str, str, str]]:
    """Of each count: whose traffic it was, the slowest busbw of theirs, and that over the case's median."""
    cases = rows[rows["case"].isin(shown["case"].unique())]
    medians = cases.groupby("case")["busbw_GBps"].median()
    cases = cases[cases["round"].isin(shown["round"].unique())]
    number = cases.groupby(["case", "round"]).cumcount()
    made: dict[int, tuple[str, str, str]] = {}
    for index, row in shown.iterrows():
        mine = (cases["case"] == row["case"]) & (cases["round"] == row["round"])
        groups = decode_ranks(str(row["groups"])) if pd.notna(row["groups"]) else []
        own = cases[mine.fillna(False) & number.isin(groups)]
        hosts = list(
            dict.fromkeys(host for text in own["hosts"].dropna() for host in text.split(" "))
        )
        words = " ".join(hosts) if len(hosts) <= MOST_HOSTS else f"{len(hosts)} hosts"
        more = f" ({len(own)} groups)" if len(own) > 1 else ""
        rate, median = own["busbw_GBps"].min(), medians.get(row["case"])
        share = NOTHING if pd.isna(rate) or not median else f"{rate / median:.0%}"
        made[int(index)] = (words + more or NOTHING, significant(rate), share)  # type: ignore[call-overload]
    return made


def _grid(shown: pd.DataFrame, where: dict[int, tuple[str, str, str]], total: int) -> Grid:
    rows = [
        (
            str(row["host"]),
            _device(row),
            str(row["counter"]),
            NOTHING if pd.isna(row["event"]) else str(row["event"]),
            where[int(index)][0],  # type: ignore[call-overload]
            f"{row['operation']} {format_size(int(row['nbytes']))}, round {row['round']}",
            NOTHING if pd.isna(row["delta"]) else f"{int(row['delta']):,}",
            significant(row["per_GB"]),
            *where[int(index)][1:],  # type: ignore[call-overload]
            "" if pd.isna(row["note"]) else str(row["note"]),
        )
        for index, row in shown.iterrows()
    ]
    return Grid(
        f"The {len(rows)} largest of {total:,} changes, each with the group that used the place and the"
        " busbw that it had",
        (
            *("host", "device", "counter", "event", "by", "while", "change", "a GB", "busbw GB/s"),
            *("of the median", "note"),
        ),
        rows,
        left=6,
    )
