"""Rounds that verify suspects: each meets three others that are known to be good.

In a round a suspect meets a good node, never another suspect, and another one each time. The good ones
that are left over meet each other: the fabric is as loaded as it was, and they tell what is normal now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from railgauge.pair_lists import written
from railgauge_reports.localise.pairs import Ints

PARTNERS = 3
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

    def text(self) -> str:
        """The file that `railgauge run --pattern listed --pairs FILE` reads."""
        return written(((self._word(a), self._word(b)) for a, b in met) for met in self.rounds)

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
    step = max(1, len(usable) // PARTNERS)
    for wave in waves:
        for turn in range(partners):
            shift = turn * step
            rounds.append([(t, usable[(k + shift) % size]) for k, t in enumerate(wave)])
    _add_leaf_pairs(rounds, usable, leaf_of, leaf_pairs)
    if padded:
        for turn, met in enumerate(rounds):
            busy = {node for pair in met for node in pair}
            free = [node for node in usable if node not in busy]
            free = free[turn % max(1, len(free)) :] + free[: turn % max(1, len(free))]
            met += list(zip(free[::2], free[1::2], strict=False))
    return Verification(names, targets, tuple(leaf_pairs), tuple(map(tuple, rounds)), short)


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
        sides = [[node for node in usable if leaf_of[node] == leaf] for leaf in (one, other)]
        turns = 0
        for turn in range(len(rounds) + PARTNERS):
            if turns == PARTNERS:
                break
            if turn == len(rounds):
                rounds.append([])
            busy = {node for pair in rounds[turn] for node in pair}
            a, b = ([node for node in side if node not in busy] for side in sides)
            b = b[turns % max(1, len(b)) :] + b[: turns % max(1, len(b))]
            met = (
                list(zip(a, b, strict=False))
                if one != other
                else list(zip(a[::2], a[1::2], strict=False))
            )
            if met:
                rounds[turn] += met
                turns += 1
    rounds[:] = [met for met in rounds if met]
