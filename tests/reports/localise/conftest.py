"""Pair tables of known faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest

from railgauge.patterns import rounds
from railgauge.schedules import Pattern, circle
from railgauge.topology import Topology
from railgauge_reports.localise.pairs import PairTable

Met = Sequence[Sequence[tuple[int, int]]]


def rotation(nodes: int, leaf: int) -> Met:
    """The leaf rotation of so many nodes."""
    where = Topology(tuple(range(nodes)), tuple(k // leaf for k in range(nodes)))
    return [[(g.ranks[0], g.ranks[1]) for g in r.groups] for r in rounds(Pattern("leaves"), where)]


def build(
    nodes: int,
    met: int | Met,
    loss: Callable[[int, int, int, int], float] = lambda _a, _b, _rail, _turn: 0.0,
    *,
    rails: int = 1,
    leaf: int = 0,
    noise: float = 0.01,
    seed: int = 1,
    **more: Any,
) -> PairTable:
    """`loss(a, b, rail, round)` is the share that a pair loses; `met` rounds, or how many of a tournament."""
    random = np.random.default_rng(seed)
    made = list(islice(circle(nodes), met)) if isinstance(met, int) else met
    rows = [(t, a, b, r) for t, pairs in enumerate(made) for a, b in pairs for r in range(rails)]
    turn, a, b, rail = np.array(rows, np.int32).reshape(-1, 4).T
    lost = np.array([loss(a, b, r, t) for t, a, b, r in rows])
    logs = np.log(46) + np.log1p(-lost) + random.normal(0, noise, len(rows))
    return PairTable(
        a=a,
        b=b,
        rail=(rail if rails > 1 else rail - 1).astype(np.int16),
        round=turn,
        gbps=np.exp(logs),
        nodes=tuple(f"node{k:02d}" for k in range(nodes)),
        leaf_of=np.arange(nodes) // leaf if leaf else None,
        leaf_names=tuple(f"leaf{k}" for k in range(-(-nodes // leaf))) if leaf else (),
        **more,
    )


@pytest.fixture
def table() -> Callable[..., PairTable]:
    return build


@pytest.fixture
def leaf_rotation() -> Callable[[int, int], Met]:
    return rotation
