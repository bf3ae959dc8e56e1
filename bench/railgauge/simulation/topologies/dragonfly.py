"""A dragonfly: groups of routers, each router joined to every other of its group, groups to each other.

J. Kim, W. Dally, S. Scott, D. Abts, Technology-Driven, Highly-Scalable Dragonfly Topology (ISCA 2008).
Every pair of groups has `global_links` cables; those of a group are dealt out to its routers in turn.
A cable between routers carries the rate of a NIC over the oversubscription. Routes are minimal: one
global link at most, with a local one before and behind it where its routers are not the flow's own.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from railgauge.cluster import Cluster
from railgauge.simulation.networks import (
    Network,
    Ports,
    Routes,
    Switch,
    check_ports,
    check_size,
    packed,
)


@dataclasses.dataclass(frozen=True)
class Groups:
    """`routers` routers in groups of `per_group`, the last with what is left; `cables` a pair of groups."""

    routers: int
    per_group: int
    cables: int

    @property
    def count(self) -> int:
        return -(-self.routers // self.per_group)

    def router(self, group: Ports, peer: Ports, cable: Ports) -> Ports:
        """The router of `group` that holds its end of a cable to the group `peer`."""
        members = np.minimum(self.per_group, self.routers - group * self.per_group)
        return group * self.per_group + (_among(group, peer) * self.cables + cable) % members

    def pair(self, group: Ports, peer: Ports) -> Ports:
        """A number for every pair of groups in each direction: 0, 1, 2 ..."""
        return group * (self.count - 1) + _among(group, peer)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Dragonfly(Network):
    """Its leaves are routers, and what it has are links of NICs, of groups, and between groups.

    Links of a router to the others of its group are numbered by router and peer: `local[router]` +
    peer, one less for peers above the router itself. Those between groups begin at `first_global`.
    """

    under: int  # ports of a router
    groups: Groups
    local: NDArray[np.int64]
    first_global: int

    @functools.cached_property
    def pool(self) -> Ports:
        """Cables between the same two groups, whichever routers hold their ends."""
        made = np.arange(self.links)
        between = made[self.first_global :] - self.first_global
        made[self.first_global :] = self.first_global + between // self.groups.cables
        return made

    def routes(
        self, sources: Ports, targets: Ports, choices: NDArray[np.uint64] | None = None
    ) -> Routes:
        """Static routes take the cable (target mod `global_links`) to another group, ECMP any of them."""
        begin, end = sources // self.under, targets // self.under
        here, there = begin // self.groups.per_group, end // self.groups.per_group
        if choices is None:
            cable = targets % self.groups.cables
        else:
            cables = np.uint64(self.groups.cables)
            cable = (np.asarray(choices, np.uint64) % cables).astype(np.int64)
        leaves = here != there
        way_out = np.where(leaves, self.groups.router(here, there, cable), end)
        way_in = np.where(leaves, self.groups.router(there, here, cable), end)
        between = self.first_global + self.groups.pair(here, there) * self.groups.cables + cable
        moves = sources != targets
        return packed(
            [
                np.where(moves, sources, -1),
                self._inside(begin, way_out),
                np.where(leaves, between, -1),
                self._inside(way_in, end),
                np.where(moves, self.ports + targets, -1),
            ]
        )

    def switch_name(self, kind: Switch, number: int) -> str:
        return f"{super().switch_name(kind, number)} (group {number // self.groups.per_group})"

    def _inside(self, router: Ports, peer: Ports) -> Ports:
        return np.where(router == peer, -1, self.local[router] + _among(router, peer))


def network(cluster: Cluster) -> Network:
    """The dragonfly of a cluster; raises UsageError that names the field by which it has too many links."""
    fabric, nics = cluster.fabric, cluster.node.nics
    check_ports(cluster)
    groups = Groups(
        -(-cluster.nodes // fabric.leaf_nodes), fabric.group_leaves, fabric.global_links
    )
    inside = groups.routers * (min(groups.routers, groups.per_group) - 1)
    check_size(inside, "fabric.group_leaves", groups.per_group)
    check_size(
        groups.count * (groups.count - 1) * groups.cables, "fabric.global_links", groups.cables
    )
    ports, under = cluster.nodes * nics, fabric.leaf_nodes * nics
    port = np.arange(ports)
    router, peer, local = _local_links(groups)
    outer, inner = _global_links(groups)
    tails = [port, ports + port // under, ports + router, ports + outer]
    heads = [ports + port // under, port, ports + peer, ports + inner]
    capacity = np.full(sum(map(len, tails)), cluster.node.nic_GBps)
    capacity[2 * ports :] /= fabric.oversubscription
    return Dragonfly(
        hosts=cluster.hosts,
        nics=nics,
        leaf_count=groups.routers,
        spine_count=0,
        core_count=0,
        capacity=capacity,
        tails=np.concatenate(tails).astype(np.int32),
        heads=np.concatenate(heads).astype(np.int32),
        under=under,
        groups=groups,
        local=2 * ports + local,
        first_global=2 * ports + len(router),
    )


def _local_links(groups: Groups) -> tuple[Ports, Ports, Ports]:
    """Router and peer of each link inside groups, and `Dragonfly.local`, counted from the first of them."""
    routers = np.arange(groups.routers)
    group = routers // groups.per_group * groups.per_group  # its first router
    peers = np.minimum(groups.per_group, groups.routers - group) - 1
    local = np.cumsum(peers) - peers - group
    router = np.repeat(routers, peers)
    peer = np.arange(len(router)) - local[router]
    return router, peer + (peer >= router), local


def _global_links(groups: Groups) -> tuple[Ports, Ports]:
    """The routers at both ends of each link between groups, in order of `Groups.pair` and cable."""
    others = groups.count - 1
    pair, cable = np.divmod(np.arange(groups.count * others * groups.cables), groups.cables)
    group, among = np.divmod(pair, max(others, 1))
    peer = among + (among >= group)
    return groups.router(group, peer, cable), groups.router(peer, group, cable)


def _among(one: Ports, other: Ports) -> Ports:
    """The number of `other` where `one` itself is not counted."""
    return other - (other > one)
