"""NCCL collectives and point to point, and copies between GPUs, one process a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railgauge.backends import Offers
from railgauge.layouts import COPIES
from railgauge.nccl.calls import DATA_TYPES, OPERATIONS, RED_OPS, SELECTED

if TYPE_CHECKING:
    from railgauge.plan import Plan
    from railgauge.world import Backend, World

OFFERS = Offers(
    operations=(*OPERATIONS, "copy"),
    dtypes=tuple(DATA_TYPES),
    ops=(*RED_OPS, "premul_sum"),
    calls=("stream", "graph", *COPIES),
    memories=("device",),
    timing="back_to_back",
    registrations=("none", "local", "symmetric"),
    placements={"alltoall": ("out",)},  # NCCL wants both sides apart (nccl.h, ncclAlltoAll)
    device_clock=True,
    selected=SELECTED,
    configured=True,
    in_block=True,
    reciprocal_average=True,
)


def open_backend(plan: Plan, world: World) -> Backend:
    """The backend on this rank, its GPU chosen; raises the error of any rank on all of them."""
    from railgauge.nccl.programs import NcclBackend

    return NcclBackend(plan, world)
