"""Computation beside which a non-blocking operation runs, and how long it took itself."""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np
from numba import carray, cfunc, types

from railgauge.loop import CLOCK, Step, Table, clock_reading, table
from railgauge.units import NANOSECONDS

KEPT = 128  # durations
_VALUE, _COUNT, _FIRST = range(3)  # doubles of the state; durations in ns from _FIRST on


class Compute(Protocol):
    """Work for the processor, or the device, that waits for the operation."""

    def steps(self, rounds: int) -> Table:
        """Steps of that much work; on a device they only start it."""

    def seconds(self) -> float:
        """Median of what the work took since the last call, by a clock around it alone; 0: none ran."""


class HostCompute:
    """Arithmetic on the CPU that touches next to no memory."""

    def __init__(self) -> None:
        self._state = np.ones(_FIRST + KEPT, np.float64)
        self._state[_COUNT] = 0

    def steps(self, rounds: int) -> Table:
        return table([Step(compute_address(), (self._state.ctypes.data, rounds, CLOCK))])

    def seconds(self) -> float:
        made = min(int(self._state[_COUNT]), KEPT)
        self._state[_COUNT] = 0
        if not made:
            return 0.0
        return float(np.median(self._state[_FIRST : _FIRST + made])) * NANOSECONDS


@functools.cache
def compute_address() -> int:
    """Address of int compute(double *state, int64 rounds, int64 clock)."""

    def compute(state, rounds, clock):  # type: ignore[no-untyped-def]
        cells = carray(state, (_FIRST + KEPT,))
        scratch = np.zeros(2, np.int64)
        begin = clock_reading(clock, scratch)
        value = cells[_VALUE]
        for _ in range(rounds):
            value = value * 0.999999 + 1e-6
        cells[_VALUE] = value
        made = int(cells[_COUNT])
        cells[_FIRST + made % KEPT] = clock_reading(clock, scratch) - begin
        cells[_COUNT] = made + 1
        return np.int32(0)

    signature = types.int32(types.CPointer(types.float64), types.int64, types.int64)
    return int(cfunc(signature, cache=True)(compute).address)
