"""The compiled loops: C functions called by address, a stamp before and after each iteration.

What one iteration does is a *program*: an int64 table with one *step* a row,

    address of a C function | number of arguments | argument 0 | ... | argument 11

so that every operation of every library (MPI_Allreduce, MPI_Isend ... MPI_Waitall, later
ncclAllReduce) runs through the same three loops, and Python is never between two timed calls.
A step passes 6 arguments, or 12 where the function takes more than 6, all as 64-bit integers.
That is right under the System V x86-64 psABI (section 3.2.3) and the AAPCS64 (section 6.4):
an `int` takes the low half of its register or stack slot, handles are integers (MPICH) or
pointers (Open MPI, MPI-5 ABI), and arguments beyond those that a function takes are the
caller's to clean up. A step returns an int; anything but 0 ends the loop.

The clock is CLOCK_MONOTONIC in nanoseconds: all processes of a host share it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

Table = npt.NDArray[np.int64]

MAX_ARGUMENTS = 12
STEP_WIDTH = 2 + MAX_ARGUMENTS

#: Cells shared with the watchdog and the caller (int64 each).
PROGRESS, MISSED, FAULTY_ITERATIONS, FIRST_FAULTY, CHECKED_ITERATIONS = range(5)
CELLS = 5

_INT32, _INT64 = ir.IntType(32), ir.IntType(64)
_C = ctypes.CDLL(None)


class Step(NamedTuple):
    """One call of a C function that returns an int (0: success)."""

    address: int
    arguments: tuple[int, ...]


def c_address(function: Any) -> int:
    """The address of a ctypes function."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


CLOCK = c_address(_C.clock_gettime)
MEMCPY, MEMSET = c_address(_C.memcpy), c_address(_C.memset)


def table(steps: Sequence[Step]) -> Table:
    """The steps as rows that the loops read; raises ValueError above 12 arguments."""
    rows = np.zeros((len(steps), STEP_WIDTH), np.uint64)
    for row, (address, arguments) in zip(rows, steps, strict=True):
        if len(arguments) > MAX_ARGUMENTS:
            raise ValueError(
                f"a step takes at most {MAX_ARGUMENTS} arguments, not {len(arguments)}"
            )
        row[0], row[1] = address, len(arguments)
        row[2 : 2 + len(arguments)] = [argument % 2**64 for argument in arguments]
    return rows.view(np.int64)


def _call(arguments: int) -> Any:
    @intrinsic
    def call(_typing: Any, program: Any, row: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, values[0]).data
            offset = builder.mul(values[1], ir.Constant(_INT64, STEP_WIDTH))

            def load(column: int) -> Any:
                at = builder.add(offset, ir.Constant(_INT64, column))
                return builder.load(builder.gep(data, [at]))

            function = ir.FunctionType(_INT32, [_INT64] * arguments)
            address = builder.inttoptr(load(0), function.as_pointer())
            return builder.call(address, [load(2 + k) for k in range(arguments)])

        return types.int32(program, row), generate

    return call


_call6, _call12 = _call(6), _call(MAX_ARGUMENTS)


