"""What trackers of benchmarks know a case by, from run to run."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd

from railgauge.units import format_size
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.series import VARIANT, series_frame


def benchmark_name(run: LoadedRun, row: pd.Series) -> str:
    """`all_reduce[world-4-float32-sum-out-blocking-barrier-64K]` of a row of the series frame.

    Everything that tells cases apart is in it whether it varies in this run or not, so that runs of
    different plans can be compared, and no host, so that the same plan has the same names elsewhere.
    """
    words = [run.stored.plan.pattern, str(row["ranks"])]
    words += [
        f"root{row[name]}" if name == "root" else str(row[name])
        for name in VARIANT
        if pd.notna(row[name])
    ]
    size = "" if pd.isna(row["nbytes"]) else format_size(int(row["nbytes"]))
    mark = ["simulated"] if run.simulated else []
    return f"{row['operation']}[{'-'.join([*mark, *words, size])}]".replace(" ", "_")


@dataclasses.dataclass(frozen=True)
class Variable:
    """A number that a regression suite watches: where it stands in `--format bmf`, and what it is.

    `value` is the metric times `scale`, in `unit`; `of` is (operation, nbytes).
    """

    benchmark: str
    measure: str
    scale: float
    value: float
    unit: str
    of: tuple[str, int]


def variables_of(run: LoadedRun) -> dict[str, Variable]:
    """By a name of word characters: busbw in GB/s, and in us the time of what has no bandwidth."""
    series = series_frame(run.rows)
    made: dict[str, Variable] = {}
    for _, row in series[series["median_seconds"].notna()].iterrows():
        name = benchmark_name(run, row)
        of = str(row["operation"]), 0 if pd.isna(row["nbytes"]) else int(row["nbytes"])
        plain = re.sub(r"\W+", "_", name).strip("_")
        if pd.notna(row["busbw_GBps"]):
            rate = float(row["busbw_GBps"])
            made[f"{plain}_busbw"] = Variable(name, "busbw", 1.0, rate, "GB/s", of)
        else:
            micro = float(row["median_seconds"]) * 1e6
            made[f"{plain}_latency"] = Variable(name, "latency", 1e-3, micro, "us", of)
    return made
