"""The ladder of copy kernels (`cuda/copy.cu`): pull and push alike, parameters (to, from, nbytes)."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

SOURCE = "copy.cu"
THREADS = 512
BLOCKS_EACH = 4  # of THREADS threads fill a multiprocessor


@dataclasses.dataclass(frozen=True)
class CopyKernel:
    """A version: its function, bytes that a thread moves at a time, and the capability it needs."""

    function: str
    width: int
    capability: tuple[int, int] = (8, 0)

    def geometry(self, nbytes: int, multiprocessors: int) -> tuple[int, int, int]:
        """(blocks, threads a block, bytes of dynamic shared memory) for a copy of `nbytes`."""
        wanted = -(-nbytes // (self.width * THREADS))
        return max(1, min(wanted, BLOCKS_EACH * multiprocessors)), THREADS, 0


LADDER = (
    CopyKernel("copy_plain", 4),
    CopyKernel("copy_vector", 16),
    CopyKernel("copy_unrolled", 64),
)


def fastest(capability: tuple[int, int]) -> CopyKernel:
    """The last version of the ladder that a GPU of that capability runs."""
    return [kernel for kernel in LADDER if kernel.capability <= capability][-1]


def bytes_moved(nbytes: int) -> tuple[int, int]:
    """(read, written) by any version."""
    return nbytes, nbytes


def twin(to: npt.NDArray[np.uint8], source: npt.NDArray[np.uint8]) -> None:
    """What every version does, in NumPy."""
    to[:] = source
