"""Fat trees of any depth and width: PGFT(h; m; w; p), parallel-port generalised fat trees.

E. Zahavi, D-Mod-K Routing Providing Non-Blocking Traffic for Shift Permutations on Real Life Fat
Trees (Technion, 2010): a node of level l has m[l - 1] children, w[l] parents and p[l] parallel cables to
each. With M_l = m[0] * ... * m[l - 1] and W_l = w[0] * ... * w[l - 1], the subtrees of level l hold M_l
ports each and have W_l switches at their top; the switch of subtree s and digits u is s * W_l + u,
and its parent over the cable x has the digits u + W_l * (x mod w[l]). NICs have one cable: w[0] = 1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from railgauge.cluster import Cluster
from railgauge.simulation.networks import Network, Ports, Routes, Switch, check_size, packed

#: Of a spine; where there are more leaves, half of them lead up.
SPINE_PORTS = 64


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Tree(Network):
    """`position[port]` is the place of a port, counted as if all leaves were full: [ports].

    `down` is m, `up` w and `count` p of the text above; switches of level 1 are called leaves, of level
    2 spines, above them cores. Subtrees beyond the last port do not exist.
    """

    position: Ports
    down: tuple[int, ...]
    up: tuple[int, ...]
    count: tuple[int, ...]
    #: Number of the first link of each level: those up, then as many down.
    bases: tuple[int, ...]
    rails: bool = False

    @property
    def areas(self) -> Ports:
        """Switches at the top of one subtree stand in for each other: spines of a pod, all cores."""
        made = super().areas
        first = self.ports
        for level, count in enumerate((self.leaf_count, self.spine_count, self.core_count), 1):
            tops = math.prod(self.up[:level])
            made[first : first + count] -= np.arange(count) % tops
            first += count
        return made

    def routes(
        self, sources: Ports, targets: Ports, choices: NDArray[np.uint64] | None = None
    ) -> Routes:
        """Up to the lowest switches that both ends are below, and down again.

        Static routes are d-mod-k: on level l the cable is (target // W_l) mod (w[l] * p[l]).
        """
        begin, end = self.position[sources], self.position[targets]
        meet = np.where(sources == targets, 0, len(self.down))
        for level in range(len(self.down) - 1, 0, -1):
            below = math.prod(self.down[:level])
            meet[(begin // below == end // below) & (sources != targets)] = level
        ups, downs = [], []
        digits = np.zeros(len(begin), np.int64)
        rest = None if choices is None else np.asarray(choices, np.uint64)
        for level, base in enumerate(self.bases):
            below, tops = math.prod(self.down[:level]), math.prod(self.up[:level])
            cables = self.up[level] * self.count[level]
            if rest is None:
                cable = end // tops % cables
            else:
                cable = (rest % np.uint64(cables)).astype(np.int64)
                rest = rest // np.uint64(cables)
            if level == 0:
                up, down = sources, targets
            else:
                up = (begin // below * tops + digits) * cables + cable
                down = (end // below * tops + digits) * cables + cable
            taken = meet > level
            ups.append(np.where(taken, base + up, -1))
            downs.append(np.where(taken, base + self._cables(level) + down, -1))
            digits = digits + tops * (cable % self.up[level])
        return packed(ups + downs[::-1])

    def switch_name(self, kind: Switch, number: int) -> str:
        if kind == "leaf" and self.rails:
            block, rail = divmod(number, self.nics)
            return f"leaf{block} rail {rail}"
        return super().switch_name(kind, number)

    def _cables(self, level: int) -> int:
        """How many cables there are between that level and the one above."""
        ends = (*self.bases[1:], self.links)
        return (ends[level] - self.bases[level]) // 2


def fat_tree(down: Sequence[int], up: Sequence[int], count: Sequence[int], rate: float) -> Tree:
    """The tree of these parameters, as SimGrid's fat-tree zones take them, with a NIC at each place.

    Static routes are SimGrid's where count is 1; of parallel cables it takes the first one down.
    All links carry `rate` GB/s. Raises ValueError where the numbers describe no such tree.
    """
    if not len(down) == len(up) == len(count) > 0 or min(*down, *up, *count) < 1:
        raise ValueError("down, up and count must be as many numbers of 1 or more")
    places = math.prod(down)
    return tree(
        hosts=Cluster(nodes=places).hosts,
        nics=1,
        position=np.arange(places),
        shape=(tuple(down), tuple(up), tuple(count)),
        rates=[rate] * len(down),
    )


def tree(
    *,
    hosts: tuple[str, ...],
    nics: int,
    position: Ports,
    shape: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    rates: Sequence[float],
    rails: bool = False,
) -> Tree:
    """The tree of that `shape` (down, up, count) whose cables carry `rates[level]` GB/s each way.

    Raises ValueError where a NIC would have several cables.
    """
    down, up, count = shape
    if up[0] * count[0] != 1:
        raise ValueError("a NIC has one cable: up[0] and count[0] must be 1")
    places = int(position.max()) + 1
    switches = [
        -(-places // math.prod(down[:level])) * math.prod(up[:level])
        for level in range(1, len(down) + 1)
    ]
    first = [0, len(position), *(len(position) + np.cumsum(switches)).tolist()]
    tails: list[Ports] = []
    heads: list[Ports] = []
    capacity, bases = [], []
    for level in range(len(down)):
        tops = math.prod(up[:level])
        cables = up[level] * count[level]
        if level == 0:
            lower, parent = np.arange(len(position)), position // down[0]
        else:
            node, cable = np.divmod(np.arange(switches[level - 1] * cables), cables)
            lower, (subtree, digits) = first[level] + node, np.divmod(node, tops)
            parent = subtree // down[level] * (tops * up[level])
            parent += digits + tops * (cable % up[level])
        upper = first[level + 1] + parent
        bases.append(sum(map(len, tails)))
        tails += [lower, upper]
        heads += [upper, lower]
        capacity.append(np.full(2 * len(lower), rates[level]))
    return Tree(
        hosts=hosts,
        nics=nics,
        leaf_count=switches[0],
        spine_count=sum(switches[1:2]),
        core_count=sum(switches[2:]),
        capacity=np.concatenate(capacity),
        tails=np.concatenate(tails).astype(np.int32),
        heads=np.concatenate(heads).astype(np.int32),
        position=position,
        down=down,
        up=up,
        count=count,
        bases=tuple(bases),
        rails=rails,
    )


def leaf_and_spine(cluster: Cluster, *, position: Ports, under: int, rails: bool) -> Tree:
    """Leaves of `under` ports, spines that up to `pod_leaves` of them share, and cores above pods.

    A leaf has `under` / oversubscription uplinks, rounded, one to each spine of its pod; each carries
    what makes the oversubscription exact. A spine has as many cables to cores, of the same rate, as to
    leaves. Raises UsageError that names the field by which there are too many links.
    """
    fabric, nic_gbps = cluster.fabric, cluster.node.nic_GBps
    leaves = int(position.max()) // under + 1
    spines = max(1, round(under / fabric.oversubscription))
    rate = under * nic_gbps / fabric.oversubscription / spines
    in_pod = fabric.pod_leaves or (SPINE_PORTS if leaves <= SPINE_PORTS else SPINE_PORTS // 2)
    pods = -(-leaves // in_pod)
    levels = 1 if leaves == 1 else 2 if pods == 1 else 3
    down = (under, min(in_pod, leaves), pods)[:levels]
    up = (1, spines, in_pod)[:levels]
    cables = (leaves * spines, pods * spines * in_pod)[: levels - 1]
    check_size(2 * (len(position) + sum(cables)), "fabric.leaf_nodes", fabric.leaf_nodes)
    return tree(
        hosts=cluster.hosts,
        nics=cluster.node.nics,
        position=position,
        shape=(down, up, (1,) * levels),
        rates=[nic_gbps, rate, rate][:levels],
        rails=rails,
    )
