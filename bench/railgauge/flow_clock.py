"""When each incoming message of an iteration was there: a step that waits for all and stamps each.

MPI_Waitall says when the last message has come. This step asks MPI_Waitsome instead until nothing is
left, and notes the time of each message that comes in, on the receiver's clock.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import carray, cfunc, types
from numba.extending import intrinsic

from railgauge.loop import CLOCK, STEP_WIDTH, Step, Table, _call6, clock_reading, table

#: Cells of the step's memory; the last two are the clock's.
_NEXT, _ROWS, _STAMPS, _INCOMING, _REQUESTS, _WAIT, _COUNT, _INDICES, _CLOCK, _SCRATCH = range(10)
_CELLS = _SCRATCH + 2


@intrinsic
def _pointer(_typing: Any, address: Any) -> Any:
    """The address as a pointer."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), generate


@functools.cache
def wait_each_address() -> int:
    """Address of int wait_each(int64 *cells): what MPI_Waitsome returned, or 0."""

    def wait_each(at):  # type: ignore[no-untyped-def]
        cells = carray(at, (_CELLS,), np.int64)
        wait = carray(_pointer(cells[_WAIT]), (1, STEP_WIDTH), np.int64)
        count = carray(_pointer(cells[_COUNT]), (1,), np.int32)
        left = cells[_REQUESTS]
        indices = carray(_pointer(cells[_INDICES]), (left,), np.int32)
        row, incoming = cells[_NEXT], cells[_INCOMING]
        keeps = row < cells[_ROWS]
        stamps = carray(_pointer(cells[_STAMPS]), (cells[_ROWS] * incoming,), np.int64)
        while left > 0:
            failed = _call6(wait, 0)
            if failed != 0:
                return np.int32(failed)
            now = clock_reading(cells[_CLOCK], cells[_SCRATCH:])
            if count[0] <= 0:  # MPI_UNDEFINED: there was nothing to wait for
                break
            left -= count[0]
            for k in range(count[0]):
                if keeps and indices[k] < incoming:
                    stamps[row * incoming + indices[k]] = now
        cells[_NEXT] = row + 1
        return np.int32(0)

    return int(cfunc(types.int32(types.voidptr), cache=True)(wait_each).address)


class FlowClock:
    """The step, and the stamps of one chunk: int64 [iterations, messages that come in].

    Requests of incoming messages stand first in the array at `requests`, then those of outgoing ones.
    `address` is of MPI_Waitsome, `statuses` of room for what it says of all of them.
    """

    def __init__(self, incoming: int, requests: int, total: int, statuses: int) -> None:
        self._incoming, self._rows = incoming, np.zeros((0, incoming), np.int64)
        self._count, self._indices = np.zeros(1, np.int32), np.zeros(max(1, total), np.int32)
        self._arguments = (
            *(total, requests, self._count.ctypes.data, self._indices.ctypes.data, statuses),
        )
        self._cells = np.zeros(_CELLS, np.int64)
        self._cells[[_INCOMING, _REQUESTS, _CLOCK]] = incoming, total, CLOCK
        self._cells[[_COUNT, _INDICES]] = self._count.ctypes.data, self._indices.ctypes.data
        self.begin(0)

    def step(self, waitsome: int) -> Step:
        """The step of a program; `waitsome` is the address of MPI_Waitsome."""
        self._wait = table([Step(waitsome, self._arguments)])
        self._cells[_WAIT] = self._wait.ctypes.data
        return Step(wait_each_address(), (self._cells.ctypes.data,))

    def begin(self, iterations: int) -> None:
        """Forget the stamps and make room for so many iterations; those beyond keep none."""
        self._rows = np.zeros((iterations, self._incoming), np.int64)
        self._cells[[_NEXT, _ROWS, _STAMPS]] = 0, iterations, self._rows.ctypes.data

    def since(self, entries: Table) -> Table:
        """Duration of each message in ns, from int64 [iterations] when this rank entered."""
        return self._rows - entries[:, None]
