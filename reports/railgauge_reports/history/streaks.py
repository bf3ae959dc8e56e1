"""Nights in a row on which a series is worse, or better, than its baseline, and how a regression ends.

Arrays over series. A night on which a series was not measured neither ends a streak nor is a part of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge_reports.history.rule import Flags, Floats


class Streaks:
    """`values` [series, most] are the last of a streak, oldest first, NaN where there are fewer.

    `since` is its first night (-1: there is none), `scope` where its confirming runs were slow
    (`walk.Scope`).
    """

    def __init__(self, series: int, most: int) -> None:
        self.values = np.full((series, most), np.nan)
        self.count = np.zeros(series, np.int64)
        self.since = np.full(series, -1, np.int32)
        self.scope = np.zeros(series, np.uint8)
        self._worse = np.zeros(series, np.bool_)  # the side
        self._largest = np.zeros(series)
        self._looks = np.zeros(series, np.int64)

    @property
    def slow(self) -> Flags:
        """Is there one that is worse?"""
        return self._worse & (self.count > 0)

    @property
    def p(self) -> Floats:
        """That all looks were chance: the largest p value of n, to the power of n."""
        made: Floats = self._largest ** np.maximum(self._looks, 1)
        return made

    def end(self, which: Flags) -> None:
        """No streak any more."""
        which = which & (self.count > 0)
        if not which.any():
            return
        self.values[which] = np.nan
        self.count[which] = 0
        self.since[which] = -1
        self.scope[which] = 0
        self._largest[which] = 0
        self._looks[which] = 0

    def add(self, which: Flags, values: Floats, worse: bool, night: int) -> None:
        """One more night; a streak of the other side ends."""
        if not which.any():
            return
        self.end(which & (self._worse != worse))
        self._worse[which] = worse
        self.since[which & (self.count == 0)] = night
        self.values[which, :-1] = self.values[which, 1:]
        self.values[which, -1] = values[which]
        self.count[which] += 1

    def look(
        self, rows: npt.NDArray[np.intp], p: Floats, times: npt.NDArray[np.int64] | int = 1
    ) -> None:
        """Something more that was slow, of the series `rows`, with the p value that it has by itself.

        `times`: so many that were at least so slow.
        """
        self._largest[rows] = np.maximum(self._largest[rows], p)
        self._looks[rows] += times

    def resume(self, which: Flags, since: npt.NDArray[np.int32]) -> None:
        """A streak that somebody had accepted for a time goes on where it began."""
        if not which.any():
            return
        self.end(which)
        self._worse[which] = True
        self.count[which] = 1
        self.since[which] = since[which]


class Returns:
    """Series that have regressed, until they are back where they were.

    They are after so many nights in a row that are not slow (`values` [series, nights], oldest first),
    and whose median is nearer to the baseline than to what is called slow. A level that is lower by a
    little more than that has such nights too, one in five of them at 3 %, but not in that way.
    """

    def __init__(self, series: int, nights: int) -> None:
        self.values = np.full((series, nights), np.nan)
        self.waiting = np.zeros(series, np.bool_)

    def wait(self, which: Flags) -> None:
        """These are slow: nothing that was fine before counts any more."""
        self.waiting = self.waiting | which
        self.values[which] = np.nan

    def add(self, which: Flags, values: Floats) -> None:
        """A night that is not slow, of those that wait."""
        which = which & self.waiting
        self.values[which, :-1] = self.values[which, 1:]
        self.values[which, -1] = values[which]

    def back(self, median: Floats, smallest: Floats, larger: Flags) -> Flags:
        """Who is; `median` and `smallest` [series] as the night was judged."""
        made: Flags = self.waiting & ~np.isnan(self.values).any(axis=1)
        if made.any():
            middle = np.median(self.values[made], axis=1)
            lost = np.where(larger[made], median[made] - middle, middle - median[made])
            made[made] = lost < smallest[made] / 2 * np.abs(median[made])
        return made

    def end(self, which: Flags) -> None:
        """They are, or their level is accepted; `values` stay until something is added."""
        self.waiting = self.waiting & ~which
