"""One rank's side of each operation: how much it sends and receives, and what it must find.

Every received segment comes from a stream of `railgauge_kernels.pattern`: that of one rank of the
group, or the reduction over all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from railgauge.traffic import Traffic
from railgauge_kernels.pattern import REDUCED


@dataclasses.dataclass(frozen=True)
class Segment:
    """`count` elements at `offset` of the receive buffer, from `source`'s stream at `start`.

    `source` is a rank of the group, or REDUCED.
    """

    offset: int
    count: int
    source: int
    start: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """One rank's side of an operation, in elements.

    `own` is where the rank's input lies inside the receive buffer when it works in place
    (None: the input stays in the send buffer).
    """

    sends: int
    receives: int
    expected: tuple[Segment, ...] = ()
    own: int | None = None


class Ends(NamedTuple):
    """The flows of a rank, as places in its group: who sends to it, and to whom it sends."""

    sources: tuple[int, ...] = ()
    targets: tuple[int, ...] = ()


NO_FLOWS = Ends()


@dataclasses.dataclass(frozen=True)
class Group:
    """What a layout depends on: group size, this rank's place in it, root, block size, traffic.

    `call` is the form of a copy. With `in_block` an in-place reduce_scatter leaves its result where
    the rank's own block lies (NCCL), not at the beginning of the buffer (MPI).
    """

    n: int
    me: int
    root: int
    count: int
    traffic: Traffic | None = None
    in_place: bool = False
    call: str = ""
    in_block: bool = False
    ends: Ends = NO_FLOWS


def all_reduce(g: Group) -> Layout:
    return Layout(g.count, g.count, (Segment(0, g.count, REDUCED, 0),), own=0)


def all_gather(g: Group) -> Layout:
    blocks = tuple(Segment(r * g.count, g.count, r, 0) for r in range(g.n))
    return Layout(g.count, g.n * g.count, blocks, own=g.me * g.count)


def reduce_scatter(g: Group) -> Layout:
    block = g.me * g.count
    at = block if g.in_place and g.in_block else 0
    return Layout(g.n * g.count, g.count, (Segment(at, g.count, REDUCED, block),), own=0)


def broadcast(g: Group) -> Layout:
    return Layout(
        g.count if g.me == g.root else 0,
        g.count,
        (Segment(0, g.count, g.root, 0),),
        own=0 if g.me == g.root else None,
    )


def reduce(g: Group) -> Layout:
    if g.me != g.root:
        return Layout(g.count, 0)
    return Layout(g.count, g.count, (Segment(0, g.count, REDUCED, 0),), own=0)


def gather(g: Group) -> Layout:
    if g.me != g.root:
        return Layout(g.count, 0)
    return all_gather(g)


def scatter(g: Group) -> Layout:
    if g.me == g.root and g.in_place:  # the root's own block stays where it is
        return Layout(g.n * g.count, 0)
    sends = g.n * g.count if g.me == g.root else 0
    return Layout(sends, g.count, (Segment(0, g.count, g.root, g.me * g.count),))


def alltoall(g: Group) -> Layout:
    blocks = tuple(Segment(r * g.count, g.count, r, g.me * g.count) for r in range(g.n))
    return Layout(g.n * g.count, g.n * g.count, blocks, own=0)


def offsets(counts: Sequence[int]) -> list[int]:
    """Where each of consecutive blocks begins."""
    total, begins = 0, []
    for count in counts:
        begins.append(total)
        total += count
    return begins


def _traffic(g: Group) -> Traffic:
    if g.traffic is None:
        raise ValueError("alltoallv needs its traffic")
    return g.traffic


def vector_counts(g: Group) -> tuple[list[int], list[int]]:
    """Elements that this rank of an alltoallv sends to each rank, and receives from each."""
    matrix = _traffic(g).matrix
    return matrix[g.me].tolist(), matrix[:, g.me].tolist()


def alltoallv(g: Group) -> Layout:
    outgoing, incoming = vector_counts(g)
    begins = _traffic(g).begins(g.me).tolist()
    segments = tuple(map(Segment, offsets(incoming), incoming, range(g.n), begins))
    return Layout(sum(outgoing), sum(incoming), segments)


def sendrecv(g: Group) -> Layout:
    return Layout(g.count, g.count, (Segment(0, g.count, (g.me - 1) % g.n, 0),))


def flows(g: Group) -> Layout:
    """One block to everybody that the rank sends to, the same; one from each that sends to it."""
    sources = g.ends.sources
    blocks = tuple(Segment(k * g.count, g.count, source, 0) for k, source in enumerate(sources))
    return Layout(g.count if g.ends.targets else 0, len(sources) * g.count, blocks)


def partner(me: int, n: int) -> int:
    """The other rank of the pair i <-> i + n/2 (the pairing of osu_mbw_mr)."""
    return (me + n // 2) % n


def both_ways(g: Group) -> Layout:
    return Layout(g.count, g.count, (Segment(0, g.count, partner(g.me, g.n), 0),))


def one_way(g: Group) -> Layout:
    if g.me < g.n // 2:
        return Layout(g.count, 0)
    return Layout(0, g.count, (Segment(0, g.count, partner(g.me, g.n), 0),))


#: Forms of a copy: who ends up with whose data. The copy engine does it, or (`_sm`) a kernel.
BETWEEN_PAIRS = ("pull", "push", "both", "pull_sm", "push_sm", "both_sm")
COPIES = (*BETWEEN_PAIRS, "local", "local_sm", "to_device", "from_device")


def copies(g: Group) -> bool:
    """Does this rank's GPU do the copying?"""
    return g.me < g.n // 2 or g.call.removesuffix("_sm") not in ("pull", "push")


def copy(g: Group) -> Layout:
    """pull, push: rank i < n/2 acts on rank i + n/2; both: each pulls from the other, at once."""
    form = g.call.removesuffix("_sm")
    if form == "both":
        return both_ways(g)
    if form == "push":
        return one_way(g)
    if form == "pull":
        swapped = one_way(dataclasses.replace(g, me=partner(g.me, g.n)))
        peers = tuple(dataclasses.replace(s, source=partner(g.me, g.n)) for s in swapped.expected)
        return dataclasses.replace(swapped, expected=peers)
    return Layout(g.count, g.count, (Segment(0, g.count, g.me, 0),))


#: Forms of an RDMA operation: rank 0 starts it, rank 1 does, or both at once.
RDMA = ("forth", "back", "both")


def rdma_out(g: Group) -> Layout:
    """The data leaves the rank that starts the operation: a write, a send."""
    if g.call == "both":
        return both_ways(g)
    if (g.me == 0) == (g.call != "back"):
        return Layout(g.count, 0)
    return Layout(0, g.count, (Segment(0, g.count, partner(g.me, g.n), 0),))


def rdma_in(g: Group) -> Layout:
    """The data goes to the rank that starts the operation: a read."""
    swapped = {"both": "both", "back": "forth"}.get(g.call, "back")
    return rdma_out(dataclasses.replace(g, call=swapped))


def barrier(_g: Group) -> Layout:
    return Layout(0, 0)
