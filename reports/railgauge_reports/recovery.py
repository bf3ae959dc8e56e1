"""How long a series of iterations took to recover from a disturbance."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.int64]

#: Recovery (facts of practice): the mean rate of 100 ms is back at 95 % of what it was, for a second.
BIN_SECONDS, RECOVERED, FOR_SECONDS = 0.1, 0.95, 1.0
MOST_BINS = 10**7  # eleven days: more is a sample file that is not what it was
DISTURBED = 0.5  # of the rate before: a bin below is a disturbance
_MOST_AT_ONCE = 1 << 22  # bins of several series that are looked at together


class Recovery(NamedTuple):
    """A disturbance: when it began in the series, how long until it was over, iterations in between."""

    begin_seconds: float
    seconds: float | None  # None: not over when the series ended
    iterations: int


def disturbed(ends: Floats, seconds: Floats) -> Counts:
    """The series in which `recovery` finds a disturbance, of many: float64 [series, n] each.

    A series whose ends are in no order (a damaged file) is among them: it is for itself to say.
    """
    if ends.shape[1] < 2:
        return np.zeros(0, np.int64)
    uneven = np.flatnonzero(~_even(seconds[:, 0], ends[:, 1:] - ends[:, :-1]))
    if len(uneven) < len(ends):
        return uneven[disturbed(ends[uneven], seconds[uneven])] if len(uneven) else uneven
    counts = _bins(ends, seconds)
    ordered = (np.diff(ends, axis=1, prepend=ends[:, :1] - seconds[:, :1]) >= 0).all(axis=1)
    found = [np.flatnonzero(~ordered & (counts > 0))]
    for count in np.unique(counts[ordered & (counts > 0)]).tolist():
        alike = np.flatnonzero(ordered & (counts == count))
        found.extend(
            some[_falls(_rates(ends[some], seconds[some], count)) > 0]
            for some in np.array_split(alike, -(-len(alike) * count // _MOST_AT_ONCE))
        )
    return np.sort(np.concatenate(found))


def recovery(ends: Floats, seconds: Floats, event: float | None = None) -> Recovery | None:
    """How long a series took to recover; None where nothing disturbed it.

    `ends` is when each iteration ended and `seconds` what it took, float64 [n], in order. The event
    is given, or the begin of the first iteration of which 100 ms bins fell below half the rate
    before. It is over when the mean rate of 100 ms is 95 % of that before, for one second.
    """
    if len(ends) < 2:
        return None
    (count,) = _bins(ends[None], seconds[None]).tolist()
    if not count:
        return None
    begin = float(ends[0] - seconds[0])
    edges = begin + BIN_SECONDS * np.arange(count + 1)
    rates = _rates(ends[None], seconds[None], count)
    if event is None:
        fell = int(_falls(rates)[0])
        if not fell:
            return None
        within = (ends > edges[fell]) & (ends - seconds < edges[fell + 1])
        slowest = int(np.argmax(np.where(within, seconds, 0)))
        at = max(float(ends[slowest] - seconds[slowest]), float(edges[fell]) - BIN_SECONDS)
    else:
        at = event
        fell = max(1, int((event - begin) / BIN_SECONDS))
    well = rates[0] >= RECOVERED * float(np.mean(rates[0, :fell]))
    need = round(FOR_SECONDS / BIN_SECONDS)
    times = np.cumsum(np.concatenate([[0], well]))
    held = np.flatnonzero(times[need:] - times[:-need] == need)  # bins that begin a good second
    after = held[held >= fell]
    if not after.size:
        return Recovery(at - begin, None, int(np.count_nonzero(ends > at)))
    over = float(edges[after[0]])
    lost = int(np.count_nonzero((ends > at) & (ends <= over)))
    return Recovery(at - begin, max(0.0, over - at), lost)


def _even(first: Floats, gaps: Floats) -> npt.NDArray[np.bool_]:
    """Series in which no bin can be below half of another, from the gaps [series, n - 1] between ends.

    The rate of a bin lies between one over the longest gap and one over the shortest, but for the
    first bin: the first iteration, which no pause precedes, adds one to it at most.
    """
    longest, shortest = np.maximum(gaps.max(axis=1), first), gaps.min(axis=1)
    fastest = (BIN_SECONDS + shortest) * DISTURBED  # times longest / (BIN_SECONDS * shortest)
    even = longest * fastest <= 0.99 * BIN_SECONDS * shortest
    return np.asarray(even & (shortest > 0) & (first >= 0))


def _bins(ends: Floats, seconds: Floats) -> Counts:
    """Whole bins of each series, 0 where they tell nothing, int64 [series]."""
    length = (ends[:, -1] - (ends[:, 0] - seconds[:, 0])) / BIN_SECONDS
    told = (length >= 2) & (length < MOST_BINS + 1)
    return np.where(told, length, 0).astype(np.int64)


def _rates(ends: Floats, seconds: Floats, count: int) -> Floats:
    """Iterations a second in each of `count` bins, those under way in part, float64 [series, count]."""
    begin = ends[:, :1] - seconds[:, :1]
    since = np.concatenate([np.zeros_like(begin), ends - begin], axis=1)
    done = np.arange(since.shape[1], dtype=np.float64)
    edges = BIN_SECONDS * np.arange(count + 1)
    # one series after the other on one axis, so that one call does for all
    length = since.max(axis=1, keepdims=True) + BIN_SECONDS
    apart, order = length.cumsum(axis=0) - length, len(done) * np.arange(len(ends))[:, None]
    progress = np.interp(
        (edges + apart).ravel(), (since + apart).ravel(), (done + order).ravel()
    ).reshape(len(ends), -1)
    return np.asarray(np.diff(progress, axis=1) / BIN_SECONDS)


def _falls(rates: Floats) -> Counts:
    """The first bin of each series that is below half of the median rate, where one before is not; 0: none.

    A slow beginning is no fall: nothing was before.
    """
    low = rates < DISTURBED * np.median(rates, axis=1, keepdims=True)
    fall = low[:, 1:] & ~low[:, :-1]
    return np.where(fall.any(axis=1), fall.argmax(axis=1) + 1, 0)
