"""Traffic of alltoallv: how many elements every rank of a group sends to every other one."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Weights = tuple[tuple[int, ...], ...]  # what a plan asks for: one row a sender
Counts = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Traffic:
    """`rows` is int64 [n, n], elements from sender (row) to receiver (column).

    Where all senders send alike it is [1, n], and no n x n matrix is ever made.
    """

    rows: Counts

    @property
    def n(self) -> int:
        return int(self.rows.shape[1])

    @property
    def matrix(self) -> Counts:
        """The whole matrix [n, n]; a view that takes no memory."""
        return np.broadcast_to(self.rows, (self.n, self.n))

    def begins(self, receiver: int) -> Counts:
        """[n]: where in each sender's buffer the block for `receiver` begins."""
        return np.broadcast_to(self.rows[:, :receiver].sum(axis=1), self.n)

    def totals(self) -> tuple[Counts, Counts]:
        """([n], [n]): what each rank sends, and what each receives."""
        alike = self.n // len(self.rows)
        return np.broadcast_to(self.rows.sum(axis=1), self.n), self.rows.sum(axis=0) * alike

    def nbytes(self, itemsize: int) -> int:
        """max(sent, received) over the ranks, in bytes: the `nbytes` of an alltoallv."""
        return int(np.max(self.totals())) * itemsize

    def bus_factor(self) -> float:
        """busbw / algbw of an alltoallv: what the busiest rank moves to or from *others*.

        The diagonal never crosses a wire, so the busiest direction of the busiest rank carries its
        total without its own block; traffic without any to oneself has factor 1.
        """
        total = self.nbytes(1)
        return int(np.max(self.totals() - self.matrix.diagonal())) / total if total else 0.0


def skewed(n: int, count: int, skew: float) -> Traffic:
    """Traffic in which rank 0 is a hot spot.

    Every rank sends `count` elements to each rank; `skew` in [0, 1] is the share of them that
    goes to rank 0 instead (0: uniform, 1: an incast into rank 0). What a rank sends stays the same.
    """
    moved = round(count * skew)
    row = np.full((1, n), count - moved, np.int64)
    row[0, 0] = count + moved * (n - 1)
    return Traffic(row)


def weighed(weights: Weights, count: int, n: int) -> Traffic:
    """Traffic in the proportions of `weights`, rounded down to whole elements.

    It is scaled so that the busiest sender sends what `count` elements to each of `n` ranks make.
    """
    exact = np.array(weights, object)  # Python's integers do not overflow
    return Traffic((exact * (count * n) // max(map(sum, weights))).astype(np.int64))
