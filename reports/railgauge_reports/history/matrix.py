"""The values of nights as arrays [nights, series]: what `walk` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np

from railgauge_reports.history.answer import SeriesKey
from railgauge_reports.history.metrics import METRICS
from railgauge_reports.history.rule import Flags, Floats
from railgauge_reports.history.summary import Keys, NightSummary, RunSummary


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """`keys` [series]; `values`, `same` and `other` [nights, series], NaN where nothing was measured.

    `not_counted` says which confirming runs were left out, and why: (night, sentence).
    """

    keys: tuple[SeriesKey, ...]
    larger: Flags
    values: Floats
    same: Floats
    other: Floats
    not_counted: tuple[tuple[int, str], ...]


def matrix_of(nights: Sequence[NightSummary], keys: Keys, cluster: str) -> Matrix:
    """The values of these nights, one a night and series: the median of what its runs measured.

    `cluster` replaces what the runs say of theirs ("": it does not).
    """
    column, own = _columns(nights, keys, cluster)
    shape = (len(nights), len(own))
    values, same, other = (np.full(shape, np.nan) for _ in range(3))
    left_out: list[tuple[int, str]] = []
    for row, night in enumerate(nights):
        _fill(values[row], night.runs, column)
        parts = ((same, night.same, True), (other, night.other, False))
        for into, runs, is_same in parts:
            if why := _elsewhere(night, runs, is_same):
                left_out.append((row, why))
            elif runs:
                _fill(into[row], runs, column)
                _unstaged(into[row], values[row], own)
    larger = np.array([METRICS[key.metric].larger_is_better for key in own], np.bool_)
    return Matrix(tuple(own), larger, values, same, other, tuple(left_out))


def _columns(
    nights: Sequence[NightSummary], keys: Keys, cluster: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[SeriesKey]]:
    """(column of each number of a series, -1 where no night has it; key of each column)."""
    used = np.zeros(len(keys.list), np.bool_)
    for night in nights:
        for run in (*night.runs, *night.same, *night.other):
            used[run.numbers] = True
    column = np.full(len(keys.list), -1, np.int64)
    own: dict[SeriesKey, int] = {}
    for number in np.flatnonzero(used):
        key = keys.list[number]
        key = msgspec.structs.replace(key, cluster=cluster) if cluster else key
        column[number] = own.setdefault(key, len(own))
    return column, list(own)


def _fill(
    into: Floats, runs: Sequence[RunSummary], column: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> None:
    """The medians over the runs of each series."""
    if not runs:
        return
    series = column[np.concatenate([run.numbers for run in runs])]
    values = np.concatenate([run.measured for run in runs])
    good = np.isfinite(values) & (values > 0)
    series, values = series[good], values[good]
    order = np.lexsort((values, series))
    series, values = series[order], values[order]
    found, first, count = np.unique(series, return_index=True, return_counts=True)
    into[found] = (values[first + (count - 1) // 2] + values[first + count // 2]) / 2


def _elsewhere(night: NightSummary, runs: Sequence[RunSummary], is_same: bool) -> str:
    """Why confirming runs are none: they ran somewhere else than they should have; "" they are."""
    hosts = {host for run in runs for host in run.hosts}
    own = set(night.hosts)
    if not runs or not own:
        return ""
    if is_same and not hosts <= own:
        strangers = ", ".join(sorted(hosts - own)[:3])
        return f"confirm-same ran on {strangers}, which the night did not use: it is not counted"
    if not is_same and hosts & own:
        shared = ", ".join(sorted(hosts & own)[:3])
        return f"confirm-other ran on {shared} as the night did: it is not counted"
    return ""


def _unstaged(into: Floats, values: Floats, keys: Sequence[SeriesKey]) -> None:
    """A run by itself confirms a stage of an acceptance: the same series but for the stage."""
    plain = {key: n for n, key in enumerate(keys) if not key.stage and np.isfinite(into[n])}
    if not plain:
        return
    for number in map(int, np.flatnonzero(np.isfinite(values) & np.isnan(into))):
        bare = msgspec.structs.replace(keys[number], stage="")
        if bare in plain:
            into[number] = into[plain[bare]]
