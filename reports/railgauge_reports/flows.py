"""Flows of a run folder: what each took, how fair they were, and how long a disturbance lasted.

A flow's time runs from when its receiver entered the iteration until the message was there, on the
receiver's clock. Its rate is the message over the median of these times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.journal import read_flows
from railgauge.records import Result, decode_ranks
from railgauge.samples import GroupSamples, group_samples, in_seconds
from railgauge.statistics import P99_SAMPLES, P999_SAMPLES, Samples, jain
from railgauge.units import GIGA
from railgauge_reports.stored import Measured, StoredRun

Floats = npt.NDArray[np.floating[Any]]

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
#: Recovery (facts of practice): the mean rate of 100 ms is back at 95 % of what it was, for a second.
BIN_SECONDS, RECOVERED, FOR_SECONDS = 0.1, 0.95, 1.0
MOST_BINS = 10**7  # eleven days: more is a sample file that is not what it was
DISTURBED = 0.5  # of the rate before: a bin below is a disturbance


class Flow(NamedTuple):
    """From rank, to rank, and the time of each iteration's message in seconds, float64 [n]."""

    source: int
    target: int
    seconds: Samples


def flows_of(run: StoredRun, made: Measured, samples: Sequence[GroupSamples]) -> list[Flow]:
    """All flows of a result, by source and target.

    Where nobody stamped each message (NCCL), a flow that is the only one into its receiver has the
    time of that rank; others are unknown and left out.
    """
    result = made.result
    if not result.case.entry.directed:
        return []
    if result.flows:
        found = [
            Flow(source, target, in_seconds(row))
            for block in result.flows
            for (source, target), row in zip(
                block.flows, read_flows(run.folder, block), strict=True
            )
        ]
        return sorted(found, key=lambda flow: flow[:2])
    return sorted(_only_ones(run, made, samples), key=lambda flow: flow[:2])


def _only_ones(run: StoredRun, made: Measured, samples: Sequence[GroupSamples]) -> Iterator[Flow]:
    into: dict[int, list[int]] = {}
    for group in made.start.round_at(run.plan, made.result.round).groups:
        for source, target in group.flows:
            into.setdefault(target, []).append(source)
    for part in samples:
        for rank, rows in zip(part.ranks, part.rows, strict=False):
            if len(into.get(rank, ())) == 1 and rows.size:
                stamped = part.columns[0] == "entry"
                took = rows[:, 1] - rows[:, 0] if stamped else rows[:, 0]
                yield Flow(into[rank][0], rank, in_seconds(took))


def rate_GBps(nbytes: int, flow: Flow) -> float:  # noqa: N802  (a unit)
    """What the flow moves in its median time."""
    median = float(np.median(flow.seconds)) if len(flow.seconds) else math.inf
    return nbytes / median / GIGA if median else math.inf


class Recovery(NamedTuple):
    """A disturbance: when it began in the series, how long until it was over, iterations in between."""

    begin_seconds: float
    seconds: float | None  # None: not over when the series ended
    iterations: int


def recovery(ends: Floats, seconds: Floats, event: float | None = None) -> Recovery | None:
    """How long a series took to recover; None where nothing disturbed it.

    `ends` is when each iteration ended and `seconds` what it took, float64 [n], in order. The event
    is given, or the begin of the first iteration of which 100 ms bins fell below half the rate
    before. It is over when the mean rate of 100 ms is 95 % of that before, for one second.
    """
    if len(ends) < 2:
        return None
    begin = float(ends[0] - seconds[0])
    count = int((ends[-1] - begin) / BIN_SECONDS)
    if not 2 <= count <= MOST_BINS:
        return None
    edges = begin + BIN_SECONDS * np.arange(count + 1)
    rates = np.diff(_progress(edges, begin, ends)) / BIN_SECONDS
    if event is None:
        low = rates < DISTURBED * np.median(rates)
        falls = np.flatnonzero(low[1:] & ~low[:-1])  # a slow beginning is none: nothing was before
        if not falls.size:
            return None
        disturbed = int(falls[0]) + 1
        within = (ends > edges[disturbed]) & (ends - seconds < edges[disturbed + 1])
        slowest = int(np.argmax(np.where(within, seconds, 0)))
        at = max(float(ends[slowest] - seconds[slowest]), float(edges[disturbed]) - BIN_SECONDS)
    else:
        at = event
        disturbed = max(1, int((event - begin) / BIN_SECONDS))
    before = float(np.mean(rates[:disturbed]))
    well = rates >= RECOVERED * before
    need = round(FOR_SECONDS / BIN_SECONDS)
    for k in range(disturbed, count):
        if k + need <= count and well[k : k + need].all():
            over = float(edges[k])
            lost = int(np.count_nonzero((ends > at) & (ends <= over)))
            return Recovery(at - begin, max(0.0, over - at), lost)
    return Recovery(at - begin, None, int(np.count_nonzero(ends > at)))


