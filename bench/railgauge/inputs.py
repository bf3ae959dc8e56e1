"""What a case's buffers hold before the timed window and must hold after it.

The parameters of one case's data (`DataPattern`) and the compiled functions that fill, spoil and
check buffers with it. They have C signatures, so that they are steps of a program like any
MPI call, and run inside the compiled loops.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, cfunc, njit, types
from numba.np.unsafe.ndarray import to_fixed_tuple

from railgauge.dtypes import DType
from railgauge.errors import UsageError
from railgauge.loop import Step
from railgauge_kernels import pattern

GUARD_BYTE = 0xC3

#: What a check found: number of wrong elements, address of the first, its expected and found bits.
WRONG, WHERE, EXPECTED, FOUND = pattern.WRONG, pattern.WHERE, pattern.EXPECTED, pattern.FOUND
REPORT_FIELDS = 4


def new_report() -> npt.NDArray[np.int64]:
    """An empty report for check steps: int64[4], see WRONG, WHERE, EXPECTED, FOUND."""
    return np.zeros(REPORT_FIELDS, np.int64)


def _sum_weights(mask: int, active: int) -> int:
    """Sum of 1 + (p & mask) over positions p < active."""
    full, rest = divmod(active, mask + 1)
    return full * (mask + 1) * (mask + 2) // 2 + rest * (rest + 1) // 2


def data_record(
    dtype: DType, op: str | None, ranks: int, seed: int, reciprocal: bool = False
) -> npt.NDArray[np.int64]:
    """Parameters of `railgauge_kernels.pattern` for one case, int64[FIELDS].

    `op` None means moved data. The bounds keep every partial result, in any order of evaluation,
    an exactly representable number of `dtype`. With `reciprocal` the library averages floats by
    multiplying each contribution by 1/ranks (NCCL: src/enqueue.cc, hostToDevRedOp). Raises
    UsageError where no such data exists (an average whose smallest non-zero total is not
    representable).
    """
    record = np.zeros(pattern.FIELDS, np.int64)
    record[pattern.SEED] = seed
    record[pattern.RANKS] = ranks
    record[pattern.EXPONENT_BITS] = dtype.exponent_bits
    record[pattern.MANTISSA_BITS] = dtype.mantissa_bits
    record[pattern.ITEM_BITS] = 8 * dtype.itemsize
    record[pattern.SPREAD] = record[pattern.CHOICES] = record[pattern.TOTAL_STEP] = 1
    limit = dtype.exact_limit
    if dtype.is_float:
        # binary16 has normal exponents -14 ... 15: totals below 2^11 keep 2^-3 ... 2^3 inside, and
        # so do those of E4M3 (-6 ... 8), below 2^4
        record[pattern.SPREAD], record[pattern.LOWEST] = (
            (7, -3) if dtype.exponent_bits <= 5 else (16, -8)
        )
    elif dtype.itemsize == 8:
        record[pattern.SPREAD] = 32  # reach the upper half of 64-bit integers
    if op is None:
        record[pattern.KIND] = pattern.MOVED
    elif op == "avg" and reciprocal and dtype.is_float:
        _reciprocal_record(record, dtype, ranks)
    elif op in ("sum", "avg"):
        _sum_record(record, dtype, ranks, divisor=ranks if op == "avg" else 1)
    elif op == "premul_sum":
        _sum_record(
            record, dtype, ranks, divisor=1, limit=dtype.exact_limit >> (not dtype.is_float)
        )
        record[pattern.PREMULTIPLIED] = record[pattern.TOTAL_EXPONENT] = 1
    elif op == "prod":
        record[pattern.KIND] = pattern.PROD
        record[pattern.LOWEST], record[pattern.SPREAD] = 0, 1
        halves = int(dtype.is_float)
        twos = min(ranks - 1, 2)
        record[pattern.CHOICES] = limit // 2 // (1 if dtype.is_float else 4)
        record[pattern.FIRST], record[pattern.CAP] = int(dtype.signed), halves
        record[pattern.TOTAL_FIRST], record[pattern.TOTAL_STEP] = 1, 2
        record[pattern.TOTAL_SIGN] = (ranks // 2) & 1 & int(dtype.signed)
        record[pattern.TOTAL_EXPONENT] = twos - halves * max(0, min(ranks - 3, 2))
    elif op in ("min", "max"):
        record[pattern.KIND] = pattern.EXTREME
        cap = min(ranks - 1, limit // 4)
        record[pattern.FIRST], record[pattern.CAP] = 1, cap
        record[pattern.CHOICES] = limit - cap - 1
        record[pattern.SIGNED] = int(dtype.signed)
        record[pattern.TOTAL_FIRST], record[pattern.SWING] = (
            (1 + cap, -cap) if op == "max" else (1, cap)
        )
    else:
        raise ValueError(f"no data pattern for the reduction {op!r}")
    return record


def _reciprocal_record(record: npt.NDArray[np.int64], dtype: DType, ranks: int) -> None:
    """An average over a power of two is as exact as a sum; over others only one rank brings a value.

    Two roundings (of 1/ranks, and of the product) stay within 2 units in the last place.
    """
    if ranks & (ranks - 1) == 0:
        _sum_record(record, dtype, ranks, divisor=1)
        down = ranks.bit_length() - 1
        record[pattern.TOTAL_EXPONENT] = -down
        lowest = 2 - (1 << (dtype.exponent_bits - 1))  # of normal numbers
        record[pattern.LOWEST] = max(record[pattern.LOWEST], min(3, lowest + down))
        record[pattern.SPREAD] = min(record[pattern.SPREAD], 4 - record[pattern.LOWEST])
        if lowest + down > record[pattern.LOWEST]:
            raise _no_average(dtype, ranks)
        return
    record[pattern.KIND], record[pattern.SIGNED] = pattern.SUM, 1
    record[pattern.FIRST] = record[pattern.STEP] = ranks
    record[pattern.CHOICES] = max(1, min(dtype.exact_limit // ranks, 2**30))
    record[pattern.TOTAL_FIRST], record[pattern.TOLERANCE] = 1, 2
    if ranks > dtype.exact_limit:
        raise _no_average(dtype, ranks)


def _no_average(dtype: DType, ranks: int) -> UsageError:
    return UsageError(
        f"--op avg: {dtype.name} has no values whose average over {ranks} ranks could be checked"
        f" (integers are exact up to {dtype.exact_limit}).\n"
        "  next: --op sum, or --dtype float32"
    )


def _sum_record(
    record: npt.NDArray[np.int64], dtype: DType, ranks: int, divisor: int, limit: int = 0
) -> None:
    limit = limit or dtype.exact_limit
    # the largest weights that leave half of the range to b(i); beyond it, fewer ranks contribute
    active = min(ranks, max(1, limit // 2))
    mask = 0
    while mask < 1023 and _sum_weights(2 * mask + 1, active) <= limit // 2:
        mask = 2 * mask + 1
    weights = _sum_weights(mask, active)
    first = -weights % divisor
    while weights + first > limit and active > 1:  # an average needs a multiple of the ranks
        active //= 2
        weights = _sum_weights(mask, active)
        first = -weights % divisor
    if weights + first > limit:
        raise _no_average(dtype, ranks)
    record[pattern.KIND] = pattern.SUM
    record[pattern.SIGNED] = int(dtype.signed)
    record[pattern.WEIGHT_MASK], record[pattern.ACTIVE] = mask, active
    record[pattern.FIRST], record[pattern.STEP] = first, divisor
    record[pattern.CHOICES] = max(1, min((limit - weights - first) // divisor + 1, 2**30))
    record[pattern.TOTAL_FIRST] = (weights + first) // divisor


def _inlined(function: Any) -> Any:
    return njit(inline="always", error_model="numpy")(function)


_moved, _reduced, _sum, _prod, _extreme = (
    pattern.compiled(name, _inlined)
    for name in ("moved", "reduced", "contributed_sum", "contributed_prod", "contributed_extreme")
)
_FIELDS = pattern.FIELDS
#: Numba's cache knows this file's age alone; a value in a closure is part of its key.
_PATTERN_EDITION = zlib.crc32(Path(pattern.__file__).read_bytes())
_KIND, _MOVED, _SUM, _PROD = pattern.KIND, pattern.MOVED, pattern.SUM, pattern.PROD
_TOLERANCE = pattern.TOLERANCE

_FILL = types.int32(
    types.voidptr, types.int64, types.CPointer(types.int64), types.int64, types.int64, types.int64
)
_CHECK = types.int32(
    types.voidptr,
    types.int64,
    types.CPointer(types.int64),
    types.int64,
    types.int64,
    types.CPointer(types.int64),
)


class Checker:
    """The compiled fill and check functions for elements of one width, as steps of a program."""

    def __init__(self, itemsize: int) -> None:
        fill, check = _functions(itemsize)
        self._fill: int = fill.address
        self._check: int = check.address

    def fill(
        self, at: int, count: int, record: npt.NDArray[np.int64], rank: int, start: int
    ) -> Step:
        """Write elements start ... start+count of `rank`'s stream (or of REDUCED) to address `at`."""
        return Step(self._fill, (at, count, record.ctypes.data, rank, start, 0))

    def spoil(
        self, at: int, count: int, record: npt.NDArray[np.int64], rank: int, start: int
    ) -> Step:
        """Write the complement of what `fill` writes: every element is wrong until it is delivered."""
        return Step(self._fill, (at, count, record.ctypes.data, rank, start, -1))

    def check(
        self,
        at: int,
        count: int,
        record: npt.NDArray[np.int64],
        rank: int,
        start: int,
        report: npt.NDArray[np.int64],
    ) -> Step:
        """Compare with what `fill` writes, bit by bit; adds to `report` (see `new_report`)."""
        return Step(self._check, (at, count, record.ctypes.data, rank, start, report.ctypes.data))


