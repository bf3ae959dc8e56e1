"""Where ranks are: on which node, and under which leaf switch that node hangs."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from railgauge.errors import UsageError
from railgauge.option_files import text_of

#: Leaf switches and their hosts, as a file names them.
Leaves = tuple[tuple[str, tuple[str, ...]], ...]
MOST_BYTES = 64 << 20  # of a file of leaves
MOST_HOSTS = 1 << 20  # that one word may stand for
MOST_DIGITS = 40  # of a range
_SLURM = re.compile(r"SwitchName=(\S+)\s.*?\bNodes=(\S+)", re.IGNORECASE)
_PLAIN = re.compile(r"([^\s:=]+)\s*:\s*(.+)")


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


# files ------------------------------------------------------------------------------------------------


def read_leaves(path: Path) -> Leaves:
    """Leaves of a file: Slurm's topology.conf, or a line `leaf0: node[0-3] node7` each.

    Raises UsageError that names file and line: unreadable, odd, a host or a leaf twice.
    """
    expected = "  expected: Slurm's topology.conf, or lines like `leaf0: node[0-3]`"
    text = text_of(path, "--leaves", MOST_BYTES, expected)
    found: dict[str, tuple[str, ...]] = {}
    leaf_by_host: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        where = f"--leaves {path}, line {number}"
        made = _line(line.partition("#")[0].strip(), where)
        if made is None:
            continue
        name, hosts = made
        for host in hosts:
            if leaf_by_host.setdefault(host, name) != name or name in found:
                raise UsageError(
                    f"{where}: {host} hangs on {leaf_by_host[host]} already.\n"
                    "  expected: every host once, every leaf on one line"
                )
        found[name] = hosts
    if not found:
        raise UsageError(
            f"--leaves {path}: names no leaf with hosts.\n"
            "  expected: lines like `leaf0: node[0-3]`, or Slurm's `SwitchName=leaf0 Nodes=node[0-3]`"
        )
    return tuple(found.items())


def _line(line: str, where: str) -> tuple[str, tuple[str, ...]] | None:
    slurm = _SLURM.match(line)
    if not line or (line.lower().startswith("switchname=") and not slurm):
        return None  # a switch above other switches
    found = slurm or _PLAIN.fullmatch(line)
    if not found:
        raise UsageError(
            f"{where}: {line[:80]!r} is no leaf.\n  expected: `leaf0: node[0-3] node7`"
        )
    hosts = tuple(host for word in _words(found[2]) for host in expanded(word, where))
    return found[1], hosts


def _words(text: str) -> list[str]:
    """Words split by blanks, and by commas outside brackets."""
    return re.findall(r"(?:\[[^\]]*\]|[^\s,\[])+(?:\[[^\]]*\]?)?", text)


def expanded(word: str, where: str = "host list") -> Iterator[str]:
    """`n[08-10,12]x` -> n08x n09x n10x n12x, as Slurm writes lists of hosts; raises UsageError."""
    pieces = re.split(r"\[([^\]]*)\]", word)
    if any("[" in piece or "]" in piece for piece in pieces):
        raise UsageError(f"{where}: {word[:80]!r} has brackets that do not match")
    choices = [
        list(_numbers(piece, word, where)) if k % 2 else [piece] for k, piece in enumerate(pieces)
    ]
    if math.prod(map(len, choices)) > MOST_HOSTS:
        raise UsageError(f"{where}: {word[:80]!r} stands for more than {MOST_HOSTS} hosts")
    for parts in itertools.product(*choices):
        yield "".join(parts)


def _numbers(inside: str, word: str, where: str) -> Iterator[str]:
    for item in inside.split(","):
        first, dash, last = item.partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            raise UsageError(f"{where}: {word[:80]!r}: {item!r} is no number and no range")
        if len(item) > MOST_DIGITS:
            raise UsageError(f"{where}: {word[:80]!r}: {item[:80]!r} is no number of a host")
        end = int(last or first)
        if not 0 <= end - int(first) < MOST_HOSTS:
            raise UsageError(f"{where}: {word[:80]!r}: {item!r} runs backwards or too far")
        for value in range(int(first), end + 1):
            yield f"{value:0{len(first)}d}"
