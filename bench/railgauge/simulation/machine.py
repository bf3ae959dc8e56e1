"""Ranks on a modelled cluster: which links a message takes, and what each of them carries.

Links are those of the network (`railgauge.simulation.networks`) and two for each GPU: into and out of
what joins it to the GPUs of its NVLink domain (or of its node, over PCIe).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from railgauge.cluster import Cluster
from railgauge.expectation.nccl_tuning import nvlink_share
from railgauge.simulation import maxmin
from railgauge.simulation.networks import network_of

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Machine:
    """The first `ranks` ranks of a cluster; rank r is GPU r % gpus of node r // gpus."""

    def __init__(self, cluster: Cluster, ranks: int) -> None:
        self.cluster, self.ranks = cluster, ranks
        self.network = network_of(cluster)
        gpus = cluster.node.gpus
        self.nodes = -(-ranks // gpus)
        self.node_of: Numbers = np.arange(ranks) // gpus
        #: GPUs that reach each other without a NIC share an island.
        self.island_of: Numbers = self.node_of // cluster.node.domain_nodes
        rails = np.array([cluster.rail(gpu) for gpu in range(gpus)])
        self.rail_of: Numbers = rails[np.arange(ranks) % gpus]
        self.port_of: Numbers = self.node_of * cluster.node.nics + self.rail_of
        node = cluster.node
        part = nvlink_share(node.nvlink_generation) if node.nvlink_GBps else 1.0
        inside = np.full(2 * ranks, (node.inside_GBps or 0.0) * part)
        self.capacity: Floats = np.concatenate([self.network.capacity, inside])
        self._first_inside = len(self.network.capacity)

    @functools.cached_property
    def number_of(self) -> dict[str, int]:
        """Host -> the number of its node."""
        return {host: number for number, host in enumerate(self.cluster.hosts)}

    def inside(self, rank: int) -> tuple[int, int]:
        """The links out of and into a GPU within its island."""
        first = self._first_inside + 2 * rank
        return first, first + 1

    def routes(self, sources: Numbers, targets: Numbers, port_of: Numbers, seed: int) -> Numbers:
        """int64 [flows, hops]: the links of each flow, -1 where there are fewer; `port_of` every rank's NIC.

        The seed is the network's hash of flows (ecmp).
        """
        across = self.island_of[sources] != self.island_of[targets]
        ports = (port_of[sources[across]], port_of[targets[across]])
        choices = None
        if self.cluster.fabric.routing == "ecmp":
            choices = _hashed(ports[0], ports[1], seed)
        outside = self.network.routes(*ports, choices).astype(np.int64)
        made = np.full((len(sources), max(2, outside.shape[1])), -1, np.int64)
        made[across, : outside.shape[1]] = outside
        near = ~across
        made[near, 0] = self._first_inside + 2 * sources[near]
        made[near, 1] = self._first_inside + 2 * targets[near] + 1
        return made

    def rates(self, capacity: Floats, routes: Numbers) -> Floats:
        """GB/s of each flow where all of them go on at the same time, max-min fair, float64 [flows]."""
        if self.cluster.fabric.routing == "adaptive":
            pool = self._pool
            capacity = np.bincount(pool, weights=capacity).astype(np.float64)
            routes = np.where(routes < 0, -1, pool[routes])
        made: Floats = maxmin.rates(capacity, routes.astype(np.int32))
        return made

    @functools.cached_property
    def _pool(self) -> Numbers:
        """Link -> number of those that share their flows evenly: parallel ways of one switch."""
        inside = np.arange(len(self.capacity) - self._first_inside)
        pool = self.network.pool.astype(np.int64)
        return np.concatenate([pool, int(pool.max(initial=-1)) + 1 + inside])


def _hashed(sources: Numbers, targets: Numbers, seed: int) -> npt.NDArray[np.uint64]:
    """A hash of (source, target, seed) for each flow: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        mixed = sources.astype(np.uint64) << np.uint64(32) | targets.astype(np.uint64)
        mixed += np.uint64(seed % 2**32 + 1) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))
