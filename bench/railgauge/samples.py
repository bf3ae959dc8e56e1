"""From raw stamps to the time that one iteration took: pure functions of a run folder.

A collective ends when its last rank ends, so a series holds, per iteration, the slowest rank of
the group; never a mean over ranks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from railgauge.errors import NotMeasuredError
from railgauge.journal import read_block
from railgauge.rank_arrays import decode_all
from railgauge.records import GroupResult, Overlap, Result
from railgauge.units import GIGA, NANOSECONDS

Rows = npt.NDArray[np.int64]
_FEW_RANKS = 8


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


class Stack(NamedTuple):
    """The same of several groups that have equally many rows: the form in which rounds are read.

    `number` int64 [g] says which of `result.groups` they are; `ranks` is int64 [g, k] (k is 0 where
    only the slowest ranks were kept), `rows` int64 [g, k, n, columns], `clock_ns` int64 [g, k].
    """

    number: Rows
    ranks: Rows
    rows: Rows
    clock_ns: Rows
    columns: tuple[str, ...]


def completion_ns(columns: tuple[str, ...], timing: str, rows: Rows, clock_ns: Rows) -> Rows:
    """Time of each iteration of a group in ns, int64 [n], from rows int64 [ranks, n, columns].

    Of several groups, int64 [groups, n] from [groups, ranks, n, columns]. Barrier and back to back:
    the longest any rank took. Synchronised clocks: from the first entry to the last exit, both on
    rank 0's clock.
    """
    if columns[0] == "duration":
        return _largest(rows[..., 0])
    entry, exit_ = rows[..., 0], rows[..., 1]
    if timing == "synchronised":
        offset = clock_ns[..., None]
        return np.asarray((exit_ + offset).max(axis=-2) - (entry + offset).min(axis=-2))
    return _largest(exit_ - entry)


def _largest(values: Rows) -> Rows:
    """Over the ranks, int64 [..., n] of [..., ranks, n]; of few ranks one whole array after the other."""
    ranks = values.shape[-2]
    if 1 < ranks <= _FEW_RANKS:
        return np.asarray(reduce(np.maximum, (values[..., k, :] for k in range(ranks))))
    return np.asarray(values.max(axis=-2))


def stacks(folder: Path, result: Result, decoded: tuple[Rows, Rows] | None = None) -> list[Stack]:
    """The raw samples of all groups of a result, groups of equally many rows together.

    `decoded` are the ranks of its groups (`rank_arrays.decode_all`), where somebody has them already.
    Raises NotMeasuredError where a sample file is missing or cut short, or has nothing of a group.
    """
    if not result.samples:
        raise _lacking(folder, result, 0)
    members, counts = decoded or decode_all([group.ranks for group in result.groups])
    if "rank" in result.samples[0].columns:
        return [_slowest(folder, result, _first_ranks(members, counts))]
    rows, clock_ns, ranks = _read(folder, result)
    place = np.full(int(max(members.max(), ranks.max(), 0)) + 1, -1, np.int64)
    place[ranks] = np.arange(len(ranks))
    number = np.repeat(np.arange(len(counts)), counts)[place[members] >= 0]
    members = members[place[members] >= 0]
    found = np.bincount(number, minlength=len(counts))
    if not found.all():
        raise _lacking(folder, result, int(found.argmin()))
    made = []
    for size in np.unique(found):
        index = np.flatnonzero(found == size)
        those = members[found[number] == size].reshape(len(index), size)
        at = place[those]
        whole = np.array_equal(at.ravel(), np.arange(len(rows)))  # then they lie as they are wanted
        own = rows.reshape(*at.shape, *rows.shape[1:]) if whole else rows.take(at, axis=0)
        made.append(Stack(index, those, own, clock_ns[at], result.samples[0].columns))
    return made


def _first_ranks(members: Rows, counts: Rows) -> Rows:
    """The first rank of each group; a number of its own below 0 of one whose ranks nobody knows."""
    first = -1 - np.arange(len(counts))
    known = np.flatnonzero(counts)
    first[known] = members[(np.cumsum(counts) - counts)[known]]
    return first


def group_samples(folder: Path, result: Result) -> Iterator[GroupSamples]:
    """The raw samples of every group of a result, in the order of `result.groups`.

    Raises NotMeasuredError as `stacks` does.
    """
    made: dict[int, GroupSamples] = {}
    for stack in stacks(folder, result):
        for k, index in enumerate(stack.number.tolist()):
            made[index] = GroupSamples(
                result.groups[index],
                tuple(stack.ranks[k].tolist()),
                stack.rows[k],
                stack.clock_ns[k],
                stack.columns,
            )
    for index in range(len(result.groups)):
        yield made[index]


@functools.lru_cache(8)
def _stamping(texts: tuple[str, ...]) -> tuple[Rows, Rows]:
    """`decode_all` of the ranks of blocks, which are the same in every round of a run; not to be changed."""
    made = decode_all(texts)
    for array in made:
        array.flags.writeable = False
    return made


def _read(folder: Path, result: Result) -> tuple[Rows, Rows, Rows]:
    """Of every rank that stamped: (rows int64 [ranks, n, columns], its clock_ns, the rank)."""
    iterations = result.groups[0].iterations
    ranks, counts = _stamping(tuple(block.ranks for block in result.samples))
    parts = [
        read_block(folder, block, iterations, count)
        for block, count in zip(result.samples, counts.tolist(), strict=True)
    ]
    clock_ns = np.repeat(np.array([block.clock_ns for block in result.samples], np.int64), counts)
    return parts[0] if len(parts) == 1 else np.concatenate(parts), clock_ns, ranks


def _slowest(folder: Path, result: Result, first: Rows) -> Stack:
    """One row a group, `first` being the groups' first ranks."""
    iterations, groups = result.groups[0].iterations, len(result.groups)
    columns = result.samples[0].columns
    rows = np.zeros((groups, 1, iterations, len(columns)), np.int64)
    found = np.zeros(groups, np.bool_)
    order = np.argsort(first)
    for block in result.samples:
        named = decode_all([block.ranks])[0] if block.ranks else first
        at = order[np.searchsorted(first, named, sorter=order).clip(max=groups - 1)]
        own = first[at] == named
        rows[at[own], 0] = read_block(folder, block, iterations, len(named))[own]
        found[at[own]] = True
    if not found.all():
        raise _lacking(folder, result, int(found.argmin()))
    nobody = np.zeros((groups, 0), np.int64)
    return Stack(np.arange(groups), nobody, rows, np.zeros((groups, 1), np.int64), columns)


