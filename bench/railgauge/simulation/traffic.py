"""Which flows an operation is made of: who sends to whom, which share of the bytes, how many times.

A collective is a number of steps, each with the same flows. Rings and trees are as NCCL builds them over
several rails: ring k enters and leaves a node by its k-th NIC, so that every NIC carries one of them.
What a step costs besides its bytes is a latency (the alpha of alpha-beta models).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from railgauge.plan import Case
from railgauge.schedules import Group
from railgauge.simulation.machine import Floats, Machine, Numbers

#: An all-to-all is taken for the mean of so many shifts at most.
SHIFTS = 16
#: Of a tree's bandwidth that NCCL expects (src/graph/tuning.cc at 5067397c).
TREE_SHARE = 0.92


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Flows of all groups of a round in one operation, each group's one after the other.

    A flow carries `share` of the message's bytes in each of `steps[group]` steps; `inner[group]` and
    `outer[group]` are how many latencies within and between islands an iteration has. Flows of one
    `phase` go at the same time, and phases follow each other.
    """

    sources: Numbers
    targets: Numbers
    group: Numbers
    phase: Numbers
    share: Floats
    steps: Floats
    inner: Floats
    outer: Floats


@dataclasses.dataclass
class _Parts:
    """What is said of one group."""

    sources: Numbers
    targets: Numbers
    share: Floats
    steps: float
    inner: float
    outer: float
    phase: Numbers | None = None


