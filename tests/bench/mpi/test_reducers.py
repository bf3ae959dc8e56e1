"""The compiled user-defined reductions and the scaling agree with NumPy and ml_dtypes bit by bit."""

from __future__ import annotations

import ctypes
import itertools
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from railgauge.backends import offers_of
from railgauge.dtypes import DTYPES
from railgauge.loop import Step, execute, table
from railgauge.mpi.reducers import reduction_address, scale_address

REDUCE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int32), ctypes.c_void_p
)
COMBINE = {"sum": np.add, "avg": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum}
REDUCED, REDUCTIONS = offers_of("mpi").dtypes, offers_of("mpi").ops
NARROW = ["float16", "bfloat16"]


def numpy_type(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def reduce_into(name: str, op: str, incoming: npt.NDArray, inout: npt.NDArray) -> None:
    length = ctypes.c_int32(len(incoming))
    REDUCE(reduction_address(DTYPES[name], op))(
        incoming.ctypes.data, inout.ctypes.data, ctypes.byref(length), None
    )


def scaled(name: str, values: npt.NDArray, divisor: int) -> npt.NDArray:
    made = values.copy()
    step = Step(scale_address(DTYPES[name]), (made.ctypes.data, len(made), divisor))
    assert execute(table([step])) == 0
    return made


def bits(values: npt.NDArray) -> npt.NDArray:
    return values.view(f"u{values.itemsize}")


def normal_values(name: str) -> npt.NDArray:
    """Every normal number of a 16-bit type, both signs, and the zeros."""
    every = np.arange(2**16, dtype=np.uint16).view(numpy_type(name))
    wide = np.abs(every.astype(np.float32))
    smallest = float(ml_dtypes.finfo(numpy_type(name)).smallest_normal)
    return every[np.isfinite(wide) & ((wide == 0) | (wide >= smallest))]


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", [name for name in REDUCED if name not in NARROW])
def test_wide_reductions_are_those_of_numpy(name, op):
    random = np.random.default_rng(1)
    a, b = (random.integers(1, 50, 1001).astype(name) for _ in range(2))
    if DTYPES[name].signed:
        a *= random.choice([-1, 1], 1001).astype(name)
    expected = COMBINE[op](a, b)
    reduce_into(name, op, a, b)
    assert np.array_equal(bits(b), bits(expected))


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", NARROW)
def test_narrow_reductions_round_once_to_nearest_even(name, op):
    values = normal_values(name)
    smallest = float(ml_dtypes.finfo(numpy_type(name)).smallest_normal)
    random = np.random.default_rng(2)
    for shift in (1, 77, 5000, 31_000):
        a, b = values.copy(), random.permutation(np.roll(values, shift))
        with np.errstate(over="ignore", under="ignore"):
            wide = COMBINE[op](a.astype(np.float32), b.astype(np.float32))
            expected = wide.astype(numpy_type(name))
        reduce_into(name, op, a, b)
        # subnormal results are 0 by definition; the sign of a zero is not part of the promise
        kept = (np.abs(wide) >= smallest) & np.isfinite(expected.astype(np.float32))
        assert kept.sum() > len(values) // 4
        assert np.array_equal(bits(b)[kept], bits(expected)[kept])
        assert np.array_equal(np.isinf(b.astype(np.float32)), np.isinf(expected.astype(np.float32)))


@pytest.mark.parametrize("name", NARROW)
def test_infinities_and_nan_pass_through_narrow_sums(name):
    special = np.array([np.inf, -np.inf, np.nan, 1.5, 0.0], np.float32)
    pairs = np.array(list(itertools.product(special, special)), np.float32)
    a, b = (np.ascontiguousarray(pairs[:, k]).astype(numpy_type(name)) for k in (0, 1))
    with np.errstate(invalid="ignore"):
        expected = pairs[:, 0] + pairs[:, 1]
    reduce_into(name, "sum", a, b)
    assert np.array_equal(b.astype(np.float32), expected, equal_nan=True)


@pytest.mark.parametrize("divisor", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("name", REDUCED)
def test_scaling_divides_exact_multiples_exactly(name, divisor):
    most = min(DTYPES[name].exact_limit, 10**6) // divisor
    quotients = np.unique(np.linspace(0, most, 50).astype(np.int64))
    for sign in (1, -1) if DTYPES[name].signed else (1,):
        totals = (sign * quotients * divisor).astype(numpy_type(name))
        expected = (sign * quotients).astype(numpy_type(name))
        made = scaled(name, totals, divisor)
        nonzero = quotients != 0
        assert np.array_equal(bits(made)[nonzero], bits(expected)[nonzero])
        assert not made[~nonzero].astype(np.float32).any()


@pytest.mark.parametrize("name", NARROW)
def test_scaling_rounds_to_nearest_even(name):
    values = normal_values(name)
    smallest = float(ml_dtypes.finfo(numpy_type(name)).smallest_normal)
    with np.errstate(under="ignore"):
        expected = (values.astype(np.float32) / np.float32(3)).astype(numpy_type(name))
    kept = np.abs(expected.astype(np.float32)) >= smallest
    assert np.array_equal(bits(scaled(name, values, 3))[kept], bits(expected)[kept])


def test_nothing_is_touched_where_the_length_is_zero():
    one, other = np.ones(3, np.float32), np.full(3, 2, np.float32)
    reduce_into("float32", "sum", one[:0], other[:0])
    assert other.tolist() == [2, 2, 2]


def test_a_second_process_compiles_nothing_again(tmp_path):
    program = (
        "from railgauge.dtypes import DTYPES; from railgauge.inputs import Checker;"
        "from railgauge.mpi import reducers; narrow = DTYPES['bfloat16']; Checker(2);"
        "reducers.reduction_address(narrow, 'min'); reducers.scale_address(narrow)"
    )
    listings = []
    for _ in range(2):
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        listings.append(sorted(path.name for path in tmp_path.rglob("*.nbc")))
    assert len(listings[0]) == 4  # fill, check, reduce and scale
    assert listings[1] == listings[0]
