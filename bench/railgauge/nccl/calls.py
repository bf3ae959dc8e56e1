"""How each operation is spelt in NCCL: names of C functions and their arguments, as data.

Nothing here calls NCCL (or RCCL, whose entry points bear the same names). `program` gives the calls
of one iteration, in order, all on one stream. What NCCL has no collective for, or only a new one,
is a group of sends and receives, as nccl-tests does it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from railgauge.layouts import Group, offsets, partner, vector_counts
from railgauge.plan import Case

CallArguments = tuple[str, tuple[int, ...]]

#: nccl.h, ncclDataType_t and ncclRedOp_t.
DATA_TYPES = {
    "int8": 0,
    "uint8": 1,
    "int32": 2,
    "uint32": 3,
    "int64": 4,
    "uint64": 5,
    "float16": 6,
    "float32": 7,
    "float64": 8,
    "bfloat16": 9,
    "float8_e4m3fn": 10,
    "float8_e5m2": 11,
}
RED_OPS = {"sum": 0, "prod": 1, "max": 2, "min": 3, "avg": 4}
#: Collectives that came with NCCL 2.28; before, and where they are lacking, sends and receives.
NATIVE = {"alltoall": "ncclAlltoAll", "gather": "ncclGather", "scatter": "ncclScatter"}
#: The same with a configuration of the call, an algorithm among it (NCCL 2.31): one argument more.
SELECTING = {
    name: f"{name}Config"
    for name in (
        *("ncclAllReduce", "ncclAllGather", "ncclReduceScatter", "ncclBroadcast", "ncclReduce"),
        *NATIVE.values(),
    )
}
GROUP_START: CallArguments = ("ncclGroupStart", ())
GROUP_END: CallArguments = ("ncclGroupEnd", ())


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The handles that the calls of one case share; `has` tells which functions the library has."""

    dtype: int
    itemsize: int
    op: int
    communicator: int
    stream: int
    window: int
    note: int  # address of a few bytes of device memory, for acknowledgements
    has: Callable[[str], bool]
    selection: int = 0  # address of a ncclCollConfig_t, 0: NCCL chooses the algorithm


