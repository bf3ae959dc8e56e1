"""The memory of one case on one rank: inputs and outputs between guard zones.

Out of place, one send buffer and `slots` receive buffers; in place, `slots` buffers that hold
both. Buffers of a page or more begin on a page, smaller ones on a cache line.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from railgauge.dtypes import DType
from railgauge.inputs import GUARD_BYTE, WHERE, WRONG, Checker, guard_check_address, new_report
from railgauge.layouts import Layout
from railgauge.loop import MEMSET, Step, Table, execute, table

PAGE, LINE = 4096, 64


def _places(sizes: Sequence[int]) -> tuple[list[int], list[tuple[int, int]], int]:
    """Where buffers of `sizes` bytes begin, the guard zones (begin, bytes) and the bytes in all.

    Offsets count from the beginning of a page. A zone of at least a page (small buffers: a cache
    line) lies before and after every buffer.
    """
    begins, zones, end, free = [], [], 0, 0
    for nbytes in sizes:
        unit = PAGE if nbytes >= PAGE else LINE
        begin = -(-(free + unit) // unit) * unit
        begins.append(begin)
        zones.append((end, begin - end))
        end = begin + nbytes
        free = end + unit
    return begins, [*zones, (end, free - end)], free


def footprint(layout: Layout, itemsize: int, slots: int, in_place: bool) -> int:
    """Bytes that `Buffers` takes for that layout."""
    return _places(_sizes(layout, itemsize, slots, in_place))[2]


def _sizes(layout: Layout, itemsize: int, slots: int, in_place: bool) -> list[int]:
    sends, receives = layout.sends * itemsize, layout.receives * itemsize
    if in_place and layout.own is not None:
        return [0] + [max(sends, receives)] * slots
    return [sends] + [receives] * slots


class Buffers:
    """Send and receive buffers of a case with the steps that prepare and verify them.

    `send` is the address of the send buffer, `slots[k]` of the k-th receive buffer; with
    `in_place` the input lies `layout.own` elements into each slot.
    """

    def __init__(
        self,
        layout: Layout,
        dtype: DType,
        record: npt.NDArray[np.int64],
        rank: int,
        slots: int,
        in_place: bool,
    ) -> None:
        self.layout, self.dtype, self.record, self.rank = layout, dtype, record, rank
        self.in_place = in_place and layout.own is not None
        self.report = new_report()
        self.guard_report = new_report()
        self._checker = Checker(dtype.itemsize)
        sizes = _sizes(layout, dtype.itemsize, slots, in_place)
        places, zones, self.nbytes = _places(sizes)
        # private: anonymous memory that is shared is a file in memory, which gets no huge pages
        self._memory = mmap.mmap(-1, self.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = np.frombuffer(self._memory, np.uint8).ctypes.data
        execute(table([Step(MEMSET, (base, GUARD_BYTE, self.nbytes))]))
        begins = [base + place for place in places]
        self.send, *self.slots = begins
        self._regions = list(
            zip(["send", *(f"receive {k}" for k in range(slots))], begins, sizes, strict=True)
        )
        self._guards = table(
            [
                Step(
                    guard_check_address(),
                    (base + begin, nbytes, GUARD_BYTE, self.guard_report.ctypes.data),
                )
                for begin, nbytes in zones
            ]
        )

    def close(self) -> None:
        """Give the memory back; no step may run afterwards."""
        self._memory.close()

    # steps ------------------------------------------------------------------------------------

    def inputs(self) -> list[Step]:
        """Steps that put this rank's input where the operation reads it."""
        if not self.layout.sends:
            return []
        if not self.in_place:
            return [self._checker.fill(self.send, self.layout.sends, self.record, self.rank, 0)]
        own = (self.layout.own or 0) * self.dtype.itemsize
        return [
            self._checker.fill(slot + own, self.layout.sends, self.record, self.rank, 0)
            for slot in self.slots
        ]

    def spoiled(self) -> list[Step]:
        """Steps that make every output element wrong, then put the inputs back where they share memory."""
        steps = []
        for slot in self.slots:
            for s in self.layout.expected:
                own = self.layout.own
                if self.in_place and own is not None:
                    inside = own <= s.offset and s.offset + s.count <= own + self.layout.sends
                    if inside:
                        continue
                at = slot + s.offset * self.dtype.itemsize
                steps.append(self._checker.spoil(at, s.count, self.record, s.source, s.start))
        return steps + (self.inputs() if self.in_place else [])

    def restored(self) -> list[Step]:
        """Steps needed before *every* iteration: the inputs, where iterations overwrite them."""
        overwritten = self.in_place and any(s.source != self.rank for s in self.layout.expected)
        return self.inputs() if overwritten else []

    def verification(self) -> list[Step]:
        """Steps that compare every output element with what it must be; results in `report`."""
        return [
            self._checker.check(
                slot + s.offset * self.dtype.itemsize,
                s.count,
                self.record,
                s.source,
                s.start,
                self.report,
            )
            for slot in self.slots
            for s in self.layout.expected
        ]

    # results ----------------------------------------------------------------------------------

    def check_guards(self) -> int:
        """Bytes outside the buffers that were overwritten since the last look."""
        self.guard_report[:] = 0
        execute(self._guards)
        return int(self.guard_report[WRONG])

    def located(self, report: Table) -> tuple[str, int]:
        """(buffer, index of the element) of a report's first wrong element or guard byte."""
        address = int(report[WHERE])
        name, begin, _ = min(
            self._regions,
            key=lambda region: max(region[1] - address, address - region[1] - region[2] + 1, 0),
        )
        return name, (address - begin) // self.dtype.itemsize
