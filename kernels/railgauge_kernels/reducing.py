"""Sums: of arrays in this GPU's reach, and of all ranks' arrays by all-reduce over peer memory.

Parameters: reduce (out, table of inputs, number, count); the all-reduces see `cuda/all_reduce.cu`
and `cuda/all_reduce_low_latency.cu`. All take their sums in float32, in the order of the inputs or ranks,
and round once, so that every rank has the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from railgauge_kernels.ladders import Kernel, Traffic

FORMS = ("one_shot", "two_shot", "low_latency")  # of an all-reduce over peer memory
REDUCED = ("float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
ALL_REDUCED = ("float32", "float16", "bfloat16")
LINE = 16  # bytes that all_reduce_low_latency sends for 8 bytes of data: each half carries its flag


def reduce(dtype: str) -> tuple[Kernel, ...]:
    """The ladder of the sum of that type."""
    return tuple(
        Kernel(f"reduce_{version}_{dtype}", "reduce.cu", width)
        for version, width in (("plain", 4), ("vector", 16), ("unrolled", 16))
    )


def all_reduce(form: str, dtype: str) -> Kernel:
    """`form`: one_shot (all read all), two_shot (reduce-scatter, then all-gather) or low_latency (lines).

    One block a multiprocessor at most: all of them must be resident at once, since they wait for
    their peers'.
    """
    source = "all_reduce_low_latency.cu" if form == "low_latency" else "all_reduce.cu"
    width = 8 if form == "low_latency" else 16
    return Kernel(f"all_reduce_{form}_{dtype}", source, width, blocks_each=1)


def reduce_traffic(number: int, nbytes: int) -> Traffic:
    """Of `number` inputs of `nbytes` each."""
    return Traffic(number * nbytes, nbytes)


def all_reduce_traffic(form: str, ranks: int, nbytes: int) -> Traffic:
    """What one rank's kernel reads and writes, of which (ranks - 1) / ranks lies with its peers;
    of low_latency, which reads its own memory alone, that share of the lines that it writes."""
    if form == "one_shot":
        return Traffic(ranks * nbytes, nbytes)
    if form == "two_shot":
        return Traffic(nbytes, nbytes)
    lines = -(-nbytes // 8) * LINE * (ranks - 1)
    return Traffic(nbytes + lines, nbytes + lines)


def twin(inputs: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The sum as every version takes it. 8-bit floats saturate (PTX ISA, "cvt": .satfinite)."""
    dtype = inputs[0].dtype
    total = inputs[0].astype(np.float32)
    for more in inputs[1:]:
        total = total + more.astype(np.float32)
    if dtype.itemsize == 1:
        from ml_dtypes import finfo  # the command line reads the tables above without it

        most = float(finfo(dtype).max)  # type: ignore[no-untyped-call]
        total = np.clip(total, -most, most)
    return total.astype(dtype)
