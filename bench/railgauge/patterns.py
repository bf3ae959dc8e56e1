"""Patterns by name: the schedule of each, what it needs, and the rounds that a job gets of it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from railgauge import schedules
from railgauge.errors import UsageError, unknown
from railgauge.pair_lists import meetings, round_numbers
from railgauge.schedules import Group, Pattern, Round
from railgauge.topology import Topology


class _Entry(NamedTuple):
    """`rounds_of(players, leaves)` says how many rounds there are; `least`: players it needs."""

    schedule: Callable[[Pattern, Topology], Iterator[Round]]
    summary: str
    rounds_of: Callable[[Pattern, Topology], int]
    least: int = 2
    pairwise: bool = False
    directed: bool = False


_ENTRIES: dict[str, _Entry] = {
    "world": _Entry(schedules.world, "one group of all ranks", lambda _p, _w: 1, 1),
    "nodes": _Entry(
        schedules.nodes,
        "groups of --group-nodes nodes side by side (1: every node alone), each node once",
        schedules.node_rounds,
        1,
    ),
    "pairs": _Entry(
        schedules.pairs,
        "every two nodes (on one node: ranks) once, both directions, rail by rail; --rounds 3 is a sample",
        lambda _p, w: schedules.tournament(len(w.players)),
        pairwise=True,
    ),
    "leaves": _Entry(
        schedules.leaves,
        "leaf rotation: every two leaves (--leaves) by all of their nodes, then within each leaf",
        schedules.leaf_rounds,
        pairwise=True,
    ),
    "bisection": _Entry(
        schedules.bisection,
        "one half against the other, both directions",
        lambda _p, _w: 1,
        pairwise=True,
    ),
    "listed": _Entry(
        schedules.listed,
        "the pairs of a file (--pairs), both directions, rail by rail: to look closer at suspects",
        lambda p, _w: len(round_numbers(p.pairs)),
        pairwise=True,
    ),
    "incast": _Entry(
        schedules.incast,
        "1, 2, 4 ... all senders into one receiver (--operation flows)",
        lambda _p, w: len(schedules.doubling(len(w.players) - 1)),
        directed=True,
    ),
    "permutation": _Entry(
        schedules.permutation,
        f"random: everybody sends to one other, {schedules.PERMUTATIONS} times anew (--operation flows)",
        lambda p, _w: p.rounds or schedules.PERMUTATIONS,
        directed=True,
    ),
    "shift": _Entry(
        schedules.shift,
        "everybody sends to the one k places on, k = 1, 2, 4 ... (--operation flows)",
        lambda _p, w: len(schedules.doubling(len(w.players) // 2)),
        directed=True,
    ),
    "victim": _Entry(
        schedules.victim,
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
    return schedules.victim_count(pattern.victims, ranks) if pattern.name == "victim" else ranks
