"""What a cluster is built of: its nodes, their GPUs and NICs, and the fabric between them.

Read from a TOML file, or one that ships (`railgauge.clusters`). The simulated backend runs on it, and
what a bandwidth should be is derived from it.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from railgauge import clusters
from railgauge.decoding import NOT_FITTING, told
from railgauge.errors import UsageError
from railgauge.hardware.bounds import payload_share
from railgauge.topology import Leaves, Topology, located

Positive = Annotated[float, Meta(gt=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Count = Annotated[int, Meta(ge=1, le=1 << 20)]
#: Bytes of the messages that the share of the payload is worked out for: headers of more weigh the same.
LONG_MESSAGE = 1 << 20
#: The most ranks that a cluster may have: 32,768 nodes of 8 GPUs.
MOST_RANKS = 1 << 18


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node. Bandwidths are of one direction.

    `nvlink_GBps` is what a GPU's NVLinks carry together (None: it has none, and `pcie_GBps` serves
    between GPUs); `domain_nodes` nodes share one NVLink domain. A GPU uses the NIC gpu * nics // gpus.
    """

    gpus: Annotated[int, Meta(ge=1, le=128)] = 8
    nics: Annotated[int, Meta(ge=1, le=128)] = 8
    nic_Gbps: Positive = 400.0
    link_layer: Literal["Ethernet", "InfiniBand"] = "Ethernet"
    mtu: Annotated[int, Meta(ge=256, le=10_240)] = 4096
    pcie_GBps: Positive | None = None
    nvlink_GBps: Positive | None = 450.0
    nvlink_generation: Annotated[int, Meta(ge=1, le=9)] | None = None
    domain_nodes: Count = 1
    nvls: bool = False  # NVSwitch reduces (NVLink SHARP)
    launch_seconds: Seconds = 5e-6  # of any operation, whatever its size
    nvlink_seconds: Seconds = 1e-6  # of a step between GPUs of one domain

    @property
    def nic_GBps(self) -> float:  # noqa: N802  (a unit)
        """What of a NIC's line rate is data, in one direction."""
        share = payload_share(self.link_layer, self.mtu, LONG_MESSAGE, written=True)
        return self.nic_Gbps / 8 * (share or 1.0)

    @property
    def inside_GBps(self) -> float | None:  # noqa: N802  (a unit)
        """What a GPU exchanges with the others of its node; None where the file says neither."""
        return self.nvlink_GBps or self.pcie_GBps


class Fabric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network between nodes.

    `rail_optimised`: NIC k of `leaf_nodes` nodes hangs on a leaf of its own (rail k). `fat_tree`: all
    NICs of `leaf_nodes` nodes hang on one leaf. `dragonfly`: these are routers, `group_leaves` of
    which make a group; groups are joined by `global_links` each pair. `oversubscription` is what may
    come up into a leaf over what its uplinks carry. `pod_leaves` leaves share their spines; where there
    are more leaves, cores join the pods (None: as many as a switch of 64 ports has down). `routing`:
    adaptive sprays a flow over all equal paths, ecmp hashes it to one, static gives every target one.
    """

    topology: Literal["rail_optimised", "fat_tree", "dragonfly"] = "rail_optimised"
    leaf_nodes: Count = 32
    pod_leaves: Count | None = None
    group_leaves: Count = 8
    global_links: Count = 4
    oversubscription: Annotated[float, Meta(ge=1, le=1000)] = 1.0
    routing: Literal["adaptive", "ecmp", "static"] = "adaptive"
    step_seconds: Seconds = 4e-6  # of a step between nodes: NIC, DMA and protocol
    hop_seconds: Seconds = 0.3e-6  # of every link on the way


class Noise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What varies in a healthy cluster, as shares of the time.

    `iteration` and `measurement` are coefficients of variation, of one iteration and of a whole
    measurement of a group; `transient` is the share of measurements that are slower by
    `transient_low` to `transient_high` of their bandwidth.
    """

    iteration: Share = 0.005
    measurement: Share = 0.01
    transient: Share = 0.01
    transient_low: Share = 0.1
    transient_high: Annotated[float, Meta(ge=0, lt=1)] = 0.3


class Cluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`nodes` equal nodes on a fabric; hosts are called `name` and their number."""

    nodes: Count = 64
    name: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,40}$")] = "node"
    node: Node = Node()
    fabric: Fabric = Fabric()
    noise: Noise = Noise()

    @property
    def ranks(self) -> int:
        """One a GPU; rank r is GPU r % gpus of node r // gpus."""
        return self.nodes * self.node.gpus

    def describe(self) -> str:
        """`rail_optimised fabric, 64 nodes of 8 GPUs and 8 x 400 Gb/s`."""
        node = self.node
        return (
            f"{self.fabric.topology} fabric, {self.nodes} nodes of {node.gpus} GPUs and"
            f" {node.nics} x {node.nic_Gbps:g} Gb/s"
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        digits = max(4, len(str(self.nodes - 1)))
        return tuple(f"{self.name}{number:0{digits}d}" for number in range(self.nodes))

    @property
    def leaves(self) -> Leaves:
        """Which hosts share their leaves (rail-optimised: one leaf a rail, called by one name)."""
        under = self.fabric.leaf_nodes
        hosts = self.hosts
        count = -(-self.nodes // under)
        return tuple((f"leaf{k}", hosts[k * under : (k + 1) * under]) for k in range(count))

    def rail(self, gpu: int) -> int:
        """The NIC of a GPU of a node."""
        return gpu * self.node.nics // self.node.gpus


def topology_of(cluster: Cluster, ranks: int, leaves: Leaves | None = None) -> Topology:
    """Where the first `ranks` ranks are, under the cluster's own leaves or others of its hosts."""
    gpus = cluster.node.gpus
    hosts = cluster.hosts[: -(-ranks // gpus)]
    nodes = (rank // gpus for rank in range(ranks))
    return located(cluster.leaves if leaves is None else leaves, hosts, nodes)


def read_cluster(text: str) -> Cluster:
    """The cluster of a TOML file, or the shipped one of that name; raises UsageError naming the field."""
    path = clusters.path_of(text)
    return check_cluster(read_toml(path, "--cluster", Cluster), f"--cluster {text}")


def read_toml(path: Path, option: str, kind: type[Any]) -> Any:
    """A TOML file as that type; raises UsageError that names file and field."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise UsageError(
            f"{option} {path}: cannot be read ({error.strerror or error}).\n"
            "  expected: a TOML file, or a name that ships\n  next: railgauge list"
        ) from None
    except NOT_FITTING as error:
        raise UsageError(
            f"{option} {path}: {told(error, kind)}\n  next: correct the file"
        ) from None


def check_cluster(cluster: Cluster, where: str) -> Cluster:
    """The cluster itself; raises UsageError that names the field where its parts do not fit."""
    node, fabric = cluster.node, cluster.fabric

    def wrong(field: str, found: object, expected: str) -> UsageError:
        return UsageError(f"{where}: {field} = {found} does not fit.\n  expected: {expected}")

    if cluster.ranks > MOST_RANKS:
        raise wrong("nodes", cluster.nodes, f"at most {MOST_RANKS} GPUs, not {cluster.ranks}")
    if node.gpus % node.nics and node.nics % node.gpus:
        raise wrong("node.nics", node.nics, f"a divisor or a multiple of node.gpus = {node.gpus}")
    if node.gpus * node.domain_nodes > 1 and node.inside_GBps is None:
        raise wrong("node.nvlink_GBps", None, "a bandwidth between GPUs, or node.pcie_GBps")
    if node.domain_nodes > 1 and node.nvlink_GBps is None:
        raise wrong("node.domain_nodes", node.domain_nodes, "node.nvlink_GBps beside it")
    if node.nvls and node.nvlink_GBps is None:
        raise wrong("node.nvls", True, "node.nvlink_GBps beside it")
    if cluster.noise.transient_low > cluster.noise.transient_high:
        raise wrong(
            "noise.transient_low", cluster.noise.transient_low, "at most noise.transient_high"
        )
    if fabric.topology == "dragonfly" and fabric.pod_leaves is not None:
        raise wrong("fabric.pod_leaves", fabric.pod_leaves, "fabric.group_leaves of a dragonfly")
    return cluster
