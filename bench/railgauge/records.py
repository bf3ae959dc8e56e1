"""The records of a journal: what one line of it says. Raw facts, no opinion.

Format history (`Run.format`)
    1  first format
    2  GPUs: `Overlap.beside_seconds`, `Batch`, `Choice`, `GroupResult.batch`, `.init_seconds`,
       `.choice` and `.allowed`, `Run.functional`, columns ("duration", "launch"); all of them may be absent
    3  `Case.algorithm`, and what the fabric counted: `Moved`, `Counted`, `Result.counted`; may be absent
    4  patterns of flows and loads: `FlowBlock`, `Pressure`, `Result.name`, `.flows`, `.pressure`,
       `GroupResult.rail`; may be absent
    5  a block of ("duration", "rank") lies on each node and names in `Block.ranks` the first ranks of
       its groups (until 4 one block held all groups, `ranks` ""); fields of groups at their default
       are left out
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from railgauge.plan import Case

FORMAT = 5


class Run(msgspec.Struct, tag="run", tag_field="record", frozen=True, kw_only=True):
    """The first record of a start of a run (a resumed run has several).

    `hosts[k]` is the host name of node k; `nodes` the node of every rank, run-length encoded
    (see `encode_runs`). Seconds of MPI_Init and of duplicating the world communicator are the
    slowest rank's. `clock_uncertainty_ns` is the largest bound on the error of a node's clock
    offset, None where the clocks could not be synchronised. `todo` is how many measurements (case
    and round) this start has to make: what the plan asks for and earlier starts did not; with a
    duration, those of one repetition.
    """

    format: int
    version: str
    plan_sha256: str
    started: float
    ranks: int
    hosts: tuple[str, ...]
    nodes: tuple[tuple[int, int], ...]
    backend: str
    library: str
    thread_level: str
    init_seconds: float
    communicator_seconds: float
    stamp_nanoseconds: float
    clock_uncertainty_ns: int | None
    todo: int
    functional: bool = False  # ranks shared a GPU: right or wrong, but no measure of speed


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """The first wrong element of a rank: index in elements, bits in hexadecimal.

    `buffer` is `receive k`, `send`, or `guard of ...` for a write outside a buffer. `iteration`
    counts from the beginning of the chunk that was verified. A tool whose results were imported counts
    elements and tells nothing of them: rank and index are -1 then.
    """

    rank: int
    host: str
    buffer: str
    index: int
    expected: str
    found: str
    elements: int
    iteration: int | None


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """Medians (seconds, slowest rank) behind the overlap of a non-blocking operation.

    overlap = (pure + compute - together) / min(pure, compute), cut to 0 ... 1. `beside_seconds` is
    what the computation itself took while the operation ran.
    """

    pure_seconds: float
    compute_seconds: float
    together_seconds: float
    beside_seconds: float | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Iterations timed as one batch, as nccl-tests does: total seconds, each of the slowest rank.

    `host_seconds` from the first launch until all was done, `device_seconds` between two events.
    """

    iterations: int
    host_seconds: float
    device_seconds: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a library chose for a case, as it said itself ("": it did not)."""

    algorithm: str = ""
    protocol: str = ""
    channels: str = ""
    transport: str = ""


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What the hardware lets through at most, GB/s in one direction (None: unknown), and why."""

    path: str
    GBps: float | None
    words: str


class GroupResult(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one group of a round did in one case: raw counts, no opinion.

    A round of 16,384 ranks in pairs has 8,192 of them, so none is walked by the garbage collector
    (nothing in it can point back) and a line of the journal names only what differs from a default.
    """

    ranks: str  # encode_ranks
    first_call_ns: int
    warmup_iterations: int
    steady: bool
    iterations: int
    checked_iterations: int
    missed_windows: int
    wrong: tuple[Wrong, ...] = ()
    overlap: Overlap | None = None
    batch: Batch | None = None
    init_seconds: float | None = None  # of the group's communicator, the slowest rank's
    choice: Choice | None = None
    allowed: Allowed | None = None
    rail: int | None = None


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node's samples of one case and round lie in its file: int64 [ranks, n, columns].

    `columns` are ("entry", "exit") in ns of that rank's CLOCK_MONOTONIC; ("duration",) in ns;
    ("duration", "launch") in ns, of the device's clock and of the host's between two launches; or,
    above the sample budget, ("duration", "rank") of the slowest rank of each iteration, with one row a
    group instead of one row a rank. `clock_ns` is added to this node's clock to get rank 0's. `ranks`
    are those of this node that read the clock; of slowest ranks the first ranks of the groups, ""
    being all groups in their order.
    """

    node: int
    offset: int
    ranks: str
    columns: tuple[str, ...]
    clock_ns: int = 0


class FlowBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Where the times of messages lie in a node's file: int64 [flows, iterations] in ns.

    A flow is (from rank, to rank); its receivers are on that node, and the time runs from when the
    receiver entered until the message was there. `iterations` are the last ones, fewer than the
    group's where the sample budget was reached.
    """

    node: int
    offset: int
    flows: tuple[tuple[int, int], ...]
    iterations: int


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """The load beside a round: what ranks made it, the bytes all of them moved and the seconds it took."""

    kind: str
    ranks: str  # encode_ranks
    nbytes: int
    seconds: float


class Moved(msgspec.Struct, frozen=True, array_like=True):
    """A counter that moved during a case, in its unit (`railgauge.counting.Change`).

    `delta` None: it was reset, vanished or appeared, as `note` says. Of a gauge, the larger value; of a
    state, the later one.
    """

    source: str
    device: str
    port: int
    name: str
    delta: int | None
    note: str = ""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's counters did during a case: everything on that node, whoever caused it.

    `seconds` lie between the two readings, which stand just outside the measurement (warm-up
    included). A counter that is not listed did not move, where `environment.json` says that there is
    such a one and that it is neither unknown nor full (`railgauge.tally`).
    """

    node: int
    seconds: float
    moved: tuple[Moved, ...]


class Result(msgspec.Struct, tag="case", tag_field="record", frozen=True, kw_only=True):
    """One case in one round."""

    case: Case
    round: int
    started: float
    seconds: float
    stopped: str
    groups: tuple[GroupResult, ...]
    samples: tuple[Block, ...]
    transfers: int  # messages of one iteration: a sample divided by it is the time reported
    bus_factor: float
    idle: str = ""  # ranks that sat the round out
    name: str = ""  # of the round
    flows: tuple[FlowBlock, ...] = ()
    pressure: Pressure | None = None
    counted: tuple[Counted, ...] = ()  # by node


class Gap(msgspec.Struct, tag="gap", tag_field="record", frozen=True, kw_only=True):
    """A planned case that was not measured, and why."""

    case: Case
    round: int
    reason: str


class Note(msgspec.Struct, tag="note", tag_field="record", frozen=True, kw_only=True):
    """Something a reader must know: ranks that disagree, samples reduced, a flagged setting."""

    text: str


class End(msgspec.Struct, tag="end", tag_field="record", frozen=True, kw_only=True):
    """The last record of a run that ended in order."""

    verdict: str
    exit_code: int
    finished: float
    message: str = ""


Record = Run | Result | Gap | Note | End


def encode_runs(values: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """((value, how many times in a row), ...)."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return tuple(runs)
