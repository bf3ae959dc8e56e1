"""What one result says, as the columns of its groups: a value for each, or one for all of them.

Numbers are float64 with NaN for what cannot be had (`frame_parts.Cells`). Statistics are those of
`railgauge.statistics`, of all groups at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge.plan import Case, Plan
from railgauge.records import Allowed, Batch, Choice, Result
from railgauge.samples import (
    Stack,
    bandwidth_rows,
    compute_slowdown,
    overlap_share,
    seconds,
    stacks,
)
from railgauge.statistics import summarise_rows
from railgauge.units import GIGA, NANOSECONDS
from railgauge_reports.arrivals import judge_series
from railgauge_reports.flows import flow_columns, flow_times
from railgauge_reports.frame_parts import Cells, known
from railgauge_reports.group_table import GroupTable, table_of
from railgauge_reports.groups import Groups
from railgauge_reports.lossless.paused import Pauses
from railgauge_reports.recovery import disturbed, recovery
from railgauge_reports.stored import Measured, Start, StoredRun

Floats = npt.NDArray[np.float64]

#: Column -> field of `statistics.Summaries`.
_STATISTICS = {
    "median_seconds": "median",
    "median_low_seconds": "low",
    "median_high_seconds": "high",
    "min_seconds": "minimum",
    "p99_seconds": "p99",
    "mean_seconds": "mean",
    "p999_seconds": "p999",
    "max_seconds": "maximum",
}


def planned_columns(plan: Plan, case: Case, index: int, groups: Groups) -> dict[str, Cells]:
    """What the plan and the start say of the rows of a case in round `index`, measured or not."""
    start = groups.start
    return {
        "operation": case.operation,
        "pattern": plan.pattern,
        "round": index,
        "group": groups.names(),
        "hosts": groups.hosts(),
        "backend": start.run.backend,
        "dtype": case.dtype,
        "op": case.op,
        "placement": case.placement,
        "ranks": np.where(groups.sizes > 0, groups.sizes, np.nan),
        "nbytes": case.nbytes,
        "count": case.count,
        "case": case.index,
        "call": case.call,
        "timing": case.timing,
        "root": case.root,
        "selected": case.algorithm or None,
        "functional": start.run.functional,
    }


def measured_columns(run: StoredRun, made: Measured, groups: Groups) -> dict[str, Cells]:
    """What a result says of its groups; raises NotMeasuredError where its samples cannot be read."""
    result = made.result
    samples = stacks(run.folder, result, (groups.ranks, groups.sizes))
    found, table = _Found(len(result.groups)), table_of(result.groups)
    for stack in samples:
        _statistics(found, stack, result, run.plan.precision)
        _late(found, stack, made)
    cells = found.cells | _counted(result, table) | _device(table, result.transfers)
    cells |= _rates(result, cells, made.start)
    flows = flow_times(run, made, samples)
    cells |= flow_columns(result.case.nbytes, flows, groups)
    return cells | (_untold(result, groups) if run.imported else {})


#: What a tool whose results were imported does not say, and of a single printed value neither.
_UNTOLD = ("steady", "first_call_seconds", "missed_windows")
_OF_ONE = ("stable", "min_seconds", "max_seconds")


def _untold(result: Result, groups: Groups) -> dict[str, Cells]:
    """Nothing where an import knows nothing: of iterations, and of bandwidths that need its ranks."""
    made: dict[str, Cells] = dict.fromkeys(_UNTOLD)
    if result.groups[0].iterations == 1:
        made |= dict.fromkeys(_OF_ONE)
    entry = result.case.entry
    if entry.foreign or not groups.sizes.all():
        made["busbw_GBps"] = None
    if not groups.sizes.all() and entry.blocks(2) != 1:
        made["algbw_GBps"] = None
    return made


def paused_columns(paused: Pauses, case: int, index: int, groups: Groups) -> dict[str, Cells]:
    """The worst pause ratio of each group's hosts; nothing where none of them counts pauses."""
    hosts = groups.start.run.hosts
    told = (
        {node: paused.get((case, index, host)) for node, host in enumerate(hosts)} if paused else {}
    )
    if not any(told.values()):
        return {}
    ratio = known([found[0] if found else None for found in told.values()])
    bound = np.array([bool(found and found[1]) for found in told.values()])
    worst = np.fmax.reduceat(ratio[groups.nodes], groups.begins)
    # of equal ratios the one that is a bound: it may be less
    equal = ratio[groups.nodes] == np.repeat(worst, groups.sizes)
    bounded = np.logical_or.reduceat(bound[groups.nodes] & equal, groups.begins)
    return {
        "pause_ratio": worst,
        "pause_bound": np.where(np.isnan(worst), np.nan, bounded),
    }


