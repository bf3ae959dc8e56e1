"""A modelled cluster (--cluster) instead of a real one: the same plans, journal and reports, no hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railgauge.backends import Offers
from railgauge.dtypes import DTYPES
from railgauge.errors import UsageError

if TYPE_CHECKING:
    from railgauge.plan import Plan
    from railgauge.world import Backend, World

_OPERATIONS = (
    *("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "gather", "scatter"),
    *("alltoall", "sendrecv", "flows", "barrier", "latency", "bandwidth"),
    *("bidirectional_bandwidth", "message_rate"),
)


def _refuse(plan: Plan) -> None:
    if plan.overlap:
        raise UsageError(
            "--overlap: a modelled cluster computes nothing beside its messages.\n"
            "  next: without --overlap, or --backend mpi"
        )
    if plan.cluster is None:
        raise UsageError(
            "--backend simulated: no cluster is described.\n  next: --cluster h100 (railgauge list)"
        )


OFFERS = Offers(
    operations=_OPERATIONS,
    dtypes=tuple(DTYPES),
    ops=("sum", "prod", "min", "max", "avg"),
    calls=("stream",),
    memories=("device",),
    timing="barrier",
    selected=("all_reduce",),
    defaults={
        "iterations": 20,  # as nccl-tests; nothing is known better by looking longer
        "warmup": 5,
        "cluster": "h100",
    },
    alone=True,
    refuse=_refuse,
)


def open_backend(plan: Plan, world: World) -> Backend:
    """Never called: one process stands for all ranks (`railgauge.simulation.run`)."""
    del plan, world
    raise UsageError(
        "--backend simulated is one process, and a launcher has started several.\n"
        "  next: railgauge run --backend simulated, without a launcher"
    )
