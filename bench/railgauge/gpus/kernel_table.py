"""How fast the kernels of one GPU are: rounds over all of them, so that a drift meets all alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device
from railgauge.gpus.flags import Flight, flights
from railgauge.gpus.kernel_work import Work, Works
from railgauge.hardware import bounds, links
from railgauge.loop import Table, execute, table
from railgauge.statistics import Summary, summarise
from railgauge.units import GIGA, NANOSECONDS

LAUNCHES, SHORTEST_NS = 4, 2_000_000  # a sample is as many launches as take that long
WARMUP = 2
CEILING = ("read", "write", "triad")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel; seconds a launch, GB/s of all bytes read and written.

    `of_driver` is a copy's rate over that of cuMemcpyAsync, `of_ceiling` any rate over the best of
    read, write and triad; `right`: the output was what the twin makes of the inputs.
    """

    family: str
    kernel: str
    nbytes: int
    right: bool
    samples: int
    median_seconds: float
    median_low_seconds: float | None
    median_high_seconds: float | None
    GBps: float
    of_ceiling: float | None = None
    of_driver: float | None = None
    TFLOPS: float | None = None


class KernelTable(msgspec.Struct, frozen=True, kw_only=True):
    """What one GPU's kernels gave. `allowed_GBps` is the data sheet's bandwidth of its memory."""

    gpu: dict[str, Any]
    ceiling_GBps: float  # noqa: N815
    allowed_GBps: float | None  # noqa: N815
    allowed: str
    rows: tuple[Row, ...]
    flags: tuple[Flight, ...]

    @property
    def right(self) -> bool:
        return all(row.right for row in self.rows)


def measured(
    devices: Sequence[Device], nbytes: int, rounds: int, progress: Callable[[str], None]
) -> KernelTable:
    """The table of the first device, and the flights of flags between all of them.

    Raises NotMeasuredError where a kernel does not compile or run, or memory does not suffice.
    """
    device = devices[0]
    device.enter()
    works = Works(device, nbytes)
    progress("compiling")
    found = works.all()
    right = {id(work): works.run(work) for work in found}
    timers = [_Timer(device, work) for work in found]
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for timer in timers:
            timer.sample()
    summaries = [summarise(np.array(timer.samples)) for timer in timers]
    # what was timed is looked at once more, after all the launches
    rows = [
        _row(work, nbytes, summary, right[id(work)] and works.run(work))
        for work, summary in zip(found, summaries, strict=True)
    ]
    ceiling = max(row.GBps for row in rows if row.family in CEILING)
    driver = next(row.GBps for row in rows if row.family == "driver")
    rows = [_beside(row, ceiling, driver) for row in rows]
    progress("flags between GPUs")
    bound, words = _allowed(device)
    return KernelTable(
        gpu=dataclasses.asdict(device.facts),
        ceiling_GBps=ceiling,
        allowed_GBps=bound,
        allowed=words,
        rows=tuple(rows),
        flags=tuple(flights(devices, rounds)),
    )


class _Timer:
    """Samples of one work: launches right after the other between two events."""

    def __init__(self, device: Device, work: Work) -> None:
        self._device, self._steps = device, work.steps
        self._prepare = table([*work.prepare, cuda.synchronise(device.stream)])
        self._events = (device.new_event(), device.new_event())
        self.samples: list[float] = []
        self._program = self._launches(LAUNCHES)
        for _ in range(WARMUP):
            took = self._nanoseconds()
        self._number = max(LAUNCHES, LAUNCHES * SHORTEST_NS // max(1, took))
        self._program = self._launches(self._number)

    def _launches(self, number: int) -> Table:
        stream = self._device.stream
        first, last = (cuda.record(event, stream) for event in self._events)
        return table([first, *self._steps * number, last, cuda.synchronise(stream)])

    def _nanoseconds(self) -> int:
        if code := execute(self._prepare) or execute(self._program):
            raise cuda.CudaError(cuda.explain(code))
        return self._device.nanoseconds(*self._events)

    def sample(self) -> None:
        self.samples.append(self._nanoseconds() * NANOSECONDS / self._number)


def _row(work: Work, nbytes: int, summary: Summary, right: bool) -> Row:
    assert summary.median is not None
    return Row(
        family=work.family,
        kernel=work.kernel,
        nbytes=nbytes,
        right=right,
        samples=summary.samples,
        median_seconds=summary.median,
        median_low_seconds=summary.low,
        median_high_seconds=summary.high,
        GBps=sum(work.traffic) / summary.median / GIGA,
        TFLOPS=work.operations / summary.median / 1e12 if work.operations else None,
    )


def _beside(row: Row, ceiling: float, driver: float) -> Row:
    if row.TFLOPS is not None:
        return row
    of_driver = row.GBps / driver if row.family == "copy" else None
    return msgspec.structs.replace(row, of_ceiling=row.GBps / ceiling, of_driver=of_driver)


def _allowed(device: Device) -> tuple[float | None, str]:
    """The memory's bandwidth by its clock and width (NVML), and how that was computed."""
    gpu = links.hardware().gpu(device.facts.uuid)
    if gpu is None:
        return None, "unknown: NVML does not list the GPU"
    bound = bounds.local_bound(gpu)
    return bound.raw_GBps, bound.words
