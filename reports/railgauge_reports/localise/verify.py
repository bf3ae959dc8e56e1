"""Rounds that verify suspects: each meets three others that are known to be good.

In a round a suspect meets a good node, never another suspect, and another one each time. The good ones
that are left over meet each other: the fabric is as loaded as it was, and they tell what is normal now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from railgauge.pair_lists import written
from railgauge_reports.localise import PARTNERS
from railgauge_reports.localise.pairs import Ints

Meeting = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Verification:
    """`rounds` of disjoint meetings of nodes; `targets` are the suspects, `leaf_pairs` what is compared.

    `short` says why less than three partners each were to be had, or "".
    """

    names: tuple[str, ...]
    targets: tuple[int, ...]
    leaf_pairs: tuple[tuple[int, int], ...]
    rounds: tuple[tuple[Meeting, ...], ...]
    short: str = ""

    @property
    def node_rounds(self) -> int:
        """Rounds times the nodes of the job, which all wait."""
        return len(self.rounds) * len(self.names)

    def node_seconds(self, seconds_a_round: float) -> float:
        return self.node_rounds * seconds_a_round

    def named(self) -> list[list[tuple[str, str]]]:
        """The rounds with names as pattern listed takes them; on one node the numbers of ranks."""
        return [[(self._word(a), self._word(b)) for a, b in met] for met in self.rounds]

    def text(self) -> str:
        """The file that `railgauge run --pattern listed --pairs FILE` reads."""
        return written(self.named())

    def partners(self, node: int) -> list[str]:
        """Whom a suspect meets, in the order of the rounds."""
        met = (pair for pairs in self.rounds for pair in pairs if node in pair)
        return [self.names[b if a == node else a] for a, b in met]

    def _word(self, node: int) -> str:
        return self.names[node].removeprefix("rank ")

    def cost(self, seconds_a_round: float | None) -> str:
        """`3 rounds of 64 nodes (192 node-rounds, about 96 node-seconds)`."""
        words = (
            f"{len(self.rounds)} rounds of {len(self.names)} nodes ({self.node_rounds} node-rounds"
        )
        if seconds_a_round is not None:
            words += f", about {self.node_seconds(seconds_a_round):.0f} node-seconds"
        return words + ")"


def verification(
    names: tuple[str, ...],
    suspects: Sequence[int],
    good: Sequence[int],
    leaf_of: Ints | None = None,
    leaf_pairs: Sequence[tuple[int, int]] = (),
    padded: bool = True,
) -> Verification:
    """The fewest rounds in which every suspect meets three good ones, and leaf pairs meet, too.

    `good` in the order of trust. `padded`: those left over meet each other meanwhile.
    """
    targets = tuple(dict.fromkeys(suspects))
    usable = _spread([node for node in dict.fromkeys(good) if node not in set(targets)], leaf_of)
    partners = min(PARTNERS, len(usable))
    short = ""
    if targets and partners < PARTNERS:
        short = (
            f"{len(usable)} nodes are known to be good, {PARTNERS} are needed to verify"
            f" {len(targets)} suspects: bring nodes of another job, or measure more rounds"
        )
    rounds: list[list[Meeting]] = []
    size = max(1, len(usable))
    waves = [targets[k : k + size] for k in range(0, len(targets), size)] if partners else []
    barred = {frozenset(pair) for pair in leaf_pairs}
    for wave in waves:
        rounds += _met(wave, usable, partners, leaf_of, barred) or _shifted(wave, usable, partners)
    _add_leaf_pairs(rounds, usable, leaf_of, leaf_pairs)
    if padded:
        for turn, met in enumerate(rounds):
            busy = {node for pair in met for node in pair}
            free = [node for node in usable if node not in busy]
            free = free[turn % max(1, len(free)) :] + free[: turn % max(1, len(free))]
            met += list(zip(free[::2], free[1::2], strict=False))
    return Verification(names, targets, tuple(leaf_pairs), tuple(map(tuple, rounds)), short)


def _met(
    wave: Sequence[int],
    usable: list[int],
    partners: int,
    leaf_of: Ints | None,
    barred: set[frozenset[int]],
) -> list[list[Meeting]]:
    """Partners under different leaves, and none behind a suspected pair of leaves, as far as there are.

    A partner behind a bad pair of leaves would accuse the suspect of it. [] where not everybody gets one.
    """
    seen: dict[int, set[int]] = {suspect: set() for suspect in wave}  # partners
    under: dict[int, set[int]] = {suspect: set() for suspect in wave}  # leaves of partners
    rounds: list[list[Meeting]] = []
    for turn in range(partners):
        free = dict.fromkeys(usable[turn:] + usable[:turn])
        met = []
        for suspect in wave:
            best = None
            for node in free:
                if node in seen[suspect]:
                    continue
                leaf = int(leaf_of[node]) if leaf_of is not None else node
                own = int(leaf_of[suspect]) if leaf_of is not None else suspect
                cost = 2 * (frozenset((leaf, own)) in barred) + (leaf in under[suspect])
                if best is None or cost < best[0]:
                    best = (cost, node, leaf)
                if cost == 0:
                    break
            if best is None:
                return []
            _, node, leaf = best
            del free[node]
            seen[suspect].add(node)
            under[suspect].add(leaf)
            met.append((suspect, node))
        rounds.append(met)
    return rounds


def _shifted(wave: Sequence[int], usable: list[int], partners: int) -> list[list[Meeting]]:
    """Each meets the one that many places on in the list: always possible."""
    size = len(usable)
    return [
        [(suspect, usable[(k + turn) % size]) for k, suspect in enumerate(wave)]
        for turn in range(partners)
    ]


def _spread(nodes: list[int], leaf_of: Ints | None) -> list[int]:
    """Nodes one leaf after the other in turn, so that neighbours in the list hang on different ones."""
    if leaf_of is None:
        return nodes
    seen: dict[int, int] = {}
    keys = []
    for node in nodes:
        leaf = int(leaf_of[node])
        keys.append((seen.get(leaf, 0), leaf, node))
        seen[leaf] = seen.get(leaf, 0) + 1
    return [node for _, _, node in sorted(keys)]


def _add_leaf_pairs(
    rounds: list[list[Meeting]],
    usable: list[int],
    leaf_of: Ints | None,
    leaf_pairs: Sequence[tuple[int, int]],
) -> None:
    """Good nodes of both leaves meet, other ones in each of three rounds."""
    if leaf_of is None:
        return
    for one, other in leaf_pairs:
        a, b = ([node for node in usable if leaf_of[node] == leaf] for leaf in (one, other))
        if one == other:
            a, b = a[::2], a[1::2]
        if len(a) > len(b):
            a, b = b, a
        turns = 0
        for turn in range(len(rounds) + PARTNERS):
            if turns == PARTNERS or not a:
                break
            if turn == len(rounds):
                rounds.append([])
            busy = {node for pair in rounds[turn] for node in pair}
            met = [(x, b[(k + turns) % len(b)]) for k, x in enumerate(a)]
            met = [pair for pair in met if not busy & {*pair}]
            rounds[turn] += met
            turns += bool(met)
    rounds[:] = [met for met in rounds if met]
