"""MPI point to point and collectives, on host memory or, where MPI is CUDA-aware, on the GPU's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railgauge.backends import Offers
from railgauge.dtypes import DTYPES
from railgauge.operations import OPERATIONS

if TYPE_CHECKING:
    from railgauge.plan import Plan
    from railgauge.world import Backend, World

OFFERS = Offers(
    operations=tuple(o.name for o in OPERATIONS.values() if not o.copies and not o.external),
    dtypes=tuple(name for name in DTYPES if not name.startswith("float8")),
    ops=("sum", "prod", "min", "max", "avg"),
    calls=("blocking", "nonblocking", "persistent"),
    memories=("host", "device"),
)


def open_backend(plan: Plan, world: World) -> Backend:
    """The backend on this rank; MPI has started already, as the control plane of every run."""
    from railgauge.mpi.programs import MpiBackend

    return MpiBackend(plan, world)
