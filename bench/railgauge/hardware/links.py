"""What stands in a host: its GPUs with their links, and its NICs, from NVML and sysfs.

Without root, each host its own; no judgement: whether a link should be wider is not asked here. An
unknown value is None, never 0, and `reason` or `reasons` says why; nothing raises for a fact that
is absent.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.hardware.nvlink import Board, boards
from railgauge.hardware.pcie import NVIDIA, SPEEDS, Pcie, displays, narrowest, pcie_of
from railgauge.linux.sysfs import numa_node, number, text

#: A container may have the host's sysfs elsewhere.
SYSFS = Path(os.environ.get("RAILGAUGE_SYSFS", "/sys"))
#: NVML's states (32: unknown) in which a GPU saves power and may let its PCIe link drop to 2.5 GT/s
#: until it works; P0 to P2 are those of work.
_IDLE_STATES = range(3, 16)


class Gpu(Board, frozen=True, kw_only=True):
    """A GPU of this host. `domain` names the GPUs that NVLink connects, of whatever hosts.

    It is (cluster UUID, clique) of a GPU that joined a fabric, else (host, smallest index among the
    GPUs of the host that links connect), None where NVML did not answer.
    """

    host: str
    pcie: Pcie
    numa_node: int | None = None
    domain: tuple[str, int] | None = None


class Nic(msgspec.Struct, frozen=True, kw_only=True):
    """A port of an RDMA device. `rail` counts the host's devices in the order of their names.

    `rate_Gbps` is None unless the port is ACTIVE: the kernel shows the lowest rate of a port that
    is down.
    """

    name: str
    port: int
    rail: int
    host: str
    rate_Gbps: float | None
    state: str | None
    link_layer: str | None
    numa_node: int | None
    pcie: Pcie
    reason: str = ""


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    """Both of one host; `reason` says why NVML showed nothing."""

    host: str
    gpus: tuple[Gpu, ...]
    nics: tuple[Nic, ...]
    reason: str = ""

    def gpu(self, uuid: str) -> Gpu | None:
        """The GPU that CUDA calls `uuid` (32 hexadecimal digits; NVML writes GPU-xxxxxxxx-...)."""
        return next((gpu for gpu in self.gpus if _digits(gpu.uuid) == uuid), None)


def _digits(uuid: str | None) -> str:
    return (uuid or "").removeprefix("GPU-").replace("-", "").lower()


def hardware(sysfs: Path = SYSFS, host: str = "") -> Hardware:
    """All that is known of this host; `host` is its name unless another is given."""
    host = host or platform.node()
    found, reason = boards()
    gpus = _with_sysfs(found, sysfs, host) if found else _from_sysfs(sysfs, host, reason)
    return Hardware(host=host, gpus=gpus, nics=nic_facts(sysfs, host), reason=reason)


def _with_sysfs(found: Sequence[Board], sysfs: Path, host: str) -> tuple[Gpu, ...]:
    domains = _domains(found, host)
    return tuple(
        Gpu(
            **msgspec.structs.asdict(board),
            host=host,
            pcie=_gpu_pcie(board, sysfs),
            numa_node=numa_node(sysfs / "bus/pci/devices" / board.bus_id) if board.bus_id else None,
            domain=domain,
        )
        for board, domain in zip(found, domains, strict=True)
    )


def _from_sysfs(sysfs: Path, host: str, reason: str) -> tuple[Gpu, ...]:
    """GPUs without NVML: their place on PCIe only."""
    found = [folder for folder, vendor in displays(sysfs) if vendor == NVIDIA]
    return tuple(
        Gpu(
            index=index,
            host=host,
            bus_id=folder.name,
            pcie=pcie_of(folder),
            numa_node=numa_node(folder),
            reasons=(reason,),
        )
        for index, folder in enumerate(found)
    )


def _domains(found: Sequence[Board], host: str) -> list[tuple[str, int]]:
    """Each GPU's domain; on a host, GPUs that share a neighbour are connected.

    All NVSwitches of a host are one neighbour: each GPU has a link to every one of them, and to a
    guest they have no address.
    """
    leaders = list(range(len(found)))
    seen: dict[str, int] = {}
    for at, board in enumerate(found):
        ends = {"switch" if k.remote_kind == "switch" else k.remote for k in board.nvlinks}
        for end in {board.bus_id, *ends} - {None}:
            old, new = leaders[seen.setdefault(str(end), at)], leaders[at]
            leaders = [min(old, new) if leader in (old, new) else leader for leader in leaders]
    return [
        (board.fabric.cluster_uuid, board.fabric.clique)
        if board.fabric and board.fabric.joined
        else (host, found[leader].index)
        for board, leader in zip(found, leaders, strict=True)
    ]


def _gpu_pcie(board: Board, sysfs: Path) -> Pcie:
    """The narrowest of the path in sysfs and of what NVML says."""
    asleep = board.performance_state in _IDLE_STATES
    generation = board.pcie_max_generation if asleep else board.pcie_generation
    speed = SPEEDS.get(generation or 0)
    told = ("NVML", speed, board.pcie_width)
    if board.bus_id is None:
        return narrowest((), (), [told], "no PCI bus id")
    return pcie_of(sysfs / "bus/pci/devices" / board.bus_id, told, asleep)


# NICs -------------------------------------------------------------------------------------------


def nic_facts(sysfs: Path = SYSFS, host: str = "") -> tuple[Nic, ...]:
    """Every port of every RDMA device, by rail and port."""
    host = host or platform.node()
    devices = sorted((sysfs / "class/infiniband").glob("*"), key=lambda d: natural(d.name))
    return tuple(
        _nic(device, port, rail, host)
        for rail, device in enumerate(devices)
        for port in sorted((device / "ports").glob("*"), key=lambda p: natural(p.name))
    )


def natural(name: str) -> list[tuple[int, str]]:
    """A key that puts mlx5_2 before mlx5_10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _nic(device: Path, port: Path, rail: int, host: str) -> Nic:
    state = (text(port / "state") or "").rpartition(": ")[2] or None  # `4: ACTIVE`
    rate = number(port / "rate")
    reason = ""
    if state != "ACTIVE":
        rate, reason = None, f"the port is {state}" if state else f"{port / 'state'} is unreadable"
    elif rate is None:
        reason = f"{port / 'rate'} says {text(port / 'rate')!r}"
    return Nic(
        name=device.name,
        port=int(port.name),
        rail=rail,
        host=host,
        rate_Gbps=rate,
        state=state,
        link_layer=text(port / "link_layer"),
        numa_node=numa_node(device / "device"),
        pcie=pcie_of(device / "device"),
        reason=reason,
    )


def nearest_nics(gpu: Gpu, nics: Sequence[Nic]) -> tuple[Nic, ...]:
    """The NICs of the GPU's host with the longest common PCI path; of none, those of its NUMA node.

    Several where they are equally near, none where nothing tells.
    """
    mine = [nic for nic in nics if nic.host == gpu.host]
    if found := nearest(gpu.pcie.path, mine):
        return found
    return tuple(n for n in mine if gpu.numa_node is not None and n.numa_node == gpu.numa_node)


def nearest(path: Sequence[str], nics: Sequence[Nic]) -> tuple[Nic, ...]:
    """The NICs with the longest part of a device's PCI path in common; none where no part is."""
    depths = [_common(path, nic.pcie.path) for nic in nics]
    deepest = max(depths, default=0)
    return tuple(n for n, depth in zip(nics, depths, strict=True) if depth == deepest > 0)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    return next(
        (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
