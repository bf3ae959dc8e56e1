"""The links of a fabric, directed and numbered, and which of them a flow takes.

Everything is a *vertex*: ports (NIC k of node n is port n * nics + k), then leaves, spines and cores,
in this order. A link leads from one vertex to another; a cable is two links. Leaves are numbered as
`Cluster.leaves` names them, and rail by rail inside where each rail has a leaf of its own.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import importlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from railgauge import plugins
from railgauge.cluster import Cluster
from railgauge.errors import UsageError

Ports = NDArray[np.int64]
Routes = NDArray[np.int32]
Switch = Literal["leaf", "spine", "core"]
#: The most links that a network may have: 16 bytes each, and as much again while it is made.
MOST_LINKS = 1 << 24


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Network(abc.ABC):
    """Directed links between NICs and switches; a subclass knows the routes.

    `capacity` is of data in one direction, GB/s; `tails` and `heads` are the vertices that each link
    leads from and to: [links] all three.
    """

    hosts: tuple[str, ...]
    nics: int
    leaf_count: int
    spine_count: int
    core_count: int
    capacity: NDArray[np.float64]
    tails: NDArray[np.int32]
    heads: NDArray[np.int32]

    @property
    def ports(self) -> int:
        """How many NICs there are."""
        return len(self.hosts) * self.nics

    @property
    def links(self) -> int:
        return len(self.capacity)

    @property
    def areas(self) -> Ports:
        """Vertex -> a number that it shares with the switches which stand in for each other."""
        return np.arange(self.ports + self.leaf_count + self.spine_count + self.core_count)

    @functools.cached_property
    def pool(self) -> Ports:
        """Link -> a number that it shares with the links over which an adaptive network spreads flows.

        These lead from one area to one other; what they carry is divided evenly among them.
        """
        areas = self.areas
        ends = areas[self.tails] * len(areas) + areas[self.heads]
        made: Ports = np.unique(ends, return_inverse=True)[1]
        return made

    @abc.abstractmethod
    def routes(
        self, sources: Ports, targets: Ports, choices: NDArray[np.uint64] | None = None
    ) -> Routes:
        """The links of each flow in order, int32[flows, hops]; -1 fills up rows that are shorter.

        `sources` and `targets` are ports. `choices` None: static routes, by the target alone;
        otherwise a number a flow picks among its equal paths (ECMP): hashes spread evenly, and
        numbers 0, 1, 2 ... go through all of them. A flow from a port to itself takes no link.
        """

    def links_of_port(self, port: int) -> tuple[int, int]:
        """The link up from the NIC and the one down to it."""
        return port, self.ports + port

    def leaf_switch(self, port: int) -> int:
        """The number of the leaf (of a dragonfly: router) that a port hangs on."""
        return int(self.heads[port]) - self.ports

    def links_of_switch(self, kind: Switch, number: int) -> NDArray[np.int64]:
        """All links into a switch and out of it."""
        vertex = self.vertex(kind, number)
        return np.flatnonzero((self.tails == vertex) | (self.heads == vertex))

    def links_between(self, leaf: int, spine: int) -> tuple[int, int]:
        """The link from a leaf up to a spine and the one down; of several cables the first.

        Raises UsageError where no cable joins them.
        """
        a, b = self.vertex("leaf", leaf), self.vertex("spine", spine)
        up = np.flatnonzero((self.tails == a) & (self.heads == b))
        down = np.flatnonzero((self.tails == b) & (self.heads == a))
        if not len(up):
            spines = self.heads[(self.tails == a) & (self.heads >= self.vertex("spine", 0))]
            first, last = (self.vertex_name(int(end)) for end in (spines.min(), spines.max()))
            raise UsageError(
                f"no link joins {self.vertex_name(a)} and {self.vertex_name(b)}.\n"
                f"  expected: a spine of its pod, {first} to {last}"
            )
        return int(up[0]), int(down[0])

    def describe(self, link: int) -> str:
        """`node0003 nic 2 -> leaf0 rail 2`."""
        return f"{self.vertex_name(int(self.tails[link]))} -> {self.vertex_name(int(self.heads[link]))}"

    def vertex(self, kind: Switch, number: int) -> int:
        """The vertex of a switch; raises UsageError where there is none of that number."""
        first, count = self._switches()[kind]
        if not 0 <= number < count:
            has = f"{kind} 0 to {count - 1}" if count else f"no {kind}; this fabric has none"
            raise UsageError(f"{kind} {number} does not exist.\n  expected: {has}")
        return first + number

    def vertex_name(self, vertex: int) -> str:
        """What a person calls a NIC or a switch."""
        if vertex < self.ports:
            node, nic = divmod(vertex, self.nics)
            return f"{self.hosts[node]} nic {nic}"
        kind, (first, _) = next(
            item for item in reversed(self._switches().items()) if vertex >= item[1][0]
        )
        return self.switch_name(kind, vertex - first)

    def switch_name(self, kind: Switch, number: int) -> str:
        return f"leaf{number}" if kind == "leaf" else f"{kind} {number}"

    def _switches(self) -> dict[Switch, tuple[int, int]]:
        leaf, spine = self.ports, self.ports + self.leaf_count
        return {
            "leaf": (leaf, self.leaf_count),
            "spine": (spine, self.spine_count),
            "core": (spine + self.spine_count, self.core_count),
        }


def network_of(cluster: Cluster) -> Network:
    """The network of a cluster's fabric; raises UsageError naming the field that does not fit."""
    package = plugins.TOPOLOGIES
    module = importlib.import_module(f"{package}.{cluster.fabric.topology}")
    network: Network = module.network(cluster)
    return network


def check_ports(cluster: Cluster) -> None:
    """Raise UsageError where the NICs alone have too many links."""
    check_size(2 * cluster.nodes * cluster.node.nics, "node.nics", cluster.node.nics)


def check_size(links: int, field: str, value: object) -> None:
    """Raise UsageError that names the field by which a network would have too many links."""
    if links > MOST_LINKS:
        raise UsageError(
            f"{field} = {value} does not fit: the fabric would have {links:,} links.\n"
            f"  expected: at most {MOST_LINKS:,}"
        )


def packed(columns: Iterable[NDArray[np.int64]]) -> Routes:
    """Columns of links as rows, -1 moved to the end of each."""
    rows = np.stack(list(columns), axis=1).astype(np.int32)
    order = np.argsort(rows < 0, axis=1, kind="stable")
    return np.take_along_axis(rows, order, axis=1)
