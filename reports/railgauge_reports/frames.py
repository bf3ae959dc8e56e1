"""Run folder -> pandas: one row per case, round and group, and one row per iteration.

Everything measured is a pure function of the journal and the raw samples. A value that cannot be
had is NA, never 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from railgauge.patterns import ISOLATED
from railgauge.plan import Case, Plan
from railgauge.records import GroupResult, Result, decode_ranks, encode_ranks
from railgauge.samples import (
    GroupSamples,
    compute_slowdown,
    group_bandwidths,
    group_samples,
    overlap_share,
    seconds,
)
from railgauge.statistics import Samples, summarise
from railgauge.units import GIGA, NANOSECONDS
from railgauge_reports.arrivals import Arrivals, judge_arrivals
from railgauge_reports.flows import Flow, by_group, flow_facts, flows_of, recovery
from railgauge_reports.lossless.paused import Pauses, pauses_of
from railgauge_reports.stored import Measured, Missed, Start, StoredRun, read_run

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
#: What no other tool says of a row, and, of one value, what is no statistic.
_UNTOLD = ("steady", "first_call_seconds", "missed_windows", "stable", "min_seconds", "max_seconds")


def case_frame(run: Path | StoredRun) -> pd.DataFrame:
    """One row per case, round and group, columns COLUMNS in this order, in the plan's order.

    A gap has its rows too, with NA for what was not measured. Raises NotMeasuredError where the
    folder, its journal or its samples cannot be read.
    """
    stored = run if isinstance(run, StoredRun) else read_run(run)
    paused = pauses_of(stored)
    rows = [_row(stored, facts) | _paused(paused, facts) for facts in group_facts(stored)]
    _add_impact(rows)
    return _typed(rows, COLUMNS)


def sample_frame(run: Path | StoredRun) -> pd.DataFrame:
    """One row per timed iteration: case, operation, nbytes, round, group, iteration, seconds."""
    stored = run if isinstance(run, StoredRun) else read_run(run)
    columns = {name: COLUMNS[name] for name in ("case", "operation", "nbytes", "round", "group")}
    columns |= {"iteration": "Int64", "seconds": "Float64"}
    frames = [_typed([], columns)]
    for made in stored.results:
        for samples in group_samples(stored.folder, made.result):
            series = seconds(samples, made.result)
            frames.append(
                pd.DataFrame(
                    {
                        "case": made.result.case.index,
                        "operation": made.result.case.operation,
                        "nbytes": made.result.case.nbytes,
                        "round": made.result.round,
                        "group": group_text(samples.group.ranks),
                        "iteration": range(len(series)),
                        "seconds": series,
                    }
                ).astype(columns)
            )
    return pd.concat(frames, ignore_index=True)


@dataclasses.dataclass(frozen=True)
class GroupFacts:
    """One row to be: a group of a round, with its samples, or without where there is a gap."""

    case: Case
    round: int
    ranks: str
    start: Start
    measured: Measured | None = None
    samples: GroupSamples | None = None
    reason: str | None = None
    flows: tuple[Flow, ...] = ()


def group_facts(run: StoredRun) -> Iterator[GroupFacts]:
    """The groups of all pairs that have a result or a gap, in the plan's order."""
    for made in run.pairs.values():
        if isinstance(made, Missed):
            gap = made.gap
            for ranks in _groups(run, made.start, gap.round):
                yield GroupFacts(gap.case, gap.round, ranks, made.start, reason=gap.reason)
            continue
        result = made.result
        everything = list(group_samples(run.folder, result))
        flows = by_group(result, flows_of(run, made, everything))
        for samples, own in zip(everything, flows, strict=True):
            ranks = samples.group.ranks
            yield GroupFacts(result.case, result.round, ranks, made.start, made, samples, flows=own)


def group_text(ranks: str) -> str:
    """`0-3,8` -> `0-3 8`: no comma, so that a row of CSV can be cut at commas."""
    return ranks.replace(",", " ")


