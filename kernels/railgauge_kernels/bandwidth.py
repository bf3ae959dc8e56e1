"""What the memory gives at most: reading, writing, and the triad of STREAM (J. McCalpin).

Parameters: read (from, nbytes, sink), write (to, nbytes, value), triad (out, b, c, scale, count)
with float32 arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge_kernels.ladders import Kernel, Traffic

SOURCE = "bandwidth.cu"
READ = (
    Kernel("read_plain", SOURCE, width=4),
    Kernel("read_vector", SOURCE, width=16),
    Kernel("read_unrolled", SOURCE, width=64),
)
WRITE = (Kernel("write_plain", SOURCE, width=4), Kernel("write_vector", SOURCE, width=16))
TRIAD = (Kernel("triad_plain", SOURCE, width=4), Kernel("triad_vector", SOURCE, width=16))


def read_traffic(nbytes: int) -> Traffic:
    return Traffic(nbytes, 0)


def write_traffic(nbytes: int) -> Traffic:
    return Traffic(0, nbytes)


def triad_traffic(nbytes: int) -> Traffic:
    """Of arrays of `nbytes` each."""
    return Traffic(2 * nbytes, nbytes)


def read_twin(source: npt.NDArray[np.uint8]) -> int:
    """What is added to *sink: the sum of all bytes, mod 2^64."""
    return int(source.sum(dtype=np.uint64))


def write_twin(to: npt.NDArray[np.uint8], value: int) -> None:
    """The low byte of `value` everywhere."""
    to[:] = value & 0xFF


def triad_twin(
    b: npt.NDArray[np.float32], c: npt.NDArray[np.float32], scale: int
) -> npt.NDArray[np.float32]:
    """b + scale c, rounded after each of the two."""
    return b + np.float32(scale) * c
