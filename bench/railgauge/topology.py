"""Where ranks are: on which node, and under which leaf switch that node hangs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence

from railgauge.errors import UsageError

#: Leaf switches and their hosts, as a file names them.
Leaves = tuple[tuple[str, tuple[str, ...]], ...]


@dataclasses.dataclass(frozen=True)
class Topology:
    """`node_of[rank]`, and where leaf switches are known `leaf_of[node]` with their names.

    `hosts[node]` are the names of the nodes; none before anything has started.
    """

    node_of: tuple[int, ...]
    leaf_of: tuple[int, ...] = ()
    leaf_names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @functools.cached_property
    def players(self) -> tuple[tuple[int, ...], ...]:
        """Who meets whom: nodes, each with its ranks in order of their rails; on one node its ranks.

        The k-th rank of a node is taken to use rail k: launchers place ranks so, and so do NCCL and
        UCX choose the nearest NIC of each GPU.
        """
        by_node: dict[int, list[int]] = {}
        for rank, node in enumerate(self.node_of):
            by_node.setdefault(node, []).append(rank)
        if len(by_node) == 1:
            return tuple((rank,) for rank in range(len(self.node_of)))
        return tuple(tuple(by_node[node]) for node in sorted(by_node))

    def leaf(self, player: int) -> int:
        """The leaf of a player; 0 where leaves are unknown."""
        return self.leaf_of[self.node_of[self.players[player][0]]] if self.leaf_of else 0


def one_node(ranks: int) -> Topology:
    """All ranks on one node: what a plan is taken for before anything has started."""
    return Topology((0,) * ranks)


def located(leaves: Leaves | None, hosts: Sequence[str], node_of: Iterable[int]) -> Topology:
    """The topology of nodes called `hosts`; raises UsageError for a host that no leaf has."""
    nodes = tuple(node_of)
    if leaves is None:
        return Topology(nodes, hosts=tuple(hosts))
    leaf_by_host = {host: index for index, (_, under) in enumerate(leaves) for host in under}
    lacking = [host for host in hosts if host not in leaf_by_host]
    if lacking:
        raise UsageError(
            f"--leaves: {some(lacking)} of this job hang on no leaf of the file.\n"
            f"  found there: {some(list(leaf_by_host))}\n"
            "  expected: every host, by the name that `hostname` gives there"
        )
    return Topology(
        nodes,
        tuple(leaf_by_host[host] for host in hosts),
        tuple(name for name, _ in leaves),
        tuple(hosts),
    )


def absent(leaves: Leaves | None, hosts: Sequence[str]) -> str:
    """What to say of hosts that the file of leaves names and the job lacks; "": nothing."""
    here = set(hosts)
    gone = [host for _, under in leaves or () for host in under if host not in here]
    return f"--leaves names {some(gone)}, not in this job: not tested" if gone else ""


def some(names: Sequence[str]) -> str:
    """The first three of the names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
