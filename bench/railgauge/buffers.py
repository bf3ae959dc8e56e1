"""The memory of one case on one rank: inputs and outputs between guard zones.

Out of place, send buffers and receive buffers; in place, buffers that hold both. Buffers of a page
or more begin on a page, smaller ones on a cache line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from railgauge.dtypes import DType
from railgauge.inputs import GUARD_BYTE, WHERE, WRONG
from railgauge.layouts import Layout
from railgauge.loop import Step, Table, execute, table
from railgauge.memory import HostMemory, Memory

PAGE, LINE = 4096, 64


@dataclasses.dataclass(frozen=True)
class Sets:
    """How many send and receive buffers a rank has, and which side lies in host memory ("": none).

    In place the receive buffers hold the inputs too.
    """

    receives: int = 1
    sends: int = 1
    in_place: bool = False
    on_host: str = ""


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


def footprint(layout: Layout, itemsize: int, sets: Sets) -> int:
    """Bytes that `Buffers` takes for that layout."""
    return sum(_places(sizes)[2] for sizes in _sizes(layout, itemsize, sets))


def _sizes(layout: Layout, itemsize: int, sets: Sets) -> tuple[list[int], list[int]]:
    """Bytes of each send buffer, and of each receive buffer."""
    sends, receives = layout.sends * itemsize, layout.receives * itemsize
    if sets.in_place and layout.own is not None:
        return [0], [max(sends, receives)] * sets.receives
    return [sends] * sets.sends, [receives] * sets.receives


class Buffers:
    """Send and receive buffers of a case with the steps that prepare and verify them.

    `sends[k]` is the address of the k-th send buffer, `slots[k]` of the k-th receive buffer; in
    place the input lies `layout.own` elements into each slot. `areas` are the (address, bytes) of
    the allocations behind them.
    """

    def __init__(
        self,
        layout: Layout,
        dtype: DType,
        record: npt.NDArray[np.int64],
        rank: int,
        sets: Sets,
        memory: Memory | None = None,
    ) -> None:
        self.layout, self.dtype, self.rank = layout, dtype, rank
        self.in_place = sets.in_place and layout.own is not None
        self._memory = memory or HostMemory()
        self.checks = self._memory.checks(dtype.itemsize, record)
        self.areas: list[tuple[int, int]] = []
        self._regions: list[tuple[str, int, int]] = []
        self._zones: list[Step] = []
        sends, receives = _sizes(layout, dtype.itemsize, sets)
        names = ["send"] if len(sends) == 1 else [f"send {k}" for k in range(len(sends))]
        self.sends = self._area(names, sends, sets.on_host == "send")
        names = [f"receive {k}" for k in range(len(receives))]
        self.slots = self._area(names, receives, sets.on_host == "receive")
        self._guards = table([*self._zones, *self.checks.done()])

    def _area(self, names: Sequence[str], sizes: Sequence[int], on_host: bool) -> list[int]:
        """Allocate buffers of these sizes between guard zones; their addresses."""
        places, zones, nbytes = _places(sizes)
        base = self._memory.allocate(nbytes, GUARD_BYTE, on_host)
        self.areas.append((base, nbytes))
        begins = [base + place for place in places]
        self._regions += zip(names, begins, sizes, strict=True)
        for begin, length in zones:
            self._zones += self.checks.guard(base + begin, length, GUARD_BYTE)
        return begins

    @property
    def nbytes(self) -> int:
        """Bytes of all allocations."""
        return sum(nbytes for _, nbytes in self.areas)

    @property
    def report(self) -> Table:
        """What verification found: see `railgauge.inputs`."""
        return self.checks.report

    @property
    def guard_report(self) -> Table:
        return self.checks.guard_report

    def close(self) -> None:
        """Give the memory back; no step may run afterwards."""
        self.checks.close()
        for address, _ in self.areas:
            self._memory.free(address)
        self.areas.clear()

    # steps ------------------------------------------------------------------------------------

    def inputs(self) -> list[Step]:
        """Steps that put this rank's input where the operation reads it."""
        if not self.layout.sends:
            return []
        at = self.sends
        if self.in_place:
            at = [slot + (self.layout.own or 0) * self.dtype.itemsize for slot in self.slots]
        steps = [s for a in at for s in self.checks.fill(a, self.layout.sends, self.rank, 0)]
        return steps + self.checks.done()

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
                steps += self.checks.spoil(at, s.count, s.source, s.start)
        return steps + (self.inputs() if self.in_place else self.checks.done())

    def restored(self) -> list[Step]:
        """Steps needed before *every* iteration: the inputs, where iterations overwrite them."""
        overwritten = self.in_place and any(s.source != self.rank for s in self.layout.expected)
        return self.inputs() if overwritten else []

    def verification(self) -> list[Step]:
        """Steps that compare every output element with what it must be; results in `report`."""
        steps = []
        for slot in self.slots:
            for s in self.layout.expected:
                at = slot + s.offset * self.dtype.itemsize
                steps += self.checks.check(at, s.count, s.source, s.start)
        return steps + self.checks.done()

    # results ----------------------------------------------------------------------------------

    def check_guards(self) -> int:
        """Bytes outside the buffers that were overwritten since the last look."""
        self.checks.forget_guards()
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
