"""Schedules: which ranks work together at the same time, round after round, and who sends to whom.

A schedule is a function from where the ranks are to rounds. A round is a tuple of
disjoint groups that run side by side; ranks in no group sit it out. Between nodes the k-th rank of
one meets the k-th of another: it is a pattern of nodes, once for each rail. On one node it is a
pattern of ranks. A group with `flows` can be measured flow by flow (`--operation flows`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from railgauge.pair_lists import Pairs, meetings, round_numbers
from railgauge.topology import Topology

Flow = tuple[int, int]  # from rank, to rank
#: Random permutations that touch every uplink of 4,096 with 99.9 % where a hash spreads 16 flows over 16
#: uplinks: k >= ln(L/e) / (-u ln(1 - 1/u)), L = 4096, e = 0.001, u = 16.
PERMUTATIONS = 15
#: What others do while victims are measured, as GPCNeT's congestors (SC'19): all to all, into one, out of
#: one, each with its operation; and reads and writes of a path (`storage:PATH`).
LOAD_OPERATIONS = {"alltoall": "alltoall", "incast": "flows", "broadcast": "broadcast"}
LOADS = tuple(LOAD_OPERATIONS)
STORAGE = "storage"
ISOLATED = "isolated"  # the round in which victims are alone


class Group(NamedTuple):
    """Ranks that run an operation together, ascending; who sends to whom; the rail they are on."""

    ranks: tuple[int, ...]
    flows: tuple[Flow, ...] = ()
    rail: int | None = None


class Round(NamedTuple):
    """Groups at the same time, and what the ranks `loading` do meanwhile ("": nothing)."""

    groups: tuple[Group, ...]
    name: str = ""
    load: str = ""
    loading: tuple[int, ...] = ()


def group_of(round_: Round, rank: int) -> Group | None:
    """The group that a rank works in; None where it sits the round out or makes a load."""
    return next((group for group in round_.groups if rank in group.ranks), None)


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A pattern and what a plan says of it.

    `rounds`: only so many (None: all). `quiet`: one group of a leaf at a time. `victims`: their
    share of all ranks; `loads`: what the others do to them, a round each. `pairs`: who meets whom
    in pattern listed. `group_nodes`: nodes of a group in pattern nodes, each with `ranks_per_node`
    ranks (None: not said).
    """

    name: str
    rounds: int | None = None
    quiet: bool = False
    victims: float = 0.2
    loads: tuple[str, ...] = LOADS
    seed: int = 1
    pairs: Pairs = ()
    group_nodes: int = 1
    ranks_per_node: int | None = None


