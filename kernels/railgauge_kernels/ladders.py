"""A kernel of `cuda/`, how it is launched, and the ladder of its versions from plain to fast.

Each family of kernels has a module with its ladders, a twin in NumPy, and a formula for what it
moves. All parameters of all kernels are 64 bits wide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from railgauge_kernels.images import Capability


class Geometry(NamedTuple):
    """Blocks, threads a block, bytes of dynamic shared memory."""

    blocks: int
    threads: int
    shared: int = 0


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One version: its function in a source, what it is launched with, and the GPU that it needs.

    A thread takes `width` bytes at a time; more than `blocks_each` blocks a multiprocessor are never
    launched, since the threads stride over what there is.
    """

    function: str
    source: str
    width: int
    capability: Capability = (8, 0)
    threads: int = 512
    blocks_each: int = 4
    shared: int = 0

    def geometry(self, nbytes: int, multiprocessors: int) -> Geometry:
        """For `nbytes` of the array that the threads stride over."""
        wanted = -(-nbytes // (self.width * self.threads))
        blocks = max(1, min(wanted, self.blocks_each * multiprocessors))
        return Geometry(blocks, self.threads, self.shared)


class Traffic(NamedTuple):
    """Bytes that one launch reads and writes, wherever they lie."""

    read: int
    written: int


def fastest(ladder: Sequence[Kernel], capability: Capability) -> Kernel:
    """The last version of a ladder that a GPU of that capability runs."""
    return [kernel for kernel in ladder if kernel.capability <= capability][-1]
