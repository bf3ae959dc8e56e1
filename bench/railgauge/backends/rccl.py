"""RCCL on AMD GPUs: not supported yet; README, "AMD", says what is missing."""

from __future__ import annotations

import dataclasses

from railgauge.backends import nccl

OFFERS = dataclasses.replace(
    nccl.OFFERS,
    unsupported="not supported yet: RCCL is spelt as NCCL is, but nothing here allocates memory on"
    " an AMD GPU (README, AMD).\n  next: railgauge run --backend mpi, or --backend torch",
)
