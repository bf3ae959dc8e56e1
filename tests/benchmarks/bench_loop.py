"""What the compiled loops add to an operation: nanoseconds an iteration, and one clock reading.

Divide the time shown by 10,000: every round runs that many iterations (`extra_info`).
"""

import ctypes

import numpy as np
import pytest

from railgauge.inputs import new_report
from railgauge.loop import (
    CELLS,
    CLOCK,
    Step,
    back_to_back_loop,
    barrier_loop,
    c_address,
    stamp_cost,
    synchronised_loop,
    table,
)

ITERATIONS = 10_000
NOTHING = table([])
_timer = np.zeros(4, np.int64)
#: The cheapest system call that returns 0: anything else would end a loop.
GETITIMER = table([Step(c_address(ctypes.CDLL(None).getitimer), (0, _timer.ctypes.data))])

programs = pytest.mark.parametrize("program", [NOTHING, GETITIMER], ids=["nothing", "getitimer"])


@pytest.fixture
def per_iteration(benchmark):
    def run(work):
        benchmark.extra_info["iterations"] = ITERATIONS
        assert not work()  # compiled, and in the caches
        benchmark(work)

    return run


@programs
def test_barrier_loop(per_iteration, program):
    stamps, cells = np.zeros((ITERATIONS, 2), np.int64), np.zeros(CELLS, np.int64)
    steps = (NOTHING, NOTHING, NOTHING, program, NOTHING)
    per_iteration(lambda: barrier_loop(CLOCK, *steps, new_report(), 64, cells, stamps))


@programs
def test_synchronised_loop_whose_windows_are_over(per_iteration, program):
    stamps, cells = np.zeros((ITERATIONS, 2), np.int64), np.zeros(CELLS, np.int64)
    steps = (NOTHING, NOTHING, program, NOTHING)
    per_iteration(lambda: synchronised_loop(CLOCK, 0, 0, *steps, new_report(), 64, cells, stamps))


@programs
def test_back_to_back_loop(per_iteration, program):
    stamps, cells = np.zeros(ITERATIONS + 1, np.int64), np.zeros(CELLS, np.int64)
    per_iteration(lambda: back_to_back_loop(CLOCK, program[None], cells, stamps, True))


def test_clock_reading(per_iteration):
    stamps = np.zeros(ITERATIONS, np.int64)
    per_iteration(lambda: stamp_cost(CLOCK, stamps))
