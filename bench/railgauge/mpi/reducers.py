"""Compiled arithmetic that an MPI library may lack: reductions as user-defined operations, and scaling.

float16 and bfloat16 are computed in float32 and rounded to nearest even, once for each operation.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types

from railgauge.dtypes import DType


@njit(inline="always", error_model="numpy")
def _widen(bits: Any, exponent_bits: int) -> Any:
    """float32 of a binary16 (5 exponent bits) or bfloat16 (8) pattern; subnormals of binary16 are 0."""
    if exponent_bits == 8:
        return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)
    sign = (np.uint32(bits) & np.uint32(0x8000)) << np.uint32(16)
    rest = np.uint32(bits) & np.uint32(0x7FFF)
    wide = (rest << np.uint32(13)) + np.uint32(0x38000000)
    if rest >= np.uint32(0x7C00):
        wide = np.uint32(0x7F800000) | ((rest & np.uint32(0x3FF)) << np.uint32(13))
    elif rest < np.uint32(0x0400):
        wide = np.uint32(0)
    return np.uint32(sign | wide).view(np.float32)


@njit(inline="always", error_model="numpy")
def _narrow(value: Any, exponent_bits: int) -> Any:
    """Bits of a float32 rounded to nearest even in binary16 or bfloat16."""
    bits: Any = np.int64(np.float32(value).view(np.uint32))
    drop = 16 if exponent_bits == 8 else 13
    sign = (bits >> 16) & 0x8000
    rest = bits & 0x7FFFFFFF
    if rest > 0x7F800000:
        return np.uint16(sign | 0x7FFF)
    if exponent_bits == 5:
        rest -= 0x38000000
        if rest < 0x00800000:
            return np.uint16(sign)
    rest = (rest + (1 << (drop - 1)) - 1 + ((rest >> drop) & 1)) >> drop
    if exponent_bits == 5 and rest > 0x7C00:
        rest = np.int64(0x7C00)
    return np.uint16(sign | rest)


_TOTAL, _PRODUCT, _SMALLER, _LARGER = range(4)
_KINDS = {"sum": _TOTAL, "avg": _TOTAL, "prod": _PRODUCT, "min": _SMALLER, "max": _LARGER}


@njit(inline="always", error_model="numpy")
def _combine(kind: int, a: Any, b: Any) -> Any:
    if kind == _TOTAL:
        made = a + b
    elif kind == _PRODUCT:
        made = a * b
    elif kind == _SMALLER:
        made = a if a < b else b
    else:
        made = a if a > b else b
    return made


@functools.cache
def reduction_address(dtype: DType, op: str) -> int:
    """Address of an MPI_User_function that reduces `dtype` by `op` (avg reduces as sum)."""
    kind = _KINDS[op]  # a number: a function in a closure would defeat Numba's cache
    narrow, exponent_bits = dtype.is_float and dtype.itemsize == 2, dtype.exponent_bits
    element = np.dtype("uint16" if narrow else dtype.name).type

    def reduce_wide(incoming, inout, length, _datatype):  # type: ignore[no-untyped-def]
        n = carray(length, (1,))[0]
        a, b = carray(incoming, (n,), element), carray(inout, (n,), element)
        for i in range(n):
            b[i] = _combine(kind, a[i], b[i])

    def reduce_narrow(incoming, inout, length, _datatype):  # type: ignore[no-untyped-def]
        n = carray(length, (1,))[0]
        a, b = carray(incoming, (n,), element), carray(inout, (n,), element)
        for i in range(n):
            wide = _combine(kind, _widen(a[i], exponent_bits), _widen(b[i], exponent_bits))
            b[i] = _narrow(wide, exponent_bits)

    signature = types.void(types.voidptr, types.voidptr, types.CPointer(types.int32), types.voidptr)
    return int(cfunc(signature, cache=True)(reduce_narrow if narrow else reduce_wide).address)


@functools.cache
def scale_address(dtype: DType) -> int:
    """Address of int scale(void *data, int64 count, int64 divisor): every element divided."""
    narrow, exponent_bits = dtype.is_float and dtype.itemsize == 2, dtype.exponent_bits
    element = np.dtype("uint16" if narrow else dtype.name).type
    is_float = dtype.is_float

    def scale(at, count, divisor):  # type: ignore[no-untyped-def]
        data = carray(at, (count,), element)
        for i in range(count):
            if narrow:
                data[i] = _narrow(
                    _widen(data[i], exponent_bits) / np.float32(divisor), exponent_bits
                )
            elif is_float:
                data[i] = data[i] / element(divisor)
            else:
                data[i] = data[i] // element(divisor)
        return np.int32(0)

    signature = types.int32(types.voidptr, types.int64, types.int64)
    return int(cfunc(signature, cache=True)(scale).address)
