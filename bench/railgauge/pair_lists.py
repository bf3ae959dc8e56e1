"""Pairs that a file lists, round by round: follow-ups of a search for what is at fault.

A line is `round a b`: the number of a round, and two hosts or numbers of nodes (on one node: ranks).
`#` begins a comment. Rounds run in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from railgauge.errors import UsageError
from railgauge.option_files import text_of
from railgauge.topology import Topology, some

#: (number of the round, player, player), as the file has them.
Pairs = tuple[tuple[int, str, str], ...]
MOST_BYTES = 256 << 20  # of a file: all pairs of 4,096 nodes
_EXPECTED = (
    "  expected: lines of a round and two hosts, as in `0 node17 node3`; `#` begins a comment"
)


def read_pairs(path: Path) -> Pairs:
    """The pairs of a file, in its order.

    Raises UsageError that names file and line: unreadable, odd, a host that meets itself, or meets
    two in one round.
    """
    text = text_of(path, "--pairs", MOST_BYTES, _EXPECTED)
    found: list[tuple[int, str, str]] = []
    seen: dict[tuple[int, str], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"--pairs {path}, line {number}"
        if len(words) != 3 or not (words[0].isascii() and words[0].isdecimal()):
            raise UsageError(f"{where}: {line[:80]!r} is no pair.\n{_EXPECTED}")
        if len(words[0]) > 9:
            raise UsageError(f"{where}: {words[0][:20]!r} is no number of a round.\n{_EXPECTED}")
        turn, a, b = int(words[0]), words[1], words[2]
        if a == b:
            raise UsageError(f"{where}: {a} cannot meet itself.\n{_EXPECTED}")
        for player in (a, b):
            first = seen.setdefault((turn, player), number)
            if first != number:
                raise UsageError(
                    f"{where}: {player} meets another in round {turn} already, line {first}.\n"
                    "  expected: a host once a round; give the second pair another round"
                )
        found.append((turn, a, b))
    if not found:
        raise UsageError(f"--pairs {path}: lists no pair.\n{_EXPECTED}")
    return tuple(found)


def round_numbers(pairs: Pairs) -> list[int]:
    """The numbers of the rounds, ascending."""
    return sorted({turn for turn, _, _ in pairs})


def written(rounds: Iterable[Iterable[tuple[str, str]]]) -> str:
    """The text of a file with these rounds."""
    return "".join(f"{turn} {a} {b}\n" for turn, met in enumerate(rounds) for a, b in met)


def meetings(pairs: Pairs, where: Topology) -> list[list[tuple[int, int]]]:
    """The players that meet, round by round.

    Raises UsageError for a host or a number that the job lacks, and for two names of one player in
    a round. Before anything has started no host is known: one pair stands for each round.
    """
    if not where.hosts:
        return [[(0, 1)] for _ in round_numbers(pairs)]
    known = {str(player): player for player in range(len(where.players))}
    if len(set(where.node_of)) > 1:  # a host is a player; its name wins over a number
        known |= {host: node for node, host in enumerate(where.hosts)}
    names = list(dict.fromkeys(name for _, a, b in pairs for name in (a, b)))
    _refuse(names, known, where)
    by_round: dict[int, list[tuple[int, int]]] = {turn: [] for turn in round_numbers(pairs)}
    busy: dict[tuple[int, int], str] = {}
    for turn, a, b in pairs:
        for name in (a, b):
            other = busy.setdefault((turn, known[name]), name)
            if other != name or known[a] == known[b]:
                raise UsageError(
                    f"--pairs: {a if known[a] == known[b] else other} and"
                    f" {b if known[a] == known[b] else name} of round {turn} are the same node.\n"
                    "  expected: a host once a round, and by one name"
                )
        by_round[turn].append((known[a], known[b]))
    return list(by_round.values())


def _refuse(names: list[str], known: dict[str, int], where: Topology) -> None:
    lacking = [name for name in names if name not in known]
    if not lacking:
        return
    if len(set(where.node_of)) == 1:
        raise UsageError(
            f"--pairs: {some(lacking)} of the file are no ranks of this job, which is on one host,"
            f" {where.hosts[0]}.\n  expected: ranks, 0 to {len(where.players) - 1}"
        )
    raise UsageError(
        f"--pairs: {some(lacking)} of the file are not in this job.\n"
        f"  found here: {some(where.hosts)}\n"
        f"  expected: names that `hostname` gives there, or nodes 0 to {len(where.players) - 1}"
    )
