"""Who takes part in an operation, and what each resource between them carries in one direction.

An *island* is what GPUs reach over their own links: a node, or an NVLink domain of several nodes. NCCL
counts it as one node too. Islands are joined by NICs, NICs by leaves.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from railgauge.cluster import Cluster
from railgauge.errors import UsageError
from railgauge.patterns import check_pattern

#: Neighbours may share a single link between two routers, or all of both, as routes are minimal or not.
ROUTED = "routes of a dragonfly decide how many of its links neighbours use"


class Cut(NamedTuple):
    """What leads out of `ranks` neighbouring ranks together, GB/s in one direction."""

    name: str
    ranks: int
    GBps: float
    words: str


@dataclasses.dataclass(frozen=True)
class Shape:
    """A group of ranks, one a GPU. Bandwidths are line rates of one direction, GB/s.

    `ranks` lie on `islands`; the largest has `inside` of them, the smallest `smallest`. `nics` are
    those of the smallest island that its ranks use, `nic_GBps` is one of them; `own_GBps` is what a
    single rank sends through the NICs that are its own while the other ranks do the same. `shared` ranks
    use one NIC. `data_share` is what headers leave of a NIC's rate. `open` says why no time can be told
    beyond the bound ("": it can).
    """

    pattern: str
    nodes: int
    ranks: int
    islands: int
    inside: int
    smallest: int
    nics: int
    nic_GBps: float
    own_GBps: float
    nvlink_GBps: float | None
    pcie_GBps: float | None
    data_share: float
    nvls: bool
    cuts: tuple[Cut, ...] = ()
    open: str = ""

    @property
    def island(self) -> str:
        """What an island is called."""
        joined = self.pattern == "world" and self.islands < self.nodes and self.ranks > 1
        return "an NVLink domain" if joined else "a node"

    def with_nics(self, nics: int) -> Shape:
        """The same with fewer NICs on an island, at least one: traffic moves to those left."""
        return dataclasses.replace(self, nics=max(1, nics))

    def slower(self, share: float, nvlink: bool = False) -> Shape:
        """The same where one NIC (or a GPU's NVLink) runs at `share` of its rate.

        Algorithms move equal parts through all of them, so that the slow one sets the pace of all.
        """
        if nvlink:
            rate = None if self.nvlink_GBps is None else self.nvlink_GBps * share
            return dataclasses.replace(self, nvlink_GBps=rate)
        return dataclasses.replace(
            self, nic_GBps=self.nic_GBps * share, own_GBps=self.own_GBps * share
        )


def shape_of(
    cluster: Cluster, nodes: int, ranks: int | None = None, pattern: str = "world"
) -> Shape:
    """The group of `ranks` on `nodes` nodes (None: all GPUs of them), as the pattern makes it.

    For a pattern of pairs or flows it is one pair, while all others are as busy; for incast the
    receiver and all its senders. Raises UsageError where the cluster has not so many, or ranks do not
    lie evenly on the nodes.
    """
    check_pattern(pattern)
    ranks = nodes * cluster.node.gpus if ranks is None else ranks
    _check(cluster, nodes, ranks)
    each = ranks // nodes
    made = (
        _world(cluster, nodes, each)
        if pattern == "world"
        else _group(cluster, nodes, each, pattern)
    )
    routed = cluster.fabric.topology == "dragonfly" and nodes > cluster.fabric.leaf_nodes
    return dataclasses.replace(made, open=ROUTED) if routed and made.islands > 1 else made


def _check(cluster: Cluster, nodes: int, ranks: int) -> None:
    if not 1 <= nodes <= cluster.nodes:
        raise UsageError(
            f"--nodes {nodes}: this cluster has {cluster.nodes}.\n"
            f"  expected: 1 to {cluster.nodes}\n  next: --nodes {cluster.nodes}"
        )
    if ranks < 1 or ranks % nodes or ranks // nodes > cluster.node.gpus:
        raise UsageError(
            f"--ranks {ranks}: not one a GPU, evenly on {nodes} nodes of {cluster.node.gpus} GPUs.\n"
            f"  expected: a multiple of {nodes}, at most {nodes * cluster.node.gpus}\n"
            f"  next: --nodes {nodes} --ranks {nodes * cluster.node.gpus}"
        )


def _used_nics(cluster: Cluster, each: int) -> int:
    """NICs of a node that belong to its first `each` GPUs."""
    node = cluster.node
    if node.nics >= node.gpus:
        return each * (node.nics // node.gpus)
    return len({cluster.rail(gpu) for gpu in range(each)})


def _sharing(cluster: Cluster, each: int) -> int:
    """Ranks of a node on one NIC."""
    node = cluster.node
    return 1 if node.nics >= node.gpus else min(each, node.gpus // node.nics)


def _base(cluster: Cluster, nodes: int) -> Shape:
    node = cluster.node
    return Shape(
        pattern="world",
        nodes=nodes,
        ranks=1,
        islands=1,
        inside=1,
        smallest=1,
        nics=1,
        nic_GBps=node.nic_Gbps / 8,
        own_GBps=node.nic_Gbps / 8 * max(1, node.nics // node.gpus),
        nvlink_GBps=node.nvlink_GBps,
        pcie_GBps=node.pcie_GBps,
        data_share=node.nic_GBps / (node.nic_Gbps / 8),
        nvls=node.nvls and node.nvlink_GBps is not None,
    )


def _world(cluster: Cluster, nodes: int, each: int) -> Shape:
    domain = min(cluster.node.domain_nodes, nodes)
    islands = -(-nodes // domain)
    fewest = nodes - domain * (islands - 1)  # nodes of the last island
    return dataclasses.replace(
        _base(cluster, nodes),
        ranks=nodes * each,
        islands=islands,
        inside=domain * each,
        smallest=fewest * each,
        nics=fewest * _used_nics(cluster, each),
        cuts=_cuts(cluster, nodes, each) if islands > 1 else (),
    )


def _cuts(cluster: Cluster, nodes: int, each: int) -> tuple[Cut, ...]:
    """Uplinks of a leaf (of all rails together); of a dragonfly, links of a router and of a group."""
    if cluster.fabric.topology == "dragonfly":
        return _dragonfly(cluster, nodes, each)
    fabric, rate = cluster.fabric, cluster.node.nic_Gbps / 8
    rails = fabric.topology == "rail_optimised"
    nics = _used_nics(cluster, each) if rails else cluster.node.nics
    under, found = fabric.leaf_nodes, []
    if nodes > under:
        up = under * nics * rate / fabric.oversubscription
        found.append(
            Cut(
                "leaf uplinks",
                under * each,
                up,
                f"uplinks of {'the leaves' if rails else 'the leaf'} of {under} nodes: {under} x {nics}"
                f" NICs x {rate:g} GB/s / {fabric.oversubscription:g} = {up:g} GB/s",
            )
        )
    return tuple(found)


def _dragonfly(cluster: Cluster, nodes: int, each: int) -> tuple[Cut, ...]:
    """All links that lead out of a router, and out of a group, whatever the routes."""
    fabric, found = cluster.fabric, []
    rate = cluster.node.nic_Gbps / 8 / fabric.oversubscription
    routers = -(-cluster.nodes // fabric.leaf_nodes)
    members = min(routers, fabric.group_leaves)
    groups = -(-routers // fabric.group_leaves)
    between = (groups - 1) * fabric.global_links
    if nodes > fabric.leaf_nodes:
        count = members - 1 + -(-between // members)
        words = f"links of a router: {count} x {rate:g} GB/s = {count * rate:g} GB/s"
        found.append(Cut("router links", fabric.leaf_nodes * each, count * rate, words))
    under = fabric.leaf_nodes * fabric.group_leaves
    if nodes > under:
        words = (
            f"out of a dragonfly group: {groups - 1} groups x {fabric.global_links} links x"
            f" {rate:g} GB/s = {between * rate:g} GB/s"
        )
        found.append(Cut("global links", under * each, between * rate, words))
    return tuple(found)


def _group(cluster: Cluster, nodes: int, each: int, pattern: str) -> Shape:
    """One group of a pattern of nodes, or of ranks on a single node."""
    domain = cluster.node.domain_nodes
    islands = 1 if nodes <= domain else 2
    players = nodes if nodes > 1 else each
    base = _base(cluster, nodes)
    shared = _sharing(cluster, each)
    meeting = dataclasses.replace(
        base,
        pattern=pattern,
        ranks=min(2, players),
        islands=min(islands, players),
        inside=3 - islands if players > 1 else 1,
        smallest=3 - islands if players > 1 else 1,
        nics=max(1, cluster.node.nics // cluster.node.gpus),
        nic_GBps=base.nic_GBps / shared,
        own_GBps=base.own_GBps / shared,
        cuts=_crossing(cluster, nodes, base.own_GBps / shared) if pattern == "bisection" else (),
    )
    if pattern != "incast":
        return meeting
    # every sender is an island of its own: nothing but the receiver's NICs is shared
    far = players if islands > 1 else 1
    return dataclasses.replace(
        meeting, ranks=players, islands=far, inside=players // far, smallest=players // far, cuts=()
    )


def _crossing(cluster: Cluster, nodes: int, own: float) -> tuple[Cut, ...]:
    """What is left of a rank's NICs where all ranks of a leaf send out of it at once.

    Only a bisection makes them do so for sure; pairs of other patterns may share a leaf.
    """
    fabric = cluster.fabric
    if nodes <= fabric.leaf_nodes or fabric.oversubscription <= 1 or fabric.topology == "dragonfly":
        return ()
    left = own / fabric.oversubscription
    words = (
        f"uplinks where all leave their leaf: {own:g} / {fabric.oversubscription:g} = {left:g} GB/s"
    )
    return (Cut("leaf uplinks", 1, left, words),)
