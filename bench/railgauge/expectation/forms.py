"""What an algorithm moves where, and in how many steps: the form, and those that reduce or gather for all.

A form says, for a shape of n ranks on k islands with g inside each, how many bytes leave the busiest GPU
inside its island (`inside`), the NICs of an island (`outside`), the NICs of a single rank (`own`) and any m
neighbouring ranks together (`crossing`), each per byte of nbytes and in the busier direction. From that
follows what a resource allows. `steps` are those inside an island and between islands, one after another.

Sources: ring, recursive doubling, halving and doubling: Thakur, Rabenseifner, Gropp, "Optimization of
Collective Communication Operations in MPICH" (2005). Double binary tree: Sanders, Speck, Träff, "Two-tree
algorithms for full bandwidth broadcast, reduction and scan" (2009), shaped as NCCL 2.30.7's
src/graph/trees.cc. PAT: Jeaugey, "PAT: a new algorithm for all-gather and reduce-scatter" (2025). NVLS: the
wire carries algbw (n+1)/n (its authors in NVIDIA/nccl-tests issue 212). The others are derived here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from railgauge.expectation.shape import Shape

Share = Callable[[Shape], float]


@dataclasses.dataclass(frozen=True)
class Form:
    """One algorithm of one operation; see the head of this file.

    `lacks(shape)` says why it does not exist there ("": it does). `overlapped`: its phases run at the same
    time, pipelined; else one after another. `nccl` is its name for NCCL ("": NCCL has no such).
    """

    name: str
    summary: str
    inside: Share
    outside: Share
    crossing: Callable[[Shape, int], float]
    steps: Callable[[Shape], tuple[float, float]]
    own: Share = lambda _s: 0.0
    lacks: Callable[[Shape], str] = lambda _s: ""
    overlapped: bool = True
    nccl: str = ""


def log_rounds(n: int) -> int:
    """Rounds until n have met: ceil(log2 n)."""
    return max(0, n - 1).bit_length()


def hops_inside(s: Shape) -> float:
    """Of a ring through k islands, the part of the hops out of a GPU that stays inside."""
    return 1.0 if s.islands == 1 else (s.inside - 1) / s.inside


def but_one(n: int) -> float:
    return (n - 1) / n


def between(s: Shape, share: float) -> float:
    return share if s.islands > 1 else 0.0


def _one_island(s: Shape) -> str:
    return "" if s.islands == 1 else "it works inside one NVLink domain"


def _needs_nvls(s: Shape) -> str:
    return "" if s.nvls and s.inside > 1 else "it needs GPUs behind an NVSwitch that reduces (NVLS)"


def _islands_of_several(s: Shape) -> str:
    return "" if s.islands > 1 and s.inside > 1 else "it needs several nodes of several GPUs"


def _double_tree(s: Shape) -> float:
    """Bytes out of the busiest island: half of the data up and down two trees.

    In each tree an island inside has a parent and two children (1.5), and is a leaf of the other
    (0.5). Two islands are root and leaf in turn: 0.5 each; three make chains: 1.5 together.
    """
    return min(2.0, s.islands / 2)


# all_reduce -------------------------------------------------------------------------------------------

ALL_REDUCE = (
    Form(
        "ring",
        "every part goes round once to be reduced and once to be spread",
        inside=lambda s: 2 * but_one(s.ranks) * hops_inside(s),
        outside=lambda s: between(s, 2 * but_one(s.ranks)),
        crossing=lambda s, _m: 2 * but_one(s.ranks),
        steps=lambda s: (2 * (s.ranks - s.islands), 2 * (s.islands - 1)),
        nccl="RING",
    ),
    Form(
        "tree",
        "double binary tree between islands, chains inside, pipelined (NCCL's Tree)",
        inside=lambda s: 2 * but_one(s.inside),
        outside=lambda s: between(s, _double_tree(s)),
        crossing=lambda _s, _m: 1.0,
        steps=lambda s: (2 * (s.inside - 1), 2 * log_rounds(s.islands)),
        nccl="TREE",
    ),
    Form(
        "binary_tree",
        "one binary tree, pipelined: up to be reduced, down to be spread",
        inside=lambda s: min(3, s.inside - 1),
        outside=lambda s: between(s, min(3, s.islands - 1)),
        crossing=lambda _s, _m: 1.0,
        steps=lambda s: (2 * log_rounds(s.inside), 2 * log_rounds(s.islands)),
    ),
    Form(
        "nvls",
        "the NVSwitch reduces and spreads: every GPU sends its data once, and its sum",
        inside=lambda s: (s.inside + 1) / s.inside,
        outside=lambda _s: 0.0,
        crossing=lambda _s, _m: 0.0,
        steps=lambda _s: (1, 0),
        lacks=lambda s: _one_island(s) or _needs_nvls(s),
        nccl="NVLS",
    ),
    Form(
        "nvls_tree",
        "NVLS inside islands, a double binary tree between them",
        inside=lambda s: (s.inside + 1) / s.inside,
        outside=_double_tree,
        crossing=lambda _s, _m: 1.0,
        steps=lambda s: (1, 2 * log_rounds(s.islands)),
        lacks=lambda s: _needs_nvls(s) or _islands_of_several(s),
        nccl="NVLS_TREE",
    ),
    Form(
        "hierarchical",
        "reduce_scatter inside, a ring on every rail between, all_gather inside",
        inside=lambda s: 2 * but_one(s.inside),
        outside=lambda s: 2 * but_one(s.islands),
        crossing=lambda s, _m: 2 * but_one(s.islands),
        steps=lambda s: (2 * (s.inside - 1), 2 * (s.islands - 1)),
        lacks=_islands_of_several,
        overlapped=False,
    ),
    Form(
        "recursive_doubling",
        "all exchange everything with one twice as far, log2 n times",
        inside=lambda s: log_rounds(s.inside),
        outside=lambda s: between(s, s.smallest * log_rounds(s.islands)),
        crossing=lambda s, m: m * log_rounds(-(-s.ranks // m)),
        steps=lambda s: (log_rounds(s.inside), log_rounds(s.islands)),
        overlapped=False,
    ),
    Form(
        "halving_doubling",
        "recursive halving to reduce, doubling to spread, the near first (Rabenseifner)",
        inside=lambda s: 2 * but_one(s.inside),
        outside=lambda s: between(s, 2 * but_one(s.islands)),
        crossing=lambda s, m: 2 * (s.ranks - m) / s.ranks,
        steps=lambda s: (2 * log_rounds(s.inside), 2 * log_rounds(s.islands)),
        overlapped=False,
    ),
)

# all_gather, reduce_scatter: mirror images ------------------------------------------------------------

GATHERING = (
    Form(
        "ring",
        "every block goes round once",
        inside=lambda s: but_one(s.ranks) * hops_inside(s),
        outside=lambda s: between(s, but_one(s.ranks)),
        crossing=lambda s, _m: but_one(s.ranks),
        steps=lambda s: (s.ranks - s.islands, s.islands - 1),
        nccl="RING",
    ),
    Form(
        "nvls",
        "the NVSwitch spreads a GPU's block to all (or reduces them)",
        inside=lambda _s: 1.0,
        outside=lambda _s: 0.0,
        crossing=lambda _s, _m: 0.0,
        steps=lambda _s: (1, 0),
        lacks=lambda s: _one_island(s) or _needs_nvls(s),
        nccl="NVLS",
    ),
    Form(
        "pat",
        "a tree shifted for every rank, aggregated; NCCL takes it with one GPU a node",
        inside=lambda _s: 0.0,
        outside=lambda s: but_one(s.ranks),
        crossing=lambda s, m: m * (s.ranks - m) / s.ranks,
        steps=lambda s: (0, log_rounds(s.islands)),
        lacks=lambda s: "" if s.islands == s.ranks > 1 else "it needs nodes of one GPU each",
        nccl="PAT",
    ),
    Form(
        "hierarchical",
        "a ring on every rail between islands, then one inside",
        inside=lambda s: but_one(s.inside),
        outside=lambda s: but_one(s.islands),
        crossing=lambda s, _m: but_one(s.islands),
        steps=lambda s: (s.inside - 1, s.islands - 1),
        lacks=_islands_of_several,
        overlapped=False,
    ),
    Form(
        "recursive_doubling",
        "what one has doubles in every step, the near first (halving, to reduce)",
        inside=lambda s: (s.inside - 1) / s.ranks,
        outside=lambda s: between(s, s.smallest * (s.ranks - s.smallest) / s.ranks),
        crossing=lambda s, m: m * (s.ranks - m) / s.ranks,
        steps=lambda s: (log_rounds(s.inside), log_rounds(s.islands)),
        overlapped=False,
    ),
)
