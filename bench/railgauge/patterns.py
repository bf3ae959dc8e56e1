"""Patterns: which ranks work together at the same time, round after round, and who sends to whom.

A pattern is a schedule, a function from where the ranks are to rounds. A round is a tuple of
disjoint groups that run side by side; ranks in no group sit it out. Between nodes the k-th rank of
one meets the k-th of another: it is a pattern of nodes, once for each rail. On one node it is a
pattern of ranks. A group with `flows` can be measured flow by flow (`--operation flows`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from railgauge.errors import UsageError, unknown
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


# schedules --------------------------------------------------------------------------------------------


def _world(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    yield Round((Group(tuple(range(len(where.node_of)))),))


def _nodes(pattern: Pattern, where: Topology) -> Iterator[Round]:
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


def _node_rounds(pattern: Pattern, where: Topology) -> int:
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


def _tournament(seats: int) -> int:
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


def _pairs(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    for met in circle(len(where.players)):
        yield Round(_meetings(where, met))


def _listed(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """What a file lists, in the order of its rounds."""
    for turn, met in zip(round_numbers(pattern.pairs), meetings(pattern.pairs, where), strict=True):
        yield Round(_meetings(where, met), f"listed {turn}")


def _by_leaf(where: Topology) -> list[list[int]]:
    under: dict[int, list[int]] = {}
    for player in range(len(where.players)):
        under.setdefault(where.leaf(player), []).append(player)
    return [under[leaf] for leaf in sorted(under)]


def _leaves(_pattern: Pattern, where: Topology) -> Iterator[Round]:
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


def _leaf_rounds(_pattern: Pattern, where: Topology) -> int:
    leaves = _by_leaf(where)
    return (_tournament(len(leaves)) if len(leaves) > 1 else 0) + (max(map(len, leaves)) > 1)


def _bisection(_pattern: Pattern, where: Topology) -> Iterator[Round]:
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


def _incast(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    """One sender (what a flow has alone), then two, four ... all of them into the first player."""
    for senders in doubling(len(where.players) - 1):
        to = [(sender, 0) for sender in range(1, senders + 1)]
        yield Round(_directed(where, to), f"{senders} to 1")


def _permutation(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Random derangements: everybody sends to one other and receives from one other."""
    n = len(where.players)
    for index in itertools.count():
        random = np.random.default_rng((pattern.seed, index))
        target = random.permutation(n)
        while np.any(target == np.arange(n)):
            target = random.permutation(n)
        yield Round(_directed(where, list(enumerate(target.tolist()))))