def _lacking(folder: Path, result: Result, group: int) -> NotMeasuredError:
    return NotMeasuredError(
        f"{folder}: {result.case.describe()}, round {result.round}: no samples of the ranks"
        f" {result.groups[group].ranks[:80]}.\n  expected: the folder of railgauge run, unedited"
    )


def seconds(samples: GroupSamples | Stack, result: Result) -> npt.NDArray[np.float64]:
    """Reported time of each iteration in seconds, float64 [n]; of a stack [g, n].

    For point to point this is the time of one message (`result.transfers` an iteration).
    """
    ns = completion_ns(samples.columns, result.case.timing, samples.rows, samples.clock_ns)
    return in_seconds(ns, result.transfers)


def in_seconds(nanoseconds: npt.NDArray[np.int64], transfers: int = 1) -> npt.NDArray[np.float64]:
    """Seconds of each iteration, or of one of its messages."""
    return np.multiply(nanoseconds, NANOSECONDS / transfers, dtype=np.float64)


def bandwidth_rows(
    nbytes: int, seconds: npt.NDArray[np.float64], bus_factor: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(algbw, busbw) in GB/s (10^9 bytes a second) of many times; NaN without a time or a payload."""
    unknown = (seconds == 0) | (nbytes == 0)
    algbw = nbytes / np.where(unknown, math.nan, seconds) / GIGA
    return algbw, algbw * bus_factor


def bandwidths(nbytes: int, seconds: float | None, bus_factor: float) -> tuple[float, float] | None:
    """`bandwidth_rows` of one time; None where there is no time or no payload."""
    if not seconds or not nbytes:
        return None
    (algbw,), (busbw,) = bandwidth_rows(nbytes, np.array([seconds]), bus_factor)
    return float(algbw), float(busbw)


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
