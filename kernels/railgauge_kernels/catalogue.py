"""All kernels of `cuda/`, for those that go through them: compiling, measuring, tests."""

from __future__ import annotations

from railgauge_kernels import bandwidth, burning, copying, reducing, waiting
from railgauge_kernels.ladders import Kernel

KERNELS: tuple[Kernel, ...] = (
    waiting.STAMP,
    waiting.SPIN,
    *waiting.PING_PONG,
    *copying.LADDER,
    *copying.BIDIRECTIONAL,
    *bandwidth.READ,
    *bandwidth.WRITE,
    *bandwidth.TRIAD,
    *(kernel for dtype in reducing.REDUCED for kernel in reducing.reduce(dtype)),
    *(
        reducing.all_reduce(form, dtype)
        for form in reducing.FORMS
        for dtype in reducing.ALL_REDUCED
    ),
    *burning.LADDER,
)