def _shift(_pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Everybody sends to the one k places on: k = 1, 2, 4 ... up to the half."""
    n = len(where.players)
    for k in doubling(n // 2):
        yield Round(_directed(where, [(a, (a + k) % n) for a in range(n)]), f"shift {k}")


def victim_count(share: float, ranks: int) -> int:
    """How many ranks are victims: an even number, at least 2."""
    return min(max(2, round(share * ranks / 2) * 2), ranks)


def _victim(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """Victims alone, then beside each kind of load; whole nodes of them where that goes up."""
    order = np.random.default_rng(pattern.seed).permutation(len(where.players)).tolist()
    ranks = [rank for player in order for rank in where.players[player]]
    count = victim_count(pattern.victims, len(ranks))
    victims = (Group(tuple(sorted(ranks[:count]))),)
    yield Round(victims, ISOLATED)
    for load in pattern.loads:
        yield Round(victims, f"beside {load}", load, tuple(sorted(ranks[count:])))


class _Entry(NamedTuple):
    """`rounds_of(players, leaves)` says how many rounds there are; `least`: players it needs."""

    schedule: Callable[[Pattern, Topology], Iterator[Round]]
    summary: str
    rounds_of: Callable[[Pattern, Topology], int]
    least: int = 2
    pairwise: bool = False
    directed: bool = False


_ENTRIES: dict[str, _Entry] = {
    "world": _Entry(_world, "one group of all ranks", lambda _p, _w: 1, 1),
    "nodes": _Entry(
        _nodes,
        "groups of --group-nodes nodes side by side (1: every node alone), each node once",
        _node_rounds,
        1,
    ),
    "pairs": _Entry(
        _pairs,
        "every two nodes (on one node: ranks) once, both directions, rail by rail; --rounds 3 is a sample",
        lambda _p, w: _tournament(len(w.players)),
        pairwise=True,
    ),
    "leaves": _Entry(
        _leaves,
        "leaf rotation: every two leaves (--leaves) by all of their nodes, then within each leaf",
        _leaf_rounds,
        pairwise=True,
    ),
    "bisection": _Entry(
        _bisection, "one half against the other, both directions", lambda _p, _w: 1, pairwise=True
    ),
    "listed": _Entry(
        _listed,
        "the pairs of a file (--pairs), both directions, rail by rail: to look closer at suspects",
        lambda p, _w: len(round_numbers(p.pairs)),
        pairwise=True,
    ),
    "incast": _Entry(
        _incast,
        "1, 2, 4 ... all senders into one receiver (--operation flows)",
        lambda _p, w: len(doubling(len(w.players) - 1)),
        directed=True,
    ),
    "permutation": _Entry(
        _permutation,
        f"random: everybody sends to one other, {PERMUTATIONS} times anew (--operation flows)",
        lambda p, _w: p.rounds or PERMUTATIONS,
        directed=True,
    ),
    "shift": _Entry(
        _shift,
        "everybody sends to the one k places on, k = 1, 2, 4 ... (--operation flows)",
        lambda _p, w: len(doubling(len(w.players) // 2)),
        directed=True,
    ),
    "victim": _Entry(
        _victim,
        "a few ranks (--victims) alone, then beside the load that all others make (--load)",
        lambda p, _w: 1 + len(p.loads),
        3,
    ),
}
PATTERNS = {name: entry.summary for name, entry in _ENTRIES.items()}
#: Patterns whose groups are two ranks, and those whose groups only send flows.
PAIRWISE = tuple(name for name, entry in _ENTRIES.items() if entry.pairwise)
DIRECTED = tuple(name for name, entry in _ENTRIES.items() if entry.directed)
FLOWING = (*PAIRWISE, *DIRECTED)


def check_pattern(name: str) -> str:
    """The name itself; raises UsageError with the closest one if there is no such pattern."""
    if name not in _ENTRIES:
        raise unknown("pattern", name, _ENTRIES, "railgauge list")
    return name


def check_victims(share: float) -> None:
    """Raise UsageError for a share of victims that no number of ranks has."""
    if not 0 < share < 1:
        raise UsageError(
            f"--victims {share:g}: no share of the ranks.\n"
            "  expected: between 0 and 1, as in 0.2; the others make load"
        )


def check_places(pattern: Pattern, where: Topology) -> None:
    """Raise UsageError where the pattern asks for hosts or ranks on them that the job has not."""
    if pattern.name == "listed":
        meetings(pattern.pairs, where)
    if pattern.ranks_per_node is not None:
        each = pattern.ranks_per_node
        counts = Counter(where.node_of)
        odd = next((node for node in sorted(counts) if counts[node] != each), None)
        if odd is not None:
            name = where.hosts[odd] if where.hosts else f"node {odd}"
            raise UsageError(
                f"--ranks-per-node {each}: {name} has {counts[odd]} ranks of this job, which has"
                f" {len(counts)} nodes.\n"
                "  expected: as many on every node\n"
                f"  next: --ranks-per-node {counts[odd]}, or ranks spread evenly by the launcher"
            )


def fewest(name: str) -> int:
    """Ranks that the pattern needs at least."""
    return _ENTRIES[name].least


def rounds(pattern: Pattern, where: Topology) -> Iterator[Round]:
    """The pattern's rounds where the ranks are so; those asked for."""
    entry = _ENTRIES[check_pattern(pattern.name)]
    loud: Iterator[Round] = itertools.islice(
        entry.schedule(pattern, where), entry.rounds_of(pattern, where)
    )
    made = _quiet(loud, where) if pattern.quiet else loud
    return itertools.islice(made, pattern.rounds)


def _quiet(loud: Iterable[Round], where: Topology) -> Iterator[Round]:
    """The same groups, one at a time under each leaf: what is slow here too, no neighbour slows."""
    for index, round_ in enumerate(loud):
        waves: list[list[Group]] = []
        free: dict[int, int] = {}  # the first wave in which a leaf has nothing to do
        for group in round_.groups:
            leaves = {
                where.leaf_of[where.node_of[rank]] if where.leaf_of else 0 for rank in group.ranks
            }
            wave = max(free.get(leaf, 0) for leaf in leaves)
            free.update(dict.fromkeys(leaves, wave + 1))
            waves.extend([] for _ in range(wave + 1 - len(waves)))
            waves[wave].append(group)
        for groups in waves:
            name = " ".join(filter(None, (round_.name, f"quiet, of round {index}")))
            yield round_._replace(groups=tuple(groups), name=name)


def round_count(pattern: Pattern, where: Topology) -> int:
    """How many rounds `rounds` yields."""
    if pattern.quiet:
        return sum(1 for _ in rounds(pattern, where))
    total = _ENTRIES[check_pattern(pattern.name)].rounds_of(pattern, where)
    return total if pattern.rounds is None else min(total, pattern.rounds)


def group_size(pattern: Pattern, ranks: int) -> int:
    """The size of the groups that collectives run in (of a directed pattern: of its largest)."""
    entry = _ENTRIES[check_pattern(pattern.name)]
    if entry.pairwise:
        return 2
    if pattern.name == "nodes":
        return pattern.group_nodes * (pattern.ranks_per_node or ranks)
    return victim_count(pattern.victims, ranks) if pattern.name == "victim" else ranks