def arrivals_of(facts: GroupFacts) -> Arrivals | None:
    """Who arrived last in a group's iterations; None where its samples hold no entry stamps."""
    samples = facts.samples
    if samples is None or samples.columns != ("entry", "exit"):
        return None
    uncertainty_ns = facts.start.run.clock_uncertainty_ns
    if uncertainty_ns is None and facts.case.entry.rooted:
        return None  # its ranks leave apart by design: durations say nothing of who came late
    synced = samples.rows + samples.clock_ns[:, None, None]
    return judge_arrivals(
        synced[:, :, 0],
        synced[:, :, 1],
        samples.ranks,
        [facts.start.host_of[rank] for rank in samples.ranks],
        uncertainty_ns,
    )


# rows ---------------------------------------------------------------------------------------------


def _groups(run: StoredRun, start: Start, index: int) -> tuple[str, ...]:
    return tuple(encode_ranks(group.ranks) for group in start.round_at(run.plan, index).groups)


def _row(run: StoredRun, facts: GroupFacts) -> dict[str, Any]:
    case, ranks = facts.case, decode_ranks(facts.ranks)
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "operation": case.operation,
        "pattern": run.plan.pattern,
        "round": facts.round,
        "group": group_text(facts.ranks),
        "hosts": " ".join(facts.start.hosts(ranks) or facts.start.run.hosts),
        "backend": facts.start.run.backend,
        "dtype": case.dtype,
        "op": case.op,
        "placement": case.placement,
        "ranks": len(ranks) or None,  # an imported log may not say
        "nbytes": case.nbytes,
        "count": case.count,
        "case": case.index,
        "call": case.call,
        "timing": case.timing,
        "root": case.root,
        "selected": case.algorithm or None,
        "gap": facts.samples is None,
        "reason": facts.reason,
        "functional": facts.start.run.functional,
    }
    if facts.measured is not None and facts.samples is not None:
        series = seconds(facts.samples, facts.measured.result)
        row |= _measured(run.plan, facts.measured, facts.samples, series)
        row |= _device(facts.measured.result, facts.samples)
        row |= flow_facts(case.nbytes, facts.flows)
        row |= _tail(facts.measured.result, facts.samples, series)
        if run.imported:
            row |= dict.fromkeys(_UNTOLD if len(series) == 1 else _UNTOLD[:3])
        if facts.start.run.functional:
            row |= {"algbw_GBps": None, "busbw_GBps": None}
        elif row["algbw_GBps"] and row["allowed_GBps"]:
            row["allowed_share"] = row["algbw_GBps"] / row["allowed_GBps"]
        row |= _late(arrivals_of(facts))
    return row


def _measured(plan: Plan, made: Measured, samples: GroupSamples, series: Samples) -> dict[str, Any]:
    result, group = made.result, samples.group
    summary = summarise(series, plan.precision)
    wrong = wrong_count(group) if result.case.entry.sized else None
    median = None if wrong else summary.median
    rates = group_bandwidths(result, group, median)
    return {
        "samples": summary.samples,
        "median_seconds": summary.median,
        "median_low_seconds": summary.low,
        "median_high_seconds": summary.high,
        "min_seconds": summary.minimum,
        "p99_seconds": summary.p99,
        "mean_seconds": summary.mean,
        "p999_seconds": summary.p999,
        "max_seconds": summary.maximum,
        "stable": summary.stable if summary.samples else None,
        "algbw_GBps": rates[0],
        "busbw_GBps": rates[1],
        "wrong": wrong,
        "checked_iterations": group.checked_iterations,
        "warmup_iterations": group.warmup_iterations,
        "steady": None if result.case.entry.external else group.steady,  # each start is a cold one
        "stopped": result.stopped,
        "first_call_seconds": group.first_call_ns * NANOSECONDS,
        "messages_per_second": 1 / median if median and result.case.entry.windowed else None,
        "overlap": overlap_share(group.overlap),
        "missed_windows": group.missed_windows if result.case.timing == "synchronised" else None,
    }


