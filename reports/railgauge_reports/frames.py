"""Run folder -> pandas: one row per case, round and group, and one row per iteration.

Everything measured is a pure function of the journal and the raw samples. A value that cannot be
had is NA, never 0. Of a run whose samples were dropped (`thinned`) the rows are those kept in their place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from railgauge.rank_lists import encode_ranks
from railgauge.samples import seconds, stacks
from railgauge.schedules import ISOLATED
from railgauge_reports.frame_parts import Cells, Parts, masked, records
from railgauge_reports.group_table import table_of
from railgauge_reports.groups import Groups
from railgauge_reports.lossless.paused import Pauses, pauses_of
from railgauge_reports.result_columns import measured_columns, paused_columns, planned_columns
from railgauge_reports.stored import Measured, Missed, Pair, StoredRun, read_run
from railgauge_reports.thinned import is_thinned, kept_rows

#: Columns that every later version keeps, in this order (the contract of `--format csv`).
CONTRACT = {
    "operation": "string",
    "pattern": "string",
    "round": "Int64",
    "group": "string",  # its ranks, as in `0-3 8`
    "hosts": "string",  # of these ranks, each once, split by blanks
    "backend": "string",
    "dtype": "string",
    "op": "string",
    "placement": "string",
    "ranks": "Int64",
    "nbytes": "Int64",
    "count": "Int64",
    "samples": "Int64",
    "median_seconds": "Float64",
    "median_low_seconds": "Float64",  # of the 95 % interval of the median
    "median_high_seconds": "Float64",
    "min_seconds": "Float64",
    "p99_seconds": "Float64",  # NA below 1,000 samples
    "max_seconds": "Float64",
    "stable": "boolean",
    "algbw_GBps": "Float64",  # from the median; NA with wrong data
    "busbw_GBps": "Float64",
    "wrong": "Int64",  # elements, NA where nothing was checked
}
FURTHER = {
    "case": "Int64",
    "call": "string",
    "timing": "string",
    "root": "Int64",
    "checked_iterations": "Int64",
    "warmup_iterations": "Int64",
    "steady": "boolean",
    "stopped": "string",
    "first_call_seconds": "Float64",
    "messages_per_second": "Float64",
    "overlap": "Float64",
    "compute_slowdown": "Float64",  # of the computation that ran beside the operation
    "launch_seconds": "Float64",  # median between two launches on the host, of GPU operations
    "batch_host_seconds": "Float64",  # an iteration of many timed as one, as nccl-tests does
    "batch_device_seconds": "Float64",  # the same between two events of the device
    "init_seconds": "Float64",  # of the group's communicator (ncclCommInit)
    "selected": "string",  # the algorithm that the call named (--algorithm)
    "algorithm": "string",  # these four as the library's log named them
    "protocol": "string",
    "channels": "string",
    "transport": "string",
    "allowed_GBps": "Float64",  # of a copy: what the hardware lets through; NA where unknown
    "allowed_share": "Float64",  # algbw over it
    "allowed_by": "string",
    "functional": "boolean",  # ranks shared a GPU: no bandwidth, whatever the time
    "missed_windows": "Int64",
    "slowest_rank": "Int64",  # who arrived last (see `arrivals`), NA where nobody is named
    "slowest_host": "string",
    "slowest_iterations": "Int64",  # in how many it was the last one
    "lateness_seconds": "Float64",  # median over these, against the median entry of the others
    "lateness_p90_seconds": "Float64",
    "late_iterations": "Int64",  # with anybody late; NA where the stamps cannot tell
    "rail": "Int64",  # of the group's ranks: their order on their nodes
    "setting": "string",  # of the round: `4 to 1`, `beside incast`, `shift 2`
    "load_GBps": "Float64",  # that the ranks moved which made the load
    "mean_seconds": "Float64",
    "p999_seconds": "Float64",  # NA below 10,000 samples
    "impact": "Float64",  # of a load: mean time beside it over that alone (GPCNeT's impact factor)
    "impact_p99": "Float64",
    "flows": "Int64",  # directed ones, whose times are known
    "jain": "Float64",  # fairness of their rates
    "mean_flow_GBps": "Float64",
    "slowest_flow": "string",  # `from>to`
    "slowest_flow_GBps": "Float64",
    "disturbed_at_seconds": "Float64",  # into the series: where the rate fell below half
    "recovery_seconds": "Float64",  # until it was back; NA while a disturbance lasted to the end
    "pause_ratio": "Float64",  # largest of the group's hosts: share of time that somebody was stopped
    "pause_bound": "boolean",  # it is at most this: drivers counted frames, and no time
    "gap": "boolean",
    "reason": "string",
}
COLUMNS = CONTRACT | FURTHER
#: Measurements that are worth threads.
_MANY_PAIRS = 64
#: What no other tool says of a row, and, of one value, what is no statistic.
_UNTOLD = ("steady", "first_call_seconds", "missed_windows", "stable", "min_seconds", "max_seconds")


def case_frame(run: Path | StoredRun) -> pd.DataFrame:
    """One row per case, round and group, columns COLUMNS in this order, in the plan's order.

    A gap has its rows too, with NA for what was not measured. Raises NotMeasuredError where the
    folder, its journal or its samples cannot be read.
    """
    stored = run if isinstance(run, StoredRun) else read_run(run)
    return frame_of_runs([stored]).drop(columns="run")


def frame_of_runs(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """The case frames of several runs, one below the other; `run` says which of them, ahead of COLUMNS.

    One frame of a thousand small runs costs little more than one of its own for ten of them.
    """
    # of gaps the groups are not known before
    expected = sum(len(made.result.groups) for stored in runs for made in stored.results)
    parts = Parts({"run": "Int64"} | COLUMNS, expected)
    thinned: list[pd.DataFrame] = []
    for number, stored in enumerate(runs):
        if is_thinned(stored.folder):
            thinned.append(kept_rows(stored.folder, number, COLUMNS))
            continue
        part = partial(_part, stored, pauses_of(stored))
        for rows, cells in _in_order(part, stored):
            parts.add(rows, {"run": number} | cells)
    frame = _with_impact(parts.frame())
    if not thinned:
        return frame
    whole = [part for part in (frame, *thinned) if len(part)] or [frame]
    return pd.concat(whole).sort_values("run", kind="stable", ignore_index=True)


def _part(stored: StoredRun, paused: Pauses, pair: Pair) -> tuple[int, dict[str, Cells]]:
    """What one pair of case and round says: its rows and their cells."""
    (case, index), made = pair, stored.pairs[pair]
    groups = groups_of(stored, made)
    if isinstance(made, Missed):
        cells = planned_columns(stored.plan, made.gap.case, index, groups)
        cells |= {"gap": True, "reason": made.gap.reason}
    else:
        cells = planned_columns(stored.plan, made.result.case, index, groups)
        cells |= {"gap": False} | measured_columns(stored, made, groups)
    return len(groups.texts), cells | paused_columns(paused, case, index, groups)


def _in_order(
    part: Callable[[Pair], tuple[int, dict[str, Cells]]], stored: StoredRun
) -> Iterator[tuple[int, dict[str, Cells]]]:
    """`part` of all pairs, of many in threads: most of their time is spent in arrays, without the GIL.

    Where rounds of the plan are asked for, one after the other (`Start.round_at`).
    """
    walks = any(
        isinstance(made, Missed) or made.result.case.entry.directed
        for made in stored.pairs.values()
    )
    if walks or len(stored.pairs) < _MANY_PAIRS:
        yield from map(part, stored.pairs)
        return
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        made = [pool.submit(part, pair) for pair in stored.pairs]
        try:
            while made:
                yield made.pop(0).result()
        finally:
            pool.shutdown(cancel_futures=True)


def sample_frame(run: Path | StoredRun) -> pd.DataFrame:
    """One row per timed iteration: case, operation, nbytes, round, group, iteration, seconds."""
    stored = run if isinstance(run, StoredRun) else read_run(run)
    columns = {name: COLUMNS[name] for name in ("case", "operation", "nbytes", "round", "group")}
    parts = Parts(columns | {"iteration": "Int64", "seconds": "Float64"})
    for made in stored.results:
        result, groups = made.result, groups_of(stored, made)
        series = np.zeros((len(groups.texts), result.groups[0].iterations))
        for stack in stacks(stored.folder, result):
            series[stack.number] = seconds(stack, result)
        count, n = series.shape
        parts.add(
            series.size,
            {
                "case": result.case.index,
                "operation": result.case.operation,
                "nbytes": result.case.nbytes,
                "round": result.round,
                "group": groups.names().take(pa.array(np.repeat(np.arange(count), n))),
                "iteration": np.tile(np.arange(n), count),
                "seconds": series.ravel(),
            },
        )
    return parts.frame()


def groups_of(run: StoredRun, made: Measured | Missed) -> Groups:
    """The groups of a pair of case and round; of a gap those that the plan has."""
    if isinstance(made, Measured):
        table = table_of(made.result.groups)
        return Groups(made.start, table.texts(), unknown=run.imported, pairs=table.pairs)
    asked = made.start.round_at(run.plan, made.gap.round).groups
    return Groups(made.start, [encode_ranks(group.ranks) for group in asked])


def _with_impact(frame: pd.DataFrame) -> pd.DataFrame:
    """Time beside a load over that alone, of the same case, group and hosts (--resume may move)."""
    alone = (frame["setting"] == ISOLATED).fillna(False) & ~frame["gap"]
    if not alone.any():
        return frame
    keys = [*records(frame, "run", "case", "group", "hosts")]
    before_of = {keys[row]: row for row in np.flatnonzero(alone)}
    before = np.array([before_of.get(key, -1) for key in keys])
    beside = (before >= 0) & (before != np.arange(len(keys))) & ~frame["gap"].to_numpy(bool)
    for name, of in (("impact", "mean_seconds"), ("impact_p99", "p99_seconds")):
        times = frame[of].to_numpy(float, na_value=np.nan)
        times[times == 0] = np.nan
        frame[name] = masked(np.where(beside, times / times[before], np.nan), COLUMNS[name])
    return frame