def _progress(edges: Floats, begin: float, ends: Floats) -> Floats:
    """Iterations done at each edge, those under way in part."""
    done = np.arange(len(ends) + 1.0)
    return np.asarray(np.interp(edges, np.concatenate([[begin], ends]), done))


# rows -----------------------------------------------------------------------------------------------


def group_of(result: Result) -> dict[int, int]:
    """Rank -> number of its group in the round."""
    return {
        rank: index
        for index, group in enumerate(result.groups)
        for rank in decode_ranks(group.ranks)
    }


def by_group(result: Result, flows: Sequence[Flow]) -> list[tuple[Flow, ...]]:
    """The flows of each group of a result, in their order."""
    found: list[list[Flow]] = [[] for _ in result.groups]
    number = group_of(result) if flows else {}
    for flow in flows:
        found[number[flow.target]].append(flow)
    return [tuple(own) for own in found]


def flow_facts(nbytes: int, flows: Sequence[Flow]) -> dict[str, Any]:
    """What a row of a group says of its flows: how many, how fair, and which is slowest."""
    own = [flow for flow in flows if len(flow.seconds)]
    if not own:
        return {}
    rates = [rate_GBps(nbytes, flow) for flow in own]
    slowest = int(np.argmin(rates))
    return {
        "flows": len(own),
        "jain": jain(rates),
        "slowest_flow": f"{own[slowest].source}>{own[slowest].target}",
        "slowest_flow_GBps": rates[slowest],
        "mean_flow_GBps": float(np.mean(rates)),
    }


def flow_frame(run: StoredRun) -> pd.DataFrame:
    """One row a case, round and flow, columns COLUMNS."""
    rows = []
    for made in run.results:
        if made.result.case.entry.directed:
            stamped = bool(made.result.flows)  # then the samples of ranks are not needed
            samples = [] if stamped else list(group_samples(run.folder, made.result))
            rows += list(_rows(made, flows_of(run, made, samples)))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _rows(made: Measured, flows: Sequence[Flow]) -> Iterator[dict[str, Any]]:
    result = made.result
    number = group_of(result)
    rates = [rate_GBps(result.case.nbytes, flow) for flow in flows]
    of_groups: dict[int, list[float]] = {}
    for flow, rate in zip(flows, rates, strict=True):
        of_groups.setdefault(number[flow.target], []).append(rate)
    means = {group: float(np.mean(of_group)) for group, of_group in of_groups.items()}
    for flow, rate in zip(flows, rates, strict=True):
        n = len(flow.seconds)
        yield {
            "operation": result.case.operation,
            "case": result.case.index,
            "round": result.round,
            "setting": result.name or None,
            "nbytes": result.case.nbytes,
            "source": flow.source,
            "target": flow.target,
            "group": number[flow.target],
            "source_host": made.start.host_of[flow.source],
            "target_host": made.start.host_of[flow.target],
            "samples": n,
            "median_seconds": float(np.median(flow.seconds)) if n else None,
            "p99_seconds": float(np.quantile(flow.seconds, 0.99)) if n >= P99_SAMPLES else None,
            "p999_seconds": float(np.quantile(flow.seconds, 0.999)) if n >= P999_SAMPLES else None,
            "max_seconds": float(flow.seconds.max()) if n else None,
            "GBps": rate,
            "share": rate / means[number[flow.target]],
        }
