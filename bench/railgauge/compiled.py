"""Compiling everything that a plan needs, before any measurement; Numba keeps the results on disk."""

from __future__ import annotations

import numpy as np

from railgauge.compute import compute_address
from railgauge.dtypes import dtype_named
from railgauge.flow_clock import wait_each_address
from railgauge.inputs import Checker, guard_check_address, new_report
from railgauge.loop import (
    CELLS,
    CLOCK,
    back_to_back_loop,
    barrier_loop,
    execute,
    stamp_cost,
    synchronised_loop,
    table,
)
from railgauge.mpi.reducers import reduction_address, scale_address
from railgauge.plan import Plan


def compile_loops(plan: Plan) -> None:
    """Compile, or load from the cache, the loops and the functions that the plan's cases call."""
    none, cells = table([]), np.zeros(CELLS, np.int64)
    report, stamps = new_report(), np.zeros((0, 2), np.int64)
    execute(none)
    barrier_loop(CLOCK, none, none, none, none, none, report, 1, cells, stamps)
    synchronised_loop(CLOCK, 0, 1, none, none, none, none, report, 1, cells, stamps)
    back_to_back_loop(CLOCK, none[None], cells, np.zeros(1, np.int64), True)
    stamp_cost(CLOCK, np.zeros(0, np.int64))
    guard_check_address()
    for dtype in map(dtype_named, {*plan.dtypes, "int8"}):
        Checker(dtype.itemsize)
        if "avg" in plan.ops and plan.backend == "mpi":
            scale_address(dtype)
        if plan.op_implementation == "user":
            for op in plan.ops:
                reduction_address(dtype, op)
    if "flows" in plan.operations or plan.pattern == "victim":
        wait_each_address()
    if plan.overlap:
        compute_address()


def stamp_nanoseconds() -> float:
    """What one clock reading costs on this host, in ns: the mean over 10,000 readings in a row."""
    stamps = np.zeros(10_000, np.int64)
    stamp_cost(CLOCK, stamps)
    return float(stamps[-1] - stamps[0]) / (len(stamps) - 1)