class _Found:
    """Columns that are filled stack by stack: numbers and texts by the number of the group."""

    def __init__(self, groups: int) -> None:
        self.groups = groups
        self.numbers: dict[str, Floats] = {}
        self.texts: dict[str, list[str | None]] = {}

    def put(self, name: str, at: npt.NDArray[np.int64], values: npt.ArrayLike) -> None:
        if len(at) == self.groups:  # of all, in their order
            self.numbers[name] = np.empty(self.groups)
            self.numbers[name][:] = values
            return
        self.numbers.setdefault(name, np.full(self.groups, np.nan))[at] = values

    def say(self, name: str, at: npt.NDArray[np.int64], texts: Sequence[str]) -> None:
        column = self.texts.setdefault(name, [None] * self.groups)
        for number, text in zip(at.tolist(), texts, strict=True):
            column[number] = text

    @property
    def cells(self) -> dict[str, Cells]:
        return {**self.numbers, **self.texts}


# what samples say -------------------------------------------------------------------------------------


def _statistics(found: _Found, stack: Stack, result: Result, precision: float) -> None:
    """Summaries of the series, the time of launches, and whether the series were disturbed."""
    at, series = stack.number, seconds(stack, result)
    summaries = summarise_rows(series, precision)
    for column, name in _STATISTICS.items():
        found.put(column, at, getattr(summaries, name))
    found.put("samples", at, summaries.samples)
    found.put("stable", at, summaries.stable if summaries.samples else np.nan)
    if not stack.rows.size:
        return
    if "launch" in stack.columns:
        launches = stack.rows[..., stack.columns.index("launch")].max(axis=1)
        each = np.median(launches, axis=1) * NANOSECONDS / result.transfers
        found.put("launch_seconds", at, each)
    took = series * result.transfers
    stamped = stack.columns == ("entry", "exit")
    # one clock is enough: what disturbs a group holds up all of its ranks
    ends = stack.rows[:, 0, :, 1] * NANOSECONDS if stamped else np.cumsum(took, axis=1)
    for k in disturbed(ends, took).tolist():
        if gone := recovery(ends[k], took[k]):
            found.put("disturbed_at_seconds", at[k : k + 1], gone.begin_seconds)
            found.put(
                "recovery_seconds", at[k : k + 1], np.nan if gone.seconds is None else gone.seconds
            )


def _late(found: _Found, stack: Stack, made: Measured) -> None:
    """Who arrived last in the iterations; nothing where samples hold no entry stamps."""
    uncertainty_ns = made.start.run.clock_uncertainty_ns
    if stack.columns != ("entry", "exit"):
        return
    if uncertainty_ns is None and made.result.case.entry.rooted:
        return  # its ranks leave apart by design: durations say nothing of who came late
    entry_ns, exit_ns = stack.rows[..., 0], stack.rows[..., 1]
    if stack.clock_ns.any():
        offset = stack.clock_ns[..., None]
        entry_ns, exit_ns = entry_ns + offset, exit_ns + offset
    judged = judge_series(entry_ns, exit_ns, uncertainty_ns)
    found.put("late_iterations", stack.number, judged.late_iterations)
    named = np.flatnonzero(judged.late >= 0)
    if not len(named):
        return
    at, ranks = stack.number[named], stack.ranks[named, judged.late[named]]
    found.put("slowest_rank", at, ranks)
    found.say("slowest_host", at, [made.start.host_of[rank] for rank in ranks.tolist()])
    found.put("slowest_iterations", at, judged.supporting[named])
    found.put("lateness_seconds", at, judged.lateness_seconds[named])
    found.put("lateness_p90_seconds", at, judged.lateness_p90_seconds[named])


