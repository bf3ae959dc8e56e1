"""What the other ranks of a `victim` pattern do while the victims are measured.

Traffic (all to all, all into one, one to all) by the backend that is measured, in bursts: after each
burst the ranks agree whether to go on, so that all of them run the same number. Or reads and writes
of a path, past the page cache, by each rank for itself. Nothing here is verified or timed one by one,
nor is it progress: the watchdog looks at the victims, beside which a load would go on for ever.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from railgauge import schedules
from railgauge.backends import offers_of
from railgauge.dtypes import dtype_named
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.layouts import Ends
from railgauge.loop import CELLS
from railgauge.measure import Measurement
from railgauge.needs import ends_of, memory_needed
from railgauge.operations import OPERATIONS
from railgauge.plan import Case, Plan, forms
from railgauge.schedules import LOAD_OPERATIONS, STORAGE, Round
from railgauge.world import Backend, Communicator

BURST_SECONDS = 0.005
MOST_ITERATIONS = 10_000  # of a burst
MOST_BYTES = 16 << 20  # that a rank of an all-to-all sends at once
BLOCK_BYTES, FILE_BLOCKS = 4 << 20, 16


class Load(Protocol):
    """`nbytes` is what this rank has sent (or written and read) in `seconds`, since they were set to 0."""

    nbytes: int
    seconds: float

    def until(self, over: Callable[[], bool]) -> None:
        """Make load until `over` says so."""

    def close(self) -> None:
        """Leave nothing behind."""


class Traffic:
    """Bursts of an operation among the ranks that load, back to back."""

    def __init__(self, plan: Plan, round_: Round, group: Communicator, backend: Backend) -> None:
        self._group, self._cells = group, np.zeros(CELLS, np.int64)
        self.nbytes, self.seconds = 0, 0.0
        case, ends = traffic_case(plan, round_.load, group.size), _ends(round_, group)
        self._measurement = Measurement(plan, case, 0, group, backend, self._cells, 0, None, ends)
        self._sent = case.nbytes if self._measurement.buffers.layout.sends else 0
        self._iterations = 1

    def until(self, over: Callable[[], bool]) -> None:
        while True:
            before = time.monotonic()
            code, _ = self._measurement.bound.leg.run(self._iterations, self._cells)
            if code:
                raise NotMeasuredError(f"load: {self._measurement.backend.explain(code)}")
            took = time.monotonic() - before
            self.nbytes += self._sent * self._iterations
            self.seconds += took
            longest, on = self._group.maximum(np.array([took, not over()], np.float64))
            if not on:
                return
            fitting = int(self._iterations * BURST_SECONDS / max(longest, 1e-9))
            self._iterations = max(1, min(MOST_ITERATIONS, fitting, 2 * self._iterations))

    def close(self) -> None:
        self._measurement.close()


def _ends(round_: Round, group: Communicator) -> Ends:
    ranks = round_.loading
    into_first = tuple((rank, ranks[0]) for rank in ranks[1:])
    members = schedules.Group(ranks, into_first if round_.load == "incast" else ())
    return ends_of(members, ranks[group.rank])


def check_room(plan: Plan, round_: Round, group: Communicator, room: int) -> None:
    """Raise UsageError where this rank's buffers of the traffic need more than `room` bytes."""
    if round_.load not in LOAD_OPERATIONS:
        return
    case = traffic_case(plan, round_.load, group.size)
    need = memory_needed(plan, case, group.size, group.rank, _ends(round_, group))
    if need > room:
        raise UsageError(
            f"--load-bytes {plan.load_bytes}: {round_.load} among {group.size} ranks needs {need} B of"
            f" buffers on {os.uname().nodename}, {room} B may be used.\n"
            "  next: railgauge run --pattern victim --load-bytes 64K"
        )


def traffic_case(plan: Plan, load: str, n: int) -> Case:
    """The operation that makes the load among n ranks, in messages of `plan.load_bytes`."""
    entry = OPERATIONS[LOAD_OPERATIONS[load]]
    (placement, *_), calls = forms(entry, offers_of(plan.backend))
    nbytes = plan.load_bytes
    if load == "alltoall":
        nbytes = min(nbytes * n, max(MOST_BYTES, n))
    dtype = plan.dtypes[0]  # what the backend has prepared for
    itemsize = dtype_named(dtype).itemsize
    count = entry.count(nbytes, itemsize, n)
    return Case(
        index=0,
        operation=entry.name,
        call=calls[0],
        timing="back_to_back",
        dtype=dtype,
        op=None,
        root=0 if entry.rooted else None,
        placement="in" if placement == "in" else "out",
        nbytes=entry.nbytes(count, itemsize, n),
        count=count,
    )


class Storage:
    """Writes a block of 4 MiB and reads it back, over and over, with O_DIRECT.

    Its file has no name from the beginning: nothing is left of it, however the rank ends.
    """

    def __init__(self, path: Path, rank: int) -> None:
        self.nbytes, self.seconds = 0, 0.0
        self._path = path
        file = path / f".railgauge-load-{os.uname().nodename}-{rank}-{os.getpid()}"
        try:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_DIRECT
                self._descriptor = os.open(file, flags, 0o600)
            finally:  # where O_DIRECT is refused, the file has been made all the same
                with contextlib.suppress(FileNotFoundError):
                    file.unlink()
        except OSError as error:
            raise UsageError(
                f"--load {STORAGE}:{path}: {error.strerror} on {os.uname().nodename}.\n"
                "  expected: a folder that every node may write, on a file system that has O_DIRECT\n"
                f"  next: railgauge run --pattern victim --load {STORAGE}:ANOTHER_FOLDER"
            ) from None
        self._block = mmap.mmap(-1, BLOCK_BYTES)  # O_DIRECT wants whole pages
        self._block.write(os.urandom(BLOCK_BYTES))

    def until(self, over: Callable[[], bool]) -> None:
        before, block = time.monotonic(), 0
        while not over():
            at = block % FILE_BLOCKS * BLOCK_BYTES
            try:
                self.nbytes += os.pwritev(self._descriptor, [self._block], at)
                self.nbytes += os.preadv(self._descriptor, [self._block], at)
            except OSError as error:  # it is full, or gone
                raise NotMeasuredError(
                    f"--load {STORAGE}:{self._path}: {error.strerror} on {os.uname().nodename}, while"
                    f" it was the load.\n  expected: {FILE_BLOCKS * BLOCK_BYTES >> 20} MiB of room for"
                    " each rank that makes load\n"
                    "  next: make room there, then railgauge run --resume with the same options"
                ) from None
            block += 1
        self.seconds += time.monotonic() - before

    def close(self) -> None:
        os.close(self._descriptor)
        self._block.close()


def open_load(plan: Plan, round_: Round, group: Communicator, backend: Backend) -> Load:
    """The load of a round on one of its `loading` ranks."""
    kind, _, path = round_.load.partition(":")
    if kind == STORAGE:
        return Storage(Path(path), round_.loading[group.rank])
    return Traffic(plan, round_, group, backend)