@intrinsic
def clock_reading(_typing: Any, clock: Any, scratch: Any) -> Any:
    """Nanoseconds of CLOCK_MONOTONIC; `scratch` is an int64[2] for its struct timespec."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[1])(context, builder, values[1]).data
        function = ir.FunctionType(_INT32, [_INT64, data.type])
        address = builder.inttoptr(values[0], function.as_pointer())
        builder.call(address, [ir.Constant(_INT64, 1), data])
        seconds = builder.load(data)
        nanoseconds = builder.load(builder.gep(data, [ir.Constant(_INT64, 1)]))
        return builder.add(builder.mul(seconds, ir.Constant(_INT64, 10**9)), nanoseconds)

    return types.int64(clock, scratch), generate


@njit(cache=True, nogil=True, error_model="numpy")
def execute(program: Table) -> int:
    """Run the steps once; the first value that is not 0, else 0."""
    for row in range(program.shape[0]):
        failed = _call6(program, row) if program[row, 1] <= 6 else _call12(program, row)
        if failed != 0:
            return int(failed)
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _checked(verify: Table, report: Table, cells: Table, iteration: int) -> None:
    before = report[0]
    execute(verify)
    cells[CHECKED_ITERATIONS] += 1
    if report[0] != before:
        cells[FAULTY_ITERATIONS] += 1
        if cells[FIRST_FAULTY] < 0:
            cells[FIRST_FAULTY] = iteration


@njit(cache=True, nogil=True, error_model="numpy")
def barrier_loop(
    clock: int,
    barrier: Table,
    spoil: Table,
    inputs: Table,
    program: Table,
    verify: Table,
    report: Table,
    every: int,
    cells: Table,
    stamps: Table,
) -> int:
    """Barrier, stamp, program, stamp: the shape of the OSU collectives.

    `stamps` is int64[n, 2] (entry, exit in ns). Outside the timed window, `inputs` puts the
    inputs of an in-place operation back ahead of each iteration, and every `every`-th iteration
    starts from spoiled outputs (`spoil`) and is verified. Returns what a failing step returned.
    """
    scratch = np.zeros(2, np.int64)
    for i in range(stamps.shape[0]):
        check = i % every == 0
        execute(spoil if check else inputs)
        failed = execute(barrier)
        entry = clock_reading(clock, scratch)
        failed |= execute(program)
        stamps[i, 1] = clock_reading(clock, scratch)
        stamps[i, 0] = entry
        cells[PROGRESS] += 1
        if failed != 0:
            return int(failed)
        if check:
            _checked(verify, report, cells, i)
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def synchronised_loop(
    clock: int,
    start: int,
    period: int,
    spoil: Table,
    inputs: Table,
    program: Table,
    verify: Table,
    report: Table,
    every: int,
    cells: Table,
    stamps: Table,
) -> int:
    """Every iteration begins on an agreed grid: `start` + k * `period` (ns of this rank's clock).

    As `barrier_loop`, without the barrier and the skew with which it releases its ranks. A rank
    that is late for a window takes the next one and counts it in `cells[MISSED]`: the others,
    which wait for it inside the operation, are then late too, and all are together again.
    """
    scratch = np.zeros(2, np.int64)
    window = start
    for i in range(stamps.shape[0]):
        check = i % every == 0
        execute(spoil if check else inputs)
        entry = clock_reading(clock, scratch)
        if entry > window:
            cells[MISSED] += 1
            window += ((entry - window) // period + 1) * period
        while entry < window:
            entry = clock_reading(clock, scratch)
        window += period
        failed = execute(program)
        stamps[i, 1] = clock_reading(clock, scratch)
        stamps[i, 0] = entry
        cells[PROGRESS] += 1
        if failed != 0:
            return int(failed)
        if check:
            _checked(verify, report, cells, i)
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def back_to_back_loop(clock: int, programs: Table, cells: Table, stamps: Table, timed: bool) -> int:
    """One iteration right after the other, as nccl-tests and IMB do, over a set of buffers each.

    `programs` is int64[sets, steps, STEP_WIDTH], `stamps` int64[n + 1]: the beginning, then the
    end of each iteration in ns; left alone where this rank is not `timed`. Restoring and verifying
    the sets is the caller's, before and after.
    """
    scratch = np.zeros(2, np.int64)
    steps = programs.shape[1]
    rows = programs.reshape(
        programs.shape[0] * steps, STEP_WIDTH
    )  # a slice a call would count references
    at = 0
    if timed:
        stamps[0] = clock_reading(clock, scratch)
    for i in range(stamps.shape[0] - 1):
        failed = 0
        for row in range(at, at + steps):
            failed |= _call6(rows, row) if rows[row, 1] <= 6 else _call12(rows, row)
        if timed:
            stamps[i + 1] = clock_reading(clock, scratch)
        cells[PROGRESS] += 1
        if failed != 0:
            return int(failed)
        at = (at + steps) if at + steps < rows.shape[0] else 0
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def stamp_cost(clock: int, stamps: Table) -> None:
    """Fill `stamps` (int64[n]) with successive clock readings: the floor under every sample."""
    scratch = np.zeros(2, np.int64)
    for i in range(stamps.shape[0]):
        stamps[i] = clock_reading(clock, scratch)
