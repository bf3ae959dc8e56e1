"""torch.distributed as PyTorch users see it: gloo on host memory, NCCL on the GPU's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from railgauge.backends import Offers

if TYPE_CHECKING:
    from railgauge.plan import Plan
    from railgauge.world import Backend, World

OPERATIONS = (
    *("all_reduce", "all_gather", "reduce_scatter", "broadcast", "gather", "scatter"),
    *("alltoall", "alltoallv", "sendrecv", "barrier", "latency"),
)
OFFERS = Offers(
    operations=OPERATIONS,
    dtypes=(
        *("int8", "int32", "int64", "uint8", "float16", "bfloat16", "float32", "float64"),
        *("float8_e4m3fn", "float8_e5m2"),
    ),
    ops=("sum", "prod", "min", "max", "avg"),
    calls=("blocking", "nonblocking"),
    memories=("host", "device"),
    placements={  # torch reduces into its input, and has no in-place form of the others
        "all_reduce": ("in",),
        **{name: ("out",) for name in OPERATIONS if name not in ("all_reduce", "broadcast")},
    },
    fewer_calls={"latency": ("blocking",)},
    device_clock=True,
    reciprocal_average=True,
)


def open_backend(plan: Plan, world: World) -> Backend:
    """The backend on this rank, its process group made; raises the error of any rank on all."""
    from railgauge.torch_programs import TorchBackend

    return TorchBackend(plan, world)