def traffic_of(machine: Machine, case: Case, groups: Sequence[Group], window: int) -> Traffic:
    """The flows of a case in a round; of an all_reduce by the algorithm that its case names, or a ring."""
    make = _MAKERS[case.operation]
    parts = [make(machine, case, group, window) for group in groups]
    count = [len(part.sources) for part in parts]
    phases = [
        np.zeros(n, np.int64) if p.phase is None else p.phase
        for p, n in zip(parts, count, strict=True)
    ]
    return Traffic(
        sources=np.concatenate([part.sources for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
        group=np.repeat(np.arange(len(parts)), count),
        phase=np.concatenate(phases),
        share=np.concatenate([part.share for part in parts]),
        steps=np.array([part.steps for part in parts]),
        inner=np.array([part.inner for part in parts]),
        outer=np.array([part.outer for part in parts]),
    )


# rings and trees --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Ring:
    """The flows of all rings through a group: within islands, then between them."""

    inside: tuple[Numbers, Numbers]
    across: tuple[Numbers, Numbers]
    islands: int
    rings: int
    ranks: int

    def parts(self, steps: float, share: float, latencies: float) -> _Parts:
        """`share` of the bytes passes every rank in a step; latencies of each rank of the ring."""
        largest = self.ranks / self.islands
        part = (largest - 1) / largest if self.islands > 1 else 1.0
        shares = [
            np.full(len(self.inside[0]), share * part),
            np.full(len(self.across[0]), share / self.rings),
        ]
        outer = latencies * (self.islands if self.islands > 1 else 0) / self.ranks
        return _Parts(
            np.concatenate([self.inside[0], self.across[0]]),
            np.concatenate([self.inside[1], self.across[1]]),
            np.concatenate(shares),
            steps,
            latencies - outer,
            outer,
        )


def _ring(machine: Machine, group: Group) -> _Ring:
    ranks = np.asarray(group.ranks, np.int64)
    islands = machine.island_of[ranks]
    starts = np.flatnonzero(np.diff(islands, prepend=-1))
    ends = np.append(starts[1:], len(ranks))
    following = np.arange(1, len(ranks) + 1)
    following[ends - 1] = starts  # the last of an island passes on to its first
    alone = np.repeat(ends - starts, ends - starts) == 1
    within = (ranks[~alone], ranks[following[~alone]])
    if len(starts) == 1:
        return _Ring(within, (ranks[:0], ranks[:0]), 1, 1, len(ranks))
    gates = [
        _gates(machine, ranks[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    rings = min(map(len, gates))
    table = np.array([gate[:rings] for gate in gates], np.int64)  # [islands, rings]
    across = (table.ravel(), np.roll(table, -1, axis=0).ravel())
    return _Ring(within, across, len(starts), rings, len(ranks))


def _gates(machine: Machine, ranks: Numbers) -> list[int]:
    """The first rank of each NIC of an island."""
    if len(ranks) == 1:
        return [int(ranks[0])]
    _, first = np.unique(machine.port_of[ranks], return_index=True)
    made: list[int] = ranks[np.sort(first)].tolist()
    return made


def _all_reduce(machine: Machine, case: Case, group: Group, _window: int) -> _Parts:
    n, ring = len(group.ranks), _ring(machine, group)
    if case.algorithm != "tree" or n < 3:
        return ring.parts(2 * (n - 1), 1 / n, 2 * (n - 1))
    # up and down at once; between two islands each byte passes once up and once down, not twice
    made = ring.parts(2 * (n - 1), 1 / n / TREE_SHARE, 2 * (n - 1))
    if ring.islands == 2:
        made.share[len(ring.inside[0]) :] *= n / (2 * (n - 1))
    depth = math.ceil(math.log2(ring.islands)) if ring.islands > 1 else 0
    return dataclasses.replace(made, inner=2 * (n / ring.islands - 1), outer=2 * depth)


def _gathered(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    n = len(group.ranks)
    return _ring(machine, group).parts(n - 1, 1 / n, n - 1)


def _pipelined(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    """Through the ring in pieces: everything passes everybody once."""
    return _ring(machine, group).parts(1, 1.0, len(group.ranks) - 1)


# messages from rank to rank -----------------------------------------------------------------------


def _messages(
    machine: Machine,
    sources: Sequence[int] | Numbers,
    targets: Sequence[int] | Numbers,
    share: float = 1.0,
    steps: float = 1.0,
) -> _Parts:
    """Messages at the same time, each one step."""
    a, b = np.asarray(sources, np.int64), np.asarray(targets, np.int64)
    outer = bool(np.any(machine.island_of[a] != machine.island_of[b]))
    return _Parts(a, b, np.full(len(a), share), steps, float(not outer), float(outer))


def _next(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    return _messages(machine, group.ranks, (*group.ranks[1:], group.ranks[0]))


def _flows(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    return _messages(machine, *np.array(group.flows, np.int64).T)


def _rooted(machine: Machine, case: Case, group: Group, _window: int) -> _Parts:
    n, root = len(group.ranks), group.ranks[case.root or 0]
    others = [rank for rank in group.ranks if rank != root]
    roots = [root] * len(others)
    sources, targets = (others, roots) if case.operation == "gather" else (roots, others)
    return _messages(machine, sources, targets, 1 / n)


def _all_to_all(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    """Everybody to the one k places on, k = 1 ... n - 1, of which SHIFTS stand for all."""
    ranks = np.asarray(group.ranks, np.int64)
    n = len(ranks)
    shifts = np.unique(np.linspace(1, n - 1, min(SHIFTS, n - 1)).round().astype(np.int64))
    made = _messages(
        machine,
        np.tile(ranks, len(shifts)),
        np.concatenate([np.roll(ranks, -k) for k in shifts]),
        (n - 1) / n / len(shifts),
    )
    return dataclasses.replace(made, phase=np.repeat(np.arange(len(shifts)), n))


def _halves(group: Group) -> tuple[Sequence[int], Sequence[int]]:
    half = len(group.ranks) // 2
    return group.ranks[:half], group.ranks[half:]


def _forth(machine: Machine, case: Case, group: Group, window: int) -> _Parts:
    return _messages(machine, *_halves(group), steps=window if case.entry.windowed else 1)


def _both(machine: Machine, _case: Case, group: Group, window: int) -> _Parts:
    a, b = _halves(group)
    return _messages(machine, (*a, *b), (*b, *a), steps=window)


def _ping_pong(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    made = _messages(machine, *_halves(group), steps=2)
    return dataclasses.replace(made, inner=2 * made.inner, outer=2 * made.outer)


def _barrier(machine: Machine, _case: Case, group: Group, _window: int) -> _Parts:
    """Dissemination: log2 n rounds (Hensgen, Finkel, Manber, 1988)."""
    nothing = np.zeros(0, np.int64)
    rounds = math.ceil(math.log2(len(group.ranks)))
    inner = min(rounds, math.ceil(math.log2(machine.cluster.node.gpus)))
    return _Parts(nothing, nothing, nothing.astype(float), 0.0, float(inner), float(rounds - inner))


_MAKERS: dict[str, Callable[[Machine, Case, Group, int], _Parts]] = {
    "all_reduce": _all_reduce,
    "all_gather": _gathered,
    "reduce_scatter": _gathered,
    "broadcast": _pipelined,
    "reduce": _pipelined,
    "gather": _rooted,
    "scatter": _rooted,
    "alltoall": _all_to_all,
    "sendrecv": _next,
    "flows": _flows,
    "barrier": _barrier,
    "latency": _ping_pong,
    "bandwidth": _forth,
    "bidirectional_bandwidth": _both,
    "message_rate": _forth,
}
OPERATIONS = tuple(_MAKERS)


def algorithms(case: Case) -> Iterator[str]:
    """Those between which the fastest is chosen where a case names none."""
    if case.operation == "all_reduce" and not case.algorithm:
        yield from ("ring", "tree")
    else:
        yield case.algorithm


def load_of(operation: str, ranks: Sequence[int]) -> tuple[Numbers, Numbers]:
    """(sources, targets) of what ranks do that make load: all to all, into one, or out of one."""
    everybody = np.asarray(ranks, np.int64)
    first = np.full(len(everybody) - 1, everybody[0])
    if operation == "flows":
        return everybody[1:], first
    if operation == "broadcast":
        return first, everybody[1:]
    return everybody, np.roll(everybody, -(len(everybody) // 2))
