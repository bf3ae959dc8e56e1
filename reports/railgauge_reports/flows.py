"""Flows of a run folder: what each took, and how fair they were.

A flow's time runs from when its receiver entered the iteration until the message was there, on the
receiver's clock. Its rate is the message over the median of these times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.errors import NotMeasuredError
from railgauge.journal import read_flows
from railgauge.samples import Rows, Stack, in_seconds, stacks
from railgauge.statistics import jain, summarise_rows
from railgauge.units import GIGA
from railgauge_reports.frame_parts import Cells, Parts
from railgauge_reports.groups import Counts, Groups
from railgauge_reports.stored import Measured, StoredRun

Floats = npt.NDArray[np.float64]

#: Column -> pandas type of `flow_frame`.
COLUMNS = {
    "operation": "string",
    "case": "Int64",
    "round": "Int64",
    "setting": "string",
    "nbytes": "Int64",
    "source": "Int64",
    "target": "Int64",
    "group": "Int64",  # number of its group in the round
    "source_host": "string",
    "target_host": "string",
    "samples": "Int64",
    "median_seconds": "Float64",
    "p99_seconds": "Float64",  # NA below 1,000 samples
    "p999_seconds": "Float64",  # NA below 10,000 samples
    "max_seconds": "Float64",
    "GBps": "Float64",  # nbytes over the median
    "share": "Float64",  # of the mean rate of the group's flows
}


class FlowTimes(NamedTuple):
    """Flows of a result by source and target: ranks int64 [flows], and what their times say.

    `median`, `p99`, `p999` and `maximum` are seconds, float64 [flows], NaN where they cannot be had;
    `samples` is how many there are of each.
    """

    source: Counts
    target: Counts
    samples: Counts
    median: Floats
    p99: Floats
    p999: Floats
    maximum: Floats

    def rates_GBps(self, nbytes: int) -> Floats:  # noqa: N802  (a unit)
        """What each flow moves in its median time; infinite where the clock shows none."""
        with np.errstate(divide="ignore"):
            rates = nbytes / np.where(self.samples > 0, self.median, np.inf) / GIGA
        return np.where(self.median == 0, np.inf, rates)


def flow_times(run: StoredRun, made: Measured, samples: Sequence[Stack] | None = None) -> FlowTimes:
    """All flows of a result; `samples` are its stacks where they have been read already.

    Where nobody stamped each message (NCCL), a flow that is the only one into its receiver has the
    time of that rank; others are unknown and left out.
    """
    result = made.result
    parts: list[tuple[Counts, Rows]] = []  # flows int64 [flows, 2] and their times in ns [flows, n]
    if result.case.entry.directed and result.flows:
        parts = [
            (np.array(block.flows, np.int64).reshape(-1, 2), read_flows(run.folder, block))
            for block in result.flows
        ]
    elif result.case.entry.directed:
        parts = _only_ones(run, made, stacks(run.folder, result) if samples is None else samples)
    flows = np.concatenate([flows for flows, _ in parts] or [np.zeros((0, 2), np.int64)])
    said = [summarise_rows(in_seconds(times)) for _, times in parts]
    order = np.lexsort((flows[:, 1], flows[:, 0]))

    def joined(name: str) -> Floats:
        values: list[Floats] = [getattr(summary, name) for summary in said]
        return np.concatenate([*values, np.zeros(0)])[order]

    each = [np.full(len(times), times.shape[1]) for _, times in parts]
    return FlowTimes(
        source=flows[order, 0],
        target=flows[order, 1],
        samples=np.concatenate([*each, np.zeros(0, np.int64)])[order],
        median=joined("median"),
        p99=joined("p99"),
        p999=joined("p999"),
        maximum=joined("maximum"),
    )


def _only_ones(
    run: StoredRun, made: Measured, samples: Sequence[Stack]
) -> list[tuple[Counts, Rows]]:
    """The times of receivers that have one sender, as the times of these flows."""
    asked = made.start.round_at(run.plan, made.result.round).groups
    flows = np.array([flow for group in asked for flow in group.flows], np.int64).reshape(-1, 2)
    source = np.full(len(made.start.node_of), -1, np.int64)
    source[flows[:, 1]] = flows[:, 0]
    source[np.bincount(flows[:, 1], minlength=len(source)) != 1] = -1
    parts = []
    for stack in samples:
        if not stack.rows.size:
            continue
        stamped = stack.columns[0] == "entry"
        rows = stack.rows[..., 1] - stack.rows[..., 0] if stamped else stack.rows[..., 0]
        own = source[stack.ranks] >= 0
        parts.append(
            (
                np.stack([source[stack.ranks[own]], stack.ranks[own]], axis=1),
                rows[:, : own.shape[1]][own],
            )
        )
    return parts


# rows -----------------------------------------------------------------------------------------------


def flow_columns(nbytes: int, flows: FlowTimes, groups: Groups) -> dict[str, Cells]:
    """What the rows of groups say of their flows: how many, how fair, and which is slowest."""
    if not flows.samples.any():
        return {}
    known = flows.samples > 0
    number, rates = _groups_of(flows, groups)[known], flows.rates_GBps(nbytes)[known]
    total = len(groups.sizes)
    count = np.bincount(number, minlength=total).astype(np.float64)
    order = np.lexsort((rates, number))  # by group the slowest first, of equals the first
    first = order[np.searchsorted(number[order], np.arange(total)).clip(max=len(order) - 1)]
    some = count > 0
    slowest = [
        f"{source}>{target}" if has else None
        for has, source, target in zip(
            some.tolist(),
            flows.source[known][first].tolist(),
            flows.target[known][first].tolist(),
            strict=True,
        )
    ]
    ends = np.cumsum(count).astype(np.int64)
    by_group = np.split(rates[np.argsort(number, kind="stable")], ends[:-1])
    return {
        "flows": np.where(some, count, np.nan),
        "jain": np.array([np.nan if (index := jain(own)) is None else index for own in by_group]),
        "slowest_flow": slowest,
        "slowest_flow_GBps": np.where(some, rates[first], np.nan),
        "mean_flow_GBps": _means(number, rates, count),
    }


def flow_frame(run: StoredRun) -> pd.DataFrame:
    """One row a case, round and flow, columns COLUMNS."""
    parts = Parts(COLUMNS)
    for made in run.results:
        if made.result.case.entry.directed:
            flows = flow_times(run, made)
            parts.add(len(flows.source), _rows(made, flows))
    return parts.frame()


def _rows(made: Measured, flows: FlowTimes) -> dict[str, Cells]:
    result, start = made.result, made.start
    groups = Groups(start, [group.ranks for group in result.groups])
    number, rates = _groups_of(flows, groups), flows.rates_GBps(result.case.nbytes)
    count = np.bincount(number, minlength=len(result.groups)).astype(np.float64)
    return {
        "operation": result.case.operation,
        "case": result.case.index,
        "round": result.round,
        "setting": result.name or None,
        "nbytes": result.case.nbytes,
        "source": flows.source,
        "target": flows.target,
        "group": number,
        "source_host": [start.host_of[rank] for rank in flows.source.tolist()],
        "target_host": [start.host_of[rank] for rank in flows.target.tolist()],
        "samples": flows.samples,
        "median_seconds": flows.median,
        "p99_seconds": flows.p99,
        "p999_seconds": flows.p999,
        "max_seconds": flows.maximum,
        "GBps": rates,
        "share": rates / _means(number, rates, count)[number],
    }


def _groups_of(flows: FlowTimes, groups: Groups) -> Counts:
    """The number of each flow's group."""
    ranks = len(groups.number_of)
    ends = np.concatenate([flows.source, flows.target])
    inside = not ends.size or (ends.min() >= 0 and ends.max() < ranks)
    number = groups.number_of[flows.target] if inside else np.array([-1])
    if (number < 0).any():
        raise NotMeasuredError(
            "the journal has a flow into a rank that has no group.\n"
            "  expected: the journal of railgauge run, unedited"
        )
    return number


def _means(number: Counts, rates: Floats, count: Floats) -> Floats:
    """The mean rate of each group, NaN of those without flows."""
    sums = np.bincount(number, weights=rates, minlength=len(count))
    means: Floats = np.full(len(count), np.nan)
    np.divide(sums, count, out=means, where=count > 0)
    return means
