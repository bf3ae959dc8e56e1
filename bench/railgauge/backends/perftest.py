"""perftest's programs (ib_write_bw, ib_read_lat, ...) between two ranks: neither MPI nor NCCL in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railgauge.backends import Offers
from railgauge.layouts import RDMA
from railgauge.operations import OPERATIONS

if TYPE_CHECKING:
    from railgauge.plan import Plan
    from railgauge.world import Backend, World


def _refuse(plan: Plan) -> None:
    from railgauge.perftest.settings import refuse

    refuse(plan)


_OPERATIONS = tuple(o.name for o in OPERATIONS.values() if o.external)
OFFERS = Offers(
    operations=_OPERATIONS,
    dtypes=("uint8",),
    ops=("sum",),  # nothing reduces: no case has one
    calls=RDMA,
    memories=("host", "device"),
    timing="back_to_back",
    configured=True,
    defaults={
        "operations": _OPERATIONS[:1],
        "dtypes": ("uint8",),
        "sizes": (8, 65536),  # a latency, and the size of perftest's own bandwidth
        "warmup": 0,  # a program starts cold each time
        "budget": 10.0,  # it takes a second or two to connect
        "window": 128,
    },
    refuse=_refuse,
)


def open_backend(plan: Plan, world: World) -> Backend:
    """The backend on this rank, its programs and its RDMA port found; raises any rank's error on all."""
    from railgauge.perftest.runs import PerftestBackend

    return PerftestBackend(plan, world)
