"""What a run sent, as the rules want to know it: flows, fair shares, share of the line."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from railgauge_reports.lossless.evidence import Flow, Port, Traffic
from railgauge_reports.stored import StoredRun

#: Below it a bandwidth says more of latency than of the line.
LARGE_BYTES = 16 << 20
#: Of a run's data that a port must have carried for its line rate to matter.
CARRIED = 0.1
#: Operations in which every rank sends as much as every other.
SYMMETRIC = ("all_reduce", "all_gather", "reduce_scatter", "alltoall")
#: An iteration is an outlier from this many medians on.
OUTLIER = 10


def jain(rates: Sequence[float]) -> float | None:
    """(sum x)^2 / (n sum x^2), in [1/n, 1] (Jain, Chiu, Hawe 1984); None of nothing."""
    squares = sum(rate * rate for rate in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares else None


def traffic_of(
    stored: StoredRun, rows: pd.DataFrame, ports: Sequence[Port], gigabytes: float | None
) -> Traffic:
    """What can be told of the traffic from the rows of a case frame; the rest stays unknown."""
    measured = rows[rows["busbw_GBps"].notna()]
    flows, fairness = _pairs(measured) if stored.plan.pattern == "pairs" else (None, None)
    share, stable = _line(measured, ports, gigabytes)
    return Traffic(
        pattern=stored.plan.pattern,
        flows=flows,
        fairness=fairness,
        line_share=share,
        stable=stable,
        symmetric=_symmetric(stored, ports),
        outliers=_outliers(rows),
    )


def _pairs(rows: pd.DataFrame) -> tuple[tuple[Flow, ...] | None, float | None]:
    """Both directions of every pair of hosts at the largest size, and the least fair round."""
    largest = rows[rows["nbytes"] == rows["nbytes"].max()]
    flows = []
    for row in largest.to_dict("records"):
        hosts = str(row["hosts"]).split()
        if len(hosts) == 2:
            rate = float(row["busbw_GBps"])
            flows += [Flow(hosts[0], hosts[1], rate), Flow(hosts[1], hosts[0], rate)]
    indexes = [
        index
        for _, group in largest.groupby(["case", "round"])
        if len(group) > 1 and (index := jain([float(v) for v in group["busbw_GBps"]])) is not None
    ]
    return (tuple(flows) or None), min(indexes, default=None)


def _line(
    rows: pd.DataFrame, ports: Sequence[Port], gigabytes: float | None
) -> tuple[float | None, bool | None]:
    """(best bandwidth between hosts over the line rate, were its times stable)."""
    fabric = [port for port in ports if port.kind == "fabric"]
    rates = [port.rate_Gbps for port in fabric]
    sent = [c.delta or 0 for port in fabric for c in port.by_event.get("data_tx", ())]
    large = rows[(rows["nbytes"] >= LARGE_BYTES) & rows["hosts"].str.contains(" ")]
    known = [rate for rate in rates if rate]
    carried = bool(gigabytes) and max(sent, default=0) >= CARRIED * (gigabytes or 0) * 1e9
    if large.empty or not carried or len(known) < len(rates):
        return None, None
    best = float(large["busbw_GBps"].max())
    return best * 8 / min(known), bool(large["stable"].fillna(False).all())


def _symmetric(stored: StoredRun, ports: Sequence[Port]) -> bool | None:
    """Do all hosts send the same over all their NICs? None where it cannot be told."""
    nodes = [node for node, times in stored.last.nodes for _ in range(times)]
    each = {nodes.count(node) for node in set(nodes)}
    rails: dict[str, int] = {}
    for port in ports:
        if port.kind == "fabric":
            rails[port.host] = rails.get(port.host, 0) + 1
    plan = stored.plan
    even = plan.pattern == "world" and all(name in SYMMETRIC for name in plan.operations)
    if not even or len(each) != 1 or len(set(nodes)) < 2 or not rails:
        return None
    return True if min(each) >= max(rails.values()) else None


def _outliers(rows: pd.DataFrame) -> tuple[float, ...]:
    """The slowest iteration of every row in which one stands far out."""
    far = rows[rows["max_seconds"] >= OUTLIER * rows["median_seconds"]]
    return tuple(float(seconds) for seconds in far["max_seconds"])
