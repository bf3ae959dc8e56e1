"""Who arrived last: the culprit of a slow collective, from entry stamps on synchronised clocks.

A collective waits for its last rank, so the rank that makes it slow is not the one whose call
takes longest (those wait) but the one that enters last, and its own call is the shortest. Durations
alone cannot tell a late rank from a slow network; stamps of clocks that are not synchronised name
the wrong one. So a rank is named only where the evidence is beyond the clocks' error and beyond
chance; otherwise the report says that somebody was late, or nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from railgauge.units import NANOSECONDS

Stamps = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Below this, ranks that leave the same barrier enter apart (it releases them one after another).
LEAST_LATENESS_NS = 5_000
#: A lateness counts where it is this many times the bound on the clocks' error.
CLOCK_MARGIN = 10
#: ... and this share of the time that the operation took once everybody was there.
MATERIAL_SHARE = 0.5
#: One rank must be the last one in this share of the late iterations ...
CONSISTENT_SHARE = 2 / 3
#: ... which must not be luck: N ranks, each last in 1/N of them (binomial, Bonferroni).
CHANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Late:
    """The rank that arrived last, with the evidence.

    Lateness is the rank's entry after the median entry of the other ranks (seconds: median and
    90th percentile over `iterations`, the late iterations in which it was the last one).
    `shortest` counts those in which its own call was the shortest, as a culprit's is.
    """

    rank: int
    host: str
    iterations: int
    lateness_seconds: float
    lateness_p90_seconds: float
    shortest: int


@dataclasses.dataclass(frozen=True)
class Arrivals:
    """What the stamps of one series say: in how many of its iterations a rank was late, and who.

    `nobody` says why no rank is named where `late` is None.
    """

    iterations: int
    late_iterations: int
    late: Late | None = None
    nobody: str = ""


NOT_SYNCHRONISED = "the clocks of the nodes are not synchronised"


@dataclasses.dataclass(frozen=True)
class Judged:
    """The same of many series of equally many ranks, a value each: [series].

    `late` is the row of the rank that is named, -1 where none is; then the values behind it, as in
    Late, mean nothing (NaN, 0).
    """

    iterations: int
    late_iterations: Counts
    late: Counts
    supporting: Counts
    lateness_seconds: Floats
    lateness_p90_seconds: Floats
    shortest: Counts
    why: str = ""  # nobody is named in any of them

    def of(self, series: int, ranks: Sequence[int], hosts: Sequence[str]) -> Arrivals:
        """One of them, its rows made by `ranks` on `hosts`."""
        late_iterations, row = int(self.late_iterations[series]), int(self.late[series])
        if row < 0:
            why = "no rank was the last one consistently" if late_iterations else "no rank was late"
            return Arrivals(self.iterations, late_iterations, nobody=self.why or why)
        return Arrivals(
            self.iterations,
            late_iterations,
            Late(
                rank=ranks[row],
                host=hosts[row],
                iterations=int(self.supporting[series]),
                lateness_seconds=float(self.lateness_seconds[series]),
                lateness_p90_seconds=float(self.lateness_p90_seconds[series]),
                shortest=int(self.shortest[series]),
            ),
        )


def judge_arrivals(
    entry_ns: Stamps,
    exit_ns: Stamps,
    ranks: Sequence[int],
    hosts: Sequence[str],
    uncertainty_ns: int | None,
) -> Arrivals:
    """Who arrived last in the late iterations of a series.

    `entry_ns` and `exit_ns` are int64 [ranks, iterations] on rank 0's clock, `ranks[k]` and
    `hosts[k]` say whose row k is, `uncertainty_ns` bounds the clocks' error (None: they are not
    synchronised, and then nobody is named whatever the stamps look like).
    """
    return judge_series(entry_ns[None], exit_ns[None], uncertainty_ns).of(0, ranks, hosts)


def judge_series(entry_ns: Stamps, exit_ns: Stamps, uncertainty_ns: int | None) -> Judged:
    """`judge_arrivals` of many series at once, int64 [series, ranks, iterations]."""
    series, n, iterations = entry_ns.shape
    found = np.zeros(series, np.int64)
    if n < 2 or not iterations:
        return _nobody(iterations, found, "one rank cannot wait for another")
    if uncertainty_ns is None:
        durations = exit_ns - entry_ns
        found = np.count_nonzero(_waited(durations), axis=1)
        return _nobody(iterations, found, NOT_SYNCHRONISED)
    least = max(LEAST_LATENESS_NS, CLOCK_MARGIN * uncertainty_ns)
    judged = _nobody(iterations, found)
    # nobody is later than the first and the last one are apart: the others need no second look
    apart = np.flatnonzero(_apart_ns(entry_ns) >= least)
    if not len(apart):
        return judged
    entry_ns, exit_ns = entry_ns[apart], exit_ns[apart]
    lateness, last = lateness_ns(entry_ns)
    durations = exit_ns - entry_ns
    after = np.maximum(exit_ns.max(axis=1) - entry_ns.max(axis=1), 0)
    # somebody must have waited for it: a leaf of a broadcast delays nobody
    harmed = durations.max(axis=1) >= lateness // 2
    late = (lateness >= least) & (lateness >= MATERIAL_SHARE * after) & harmed
    found = np.count_nonzero(late, axis=1)
    judged.late_iterations[apart] = found
    some = np.flatnonzero(found)
    culprit, supporting = _most(last[some], late[some], n)
    chance = n * bdtrc(supporting - 1, found[some], 1 / n)  # as often as that, or more often
    named = (supporting >= CONSISTENT_SHARE * found[some]) & (chance <= CHANCE)
    some, culprit = some[named], culprit[named]
    at = apart[some]
    mine = late[some] & (last[some] == culprit[:, None])
    judged.late[at], judged.supporting[at] = culprit, supporting[named]
    low, high = _quantiles(lateness[some], mine) * NANOSECONDS
    judged.lateness_seconds[at], judged.lateness_p90_seconds[at] = low, high
    own = durations[some].argmin(axis=1) == culprit[:, None]
    judged.shortest[at] = np.count_nonzero(mine & own, axis=1)
    return judged


def _apart_ns(entry_ns: Stamps) -> Counts:
    """How far apart the first and the last entry of an iteration are at most, int64 [series]."""
    if entry_ns.shape[1] == 2:  # most rows of a large run are pairs
        between = entry_ns[:, 1] - entry_ns[:, 0]
        return np.asarray(np.maximum(between.max(axis=1), -between.min(axis=1)))
    return np.asarray((entry_ns.max(axis=1) - entry_ns.min(axis=1)).max(axis=1))


def _nobody(iterations: int, late_iterations: Counts, why: str = "") -> Judged:
    nothing = np.zeros_like(late_iterations)
    unknown = np.full(len(nothing), np.nan)
    return Judged(
        iterations,
        late_iterations,
        late=nothing - 1,
        supporting=nothing.copy(),
        lateness_seconds=unknown,
        lateness_p90_seconds=unknown.copy(),
        shortest=nothing.copy(),
        why=why,
    )


def _most(last: Counts, late: npt.NDArray[np.bool_], n: int) -> tuple[Counts, Counts]:
    """(row that was the last one in most of the late iterations, in how many), each [series]."""
    series = np.broadcast_to(np.arange(len(last))[:, None], last.shape)
    times = np.bincount((series * n + last)[late], minlength=len(last) * n).reshape(-1, n)
    return times.argmax(axis=1), times.max(axis=1, initial=0)


def _quantiles(lateness: Floats, mine: npt.NDArray[np.bool_]) -> Floats:
    """(median, 90th percentile) over the iterations that are `mine`, float64 [2, series]."""
    made = np.full((2, len(lateness)), np.nan)
    ordered = np.sort(np.where(mine, lateness, np.inf), axis=1)
    each = np.count_nonzero(mine, axis=1)
    for count in np.unique(each):
        made[:, each == count] = np.quantile(ordered[each == count, :count], (0.5, 0.9), axis=1)
    return made


def lateness_ns(entry_ns: Stamps) -> tuple[Floats, Counts]:
    """(lateness of the last rank, its row) of each iteration, from entries int64 [..., ranks, n].

    Lateness is the last entry after the median entry of the others, in ns.
    """
    if entry_ns.shape[-2] == 2:  # most rows of a large run are pairs
        one, other = entry_ns[..., 0, :], entry_ns[..., 1, :]
        return np.abs(other - one).astype(np.float64), (other > one).astype(np.int64)
    ordered = np.sort(entry_ns, axis=-2)
    others = np.median(ordered[..., :-1, :], axis=-2)
    return ordered[..., -1, :] - others, entry_ns.argmax(axis=-2)


def _waited(durations: Stamps) -> npt.NDArray[np.bool_]:
    """Iterations in which one call was much shorter than another: somebody waited for somebody."""
    shortest = durations.min(axis=-2)
    wait = durations.max(axis=-2) - shortest
    return np.asarray((wait >= LEAST_LATENESS_NS) & (wait >= MATERIAL_SHARE * shortest))