def world(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    yield Round((Group(tuple(range(len(where.node_of)))),))


def nodes(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Neighbouring nodes in groups of equal size; where that leaves some over, a second round for them.

    Neighbours hang on one leaf as far as leaves are known. The last group of the second round holds
    nodes of the first one again: every node is tested, in groups of the size that was asked for.
    """
    ranks: dict[int, list[int]] = {}
    for rank, node in enumerate(where.node_of):
        ranks.setdefault(node, []).append(rank)
    order = sorted(ranks, key=lambda node: (where.leaf_of[node] if where.leaf_of else 0, node))
    size = min(pattern.group_nodes, len(order))

    def group(nodes: Sequence[int]) -> Group:
        return Group(tuple(sorted(rank for node in nodes for rank in ranks[node])))

    whole = len(order) - len(order) % size
    many = f"{size} node{'s' * (size > 1)}"
    yield Round(tuple(group(order[k : k + size]) for k in range(0, whole, size)), many)
    if whole < len(order):
        yield Round((group(order[-size:]),), f"{many}, the rest")


def node_rounds(pattern: Pattern, where: Topology) -> int:
    nodes = len(set(where.node_of))
    return 1 + (nodes % min(pattern.group_nodes, nodes) > 0)


def circle(seats: int) -> Iterator[list[tuple[int, int]]]:
    """The rounds of a round-robin tournament by the circle method: every two meet once.

    An even number needs seats - 1 rounds; of an odd number one sits out in each of `seats`.
    """
    whole = seats + seats % 2
    for turn in range(whole - 1):
        # seat 0 stays; the others move one place on in each round
        order = [0, *((seat + turn) % (whole - 1) + 1 for seat in range(whole - 1))]
        met = ((order[k], order[whole - 1 - k]) for k in range(whole // 2))
        yield [(min(pair), max(pair)) for pair in met if max(pair) < seats]


def tournament(seats: int) -> int:
    """How many rounds `circle` has."""
    return seats - 1 + seats % 2


def _meetings(where: Topology, met: Iterable[tuple[int, int]]) -> tuple[Group, ...]:
    """Players that meet, as a group of two for each rail that both have."""
    groups = []
    single = max(map(len, where.players)) == 1
    for a, b in met:
        for rail, (one, other) in enumerate(zip(where.players[a], where.players[b], strict=False)):
            low, high = min(one, other), max(one, other)
            flows = ((low, high), (high, low))
            groups.append(Group((low, high), flows, None if single else rail))
    return tuple(groups)


def pairs(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    for met in circle(len(where.players)):
        yield Round(_meetings(where, met))


def listed(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """What a file lists, in the order of its rounds."""
    for turn, met in zip(round_numbers(pattern.pairs), meetings(pattern.pairs, where), strict=True):
        yield Round(_meetings(where, met), f"listed {turn}")


def _by_leaf(where: Topology) -> list[list[int]]:
    under: dict[int, list[int]] = {}
    for player in range(len(where.players)):
        under.setdefault(where.leaf(player), []).append(player)
    return [under[leaf] for leaf in sorted(under)]


def leaves(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Leaf rotation: in round r the player x of one leaf meets x + r of the other; then within leaves."""
    leaves = _by_leaf(where)
    for turn, meeting in enumerate(circle(len(leaves)) if len(leaves) > 1 else ()):
        met = []
        for a, b in meeting:
            one, other = sorted((leaves[a], leaves[b]), key=len)
            met += [(x, other[(k + turn) % len(other)]) for k, x in enumerate(one)]
        yield Round(_meetings(where, met), "between leaves")
    inside = [pair for under in leaves for pair in zip(under[::2], under[1::2], strict=False)]
    if inside:
        yield Round(_meetings(where, inside), "within leaves")


def leaf_rounds(_pattern: Pattern, where: Topology) -> int:
    leaves = _by_leaf(where)
    return (tournament(len(leaves)) if len(leaves) > 1 else 0) + (max(map(len, leaves)) > 1)


def bisection(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Both halves against each other in both directions, split between leaves where those are known."""
    order = [player for under in _by_leaf(where) for player in under]
    half = len(order) // 2
    yield Round(_meetings(where, zip(order[:half], order[half:], strict=False)))


def _directed(where: Topology, to: Sequence[Flow]) -> tuple[Group, ...]:
    """Flows between players, as one group for each rail."""
    rails = max(map(len, where.players))
    groups = []
    for rail in range(rails):
        flows = [
            (where.players[a][rail], where.players[b][rail])
            for a, b in to
            if rail < min(len(where.players[a]), len(where.players[b]))
        ]
        if flows:
            ranks = tuple(sorted({rank for flow in flows for rank in flow}))
            groups.append(Group(ranks, tuple(flows), rail if rails > 1 else None))
    return tuple(groups)


def doubling(most: int) -> list[int]:
    """1, 2, 4 ... below `most`, and `most` itself."""
    return [*itertools.takewhile(lambda k: k < most, (1 << k for k in range(63))), most]


def incast(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    """One sender (what a flow has alone), then two, four ... all of them into the first player."""
    for senders in doubling(len(where.players) - 1):
        to = [(sender, 0) for sender in range(1, senders + 1)]
        yield Round(_directed(where, to), f"{senders} to 1")


def permutation(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Random derangements: everybody sends to one other and receives from one other."""
    n = len(where.players)
    for index in itertools.count():
        random = np.random.default_rng((pattern.seed, index))
        target = random.permutation(n)
        while np.any(target == np.arange(n)):
            target = random.permutation(n)
        yield Round(_directed(where, list(enumerate(target.tolist()))))


def shift(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Everybody sends to the one k places on: k = 1, 2, 4 ... up to the half."""
    n = len(where.players)
    for k in doubling(n // 2):
        yield Round(_directed(where, [(a, (a + k) % n) for a in range(n)]), f"shift {k}")


def victim_count(share: float, ranks: int) -> int:
    """How many ranks are victims: an even number, at least 2."""
    return min(max(2, round(share * ranks / 2) * 2), ranks)


def victim(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Victims alone, then beside each kind of load; whole nodes of them where that goes up."""
    order = np.random.default_rng(pattern.seed).permutation(len(where.players)).tolist()
    ranks = [rank for player in order for rank in where.players[player]]
    count = victim_count(pattern.victims, len(ranks))
    victims = (Group(tuple(sorted(ranks[:count]))),)
    yield Round(victims, ISOLATED)
    for load in pattern.loads:
        yield Round(victims, f"beside {load}", load, tuple(sorted(ranks[count:])))
