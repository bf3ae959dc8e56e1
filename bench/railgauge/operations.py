"""The table of operations: what each moves, what must come out, and its bus-bandwidth factor.

An operation is data; `railgauge.layouts` says for one rank of a group what it sends, receives and
must find. No entry knows a library; the backends map an operation to calls.

Sizes follow nccl-tests: `nbytes` is the larger of what one rank sends and receives in total, so
an all_gather of 1 MiB over 4 ranks gathers four blocks of 256 KiB. Bus-bandwidth factors are
those of nccl-tests' doc/PERFORMANCE.md, derived in the README.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

from railgauge import layouts
from railgauge.errors import UsageError, unknown
from railgauge.patterns import DIRECTED, FLOWING
from railgauge_kernels.reducing import FORMS

CALLS = ("blocking", "nonblocking", "persistent", "stream", "graph")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One entry of the table.

    `blocks(n)` says how many blocks of `count` elements make up `nbytes`; `bus_factor(n)` is
    busbw / algbw; `transfers(n, window)` is how many messages one iteration completes for the
    purposes of time per message (2 for a ping-pong: one way is half the round trip).
    """

    name: str
    summary: str
    layout: Callable[[layouts.Group], layouts.Layout]
    bus_factor: Callable[[int], float]
    blocks: Callable[[int], int] = lambda _n: 1
    transfers: Callable[[int, int], int] = lambda _n, _window: 1
    reduces: bool = False
    rooted: bool = False
    placements: tuple[str, ...] = ("out", "in")
    calls: tuple[str, ...] = CALLS
    timing: str = "barrier"
    even: bool = False  # ranks work in pairs i <-> i + n/2; i sends first
    sized: bool = True  # False: the operation has no payload
    windowed: bool = False  # an iteration is a window of messages
    copies: bool = False  # a GPU copies memory; no library between
    directed: bool = False  # its messages are the flows of the pattern
    external: bool = False  # programs of their own on two ranks move the data; nobody verifies it
    foreign: bool = False  # another tool alone measures it; railgauge only imports

    def count(self, nbytes: int, itemsize: int, n: int) -> int:
        """Elements a block so that the message has at least `nbytes` (whole blocks, at least one)."""
        return max(1, math.ceil(nbytes / (itemsize * self.blocks(n)))) if self.sized else 0

    def nbytes(self, count: int, itemsize: int, n: int) -> int:
        """The size that `count` elements a block make: max(sent, received) of one rank."""
        return count * itemsize * self.blocks(n) if self.sized else 0

    def check_group(self, n: int, pattern: str, calls: Sequence[str] | None = None) -> None:
        """Raise UsageError where the operation means nothing for groups of `n` ranks."""
        if self.directed and pattern not in FLOWING:
            raise UsageError(
                f"--operation {self.name}: pattern {pattern} says nothing of who sends to whom.\n"
                f"  expected: --pattern {', '.join(FLOWING)}\n"
                f"  next: railgauge run --operation {self.name} --pattern incast"
            )
        if not self.directed and pattern in DIRECTED:
            raise UsageError(
                f"--operation {self.name}: pattern {pattern} is of one-way flows, not of groups that"
                f" run collectives.\n  next: railgauge run --pattern {pattern} --operation flows"
            )
        if self.external and n != 2:
            raise UsageError(
                f"--operation {self.name} is one rank's with another, and pattern {pattern} makes groups"
                f" of {n}.\n  expected: groups of 2 ranks\n"
                f"  next: railgauge run --operation {self.name} --pattern pairs"
            )
        if self.copies and calls and not set(calls) & set(layouts.BETWEEN_PAIRS):
            return
        if self.even and n % 2:
            raise UsageError(
                f"--operation {self.name} works on pairs of ranks, and pattern {pattern} makes"
                f" groups of {n}.\n  expected: an even number of ranks\n"
                f"  next: railgauge run --operation {self.name} -n {n + 1}, or --pattern pairs"
            )


def _share(n: int) -> float:
    return (n - 1) / n


