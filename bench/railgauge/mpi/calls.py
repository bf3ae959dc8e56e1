"""How each operation is spelt in MPI: names of C functions and their arguments, as data.

Nothing here calls MPI. `program` gives the calls of one iteration, in order; a call is a function
name and integers (addresses, handles, counts). Counts above 2^31 - 1 take the `_c` functions of
MPI-4, whose counts and displacements are 64 bits wide. Send and receive sides of a window use one
tag and the acknowledgement another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from railgauge.flow_clock import FlowClock
from railgauge.layouts import Group, offsets, partner, vector_counts
from railgauge.plan import Case

CallArguments = tuple[str, tuple[int, ...]]

DATA_TAG, ACKNOWLEDGE_TAG = 100, 101
WAIT_EACH = "Wait each"  # no function of MPI's: the step of a FlowClock
MOST_INT = 2**31 - 1  # what a C int holds
STATUS_BYTES = 64  # MPI_Status: 20 (MPICH), 24 (Open MPI), 32 (MPI-5 ABI)
_COLLECTIVE = {
    "all_reduce": "Allreduce",
    "all_gather": "Allgather",
    "reduce_scatter": "Reduce_scatter_block",
    "broadcast": "Bcast",
    "reduce": "Reduce",
    "gather": "Gather",
    "scatter": "Scatter",
    "alltoall": "Alltoall",
    "alltoallv": "Alltoallv",
    "barrier": "Barrier",
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The handles and sizes that the calls of one case share."""

    dtype: int
    itemsize: int
    op: int
    communicator: int
    in_place: int
    info_null: int
    request_size: int
    window: int


def symbols(case: Case, itemsize: int) -> tuple[str, ...]:
    """The C functions that move a case's data."""
    if case.operation in _COLLECTIVE:
        name = _COLLECTIVE[case.operation]
        forms = {"nonblocking": f"MPI_I{name.lower()}", "persistent": f"MPI_{name}_init"}
        names = [forms.get(case.call, f"MPI_{name}")]
    elif case.call == "persistent":
        names = ["MPI_Send_init", "MPI_Recv_init"]
    else:
        names = ["MPI_Isend", "MPI_Irecv", "MPI_Sendrecv", "MPI_Send", "MPI_Recv"]
    return tuple(_large(name, _reach(case, itemsize)) for name in names)


@dataclasses.dataclass
class Calls:
    """What one rank calls: once before (`setup`, persistent requests), then in every iteration.

    `requests` are the addresses of persistent requests, to be freed; `memory` is what the calls
    point to (requests, statuses, counts); `clock` stamps each message of `flows`.
    """

    iteration: list[CallArguments]
    setup: list[CallArguments] = dataclasses.field(default_factory=list)
    requests: list[int] = dataclasses.field(default_factory=list)
    memory: list[Any] = dataclasses.field(default_factory=list)
    clock: FlowClock | None = None

    def room(self, nbytes: int) -> int:
        """Address of that many zeroed bytes, kept alive with the calls."""
        made = np.zeros(nbytes, np.uint8)
        self.memory.append(made)
        return int(made.ctypes.data)


def program(
    case: Case, group: Group, arguments: Arguments, send: int, slots: Sequence[int]
) -> Calls:
    """The calls of one iteration on this rank, over one send buffer and its receive slots."""
    calls = Calls([])
    status = calls.room(STATUS_BYTES * 2 * (arguments.window + 1))
    if case.operation in _COLLECTIVE:
        _collective(calls, case, group, arguments, send, slots[0], status)
    elif case.operation == "latency":
        _ping_pong(calls, case, group, arguments, send, slots[0], status)
    elif case.operation == "flows":
        _flows(calls, case, group, arguments, send, slots[0])
    elif case.operation == "sendrecv":
        _ring(calls, case, group, arguments, send, slots[0], status)
    else:
        _windows(calls, case, group, arguments, send, slots, status)
    return calls


def waits_at(calls: Sequence[CallArguments]) -> int:
    """The first call that waits for requests (behind the last one where none does)."""
    return next((k for k, (name, _) in enumerate(calls) if "Wait" in name), len(calls))


