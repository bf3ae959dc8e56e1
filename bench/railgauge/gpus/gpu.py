"""The GPUs of a run together: each rank its own, all of one model; and what sharing one takes."""

from __future__ import annotations

import dataclasses
import socket
from collections import Counter
from collections.abc import Iterable
from typing import Any

from railgauge.dtypes import dtype_named
from railgauge.errors import UsageError
from railgauge.gpus import cuda
from railgauge.gpus.cuda import Device, DeviceFacts
from railgauge.gpus.memory import DeviceMemory, Kernels
from railgauge.plan import Plan
from railgauge.world import World, together
from railgauge_kernels.ladders import Kernel


@dataclasses.dataclass(frozen=True)
class Gpu:
    """This rank's GPU: the device, its kernels, and memory on it."""

    device: Device
    kernels: Kernels
    memory: DeviceMemory

    def prepare(self, plan: Plan, world: World, kernels: Iterable[Kernel]) -> None:
        """Compile fills and checks for the plan's types, and these kernels; all ranks do."""
        itemsizes = sorted({dtype_named(name).itemsize for name in plan.dtypes})
        together(world, lambda: self.kernels.prepare(itemsizes, kernels))

    def facts(self) -> dict[str, Any]:
        """For `environment.json`."""
        return {"device": dataclasses.asdict(self.device.facts)}

    def close(self) -> None:
        self.device.close()


def open_gpu(plan: Plan, world: World) -> Gpu:
    """The GPU of this rank by its order on the node; raises the error of any rank on all of them."""
    node = world.node
    device = together(
        world, lambda: Device(cuda.choose_device(node.rank, node.size, plan.functional))
    )
    check_gpus(world, device.facts, plan.functional)
    kernels = Kernels(device)
    return Gpu(device, kernels, DeviceMemory(device, kernels))


def check_gpus(world: World, mine: DeviceFacts, functional: bool) -> None:
    """Raise UsageError on all ranks where two share a GPU unasked, or models differ."""
    everybody: list[DeviceFacts] = world.all_gather(mine)
    seen: dict[str, int] = {}
    for rank, facts in enumerate(everybody):
        if facts.uuid in seen and not functional:
            raise UsageError(
                f"ranks {seen[facts.uuid]} and {rank} are both on GPU {facts.bus_id} of"
                f" {world.places[rank].host}.\n"
                "  expected: one rank a GPU; look at CUDA_VISIBLE_DEVICES and the launcher's binding\n"
                "  next: as many ranks as GPUs, or --functional, which checks results and measures"
                " nothing"
            )
        seen.setdefault(facts.uuid, rank)
    common, _ = Counter(facts.name for facts in everybody).most_common(1)[0]
    odd = next((r for r, facts in enumerate(everybody) if facts.name != common), None)
    if odd is not None:
        raise UsageError(
            f"rank {odd} on {world.places[odd].host} has a {everybody[odd].name}, most others a"
            f" {common}.\n  expected: one model, since a collective is as fast as its slowest GPU\n"
            "  next: name hosts of one kind, or hide the odd GPU with CUDA_VISIBLE_DEVICES"
        )


def functional_variables(plan: Plan, rank: int) -> dict[str, str]:
    """What lets several ranks use one GPU, whatever NCCL's version.

    From 2.30 on NCCL_MULTI_RANK_GPU_ENABLE does it; before, a host identity of its own for every
    process makes NCCL believe in as many hosts, which then speak over sockets (src/misc/utils.cc
    reads NCCL_HOSTID once a process).
    """
    if not plan.functional:
        return {}
    return {
        "NCCL_MULTI_RANK_GPU_ENABLE": "1",
        "NCCL_HOSTID": f"{socket.gethostname()}-{rank}",
        "NCCL_P2P_DISABLE": "1",
        "NCCL_SHM_DISABLE": "1",
        "NCCL_NET": "Socket",
        "NCCL_NVLS_ENABLE": "0",
    }
