"""The series of a gate as columns over the nights, for charts, tables of rows and the weekly view."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from railgauge_reports.history.answer import Gate, SeriesResult
from railgauge_reports.history.change_points import Change, change_points

#: States of the values that no baseline has taken in.
FLAGGED = ("regression", "changed", "unconfirmed", "outlier", "improved", "acknowledged")


@dataclasses.dataclass(frozen=True, eq=False)
class Over:
    """A series over `Gate.nights`, float64 [nights] each, NaN where there is none.

    `low` and `high` are what the gate takes for the same as `middle`; `effect` is value / middle - 1.
    """

    series: SeriesResult
    value: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    effect: np.ndarray


def over(series: SeriesResult, nights: int) -> Over:
    """Its columns."""
    value, middle, smallest = (
        _column(part, nights) for part in (series.values, series.medians, series.smallest)
    )
    middle = np.where(np.isfinite(smallest), middle, np.nan)  # of too few nights it is no baseline
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = value / middle - 1
        band = smallest * np.abs(middle)
    return Over(series, value, middle - band, middle, middle + band, effect)


def _column(values: Sequence[float | None], nights: int) -> np.ndarray:
    made = np.full(nights, np.nan)
    given = [np.nan if value is None else value for value in values[:nights]]
    made[: len(given)] = given
    return made


@dataclasses.dataclass(frozen=True)
class Shift:
    """A lasting change of one series, and whether it made it worse."""

    series: SeriesResult
    change: Change
    worse: bool


def shifts(gate: Gate) -> tuple[Shift, ...]:
    """Every change point of the history up to the night that is judged: the latest first, then the worst."""
    found = []
    for series in gate.series:
        values = _column(series.values, len(gate.nights))[: gate.night + 1]
        for change in change_points(values):
            worse = (change.effect < 0) == series.larger_is_better
            found.append(Shift(series, change, worse))
    return tuple(sorted(found, key=lambda s: (-s.change.night, not s.worse, -abs(s.change.effect))))


def frame(gate: Gate) -> pd.DataFrame:
    """A row a series and night that was measured: what a page has no room for."""
    names = [night.name for night in gate.nights]
    seconds = pd.Series([night.started for night in gate.nights], dtype="Float64")
    began = pd.to_datetime(seconds, unit="s", utc=True)
    folders = [night.folder for night in gate.nights]
    parts = []
    for series in gate.series:
        o = over(series, len(names))
        parts.append(
            pd.DataFrame(
                {
                    "night": names,
                    "started": began,
                    "series": series.name,
                    "words": series.words,
                    "unit": series.unit,
                    "value": o.value,
                    "baseline": o.middle,
                    "low": o.low,
                    "high": o.high,
                    "effect": o.effect,
                    "state": list(series.states) or ["missing"] * len(names),
                    "folder": folders,
                }
            )
        )
    whole = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"night": [], "value": []})
    )
    return whole[whole["value"].notna()].reset_index(drop=True)
