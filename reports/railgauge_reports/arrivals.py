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
from scipy.stats import binom

from railgauge.units import NANOSECONDS

Stamps = npt.NDArray[np.int64]

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
    n, iterations = entry_ns.shape
    if n < 2 or not iterations:
        return Arrivals(iterations, 0, nobody="one rank cannot wait for another")
    durations = exit_ns - entry_ns
    if uncertainty_ns is None:
        return Arrivals(
            iterations,
            int(np.count_nonzero(_waited(durations))),
            nobody="the clocks of the nodes are not synchronised",
        )
    lateness, last = lateness_ns(entry_ns)
    after = np.maximum(exit_ns.max(axis=0) - entry_ns.max(axis=0), 0)
    least = max(LEAST_LATENESS_NS, CLOCK_MARGIN * uncertainty_ns)
    # somebody must have waited for it: a leaf of a broadcast delays nobody
    harmed = durations.max(axis=0) >= lateness // 2
    late = (lateness >= least) & (lateness >= MATERIAL_SHARE * after) & harmed
    found = int(np.count_nonzero(late))
    if not found:
        return Arrivals(iterations, 0, nobody="no rank was late")
    culprit = int(np.bincount(last[late], minlength=n).argmax())
    mine = late & (last == culprit)
    supporting = int(np.count_nonzero(mine))
    chance = n * float(binom.sf(supporting - 1, found, 1 / n))
    if supporting < CONSISTENT_SHARE * found or chance > CHANCE:
        return Arrivals(iterations, found, nobody="no rank was the last one consistently")
    low, high = np.quantile(lateness[mine], (0.5, 0.9)) * NANOSECONDS
    return Arrivals(
        iterations,
        found,
        Late(
            rank=ranks[culprit],
            host=hosts[culprit],
            iterations=supporting,
            lateness_seconds=float(low),
            lateness_p90_seconds=float(high),
            shortest=int(np.count_nonzero(durations[:, mine].argmin(axis=0) == culprit)),
        ),
    )


def lateness_ns(entry_ns: Stamps) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """(lateness of the last rank, its row) of each iteration, from entries int64 [ranks, n].

    Lateness is the last entry after the median entry of the others, in ns.
    """
    ordered = np.sort(entry_ns, axis=0)
    return ordered[-1] - np.median(ordered[:-1], axis=0), entry_ns.argmax(axis=0)


def _waited(durations: Stamps) -> npt.NDArray[np.bool_]:
    """Iterations in which one call was much shorter than another: somebody waited for somebody."""
    shortest = durations.min(axis=0)
    wait = durations.max(axis=0) - shortest
    return np.asarray((wait >= LEAST_LATENESS_NS) & (wait >= MATERIAL_SHARE * shortest))