def program(
    case: Case, group: Group, arguments: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    """The calls of one iteration on this rank, over one send buffer and its receive slots."""
    calls = _SPELT[case.operation](case, group, arguments, send, slots)
    if not arguments.selection:
        return calls
    return [(SELECTING[name], (*given, arguments.selection)) for name, given in calls]


def _end(a: Arguments) -> tuple[int, int]:
    return a.communicator, a.stream


def _grouped(transfers: Iterable[CallArguments]) -> list[CallArguments]:
    made = list(transfers)
    return [GROUP_START, *made, GROUP_END] if made else []


def _all_reduce(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    source = slots[0] if g.in_place else send
    return [("ncclAllReduce", (source, slots[0], g.count, a.dtype, a.op, *_end(a)))]


def _all_gather(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    source = slots[0] + g.me * g.count * a.itemsize if g.in_place else send
    return [("ncclAllGather", (source, slots[0], g.count, a.dtype, *_end(a)))]


def _reduce_scatter(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    """In place NCCL wants this rank's block of the result inside the send buffer (nccl.h)."""
    source = slots[0] if g.in_place else send
    to = slots[0] + g.me * g.count * a.itemsize if g.in_place else slots[0]
    return [("ncclReduceScatter", (source, to, g.count, a.dtype, a.op, *_end(a)))]


def _broadcast(
    case: Case, g: Group, a: Arguments, _send: int, slots: list[int]
) -> list[CallArguments]:
    at = slots[0]
    return [("ncclBroadcast", (at, at, g.count, a.dtype, case.root or 0, *_end(a)))]


def _reduce(case: Case, g: Group, a: Arguments, send: int, slots: list[int]) -> list[CallArguments]:
    root = case.root or 0
    source = slots[0] if g.in_place and g.me == root else send
    return [("ncclReduce", (source, slots[0], g.count, a.dtype, a.op, root, *_end(a)))]


def _gather(case: Case, g: Group, a: Arguments, send: int, slots: list[int]) -> list[CallArguments]:
    root, block = case.root or 0, g.count * a.itemsize
    at_root, own = g.me == root, slots[0] + g.me * g.count * a.itemsize
    source = own if g.in_place and at_root else send
    if a.has(NATIVE["gather"]):
        return [(NATIVE["gather"], (source, slots[0], g.count, a.dtype, root, *_end(a)))]
    calls = [("ncclSend", (source, g.count, a.dtype, root, *_end(a)))]
    if at_root:
        calls += [
            ("ncclRecv", (slots[0] + peer * block, g.count, a.dtype, peer, *_end(a)))
            for peer in range(g.n)
        ]
    return _grouped(calls)


def _scatter(
    case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    root, block = case.root or 0, g.count * a.itemsize
    to = send + root * block if g.in_place and g.me == root else slots[0]
    if a.has(NATIVE["scatter"]):
        return [(NATIVE["scatter"], (send, to, g.count, a.dtype, root, *_end(a)))]
    calls = [("ncclRecv", (to, g.count, a.dtype, root, *_end(a)))]
    if g.me == root:
        calls += [
            ("ncclSend", (send + peer * block, g.count, a.dtype, peer, *_end(a)))
            for peer in range(g.n)
        ]
    return _grouped(calls)


def _alltoall(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    if a.has(NATIVE["alltoall"]):
        return [(NATIVE["alltoall"], (send, slots[0], g.count, a.dtype, *_end(a)))]
    return _pieces(a, send, slots[0], [g.count] * g.n, [g.count] * g.n)


def _alltoallv(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    return _pieces(a, send, slots[0], *vector_counts(g))


def _pieces(
    a: Arguments, send: int, receive: int, outgoing: list[int], incoming: list[int]
) -> list[CallArguments]:
    """A group that sends `outgoing[k]` elements to rank k and receives `incoming[k]` from it."""
    calls = []
    for peer, (begin, count) in enumerate(zip(offsets(outgoing), outgoing, strict=True)):
        if count:
            at = send + begin * a.itemsize
            calls.append(("ncclSend", (at, count, a.dtype, peer, *_end(a))))
    for peer, (begin, count) in enumerate(zip(offsets(incoming), incoming, strict=True)):
        if count:
            at = receive + begin * a.itemsize
            calls.append(("ncclRecv", (at, count, a.dtype, peer, *_end(a))))
    return _grouped(calls)


def _sendrecv(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    after, before = (g.me + 1) % g.n, (g.me - 1) % g.n
    return _grouped(
        [
            ("ncclSend", (send, g.count, a.dtype, after, *_end(a))),
            ("ncclRecv", (slots[0], g.count, a.dtype, before, *_end(a))),
        ]
    )


def _flows(_case: Case, g: Group, a: Arguments, send: int, slots: list[int]) -> list[CallArguments]:
    """All at once; NCCL tells when the group of them is done, not when each message came."""
    block = g.count * a.itemsize
    sends = [("ncclSend", (send, g.count, a.dtype, target, *_end(a))) for target in g.ends.targets]
    receives = [
        ("ncclRecv", (slots[0] + k * block, g.count, a.dtype, source, *_end(a)))
        for k, source in enumerate(g.ends.sources)
    ]
    return _grouped(sends + receives)


# pairs ------------------------------------------------------------------------------------------------


def _ping_pong(
    _case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    """There and back, each a launch of its own: the stream keeps them in order."""
    peer = partner(g.me, g.n)
    there = ("ncclSend", (send, g.count, a.dtype, peer, *_end(a)))
    back = ("ncclRecv", (slots[0], g.count, a.dtype, peer, *_end(a)))
    return [there, back] if g.me < g.n // 2 else [back, there]


def _windows(
    case: Case, g: Group, a: Arguments, send: int, slots: list[int]
) -> list[CallArguments]:
    """A window of messages in one group; one way the receiver answers with one element."""
    peer, first = partner(g.me, g.n), g.me < g.n // 2
    both = case.operation == "bidirectional_bandwidth"
    calls: list[CallArguments] = []
    for k in range(a.window):
        if both or first:
            calls.append(("ncclSend", (send, g.count, a.dtype, peer, *_end(a))))
        if both or not first:
            to = slots[k % len(slots)]
            calls.append(("ncclRecv", (to, g.count, a.dtype, peer, *_end(a))))
    calls = _grouped(calls)
    if not both:
        name = "ncclRecv" if first else "ncclSend"
        calls.append((name, (a.note, 1, a.dtype, peer, *_end(a))))
    return calls


_Spelling = Callable[[Case, Group, Arguments, int, list[int]], list[CallArguments]]
_SPELT: dict[str, _Spelling] = {
    "all_reduce": _all_reduce,
    "all_gather": _all_gather,
    "reduce_scatter": _reduce_scatter,
    "broadcast": _broadcast,
    "reduce": _reduce,
    "gather": _gather,
    "scatter": _scatter,
    "alltoall": _alltoall,
    "alltoallv": _alltoallv,
    "sendrecv": _sendrecv,
    "flows": _flows,
    "latency": _ping_pong,
    "bandwidth": _windows,
    "bidirectional_bandwidth": _windows,
    "message_rate": _windows,
}
OPERATIONS = tuple(_SPELT)
#: Those that are one call, whose algorithm can be chosen.
SELECTED = (
    *("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "gather", "scatter"),
    "alltoall",
)
