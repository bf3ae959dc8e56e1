"""What a person must be told about a run besides its rows, in sentences: late ranks, doubts."""

from __future__ import annotations

import pandas as pd

from railgauge.operations import entry_of
from railgauge.units import format_seconds
from railgauge_reports.arrivals import NOT_SYNCHRONISED
from railgauge_reports.frame_parts import records
from railgauge_reports.loaded import LoadedRun

#: A row is worth a sentence where somebody was late in this share of its iterations.
NOTEWORTHY = 0.01
#: Ranks that a report for people names.
MOST_LATE = 20
_TOLD = [
    *("operation", "nbytes", "samples", "slowest_rank", "slowest_host", "slowest_iterations"),
    *("lateness_seconds", "lateness_p90_seconds"),
]


def slow_arrivals(run: LoadedRun, most: int | None = None) -> list[str]:
    """Who arrived last and by how much; or that somebody did, and why nobody is named.

    Of more than `most` ranks the ones that were latest, and how many there are more.
    """
    late = run.rows["late_iterations"].fillna(0) > 0
    rows = run.rows.loc[late, [*_TOLD, "late_iterations"]]
    named = rows[rows["slowest_rank"].notna()]
    sentences = _named(named, most)
    unnamed = rows[rows["slowest_rank"].isna()]
    unnamed = unnamed[unnamed["late_iterations"] >= NOTEWORTHY * unnamed["samples"]]
    if len(unnamed):
        why = (
            NOT_SYNCHRONISED
            if run.stored.last.clock_uncertainty_ns is None
            else "no single rank was the last one consistently"
        )
        sentences.append(
            f"somebody arrived late in {int(unnamed['late_iterations'].sum())} of"
            f" {int(unnamed['samples'].sum())} iterations ({_rows(len(unnamed))});"
            f" nobody is named: {why}"
        )
    return sentences


def _named(rows: pd.DataFrame, most: int | None) -> list[str]:
    """A sentence for each rank, in their order, with its worst row."""
    by_rank = rows[_TOLD].sort_values("lateness_seconds", kind="stable").groupby("slowest_rank")
    sums = by_rank[["slowest_iterations", "samples"]].sum()
    worst = by_rank.tail(1).set_index("slowest_rank")
    told = worst.assign(times=sums["slowest_iterations"], of=sums["samples"], rows=by_rank.size())
    shown = told.tail(len(told) if most is None else most).sort_index()
    sentences = [
        f"rank {rank} on {host} arrived last in {times} of {of} iterations ({_rows(count)}):"
        f" {format_seconds(late)} after the median of the others (90th percentile"
        f" {format_seconds(p90)}) in {operation} of {nbytes} B"
        for rank, (host, times, of, count, late, p90, operation, nbytes) in zip(
            shown.index, records(shown, *_SAID), strict=True
        )
    ]
    left = len(told) - len(shown)
    return sentences + ([f"{left} more ranks arrived last, less late"] if left else [])


_SAID = (
    *("slowest_host", "times", "of", "rows", "lateness_seconds", "lateness_p90_seconds"),
    *("operation", "nbytes"),
)


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count > 1)}"


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
