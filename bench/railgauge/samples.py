"""From raw stamps to the time that one iteration took: pure functions of a run folder.

A collective ends when its last rank ends, so a series holds, per iteration, the slowest rank of
the group; never a mean over ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from railgauge.journal import read_block
from railgauge.records import GroupResult, Overlap, Result, decode_ranks
from railgauge.units import GIGA, NANOSECONDS

Rows = npt.NDArray[np.int64]


class GroupSamples(NamedTuple):
    """Raw samples of one group: `ranks[k]` (world ranks) made `rows[k]`, int64 [n, columns] in ns.

    Of a pair that is timed back to back, only the rank that sends first has samples.
    `clock_ns[k]` brings rank k's stamps to rank 0's clock. Columns as in `journal.Block`; where
    only the slowest rank of each iteration was kept, `rows` has one row and `ranks` is empty.
    """

    group: GroupResult
    ranks: tuple[int, ...]
    rows: Rows
    clock_ns: Rows
    columns: tuple[str, ...]


def completion_ns(columns: tuple[str, ...], timing: str, rows: Rows, clock_ns: Rows) -> Rows:
    """Time of each iteration of one group in ns, int64 [n], from rows int64 [ranks, n, columns].

    Barrier and back to back: the longest any rank took. Synchronised clocks: from the first entry
    to the last exit, both on rank 0's clock.
    """
    if columns[0] == "duration":
        return np.asarray(rows[:, :, 0].max(axis=0))
    if timing == "synchronised":
        synced = rows + clock_ns[:, None, None]
        return np.asarray(synced[:, :, 1].max(axis=0) - synced[:, :, 0].min(axis=0))
    return np.asarray((rows[:, :, 1] - rows[:, :, 0]).max(axis=0))


def group_samples(folder: Path, result: Result) -> Iterator[GroupSamples]:
    """The raw samples of every group of a result, in the order of `result.groups`.

    Raises NotMeasuredError where a sample file is missing or cut short.
    """
    iterations = result.groups[0].iterations
    made: dict[int, tuple[Rows, int]] = {}
    for block in result.samples:
        if "rank" in block.columns:
            slowest = read_block(folder, block, iterations, len(result.groups))
            for group, rows in zip(result.groups, slowest, strict=True):
                yield GroupSamples(group, (), rows[None], np.zeros(1, np.int64), block.columns)
            return
        ranks = decode_ranks(block.ranks)
        rows = read_block(folder, block, iterations, len(ranks))
        made.update({rank: (row, block.clock_ns) for rank, row in zip(ranks, rows, strict=True)})
    for group in result.groups:
        members = tuple(rank for rank in decode_ranks(group.ranks) if rank in made)
        yield GroupSamples(
            group,
            members,
            np.stack([made[rank][0] for rank in members]),
            np.array([made[rank][1] for rank in members], np.int64),
            result.samples[0].columns,
        )


def seconds(samples: GroupSamples, result: Result) -> npt.NDArray[np.float64]:
    """Reported time of each iteration in seconds, float64 [n].

    For point to point this is the time of one message (`result.transfers` an iteration).
    """
    ns = completion_ns(samples.columns, result.case.timing, samples.rows, samples.clock_ns)
    return in_seconds(ns, result.transfers)


def in_seconds(nanoseconds: npt.NDArray[np.int64], transfers: int = 1) -> npt.NDArray[np.float64]:
    """Seconds of each iteration, or of one of its messages."""
    return np.multiply(nanoseconds, NANOSECONDS / transfers, dtype=np.float64)


def bandwidths(nbytes: int, seconds: float | None, bus_factor: float) -> tuple[float, float] | None:
    """(algbw, busbw) in GB/s (10^9 bytes a second), None where there is no time or no payload."""
    if not seconds or not nbytes:
        return None
    algbw = nbytes / seconds / GIGA
    return algbw, algbw * bus_factor


def group_bandwidths(
    result: Result, group: GroupResult, seconds: float | None
) -> tuple[float | None, float | None]:
    """(algbw, busbw) of a group in GB/s, None where the ranks that they depend on are unknown.

    Of what a foreign operation moves there is no busbw.
    """
    entry = result.case.entry
    if not group.ranks and entry.blocks(2) != 1:
        return None, None
    algbw, busbw = bandwidths(result.case.nbytes, seconds, result.bus_factor) or (None, None)
    return algbw, busbw if group.ranks and not entry.foreign else None


def overlap_share(overlap: Overlap | None) -> float | None:
    """Share of the shorter of operation and computation that the other hides, 0 ... 1.

    (pure + compute - together) / min(pure, compute): IMB's numerator with the shorter of the two
    below it. Computation is made as long as the operation, where this equals OSU's definition. None
    where nothing could be hidden.
    """
    if overlap is None:
        return None
    shorter = min(overlap.pure_seconds, overlap.compute_seconds)
    if shorter <= 0:
        return None
    hidden = overlap.pure_seconds + overlap.compute_seconds - overlap.together_seconds
    return min(1.0, max(0.0, hidden / shorter))


def compute_slowdown(overlap: Overlap | None) -> float | None:
    """Time of the computation beside the operation over its time alone; None where it is unknown."""
    if overlap is None or not overlap.beside_seconds or overlap.compute_seconds <= 0:
        return None
    return overlap.beside_seconds / overlap.compute_seconds
