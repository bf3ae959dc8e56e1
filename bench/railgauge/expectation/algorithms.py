"""The table of algorithms, by operation; what the parts of an entry mean is said in `forms`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from railgauge.expectation.forms import (
    ALL_REDUCE,
    GATHERING,
    Form,
    Share,
    between,
    hops_inside,
    log_rounds,
)
from railgauge.expectation.shape import Shape

# from and to one rank -----------------------------------------------------------------------------------

_ROOTED = (
    Form(
        "ring",
        "a pipelined chain through all ranks",
        inside=lambda s: hops_inside(s),
        outside=lambda s: between(s, 1.0),
        crossing=lambda _s, _m: 1.0,
        steps=lambda s: (s.ranks - s.islands, s.islands - 1),
        nccl="RING",
    ),
    Form(
        "binomial_tree",
        "everything at once, log2 n times from those who have it",
        inside=lambda s: log_rounds(s.inside),
        outside=lambda s: between(s, log_rounds(s.islands)),
        crossing=lambda _s, _m: 1.0,
        own=lambda s: log_rounds(s.islands),
        steps=lambda s: (log_rounds(s.inside), log_rounds(s.islands)),
        overlapped=False,
    ),
)


def _batches(messages: int) -> int:
    """NCCL runs 8 peers at a time (2.30.7, src/include/device.h: NCCL_MAX_DEV_WORK_P2P_PER_BATCH)."""
    return -(-messages // 8)


_DIRECT_ROOT = (
    Form(
        "direct",
        "the root exchanges a block with every rank, through its own links alone",
        inside=lambda s: (s.inside - 1) / s.ranks,
        outside=lambda s: (s.ranks - s.inside) / s.ranks,
        own=lambda s: (s.ranks - s.inside) / s.ranks,
        crossing=lambda s, m: (s.ranks - m) / s.ranks,
        steps=lambda s: (_batches(s.inside - 1), _batches(s.ranks - s.inside)),
        nccl="P2P",
    ),
)

# everybody to everybody ---------------------------------------------------------------------------------


def _all_pairs(
    name: str,
    summary: str,
    steps: Callable[[Shape], tuple[float, float]],
    overlapped: bool = True,
    nccl: str = "",
) -> Form:
    """Each rank sends every other its block; the NICs carry what is for ranks of other islands."""
    return Form(
        name,
        summary,
        inside=lambda s: (s.inside - 1) / s.ranks,
        outside=lambda s: s.smallest * (s.ranks - s.smallest) / s.ranks,
        crossing=lambda s, m: m * (s.ranks - m) / s.ranks,
        steps=steps,
        overlapped=overlapped,
        nccl=nccl,
    )


_ALL_TO_ALL = (
    _all_pairs(
        "direct",
        "all messages at once, eight peers at a time",
        lambda s: (_batches(s.inside - 1), _batches(s.ranks - s.inside)),
        nccl="P2P",
    ),
    _all_pairs(
        "pairwise",
        "one partner after another",
        lambda s: (s.inside - 1, s.ranks - s.inside),
        overlapped=False,
    ),
    Form(
        "bruck",
        "half of the data to one twice as far, log2 n times: few messages, more bytes",
        inside=lambda s: log_rounds(s.inside) / 2,
        outside=lambda s: between(s, s.smallest * log_rounds(s.islands) / 2),
        crossing=lambda s, m: m * log_rounds(-(-s.ranks // m)) / 2,
        steps=lambda s: (log_rounds(s.inside), log_rounds(s.islands)),
        overlapped=False,
    ),
)

# point to point -----------------------------------------------------------------------------------------


def _message(
    summary: str, times: Share = lambda _s: 1.0, own: bool = True, near: bool = False
) -> tuple[Form, ...]:
    """One message a rank; between islands through the NICs of that rank, or (`own` False) of all.

    `near`: also where there are several islands most messages stay inside one.
    """
    form = Form(
        "direct",
        summary,
        inside=lambda s: times(s) if s.inside > 1 and (near or s.islands == 1) else 0.0,
        outside=lambda s: between(s, 1.0 if own else s.smallest),
        own=lambda s: between(s, times(s)) if own else 0.0,
        crossing=lambda _s, m: 1.0 if own else m,
        steps=lambda s: (0, 1) if s.islands > 1 else (1, 0),
        nccl="P2P",
    )
    return (form,)


def _nic_alone(summary: str) -> tuple[Form, ...]:
    form = dataclasses.replace(_message(summary)[0], inside=lambda _s: 0.0, own=lambda _s: 1.0)
    return (form,)


#: Operation -> its algorithms. Those that no closed form describes are in NO_FORM, with why.
FORMS: dict[str, tuple[Form, ...]] = {
    "all_reduce": ALL_REDUCE,
    "all_gather": GATHERING,
    "reduce_scatter": GATHERING,
    "broadcast": _ROOTED,
    "reduce": _ROOTED,
    "gather": _DIRECT_ROOT,
    "scatter": _DIRECT_ROOT,
    "alltoall": _ALL_TO_ALL,
    "sendrecv": _message(
        "to the next rank; between islands one rank's NICs carry all of it", near=True
    ),
    "flows": _message("one message along every arrow", lambda s: s.ranks - 1),
    "latency": _message("one message and its answer"),
    "bandwidth": _message("windows of messages of all pairs at once", own=False),
    "bidirectional_bandwidth": _message("windows in both directions", own=False),
    "rdma_write_bandwidth": _nic_alone("a NIC writes"),
    "rdma_read_bandwidth": _nic_alone("a NIC reads"),
    "rdma_send_bandwidth": _nic_alone("a NIC sends"),
}
NO_FORM = {
    "alltoallv": "its traffic matrix decides",
    "barrier": "it moves no data",
    "message_rate": "messages a second depend on the host, and no form here describes that",
    "copy": "a run names the hardware's ceiling of each copy itself",
    "rdma_write_latency": "the NIC's latency is in no file of a cluster",
    "rdma_read_latency": "the NIC's latency is in no file of a cluster",
    "rdma_send_latency": "the NIC's latency is in no file of a cluster",
}
#: Many messages are in flight: bytes bound large ones; small ones are bound by their rate.
WINDOWED = (
    *("bandwidth", "bidirectional_bandwidth"),
    *("rdma_write_bandwidth", "rdma_read_bandwidth", "rdma_send_bandwidth"),
)
#: Names that others use.
ALIASES = {
    "double_tree": "tree",
    "nvlstree": "nvls_tree",
    "rabenseifner": "halving_doubling",
    "chain": "ring",
    "p2p": "direct",
}


def spelled(name: str) -> str:
    """An algorithm's name as the table has it: `NVLSTree`, `double-tree` and `Ring` are taken."""
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return ALIASES.get(plain, plain)
