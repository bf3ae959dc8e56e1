"""Which NICs a rank's messages go through, as far as its variables and its place on PCIe tell.

What a library chooses beyond that it does not say: then they are not known, and whatever a NIC of the
node counts may be anybody's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from railgauge.hardware.links import SYSFS, Nic, nearest, nic_facts
from railgauge.hardware.pcie import pcie_of
from railgauge.linux.sysfs import entries
from railgauge.nccl.variables import selection
from railgauge.plan import Plan

#: Those that choose NICs (NCCL's and UCX's documentation of environment variables).
VARIABLES = (
    *("NCCL_IB_HCA", "NCCL_NET", "NCCL_IB_DISABLE", "NCCL_SOCKET_IFNAME"),
    "UCX_NET_DEVICES",
)


class Rail(msgspec.Struct, frozen=True, kw_only=True):
    """RDMA or network devices that a rank uses, None: not known; `why` says how that was found."""

    names: tuple[str, ...] | None
    why: str


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank tells the first of its node: its variables, its GPU's PCI address, its CPUs."""

    rank: int
    variables: dict[str, str]
    bus_id: str | None
    cpus: tuple[int, ...]


def rank_here(rank: int, bus_id: str | None) -> Rank:
    return Rank(
        rank=rank,
        variables={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
        bus_id=bus_id and bus_id.lower(),
        cpus=tuple(sorted(os.sched_getaffinity(0))),
    )


def rails(plan: Plan, ranks: Sequence[Rank], sysfs: Path = SYSFS) -> dict[int, Rail]:
    """Rank -> what it uses, for the ranks of this node."""
    nics = nic_facts(sysfs)
    devices = entries(sysfs / "class/net")
    return {rank.rank: _rail(plan, rank, nics, devices, sysfs) for rank in ranks}


def _rail(plan: Plan, rank: Rank, nics: Sequence[Nic], devices: Sequence[str], sysfs: Path) -> Rail:
    if plan.backend == "peer":
        return Rail(names=(), why="GPUs of one node, by their memory")
    if plan.backend == "mpi":
        return _of_mpi(rank.variables)
    if plan.memory == "host":
        return Rail(names=None, why=f"{plan.backend} on host memory does not say")
    return _of_nccl(rank, nics, devices, sysfs)


def _of_mpi(variables: Mapping[str, str]) -> Rail:
    listed = variables.get("UCX_NET_DEVICES", "all")
    if listed == "all":
        return Rail(names=None, why="MPI does not say, and UCX_NET_DEVICES names none")
    names = dict.fromkeys(item.partition(":")[0].strip() for item in listed.split(","))
    return Rail(names=tuple(filter(None, names)), why="UCX_NET_DEVICES")


def _of_nccl(rank: Rank, nics: Sequence[Nic], devices: Sequence[str], sysfs: Path) -> Rail:
    variables = rank.variables
    plain = variables.get("NCCL_NET") == "Socket" or variables.get("NCCL_IB_DISABLE") == "1"
    if plain or not nics:
        listed = variables.get("NCCL_SOCKET_IFNAME")
        if listed is None:
            return Rail(names=None, why="NCCL over sockets, and NCCL_SOCKET_IFNAME names none")
        return Rail(names=tuple(filter(selection(listed).takes, devices)), why="NCCL_SOCKET_IFNAME")
    listed = variables.get("NCCL_IB_HCA", "")
    chosen = selection(listed)
    left = [nic for nic in nics if chosen.takes(nic.name)]
    if rank.bus_id is not None:
        path = pcie_of(sysfs / "bus/pci/devices" / rank.bus_id).path
        near = tuple(dict.fromkeys(nic.name for nic in nearest(path, left)))
        if near:
            which = "of those of NCCL_IB_HCA, " if listed else ""
            return Rail(names=near, why=f"{which}the nearest to {rank.bus_id} by PCIe")
    if listed and left:
        return Rail(names=tuple(dict.fromkeys(nic.name for nic in left)), why="NCCL_IB_HCA")
    return Rail(names=None, why="NCCL_IB_HCA names none, and none is nearer to the GPU by PCIe")
