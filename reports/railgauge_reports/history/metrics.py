"""What of a run is watched from night to night: columns of the case frame, each one-sided.

A case has one series of its speed: its bandwidth, or of small messages and of what has no bandwidth the
time. Where a case has many rows (pairs of a tournament, nodes alone, repetitions of a soak) the worst tenth
of them is a series too, and so is the worst place, a NIC (node and rail) or a node alone, by the median of
its rows: a fleet's median does not move when three of a hundred nodes are slow, nor its worst tenth when one
is.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

#: Up to this size the time of a message is watched, from then on the bandwidth: below it all steps of an
#: operation together are latency (expectation/estimate.py), and busbw is a small number of no meaning.
LATENCY_BYTES = 64 << 10
#: Rows of a case that have a worst tenth.
MANY = 10

Of = Literal["latency", "bandwidth", "all"]


@dataclasses.dataclass(frozen=True)
class Metric:
    """`column` of a case frame in `unit`, of the rows of a case the `quantile`.

    `of` are the cases that have it; `many`: only where there are at least MANY rows. `of_places`: the
    smallest of the places' medians, of groups of one or two nodes.
    """

    column: str
    unit: str
    larger_is_better: bool
    quantile: float = 0.5
    of: Of = "all"
    many: bool = False
    of_places: bool = False


METRICS: dict[str, Metric] = {
    "busbw": Metric("busbw_GBps", "GB/s", True, of="bandwidth"),
    "busbw-worst-tenth": Metric("busbw_GBps", "GB/s", True, 0.1, "bandwidth", True),
    "busbw-worst-place": Metric("busbw_GBps", "GB/s", True, 0.0, "bandwidth", True, True),
    "time": Metric("median_seconds", "s", False, of="latency"),
    "time-worst-tenth": Metric("median_seconds", "s", False, 0.9, "latency", True),
    "p99": Metric("p99_seconds", "s", False),
    "fairness": Metric("jain", "", True),
    "slowest-flow": Metric("slowest_flow_GBps", "GB/s", True),
    "impact": Metric("impact", "", False),
}
