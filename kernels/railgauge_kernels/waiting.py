"""Kernels of one thread that tell the time or wait: stamp, spin, and the ping-pong of two flags.

Parameters: see the sources. What they do has no result but the time that they take, and flags.
"""

from __future__ import annotations

from railgauge_kernels.ladders import Kernel

STAMP = Kernel("stamp", "stamp.cu", 8, threads=1)
SPIN = Kernel("spin", "spin.cu", 8, threads=1)
#: With the fences of release and acquire, and without: what the link alone takes.
PING_PONG = (
    Kernel("ping_pong", "ping_pong.cu", 8, threads=1),
    Kernel("ping_pong_relaxed", "ping_pong.cu", 8, threads=1),
)
FLAG = 8  # bytes that one flag takes
