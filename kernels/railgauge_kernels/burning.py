"""Load without memory traffic: beside a collective, and for power. Parameters: (state, rounds)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge_kernels.ladders import Kernel, Traffic

THREADS, BLOCKS_EACH = 256, 8  # fill a multiprocessor (2,048 threads)
#: From arithmetic on all cores to the tensor cores.
LADDER = (
    Kernel("burn", "burn.cu", 4, threads=THREADS, blocks_each=BLOCKS_EACH),
    Kernel("burn_tensor", "burn_tensor.cu", 4, threads=THREADS, blocks_each=BLOCKS_EACH),
)
_CHAINS, _MULTIPLICATIONS, _WARP = 8, 8, 32
_M, _N, _K = 16, 8, 16  # of one multiplication on the tensor cores


def traffic(threads: int) -> Traffic:
    """The state, once, whatever the rounds; burn_tensor does not read it."""
    return Traffic(4 * threads, 4 * threads)


def operations(kernel: Kernel, threads: int, rounds: int) -> int:
    """Floating-point operations of a launch, a multiply-add as two; those of the rounds alone."""
    if kernel.function == "burn":
        return 2 * _CHAINS * threads * rounds
    return 2 * _M * _N * _K * _MULTIPLICATIONS * (threads // _WARP) * rounds


def burn_twin(state: npt.NDArray[np.float32], rounds: int) -> npt.NDArray[np.float32]:
    """The state after a launch of `burn`."""
    x = state[None] + np.float32(0.125) * np.arange(_CHAINS, dtype=np.float32)[:, None]
    for _ in range(rounds):
        x = _quadratic(x)
    while len(x) > 1:  # the kernel adds neighbours, then their sums
        x = x[::2] + x[1::2]
    ended: npt.NDArray[np.float32] = x[0] * np.float32(0.0625)
    return ended


def _quadratic(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1.9 - x x in float32, rounded once (fused).

    The square is exact in double; the sum is rounded to odd there (S. Boldo, G. Melquiond, 2008),
    after which rounding it to single is as if it had been rounded once.
    """
    square = x.astype(np.float64) ** 2
    begin = np.full_like(square, np.float32(1.9))
    total = begin - square
    share = begin - total
    lost = (begin - (total + share)) + (share - square)  # D. Knuth's exact error of a sum
    bits = total.view(np.int64)
    inexact = (lost != 0) & (bits % 2 == 0)
    towards = np.where((lost > 0) == (total > 0), 1, -1)
    return np.where(inexact, bits + towards, bits).view(np.float64).astype(np.float32)


def tensor_twin() -> npt.NDArray[np.float32]:
    """The state of one warp's lanes after a launch of `burn_tensor`, whatever the rounds."""
    row, k = np.ogrid[:16, :16]
    a = (row * 37 + k * 11) % 127 - 63
    k, column = np.ogrid[:16, :8]
    b = (k * 29 + column * 53) % 255 - 127
    product = a @ b
    lane = np.arange(_WARP)
    total = np.zeros(_WARP)
    for j in range(4):  # PTX ISA: which lane holds which element of the result
        total += 4 * product[lane // 4 + j // 2 * 8, lane % 4 * 2 + j % 2]
    return (total + 4 * (0 + 1 + 2 + 3)).astype(np.float32)
