"""Run by a test with NUMBA_ENABLE_CUDASIM=1: the kernels of one width against the host's functions.

Every kind of stream, at addresses that begin and end anywhere, by more threads than there is work
and by fewer; then elements that were spoilt must be counted, and the lowest of them told.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

from railgauge.dtypes import DTYPES
from railgauge.inputs import Checker, data_record
from railgauge.loop import execute, table
from railgauge_kernels import device_pattern, pattern

STREAMS = ((None, 3), ("sum", 3), ("prod", 5), ("max", 4), ("premul_sum", 3), ("avg", 4))
RANKS_SHOWN, START = 2, 1234567
GRIDS = ((1, 8), (2, 32))
COUNTS = (1, 37, 301)


def launch(kernel, grid, *arguments):
    # pointers and counts as the 64-bit integers that they are on a device
    from numba import cuda

    cuda.jit(kernel)[grid](*map(np.int64, arguments))


def sources(op):
    return (*range(RANKS_SHOWN), pattern.REDUCED) if op else range(RANKS_SHOWN)


def compare(kernels, itemsize, record, source, count, offset, grid):
    """Fill and check one array, spoil two of its elements, check and settle."""
    whole = np.zeros(count * itemsize + 64, np.uint8)
    begin = -whole.ctypes.data % 16 + offset * itemsize
    at = whole.ctypes.data + begin
    expected = np.zeros(count * itemsize, np.uint8)
    fill = Checker(itemsize).fill(expected.ctypes.data, count, record, source, START)
    assert execute(table([fill])) == 0
    launch(kernels[f"fill_{itemsize}"], grid, at, count, record.ctypes.data, source, START, 0)
    part = whole[begin : begin + count * itemsize]
    assert np.array_equal(part, expected), (itemsize, source, count)
    assert not whole[:begin].any()
    assert not whole[begin + count * itemsize :].any()
    report = np.zeros(pattern.SETTLED + 1, np.int64)
    report[pattern.WHERE] = pattern.NOWHERE
    check = (at, count, record.ctypes.data, source, START, report.ctypes.data)
    if source != pattern.REDUCED and record[pattern.KIND] != pattern.MOVED:
        return  # only what is moved or reduced is ever checked
    launch(kernels[f"check_{itemsize}"], grid, *check)
    assert report[pattern.WRONG] == 0
    for k in {count // 2, count - 1}:
        part[k * itemsize + itemsize - 1] ^= 0xC0
    launch(kernels[f"check_{itemsize}"], grid, *check)
    launch(kernels[f"settle_{itemsize}"], grid, *check)
    lowest = count // 2
    assert report[pattern.WRONG] == len({count // 2, count - 1})
    assert report[pattern.WHERE] == at + lowest * itemsize

    def bits(array):
        low = array[lowest * itemsize : (lowest + 1) * itemsize].tobytes()
        return int.from_bytes(low, "little", signed=itemsize == 8)

    assert report[pattern.FOUND] == bits(part)
    assert report[pattern.EXPECTED] == bits(expected)


def guards(kernels):
    zone = np.full(300, 0xA5, np.uint8)
    report = np.zeros(pattern.SETTLED + 1, np.int64)
    report[pattern.WHERE] = pattern.NOWHERE
    arguments = (zone.ctypes.data, 300, 0xA5, report.ctypes.data)
    launch(kernels["guard"], (2, 32), *arguments)
    assert report[pattern.WRONG] == 0
    zone[[77, 200]] = 1, 2
    launch(kernels["guard"], (2, 32), *arguments)
    assert report[pattern.WRONG] == 2
    assert report[pattern.WHERE] == zone.ctypes.data + 77
    assert (report[pattern.EXPECTED], report[pattern.FOUND]) == (0xA5, 1)


def main():
    itemsize = int(sys.argv[1])
    warnings.filterwarnings("ignore", "overflow encountered")  # that is what 64 bits are to do
    kernels = device_pattern.kernels(itemsize)
    done = 0
    for dtype in DTYPES.values():
        if dtype.itemsize != itemsize:
            continue
        for op, ranks in STREAMS:
            record = data_record(dtype, op, ranks, 7)
            for source in sources(op):
                for count, offset, grid in zip(COUNTS, (3, 0, 1), (*GRIDS, GRIDS[0]), strict=True):
                    compare(kernels, itemsize, record, source, count, offset, grid)
                    done += 1
    guards(kernels)
    print(f"{done} arrays agreed")


main()
