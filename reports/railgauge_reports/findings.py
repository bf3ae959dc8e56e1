"""What a person must be told about a run besides its rows, in sentences: late ranks, doubts."""

from __future__ import annotations

import pandas as pd

from railgauge.operations import entry_of
from railgauge.units import format_seconds
from railgauge_reports.loaded import LoadedRun

#: A row is worth a sentence where somebody was late in this share of its iterations.
NOTEWORTHY = 0.01
_TOLD = [
    *("operation", "nbytes", "samples", "slowest_rank", "slowest_host", "slowest_iterations"),
    *("lateness_seconds", "lateness_p90_seconds"),
]


def slow_arrivals(run: LoadedRun) -> list[str]:
    """Who arrived last and by how much; or that somebody did, and why nobody is named."""
    rows = run.rows[run.rows["late_iterations"].fillna(0) > 0]
    named = rows[rows["slowest_rank"].notna()]
    by_rank = named[_TOLD].groupby("slowest_rank", sort=True)
    sentences = [_named(own) for _, own in by_rank]
    unnamed = rows[rows["slowest_rank"].isna()]
    unnamed = unnamed[unnamed["late_iterations"] >= NOTEWORTHY * unnamed["samples"]]
    if len(unnamed):
        why = (
            "the clocks of the nodes are not synchronised"
            if run.stored.last.clock_uncertainty_ns is None
            else "no single rank was the last one consistently"
        )
        sentences.append(
            f"somebody arrived late in {int(unnamed['late_iterations'].sum())} of"
            f" {int(unnamed['samples'].sum())} iterations ({_rows(unnamed)});"
            f" nobody is named: {why}"
        )
    return sentences


def _named(rows: pd.DataFrame) -> str:
    worst = rows.sort_values("lateness_seconds").iloc[-1]
    times = int(rows["slowest_iterations"].sum())
    return (
        f"rank {int(worst['slowest_rank'])} on {worst['slowest_host']} arrived last in {times} of"
        f" {int(rows['samples'].sum())} iterations ({_rows(rows)}):"
        f" {format_seconds(float(worst['lateness_seconds']))} after the median of the others"
        f" (90th percentile {format_seconds(float(worst['lateness_p90_seconds']))})"
        f" in {worst['operation']} of {worst['nbytes']} B"
    )


def _rows(rows: pd.DataFrame) -> str:
    return f"{len(rows)} row{'s' * (len(rows) > 1)}"


def doubts(run: LoadedRun) -> list[str]:
    """Rows whose numbers are to be read with care."""
    rows, sentences = run.rows, []
    unstable = int((rows["stable"] == False).sum())  # noqa: E712 (NA stays NA)
    if unstable:
        sentences.append(
            f"{unstable} of {len(rows)} rows are not stable: the interval of the median is"
            f" wider than {run.stored.plan.precision:.2%} or the series drifts;"
            " a larger --budget may help"
        )
    cold = int((rows["steady"] == False).sum())  # noqa: E712 (NA stays NA)
    if cold:
        sentences.append(f"{cold} of {len(rows)} rows were timed before the warm-up was steady")
    external = [name for name in rows["operation"].unique() if entry_of(str(name)).external]
    if external:
        sentences.append(
            f"the data of {', '.join(external)} is unverified: {run.stored.last.backend} moves it and"
            " checks nothing"
        )
    missed = int(rows["missed_windows"].fillna(0).sum())
    if missed:
        sentences.append(f"{missed} iterations missed the start of their time window")
    if len(run.stored.starts) > 1:
        sentences.append(f"the run was started {len(run.stored.starts)} times (--resume)")
    if not run.stored.environment:
        sentences.append("environment.json is missing or damaged: the machine is not described")
    return sentences