# what the journal says ----------------------------------------------------------------------------------


def wrong_elements(groups: GroupTable) -> Floats:
    """Wrong elements over the ranks of each group; NaN where nothing was checked."""
    checked = groups.numbers("checked_iterations") > 0
    if not groups.any("wrong"):
        return np.where(checked, 0.0, np.nan)
    found = list(groups.values("wrong"))
    counts = [sum(wrong.elements for wrong in each) for each in found]
    return np.where(checked | np.array(list(map(bool, found))), counts, np.nan)


def _counted(result: Result, groups: GroupTable) -> dict[str, Cells]:
    """Of each group what was counted beside its samples; of the round its name and its load."""
    case, pressure = result.case, result.pressure
    loaded = pressure is not None and bool(pressure.seconds)
    synchronised = case.timing == "synchronised"
    return {
        "wrong": wrong_elements(groups) if case.entry.sized else None,
        "checked_iterations": groups.numbers("checked_iterations"),
        "warmup_iterations": groups.numbers("warmup_iterations"),
        # of an external program each start is a cold one
        "steady": None if case.entry.external else groups.numbers("steady"),
        "stopped": result.stopped,
        "first_call_seconds": groups.numbers("first_call_ns") * NANOSECONDS,
        "missed_windows": groups.numbers("missed_windows") if synchronised else None,
        "rail": groups.numbers("rail"),
        "setting": result.name or None,
        "load_GBps": pressure.nbytes / pressure.seconds / GIGA if pressure and loaded else None,
    }


def _rates(result: Result, cells: Mapping[str, Cells], start: Start) -> dict[str, Cells]:
    """Bandwidths from the median; none with wrong data, and none where ranks shared a GPU."""
    median, wrong, allowed = (
        cells.get(name) for name in ("median_seconds", "wrong", "allowed_GBps")
    )
    assert isinstance(median, np.ndarray)
    if isinstance(wrong, np.ndarray):
        median = np.where(wrong > 0, np.nan, median)
    median = np.where(median == 0, np.nan, median)
    made: dict[str, Cells] = {}
    if result.case.entry.windowed:
        made["messages_per_second"] = 1 / median
    if start.run.functional:
        return made
    algbw, busbw = bandwidth_rows(result.case.nbytes, median, result.bus_factor)
    if isinstance(allowed, np.ndarray):
        made["allowed_share"] = algbw / np.where(allowed == 0, np.nan, allowed)
    return made | {"algbw_GBps": algbw, "busbw_GBps": busbw}


def _device(groups: GroupTable, transfers: int) -> dict[str, Cells]:
    """What is known of operations that a GPU runs; of most runs nothing."""
    made: dict[str, Cells] = {}
    if groups.any("init_seconds"):
        made["init_seconds"] = groups.numbers("init_seconds")
    if groups.any("overlap"):
        overlaps = list(groups.values("overlap"))
        made["overlap"] = known([overlap_share(overlap) for overlap in overlaps])
        made["compute_slowdown"] = known([compute_slowdown(overlap) for overlap in overlaps])
    if groups.any("batch"):
        batches: list[Batch | None] = list(groups.values("batch"))
        each = known([batch.iterations * transfers if batch else 0 for batch in batches])
        each[each == 0] = np.nan
        host = known([batch.host_seconds if batch else None for batch in batches])
        device = known([batch.device_seconds if batch else None for batch in batches])
        made |= {"batch_host_seconds": host / each, "batch_device_seconds": device / each}
    if groups.any("allowed"):
        limits: list[Allowed | None] = list(groups.values("allowed"))
        made["allowed_GBps"] = known([limit.GBps if limit else None for limit in limits])
        made["allowed_by"] = [limit.words if limit else None for limit in limits]
    if groups.any("choice"):
        choices = [msgspec.structs.asdict(choice or Choice()) for choice in groups.values("choice")]
        made |= {name: [choice[name] or None for choice in choices] for name in choices[0]}
    return made
