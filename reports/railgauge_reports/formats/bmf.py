"""Bencher Metric Format: what `bencher run --adapter json` and similar trackers of numbers read.

A benchmark is a case: `latency` in ns, as Bencher's measure of that name has it, and `busbw` in GB/s.
`lower_value` and `upper_value` are the slowest and fastest group, or of one group the 95 % interval.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pandas as pd

from railgauge.units import NANOSECONDS
from railgauge_reports.baseline import benchmark_name
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.series import series_frame


def render(run: LoadedRun) -> str:
    """One JSON object; a case without a time is not in it."""
    series = series_frame(run.rows)
    made: dict[str, dict[str, Any]] = {}
    for _, row in series[series["median_seconds"].notna()].iterrows():
        measures = {
            "latency": _metric(row, "median_seconds", "median_low", "median_high", 1 / NANOSECONDS)
        }
        if pd.notna(row["busbw_GBps"]):
            measures["busbw"] = _metric(row, "busbw_GBps", "busbw_low", "busbw_high", 1.0)
        made[benchmark_name(run, row)] = measures
    return msgspec.json.format(msgspec.json.encode(made), indent=1).decode() + "\n"


def _metric(row: pd.Series, value: str, low: str, high: str, scale: float) -> dict[str, float]:
    told = {"value": row[value], "lower_value": row[low], "upper_value": row[high]}
    return {name: float(number) * scale for name, number in told.items() if pd.notna(number)}
