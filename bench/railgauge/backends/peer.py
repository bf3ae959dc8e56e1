"""Kernels of our own over peer memory, without a library: the floor under NCCL inside a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railgauge.backends import Offers
from railgauge.layouts import COPIES
from railgauge_kernels.reducing import ALL_REDUCED, FORMS

if TYPE_CHECKING:
    from railgauge.plan import Plan
    from railgauge.world import Backend, World

OFFERS = Offers(
    operations=("all_reduce", "copy"),
    dtypes=ALL_REDUCED,
    ops=("sum",),
    calls=(*FORMS, *COPIES),
    memories=("device",),
    timing="back_to_back",
    device_clock=True,
)


def open_backend(plan: Plan, world: World) -> Backend:
    """The backend on this rank, its GPU chosen; raises the error of any rank on all of them."""
    from railgauge.gpus.peer_programs import PeerBackend

    return PeerBackend(plan, world)
