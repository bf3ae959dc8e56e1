"""The accepted nights of many series: what a night is held against. Arrays [series, window].

When a level shifts (an acknowledged regression, an improvement that lasts, a new environment), what was
accepted before keeps its scatter and loses its place: of older nights the ratio to their own median stays,
so that the spread is known from the first night of the new level on, and the median is the new level's
alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge_reports.history.rule import Flags, Floats, Rule

Counts = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]


class Baselines:
    """Of every series the last accepted values, oldest first; NaN where there are fewer.

    In `_carried` places stands the ratio to the median of a level that was left.
    """

    def __init__(self, series: int, rule: Rule) -> None:
        self._values = np.full((series, rule.window), np.nan)
        self._carried = np.zeros((series, rule.window), np.bool_)
        self._kept_values, self._kept_carried = self._values.copy(), self._carried.copy()
        self._last = np.full(series, -1, np.int32)  # night until which a level is accepted
        self._since = np.full(series, -1, np.int32)

    def told(self) -> tuple[Floats, Floats, Counts]:
        """(median, raw MAD, number of nights), each [series]; NaN of a series without any."""
        known = ~np.isnan(self._values)
        if not known.any():
            nothing = np.full(len(known), np.nan)
            return nothing, nothing.copy(), known.sum(axis=1)
        median = row_medians(np.where(self._carried, np.nan, self._values))
        with np.errstate(invalid="ignore"):
            away = np.where(
                self._carried,
                np.abs(self._values - 1) * np.abs(median)[:, None],
                np.abs(self._values - median[:, None]),
            )
        return median, row_medians(away), known.sum(axis=1)

    def accept(self, which: Flags, values: Floats) -> None:
        """One more night of these series."""
        for kept, new in ((self._values, values), (self._carried, np.zeros(len(values), np.bool_))):
            kept[which, :-1] = kept[which, 1:]
            kept[which, -1] = new[which]

    def shift(self, which: Flags, median: Floats, values: Floats) -> None:
        """These series are at a new level, that of `values` [series, nights] (NaN: none)."""
        rows = np.flatnonzero(which)
        if not rows.size:
            return
        old, carried = self._values[rows], self._carried[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(carried, old, old / median[rows, None])
        ratios[~np.isfinite(ratios)] = np.nan
        joined = np.concatenate([ratios, values[rows]], axis=1)
        marks = np.concatenate([~np.isnan(ratios), np.zeros(values[rows].shape, np.bool_)], axis=1)
        order = np.argsort(~np.isnan(joined), axis=1, kind="stable")  # what is empty goes first
        window = self._values.shape[1]
        self._values[rows] = np.take_along_axis(joined, order, 1)[:, -window:]
        self._carried[rows] = np.take_along_axis(marks, order, 1)[:, -window:]

    def forget(self, which: Flags) -> None:
        """These series begin to learn anew."""
        self._values[which] = np.nan
        self._carried[which] = False

    # levels that are accepted for a time ------------------------------------------------------------

    def keep(self, which: Flags, last: int | None, since: Indices) -> None:
        """Before a shift: `expire` is to bring back what is there after night `last` (None: never).

        `since` is when the streak began whose level is accepted. What is kept already stays, longer.
        """
        if last is None:
            self._last[which] = -1
            return
        new = which & (self._last < 0)
        self._kept_values[new] = self._values[new]
        self._kept_carried[new] = self._carried[new]
        self._since[new] = since[new]
        self._last[which] = np.maximum(self._last, last)[which]

    def expire(self, night: int) -> tuple[Flags, Indices]:
        """Bring back what was kept until before this night: of which series, and since when."""
        back = (self._last >= 0) & (self._last < night)
        if not back.any():
            return back, self._since
        self._values[back] = self._kept_values[back]
        self._carried[back] = self._kept_carried[back]
        self._last[back] = -1
        return back, self._since


def row_medians(values: Floats) -> Floats:
    """Medians of the rows without NaN, [rows]; NaN of a row that has nothing else."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = (~np.isnan(values)).sum(axis=1)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    rows = np.arange(len(values))
    high = np.minimum(high, max(values.shape[1] - 1, 0))
    made = (ordered[rows, low] + ordered[rows, high]) / 2
    return np.where(count > 0, made, np.nan)