@functools.cache
def guard_check_address() -> int:
    """Address of int check(void *at, int64 nbytes, int byte, int64 *report): bytes unlike `byte`."""

    def check(at, nbytes, byte, report):  # type: ignore[no-untyped-def]
        data = carray(at, (nbytes,), np.uint8)
        found = carray(report, (REPORT_FIELDS,))
        for i in range(nbytes):
            if data[i] != byte:
                if found[WRONG] == 0:
                    found[WHERE], found[EXPECTED], found[FOUND] = (
                        data.ctypes.data + i,
                        byte,
                        data[i],
                    )
                found[WRONG] += 1
        return np.int32(0)

    signature = types.int32(types.voidptr, types.int64, types.int64, types.CPointer(types.int64))
    return int(cfunc(signature, cache=True)(check).address)


@functools.cache
def _functions(itemsize: int) -> tuple[Any, Any]:
    word: Callable[[int], Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}[itemsize]

    edition = _PATTERN_EDITION

    def fill(at, count, parameters, rank, start, flip):  # type: ignore[no-untyped-def]
        out = carray(at, (count,), word)
        record = to_fixed_tuple(carray(parameters, (_FIELDS,)), _FIELDS)
        if record[_KIND] == _MOVED:
            for i in range(count):
                out[i] = word(_moved(record, rank, start + i) ^ flip)
        elif rank < 0:
            for i in range(count):
                out[i] = word(_reduced(record, start + i) ^ flip)
        elif record[_KIND] == _SUM:
            for i in range(count):
                out[i] = word(_sum(record, rank, start + i) ^ flip)
        elif record[_KIND] == _PROD:
            for i in range(count):
                out[i] = word(_prod(record, rank, start + i) ^ flip)
        else:
            for i in range(count):
                out[i] = word(_extreme(record, rank, start + i) ^ flip)
        return np.int32(0 * edition)

    def check(at, count, parameters, rank, start, report):  # type: ignore[no-untyped-def]
        data = carray(at, (count,), word)
        record = to_fixed_tuple(carray(parameters, (_FIELDS,)), _FIELDS)
        found = carray(report, (REPORT_FIELDS,))
        wrong = 0
        if record[_TOLERANCE] > 0:
            for i in range(count):
                apart = np.int64(data[i]) - np.int64(word(_reduced(record, start + i)))
                wrong += apart < -record[_TOLERANCE] or apart > record[_TOLERANCE]
        elif record[_KIND] == _MOVED:
            for i in range(count):
                wrong += data[i] != word(_moved(record, rank, start + i))
        else:
            for i in range(count):
                wrong += data[i] != word(_reduced(record, start + i))
        if wrong > 0 and found[WRONG] == 0:
            for i in range(count):
                if record[_KIND] == _MOVED:
                    expected = word(_moved(record, rank, start + i))
                else:
                    expected = word(_reduced(record, start + i))
                apart = np.int64(data[i]) - np.int64(expected)
                if apart < -record[_TOLERANCE] or apart > record[_TOLERANCE]:
                    found[WHERE] = data.ctypes.data + i * data.itemsize
                    found[EXPECTED], found[FOUND] = np.int64(expected), np.int64(data[i])
                    break
        found[WRONG] += wrong
        return np.int32(0 * edition)

    return cfunc(_FILL, cache=True)(fill), cfunc(_CHECK, cache=True)(check)
