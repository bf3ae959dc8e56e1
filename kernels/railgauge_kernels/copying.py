"""Copies by a kernel: pull and push alike, with parameters (to, from, nbytes); any addresses.

Both ways at once: parameters (to, from, back_to, back_from, nbytes).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge_kernels.ladders import Kernel, Traffic

_STAGES = 4 * 8192  # bytes of shared memory that copy_bulk.cu keeps in flight a block


def _bulk(function: str) -> Kernel:
    return Kernel(
        function, "copy_bulk.cu", width=64, capability=(9, 0), threads=128, shared=_STAGES
    )


LADDER = (
    Kernel("copy_plain", "copy.cu", width=4),
    Kernel("copy_vector", "copy.cu", width=16),
    Kernel("copy_unrolled", "copy.cu", width=64),
    _bulk("copy_bulk"),
)
BIDIRECTIONAL = (
    Kernel("copy_bidirectional", "copy.cu", width=64),
    _bulk("copy_bulk_bidirectional"),
)


def traffic(nbytes: int) -> Traffic:
    """Of any version, one way."""
    return Traffic(nbytes, nbytes)


def twin(to: npt.NDArray[np.uint8], source: npt.NDArray[np.uint8]) -> None:
    """What every version does, in NumPy."""
    to[:] = source