def _tail(result: Result, samples: GroupSamples, series: Samples) -> dict[str, Any]:
    """Of a series the rail and the setting it belongs to, and whether it was disturbed."""
    row: dict[str, Any] = {"rail": samples.group.rail, "setting": result.name or None}
    if result.pressure and result.pressure.seconds:
        row["load_GBps"] = result.pressure.nbytes / result.pressure.seconds / GIGA
    if samples.rows.size:
        took = series * result.transfers
        stamped = samples.columns == ("entry", "exit")
        # one clock is enough: what disturbs a group holds up all of its ranks
        ends = samples.rows[0, :, 1] * NANOSECONDS if stamped else np.cumsum(took)
        if found := recovery(ends, took):
            row |= {
                "disturbed_at_seconds": found.begin_seconds,
                "recovery_seconds": found.seconds,
            }
    return row


def _add_impact(rows: list[dict[str, Any]]) -> None:
    """Time beside a load over that alone, of the same case, group and hosts (--resume may move)."""
    alone = {
        (row["case"], row["group"], row["hosts"]): row
        for row in rows
        if row["setting"] == ISOLATED and not row["gap"]
    }
    for row in rows:
        before = alone.get((row["case"], row["group"], row["hosts"]))
        if before is None or row is before or row["gap"]:
            continue
        for name, of in (("impact", "mean_seconds"), ("impact_p99", "p99_seconds")):
            if row[of] and before[of]:
                row[name] = row[of] / before[of]


def _device(result: Result, samples: GroupSamples) -> dict[str, Any]:
    """What is known of operations that a GPU runs."""
    group = samples.group
    row: dict[str, Any] = {
        "compute_slowdown": compute_slowdown(group.overlap),
        "init_seconds": group.init_seconds,
    }
    if "launch" in samples.columns and samples.rows.size:
        launch = np.median(samples.rows[:, :, samples.columns.index("launch")].max(axis=0))
        row["launch_seconds"] = float(launch) * NANOSECONDS / result.transfers
    if group.batch and group.batch.iterations:
        each = group.batch.iterations * result.transfers
        row["batch_host_seconds"] = group.batch.host_seconds / each
        row["batch_device_seconds"] = group.batch.device_seconds / each
    if group.allowed:
        row |= {"allowed_GBps": group.allowed.GBps, "allowed_by": group.allowed.words}
    if group.choice:
        row |= {k: v or None for k, v in msgspec.structs.asdict(group.choice).items()}
    return row


def wrong_count(group: GroupResult) -> int | None:
    """Wrong elements over the ranks of a group; None where nothing was checked."""
    if not group.wrong and not group.checked_iterations:
        return None
    return sum(wrong.elements for wrong in group.wrong)


def _late(found: Arrivals | None) -> dict[str, Any]:
    if found is None:
        return {}
    row: dict[str, Any] = {"late_iterations": found.late_iterations}
    if found.late is not None:
        row |= {
            "slowest_rank": found.late.rank,
            "slowest_host": found.late.host,
            "slowest_iterations": found.late.iterations,
            "lateness_seconds": found.late.lateness_seconds,
            "lateness_p90_seconds": found.late.lateness_p90_seconds,
        }
    return row


def _paused(paused: Pauses, facts: GroupFacts) -> dict[str, Any]:
    """The worst of the group's hosts; nothing where none of them counts pauses."""
    hosts = facts.start.hosts(decode_ranks(facts.ranks))
    found = [
        ratio for host in hosts if (ratio := paused.get((facts.case.index, facts.round, host)))
    ]
    if not found:
        return {}
    value, bound = max(found)
    return {"pause_ratio": value, "pause_bound": bound}


def _typed(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in columns.items()}
    )
