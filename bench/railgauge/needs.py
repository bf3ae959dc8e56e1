"""What a case needs on one rank, from the plan alone: buffers, columns of stamps, checks, its data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from railgauge import schedules
from railgauge.backends import offers_of
from railgauge.buffers import Sets, footprint
from railgauge.dtypes import dtype_named
from railgauge.inputs import data_record
from railgauge.layouts import NO_FLOWS, Ends, Group, copies
from railgauge.plan import Case, Plan, case_traffic, cases

WINDOW_BYTES = 16 << 10  # receive slots of a window stay within a first-level cache
CHECK_BYTES = 4 << 10  # an iteration is verified for so many bytes of a message ...
FEWEST, MOST = 8, 64  # ... but at most every 8th (the work next to it shows), at least every 64th
# in place every iteration of a chunk needs buffers of its own
IN_PLACE_BYTES, FEWEST_SETS, MOST_SETS = 64 << 10, 4, 256
DEFAULT_SETS = 4
#: Buffers of a rotation reach beyond the second-level cache of a GPU (126 MB on a B200, the largest).
DEVICE_CACHE_BYTES, CACHED_BYTES = 256 << 20, 64 << 10


def sets_of(plan: Plan, case: Case) -> Sets:
    """Buffers of a rank: a window's, a rotation's (back to back), or one of each side."""
    size, in_place = max(case.nbytes, 1), case.placement == "in"
    on_host = {"to_device": "send", "from_device": "receive"}.get(case.call, "")
    if case.entry.external:
        return Sets()
    if case.entry.windowed:
        return Sets(max(1, min(plan.window, WINDOW_BYTES // size)), 1, in_place)
    if case.timing != "back_to_back":
        return Sets(plan.streams, 1, in_place, on_host)
    turns = plan.buffers or DEFAULT_SETS
    if overwrites(case):
        turns = max(FEWEST_SETS, min(MOST_SETS, IN_PLACE_BYTES // size))
    if plan.memory != "device":
        return Sets(turns, 1, in_place)
    if size >= CACHED_BYTES and plan.buffers is None:
        turns = max(turns, min(MOST_SETS, DEVICE_CACHE_BYTES // size))
    return Sets(turns * plan.streams, turns * plan.streams, in_place, on_host)


def overwrites(case: Case) -> bool:
    """Does an iteration overwrite inputs that the next one needs?"""
    return case.placement == "in" and "out" in case.entry.placements


def check_interval(plan: Plan, case: Case) -> int:
    """Every how many iterations the output is spoiled before and verified after (1: every one)."""
    return plan.check_every or max(FEWEST, min(MOST, case.nbytes // CHECK_BYTES))


def columns_of(plan: Plan, case: Case) -> tuple[str, ...]:
    """The columns of the case's stamps (`records.Block`)."""
    if case.timing != "back_to_back":
        return ("entry", "exit")
    on_device = plan.memory == "device" and offers_of(plan.backend).device_clock
    return ("duration", "launch") if on_device else ("duration",)


def reads_clock(case: Case, group: Group) -> bool:
    """Does this rank stamp its iterations? Back to back, of a pair only the one that sends first.

    The other's reading would lengthen what the first one measures (README, "When the clock runs").
    """
    if case.entry.copies:
        return copies(group)
    return case.timing != "back_to_back" or not case.entry.even or group.me < group.n // 2


def ends_of(group: schedules.Group, rank: int) -> Ends:
    """The flows of a rank in a group, as places of it."""
    place = {member: k for k, member in enumerate(group.ranks)}
    return Ends(
        tuple(place[source] for source, target in group.flows if target == rank),
        tuple(place[target] for source, target in group.flows if source == rank),
    )


def group_facts(plan: Plan, case: Case, n: int, me: int, ends: Ends = NO_FLOWS) -> Group:
    """What the case's layout depends on for place `me` in a group of `n`."""
    traffic = case_traffic(plan, case.count, n) if case.operation == "alltoallv" else None
    in_block = offers_of(plan.backend).in_block
    in_place = case.placement == "in"
    return Group(n, me, case.root or 0, case.count, traffic, in_place, case.call, in_block, ends)


def memory_needed(plan: Plan, case: Case, n: int, me: int, ends: Ends = NO_FLOWS) -> int:
    """Bytes of buffers that place `me` in a group of `n` allocates for the case."""
    layout = case.entry.layout(group_facts(plan, case, n, me, ends))
    itemsize = dtype_named(case.dtype).itemsize
    return footprint(layout, itemsize, sets_of(plan, case))


def check_data(plan: Plan) -> None:
    """Raise UsageError where no data exists by which a case could be checked exactly."""
    for case in cases(plan):
        data_of(plan, case, plan.group_size, plan.seed)


def data_of(plan: Plan, case: Case, n: int, seed: int) -> npt.NDArray[np.int64]:
    reciprocal = offers_of(plan.backend).reciprocal_average
    return data_record(dtype_named(case.dtype), case.op, n, seed, reciprocal)
