"""How fast data is made, spoiled and verified, one thread: GB/s in `extra_info`, 10^9 bytes."""

import numpy as np
import pytest

from railgauge.dtypes import dtype_named
from railgauge.inputs import WRONG, Checker, data_record, new_report
from railgauge.loop import MEMCPY, Step, execute, table
from railgauge.units import GIGA
from railgauge_kernels.pattern import REDUCED

NBYTES = 16 << 20  # beyond the caches
RANKS = 8

kinds = pytest.mark.parametrize(
    ("dtype", "op"),
    [
        *(("float32", "sum"), ("float32", "avg"), ("float32", "max"), ("float32", "prod")),
        *(("float64", "sum"), ("bfloat16", "sum"), ("float16", "sum"), ("int32", "sum")),
        *(("int8", "sum"), ("float32", None), ("bfloat16", None), ("int8", None)),
    ],
)


@pytest.fixture
def gigabytes(benchmark):
    def run(program):
        execute(program)  # compiled, and the pages touched
        benchmark(lambda: execute(program))
        if benchmark.stats:  # none where the benchmarks are only tried out
            for name in ("min", "median"):
                rate = round(NBYTES / benchmark.stats[name] / GIGA, 2)
                benchmark.extra_info[f"GB/s of the {name}"] = rate

    return run


def prepared(dtype, op):
    """(address, count, record), the checker, and the rank whose stream comes out."""
    kind, data = dtype_named(dtype), np.zeros(NBYTES, np.uint8)
    record = data_record(kind, op, RANKS, 1)
    where = (data.ctypes.data, NBYTES // kind.itemsize, record)
    return data, where, Checker(kind.itemsize), 3 if op is None else REDUCED


@kinds
def test_verify(gigabytes, dtype, op):
    data, where, checker, rank = prepared(dtype, op)
    report = new_report()
    execute(table([checker.fill(*where, rank, 0)]))
    gigabytes(table([checker.check(*where, rank, 0, report)]))
    assert report[WRONG] == 0
    data[5] ^= 1
    execute(table([checker.check(*where, rank, 0, report)]))
    assert report[WRONG] == 1


@kinds
def test_fill(gigabytes, dtype, op):
    data, where, checker, _ = prepared(dtype, op)
    gigabytes(table([checker.fill(*where, 3, 0)]))
    assert data.any()


@kinds
def test_spoil(gigabytes, dtype, op):
    data, where, checker, rank = prepared(dtype, op)
    gigabytes(table([checker.spoil(*where, rank, 0)]))
    assert data.any()


def test_copy_as_a_measure_of_the_memory(gigabytes):
    one, other = np.zeros(NBYTES, np.uint8), np.ones(NBYTES, np.uint8)
    gigabytes(table([Step(MEMCPY, (one.ctypes.data, other.ctypes.data, NBYTES))]))