def _large(name: str, count: int) -> str:
    return f"{name}_c" if count > MOST_INT else name


def _reach(case: Case, itemsize: int) -> int:
    """The largest count or displacement that a call of the case passes on any rank.

    The displacements of alltoallv reach as far as the whole buffer of its busiest rank.
    """
    return case.nbytes // itemsize if case.operation == "alltoallv" else case.count


# collectives -----------------------------------------------------------------------------------


def _collective(
    calls: Calls, case: Case, g: Group, a: Arguments, send: int, receive: int, status: int
) -> None:
    name = _COLLECTIVE[case.operation]
    reach = _reach(case, a.itemsize)
    arguments = _collective_arguments(calls, case, g, a, send, receive)
    if case.call == "blocking":
        calls.iteration.append((_large(f"MPI_{name}", reach), arguments))
        return
    request = calls.room(a.request_size)
    if case.call == "nonblocking":
        calls.iteration.append((_large(f"MPI_I{name.lower()}", reach), (*arguments, request)))
    else:
        setup = _large(f"MPI_{name}_init", reach)
        calls.setup.append((setup, (*arguments, a.info_null, request)))
        calls.requests.append(request)
        calls.iteration.append(("MPI_Start", (request,)))
    calls.iteration.append(("MPI_Wait", (request, status)))


def _collective_arguments(
    calls: Calls, case: Case, g: Group, a: Arguments, send: int, receive: int
) -> tuple[int, ...]:
    root, dtype, count = case.root or 0, a.dtype, g.count
    at_root = g.me == root
    if case.operation == "barrier":
        return (a.communicator,)
    if case.operation == "broadcast":
        return (receive, count, dtype, root, a.communicator)
    if case.operation == "scatter":
        receive = a.in_place if case.placement == "in" and at_root else receive
        return (send, count, dtype, receive, count, dtype, root, a.communicator)
    in_place = case.placement == "in" and (not case.entry.rooted or at_root)
    source = a.in_place if in_place else send
    if case.operation == "alltoallv":
        width = np.int64 if _reach(case, a.itemsize) > MOST_INT else np.int32
        return (*_vector_arguments(calls, g, a, source, receive, width), a.communicator)
    if case.operation in ("all_reduce", "reduce_scatter"):
        return (source, receive, count, dtype, a.op, a.communicator)
    if case.operation == "reduce":
        return (source, receive, count, dtype, a.op, root, a.communicator)
    rooted = (root,) if case.entry.rooted else ()
    return (source, count, dtype, receive, count, dtype, *rooted, a.communicator)


def _vector_arguments(
    calls: Calls,
    g: Group,
    a: Arguments,
    send: int,
    receive: int,
    width: type[np.signedinteger[Any]],
) -> tuple[int, ...]:
    addresses = []
    for counts in (part for side in vector_counts(g) for part in (side, offsets(side))):
        made = np.array(counts, width)
        calls.memory.append(made)
        addresses.append(int(made.ctypes.data))
    return (send, addresses[0], addresses[1], a.dtype, receive, addresses[2], addresses[3], a.dtype)


# point to point --------------------------------------------------------------------------------


def _ping_pong(
    calls: Calls, case: Case, g: Group, a: Arguments, send: int, receive: int, status: int
) -> None:
    peer = partner(g.me, g.n)
    ends = (g.count, a.dtype, peer, DATA_TAG, a.communicator)
    there: list[CallArguments]
    back: list[CallArguments]
    if case.call == "blocking":
        there = [(_large("MPI_Send", g.count), (send, *ends))]
        back = [(_large("MPI_Recv", g.count), (receive, *ends, status))]
    elif case.call == "nonblocking":
        requests = [calls.room(a.request_size) for _ in range(2)]
        isend, irecv = _large("MPI_Isend", g.count), _large("MPI_Irecv", g.count)
        there = [(isend, (send, *ends, requests[0])), ("MPI_Wait", (requests[0], status))]
        back = [(irecv, (receive, *ends, requests[1])), ("MPI_Wait", (requests[1], status))]
    else:
        there, back = [], []
        for name, at, side in (("MPI_Send_init", send, there), ("MPI_Recv_init", receive, back)):
            request = calls.room(a.request_size)
            calls.setup.append((_large(name, g.count), (at, *ends, request)))
            calls.requests.append(request)
            side += [("MPI_Start", (request,)), ("MPI_Wait", (request, status))]
    calls.iteration += there + back if g.me < g.n // 2 else back + there


