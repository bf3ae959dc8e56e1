"""The table of operations: what each moves, what must come out, and its bus-bandwidth factor.

An operation is data. For one rank of a group of `n` it gives a `Layout`: how many elements the
rank sends and receives, and of which streams (`railgauge_kernels.pattern`) every received
segment must consist. No entry knows a library; the backends map an operation to calls.

Sizes follow nccl-tests: `nbytes` is the larger of what one rank sends and receives in total, so
an all_gather of 1 MiB over 4 ranks gathers four blocks of 256 KiB. Bus-bandwidth factors are
those of nccl-tests' doc/PERFORMANCE.md, derived in the README.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from railgauge.errors import UsageError, unknown
from railgauge_kernels.pattern import REDUCED

Matrix = tuple[tuple[int, ...], ...]  # elements that rank i (row) sends to rank j (column)


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


@dataclasses.dataclass(frozen=True)
class Group:
    """What a layout depends on: group size, this rank's place in it, root, block size, matrix."""

    n: int
    me: int
    root: int
    count: int
    matrix: Matrix | None = None
    in_place: bool = False


@dataclasses.dataclass(frozen=True)
class Operation:
    """One entry of the table.

    `blocks(n)` says how many blocks of `count` elements make up `nbytes`; `bus_factor(n)` is
    busbw / algbw; `transfers(n, window)` is how many messages one iteration completes for the
    purposes of time per message (2 for a ping-pong: one way is half the round trip).
    """

    name: str
    summary: str
    layout: Callable[[Group], Layout]
    bus_factor: Callable[[int], float]
    blocks: Callable[[int], int] = lambda _n: 1
    transfers: Callable[[int, int], int] = lambda _n, _window: 1
    reduces: bool = False
    rooted: bool = False
    placements: tuple[str, ...] = ("out", "in")
    calls: tuple[str, ...] = ("blocking", "nonblocking", "persistent")
    timing: str = "barrier"
    even: bool = False  # ranks work in pairs i <-> i + n/2
    sized: bool = True  # False: the operation has no payload
    windowed: bool = False  # an iteration is a window of messages

    def count(self, nbytes: int, itemsize: int, n: int) -> int:
        """Elements a block so that the message has at least `nbytes` (whole blocks, at least one)."""
        return max(1, math.ceil(nbytes / (itemsize * self.blocks(n)))) if self.sized else 0

    def nbytes(self, count: int, itemsize: int, n: int) -> int:
        """The size that `count` elements a block make: max(sent, received) of one rank."""
        return count * itemsize * self.blocks(n) if self.sized else 0

    def check_group(self, n: int, pattern: str) -> None:
        """Raise UsageError where the operation means nothing for groups of `n` ranks."""
        if self.even and n % 2:
            raise UsageError(
                f"--operation {self.name} works on pairs of ranks, and pattern {pattern} makes"
                f" groups of {n}.\n  expected: an even number of ranks\n"
                f"  next: railgauge run --operation {self.name} -n {n + 1}, or --pattern pairs"
            )


def _all_reduce(g: Group) -> Layout:
    return Layout(g.count, g.count, (Segment(0, g.count, REDUCED, 0),), own=0)


def _all_gather(g: Group) -> Layout:
    blocks = tuple(Segment(r * g.count, g.count, r, 0) for r in range(g.n))
    return Layout(g.count, g.n * g.count, blocks, own=g.me * g.count)


def _reduce_scatter(g: Group) -> Layout:
    return Layout(g.n * g.count, g.count, (Segment(0, g.count, REDUCED, g.me * g.count),), own=0)


def _broadcast(g: Group) -> Layout:
    return Layout(
        g.count if g.me == g.root else 0,
        g.count,
        (Segment(0, g.count, g.root, 0),),
        own=0 if g.me == g.root else None,
    )


def _reduce(g: Group) -> Layout:
    if g.me != g.root:
        return Layout(g.count, 0)
    return Layout(g.count, g.count, (Segment(0, g.count, REDUCED, 0),), own=0)


def _gather(g: Group) -> Layout:
    if g.me != g.root:
        return Layout(g.count, 0)
    return _all_gather(g)


def _scatter(g: Group) -> Layout:
    if g.me == g.root and g.in_place:  # the root's own block stays where it is
        return Layout(g.n * g.count, 0)
    sends = g.n * g.count if g.me == g.root else 0
    return Layout(sends, g.count, (Segment(0, g.count, g.root, g.me * g.count),))


def _alltoall(g: Group) -> Layout:
    blocks = tuple(Segment(r * g.count, g.count, r, g.me * g.count) for r in range(g.n))
    return Layout(g.n * g.count, g.n * g.count, blocks, own=0)


def offsets(counts: Sequence[int]) -> list[int]:
    """Where each of consecutive blocks begins."""
    total, begins = 0, []
    for count in counts:
        begins.append(total)
        total += count
    return begins


def _alltoallv(g: Group) -> Layout:
    if g.matrix is None:
        raise ValueError("alltoallv needs its traffic matrix")
    incoming = [row[g.me] for row in g.matrix]
    segments = tuple(
        Segment(at, count, source, offsets(g.matrix[source])[g.me])
        for source, (at, count) in enumerate(zip(offsets(incoming), incoming, strict=True))
    )
    return Layout(sum(g.matrix[g.me]), sum(incoming), segments)


def _sendrecv(g: Group) -> Layout:
    return Layout(g.count, g.count, (Segment(0, g.count, (g.me - 1) % g.n, 0),))