_COLLECTIVES = (
    Operation(
        "all_reduce",
        "every rank gets the reduction over all ranks",
        layouts.all_reduce,
        bus_factor=lambda n: 2 * (n - 1) / n,
        reduces=True,
        calls=(*CALLS, *FORMS),
    ),
    Operation(
        "all_gather",
        "every rank gets the blocks of all ranks",
        layouts.all_gather,
        bus_factor=_share,
        blocks=lambda n: n,
    ),
    Operation(
        "reduce_scatter",
        "every rank gets its block of the reduction",
        layouts.reduce_scatter,
        bus_factor=_share,
        blocks=lambda n: n,
        reduces=True,
    ),
    Operation(
        "broadcast",
        "every rank gets the root's data",
        layouts.broadcast,
        bus_factor=lambda _n: 1.0,
        rooted=True,
        placements=("in",),
    ),
    Operation(
        "reduce",
        "the root gets the reduction over all ranks",
        layouts.reduce,
        bus_factor=lambda _n: 1.0,
        rooted=True,
        reduces=True,
    ),
    Operation(
        "gather",
        "the root gets the blocks of all ranks",
        layouts.gather,
        bus_factor=_share,
        blocks=lambda n: n,
        rooted=True,
    ),
    Operation(
        "scatter",
        "every rank gets its block of the root's data",
        layouts.scatter,
        bus_factor=_share,
        blocks=lambda n: n,
        rooted=True,
    ),
    Operation(
        "alltoall",
        "every rank sends a block of its own to every rank",
        layouts.alltoall,
        bus_factor=_share,
        blocks=lambda n: n,
    ),
    Operation(
        "alltoallv",
        "as alltoall, with a traffic matrix (--matrix FILE or --skew)",
        layouts.alltoallv,
        bus_factor=_share,
        blocks=lambda n: n,
        placements=("out",),
    ),
    Operation(
        "sendrecv",
        "ring: every rank sends to the next and receives from the one before",
        layouts.sendrecv,
        bus_factor=lambda _n: 1.0,
        placements=("out",),
    ),
    Operation(
        "flows",
        "one message a flow of the pattern, all at once; each is timed by its receiver",
        layouts.flows,
        bus_factor=lambda _n: 1.0,
        placements=("out",),
        calls=("nonblocking", "persistent", "stream", "graph"),
        directed=True,
    ),
    Operation(
        "barrier",
        "no data: the time until all ranks have arrived",
        layouts.barrier,
        bus_factor=lambda _n: 0.0,
        placements=("out",),
        sized=False,
    ),
)

_POINT_TO_POINT = (
    Operation(
        "latency",
        "ping-pong between rank i and i + n/2; the time is one way",
        layouts.both_ways,
        bus_factor=lambda _n: 1.0,
        transfers=lambda _n, _window: 2,
        placements=("out",),
        timing="back_to_back",
        even=True,
    ),
    Operation(
        "bandwidth",
        "windows of messages from rank i to i + n/2, each window acknowledged",
        layouts.one_way,
        bus_factor=lambda n: 2 / n,
        transfers=lambda n, window: window * n // 2,
        placements=("out",),
        calls=("nonblocking", "persistent", "stream", "graph"),
        even=True,
        windowed=True,
    ),
    Operation(
        "bidirectional_bandwidth",
        "windows of messages between rank i and i + n/2 in both directions",
        layouts.both_ways,
        bus_factor=lambda n: 1 / n,
        transfers=lambda n, window: window * n,
        placements=("out",),
        calls=("nonblocking", "persistent", "stream", "graph"),
        even=True,
        windowed=True,
    ),
    Operation(
        "message_rate",
        "as bandwidth, over all pairs at once; messages a second is the figure to read",
        layouts.one_way,
        bus_factor=lambda n: 2 / n,
        transfers=lambda n, window: window * n // 2,
        placements=("out",),
        calls=("nonblocking", "persistent", "stream", "graph"),
        even=True,
        windowed=True,
    ),
)

_COPIES = (
    Operation(
        "copy",
        "a GPU copies: from (pull) or to (push) rank i + n/2, locally, from or to host memory",
        layouts.copy,
        bus_factor=lambda _n: 1.0,
        placements=("out",),
        calls=tuple(layouts.COPIES),
        timing="back_to_back",
        even=True,
        copies=True,
    ),
)


def _rdma(
    verb: str, summary: str, layout: Callable[[layouts.Group], layouts.Layout]
) -> list[Operation]:
    """Bandwidth and latency of one verb; a sample of bandwidth is a window of messages."""
    bandwidth = Operation(
        f"rdma_{verb}_bandwidth",
        f"{summary}, a window of messages in flight",
        layout,
        bus_factor=lambda _n: 1.0,
        transfers=lambda _n, window: window,
        placements=("out",),
        calls=layouts.RDMA,
        timing="back_to_back",
        windowed=True,
        external=True,
    )
    latency = dataclasses.replace(
        bandwidth,
        name=f"rdma_{verb}_latency",
        summary=f"{summary}, one message at a time",
        layout=layout if verb == "read" else layouts.both_ways,
        transfers=lambda _n, _window: 1,
        calls=("forth", "back"),
        windowed=False,
    )
    return [bandwidth, latency]


_RDMA = (
    *_rdma("write", "a NIC writes into the memory of another host", layouts.rdma_out),
    *_rdma("read", "a NIC reads from the memory of another host", layouts.rdma_in),
    *_rdma("send", "a NIC sends to one that has receives posted", layouts.rdma_out),
)

OPERATIONS = {o.name: o for o in (*_COLLECTIVES, *_POINT_TO_POINT, *_COPIES, *_RDMA)}
REDUCTIONS = ("sum", "prod", "min", "max", "avg", "premul_sum")


def operation_named(name: str) -> Operation:
    """The entry of that name; raises UsageError with the closest one."""
    if name not in OPERATIONS:
        raise unknown("operation", name, [*OPERATIONS, "all"], "railgauge list")
    return OPERATIONS[name]


@functools.lru_cache(maxsize=1024)
def entry_of(name: str) -> Operation:
    """The entry of that name, or one that stands for what another tool measured under it.

    A foreign operation has sizes and times; nothing is known of what it moves, so it has no bus factor
    (0), no layout and no check of ours.
    """
    found = OPERATIONS.get(name)
    if found is not None:
        return found
    summary = "measured by another tool alone"
    return Operation(name, summary, layouts.barrier, bus_factor=lambda _n: 0.0, foreign=True)