def _ring(
    calls: Calls, case: Case, g: Group, a: Arguments, send: int, receive: int, status: int
) -> None:
    after, before = (g.me + 1) % g.n, (g.me - 1) % g.n
    to = (send, g.count, a.dtype, after, DATA_TAG)
    source = (receive, g.count, a.dtype, before, DATA_TAG)
    if case.call == "blocking":
        name = _large("MPI_Sendrecv", g.count)
        calls.iteration.append((name, (*to, *source, a.communicator, status)))
    else:
        transfers = [("recv", (*source, a.communicator)), ("send", (*to, a.communicator))]
        _exchange(calls, case, a, transfers, status)


def _flows(calls: Calls, case: Case, g: Group, a: Arguments, send: int, receive: int) -> None:
    block, rest = g.count * a.itemsize, (DATA_TAG, a.communicator)
    transfers = [
        ("recv", (receive + k * block, g.count, a.dtype, source, *rest))
        for k, source in enumerate(g.ends.sources)
    ]
    transfers += [("send", (send, g.count, a.dtype, target, *rest)) for target in g.ends.targets]
    requests = calls.room(a.request_size * len(transfers))
    _start(calls, case, a, transfers, requests)
    statuses = calls.room(STATUS_BYTES * len(transfers))
    calls.clock = FlowClock(len(g.ends.sources), requests, len(transfers), statuses)
    calls.iteration.append((WAIT_EACH, ()))


def _windows(
    calls: Calls, case: Case, g: Group, a: Arguments, send: int, slots: Sequence[int], status: int
) -> None:
    peer, first = partner(g.me, g.n), g.me < g.n // 2
    ends = (g.count, a.dtype, peer, DATA_TAG, a.communicator)
    receives = [("recv", (slots[k % len(slots)], *ends)) for k in range(a.window)]
    sends = [("send", (send, *ends))] * a.window
    if case.operation == "bidirectional_bandwidth":
        _exchange(calls, case, a, receives + sends, status)
        return
    _exchange(calls, case, a, sends if first else receives, status)
    note = calls.room(8)
    acknowledge = (note, 1, a.dtype, peer, ACKNOWLEDGE_TAG, a.communicator)
    if first:
        calls.iteration.append(("MPI_Recv", (*acknowledge, status)))
    else:
        calls.iteration.append(("MPI_Send", acknowledge))


def _exchange(
    calls: Calls,
    case: Case,
    a: Arguments,
    transfers: Sequence[tuple[str, tuple[int, ...]]],
    status: int,
) -> None:
    """Start all transfers, then wait for all of them."""
    requests = calls.room(a.request_size * len(transfers))
    _start(calls, case, a, transfers, requests)
    calls.iteration.append(("MPI_Waitall", (len(transfers), requests, status)))


def _start(
    calls: Calls,
    case: Case,
    a: Arguments,
    transfers: Sequence[tuple[str, tuple[int, ...]]],
    requests: int,
) -> None:
    """Start all transfers, whose requests lie one after the other."""
    for k, (kind, arguments) in enumerate(transfers):
        request = requests + k * a.request_size
        if case.call == "persistent":
            name = _large(f"MPI_{kind.capitalize()}_init", case.count)
            calls.setup.append((name, (*arguments, request)))
            calls.requests.append(request)
        else:
            calls.iteration.append((_large(f"MPI_I{kind}", case.count), (*arguments, request)))
    if case.call == "persistent":
        calls.iteration.append(("MPI_Startall", (len(transfers), requests)))