def partner(me: int, n: int) -> int:
    """The other rank of the pair i <-> i + n/2 (the pairing of osu_mbw_mr)."""
    return (me + n // 2) % n


def _both_ways(g: Group) -> Layout:
    return Layout(g.count, g.count, (Segment(0, g.count, partner(g.me, g.n), 0),))


def _one_way(g: Group) -> Layout:
    if g.me < g.n // 2:
        return Layout(g.count, 0)
    return Layout(0, g.count, (Segment(0, g.count, partner(g.me, g.n), 0),))


def _barrier(_g: Group) -> Layout:
    return Layout(0, 0)


def _share(n: int) -> float:
    return (n - 1) / n


_COLLECTIVES = (
    Operation(
        "all_reduce",
        "every rank gets the reduction over all ranks",
        _all_reduce,
        bus_factor=lambda n: 2 * (n - 1) / n,
        reduces=True,
    ),
    Operation(
        "all_gather",
        "every rank gets the blocks of all ranks",
        _all_gather,
        bus_factor=_share,
        blocks=lambda n: n,
    ),
    Operation(
        "reduce_scatter",
        "every rank gets its block of the reduction",
        _reduce_scatter,
        bus_factor=_share,
        blocks=lambda n: n,
        reduces=True,
    ),
    Operation(
        "broadcast",
        "every rank gets the root's data",
        _broadcast,
        bus_factor=lambda _n: 1.0,
        rooted=True,
        placements=("in",),
    ),
    Operation(
        "reduce",
        "the root gets the reduction over all ranks",
        _reduce,
        bus_factor=lambda _n: 1.0,
        rooted=True,
        reduces=True,
    ),
    Operation(
        "gather",
        "the root gets the blocks of all ranks",
        _gather,
        bus_factor=_share,
        blocks=lambda n: n,
        rooted=True,
    ),
    Operation(
        "scatter",
        "every rank gets its block of the root's data",
        _scatter,
        bus_factor=_share,
        blocks=lambda n: n,
        rooted=True,
    ),
    Operation(
        "alltoall",
        "every rank sends a block of its own to every rank",
        _alltoall,
        bus_factor=_share,
        blocks=lambda n: n,
    ),
    Operation(
        "alltoallv",
        "as alltoall, with a traffic matrix (--matrix FILE or --skew)",
        _alltoallv,
        bus_factor=_share,
        blocks=lambda n: n,
        placements=("out",),
    ),
    Operation(
        "sendrecv",
        "ring: every rank sends to the next and receives from the one before",
        _sendrecv,
        bus_factor=lambda _n: 1.0,
        placements=("out",),
    ),
    Operation(
        "barrier",
        "no data: the time until all ranks have arrived",
        _barrier,
        bus_factor=lambda _n: 0.0,
        placements=("out",),
        sized=False,
    ),
)

_POINT_TO_POINT = (
    Operation(
        "latency",
        "ping-pong between rank i and i + n/2; the time is one way",
        _both_ways,
        bus_factor=lambda _n: 1.0,
        transfers=lambda _n, _window: 2,
        placements=("out",),
        timing="back_to_back",
        even=True,
    ),
    Operation(
        "bandwidth",
        "windows of messages from rank i to i + n/2, each window acknowledged",
        _one_way,
        bus_factor=lambda n: 2 / n,
        transfers=lambda n, window: window * n // 2,
        placements=("out",),
        calls=("nonblocking", "persistent"),
        even=True,
        windowed=True,
    ),
    Operation(
        "bidirectional_bandwidth",
        "windows of messages between rank i and i + n/2 in both directions",
        _both_ways,
        bus_factor=lambda n: 1 / n,
        transfers=lambda n, window: window * n,
        placements=("out",),
        calls=("nonblocking", "persistent"),
        even=True,
        windowed=True,
    ),
    Operation(
        "message_rate",
        "as bandwidth, over all pairs at once; messages a second is the figure to read",
        _one_way,
        bus_factor=lambda n: 2 / n,
        transfers=lambda n, window: window * n // 2,
        placements=("out",),
        calls=("nonblocking", "persistent"),
        even=True,
        windowed=True,
    ),
)

OPERATIONS = {o.name: o for o in (*_COLLECTIVES, *_POINT_TO_POINT)}
REDUCTIONS = ("sum", "prod", "min", "max", "avg")


def operation_named(name: str) -> Operation:
    """The entry of that name; raises UsageError with the closest one."""
    if name not in OPERATIONS:
        raise unknown("operation", name, [*OPERATIONS, "all"], "railgauge list")
    return OPERATIONS[name]


def skewed_matrix(n: int, count: int, skew: float) -> Matrix:
    """Traffic of an alltoallv in which rank 0 is a hot spot, in elements.

    Every rank sends `count` elements to each rank; `skew` in [0, 1] is the share of them that
    goes to rank 0 instead (0: uniform, 1: an incast into rank 0). What a rank sends stays the same.
    """
    moved = round(count * skew)
    return tuple(
        tuple(count - moved if j else count + moved * (n - 1) for j in range(n)) for _ in range(n)
    )


def matrix_nbytes(matrix: Matrix, itemsize: int) -> int:
    """max(sent, received) over the ranks, in bytes: the `nbytes` of an alltoallv."""
    columns: list[tuple[int, ...]] = list(zip(*matrix, strict=True))
    return max(sum(line) for line in (*matrix, *columns)) * itemsize


def matrix_bus_factor(matrix: Matrix) -> float:
    """busbw / algbw of an alltoallv: what the busiest rank moves to or from *others*.

    The diagonal never crosses a wire, so the busiest direction of the busiest rank carries its
    total without its own block; a matrix that sends nothing to itself has factor 1.
    """
    columns: list[tuple[int, ...]] = list(zip(*matrix, strict=True))
    busiest = max(
        max(sum(line) - line[rank] for rank, line in enumerate(lines))
        for lines in (matrix, columns)
    )
    total = matrix_nbytes(matrix, 1)
    return busiest / total if total else 0.0
