"""What a run sent, as the rules want to know it: flows, fair shares, share of the line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from railgauge.patterns import PAIRWISE
from railgauge.schedules import ISOLATED
from railgauge.units import GIGA
from railgauge_reports.flows import flow_frame
from railgauge_reports.frame_parts import records, stretch
from railgauge_reports.lossless.evidence import Flow, Port, Traffic, Victim
from railgauge_reports.stored import StoredRun

#: Below it a bandwidth says more of latency than of the line.
LARGE_BYTES = 16 << 20
#: Of a run's data that a port must have carried for its line rate to matter.
CARRIED = 0.1
#: Operations in which every rank sends as much as every other.
SYMMETRIC = ("all_reduce", "all_gather", "reduce_scatter", "alltoall")
#: What is wanted of a row that was measured.
_COLUMNS = [
    "case",
    "round",
    "group",
    "hosts",
    "nbytes",
    "setting",
    "busbw_GBps",
    "impact",
    "stable",
]
#: An iteration is an outlier from this many medians on.
OUTLIER = 10


def traffic_of(
    stored: StoredRun, rows: pd.DataFrame, ports: Sequence[Port], gigabytes: float | None
) -> Traffic:
    """What can be told of the traffic from the rows of a case frame; the rest stays unknown."""
    measured = rows[_COLUMNS].iloc[stretch(rows["busbw_GBps"].notna().to_numpy(bool))]
    frame = flow_frame(stored)
    largest = frame[frame["nbytes"] == frame["nbytes"].max()]
    flows, fairness = _flows(stored, largest) or (None, None)
    met, least = (None, None) if flows is not None else _pairs(stored, measured)
    share, stable = _line(measured, ports, gigabytes)
    return Traffic(
        pattern=stored.plan.pattern,
        flows=flows,
        fairness=least if fairness is None else fairness,
        ideal_GBps=_ideal(stored, largest),
        victims=_victims(measured) or None,
        line_share=share,
        stable=stable,
        symmetric=_symmetric(stored, ports),
        outliers=_outliers(rows),
        met=met,
    )


def _flows(
    stored: StoredRun, largest: pd.DataFrame
) -> tuple[tuple[Flow, ...], float | None] | None:
    """Every flow at the largest size, of an incast with most senders, and the least fair group."""
    if largest.empty:
        return None
    largest = largest[largest["case"] == largest["case"].min()]  # one form of call, one type
    if stored.plan.pattern == "incast":
        largest = largest[largest["round"] == largest["round"].max()]
    flows = tuple(
        Flow(str(source), str(target), float(rate))
        for source, target, rate in zip(
            largest["source_host"], largest["target_host"], largest["GBps"], strict=True
        )
        if source != target
    )
    return flows, _least_fair(largest, ["case", "round", "group"], "GBps")


def _ideal(stored: StoredRun, largest: pd.DataFrame) -> float | None:
    """The fair share of a flow of the largest incast: what one has alone, by the number of them."""
    if stored.plan.pattern != "incast":
        return None
    alone = largest[largest["round"] == 0]["GBps"]
    most = largest[largest["round"] == largest["round"].max()]
    if alone.empty or most["round"].eq(0).all():
        return None
    senders = most.groupby(["case", "group"]).size().max()
    return float(alone.max()) / int(senders)


def _victims(rows: pd.DataFrame) -> tuple[Victim, ...]:
    """The hosts of victims at the largest size: bandwidth alone, and the least beside a load."""
    largest = rows[rows["nbytes"] == rows["nbytes"].max()]
    alone = largest[largest["setting"] == ISOLATED]
    beside = largest[largest["impact"].notna()]
    found = []
    for case, group, hosts, rate in records(alone, "case", "group", "hosts", "busbw_GBps"):
        same = beside[(beside["case"] == case) & (beside["group"] == group)]
        if not same.empty:
            least = float(same["busbw_GBps"].min())
            found += [Victim(host, rate, least) for host in hosts.split()]
    return tuple(found)


def _pairs(stored: StoredRun, rows: pd.DataFrame) -> tuple[Iterable[str] | None, float | None]:
    """Every two hosts that met at the largest size, and the least fair round; of a pattern of pairs."""
    if stored.plan.pattern not in PAIRWISE:
        return None, None
    largest = rows.iloc[stretch((rows["nbytes"] == rows["nbytes"].max()).to_numpy(bool))]
    several = len(set(stored.last.hosts)) > 1 and len(largest) > 0
    fair = _least_fair(largest, ["case", "round"], "busbw_GBps")
    return (_Met(largest["hosts"]) if several else None), fair


class _Met:
    """The names of every two hosts that met, once each: looked for when a rule asks."""

    def __init__(self, hosts: pd.Series) -> None:
        self._hosts = hosts

    def __iter__(self) -> Iterator[str]:
        hosts = pd.Series(self._hosts.unique())
        return iter(hosts[hosts.str.count(" ") == 1])


def _least_fair(rows: pd.DataFrame, keys: list[str], name: str) -> float | None:
    """The smallest of Jain's indexes of groups of several rates (`statistics.jain`)."""
    rates = rows[name].to_numpy(float)
    told = rows[keys].assign(rate=rates, square=rates**2)
    groups = told.groupby(keys, sort=False)
    sums, size = groups[["rate", "square"]].sum(), groups["rate"].count()
    sums, size = sums[(size > 1) & (sums["square"] > 0)], size[(size > 1) & (sums["square"] > 0)]
    indexes = sums["rate"] ** 2 / (size * sums["square"])
    return float(indexes.min()) if len(indexes) else None


def _line(
    rows: pd.DataFrame, ports: Sequence[Port], gigabytes: float | None
) -> tuple[float | None, bool | None]:
    """(best bandwidth between hosts over the line rate, were its times stable)."""
    fabric = [port for port in ports if port.kind == "fabric"]
    rates = [port.rate_Gbps for port in fabric]
    sent = [c.delta or 0 for port in fabric for c in port.by_event.get("data_tx", ())]
    known = [rate for rate in rates if rate]
    carried = bool(gigabytes) and max(sent, default=0) >= CARRIED * (gigabytes or 0) * GIGA
    if not carried or len(known) < len(rates):
        return None, None
    large = rows[(rows["nbytes"] >= LARGE_BYTES) & rows["hosts"].str.contains(" ")]
    if large.empty:
        return None, None
    best = float(large["busbw_GBps"].max())
    return best * 8 / min(known), bool(large["stable"].fillna(False).all())


def _symmetric(stored: StoredRun, ports: Sequence[Port]) -> bool | None:
    """Do all hosts send the same over all their NICs? None where it cannot be told."""
    on_node = Counter(stored.starts[-1].node_of.tolist())
    each = set(on_node.values())
    rails: dict[str, int] = {}
    for port in ports:
        if port.kind == "fabric":
            rails[port.host] = rails.get(port.host, 0) + 1
    plan = stored.plan
    even = plan.pattern == "world" and all(name in SYMMETRIC for name in plan.operations)
    if not even or len(each) != 1 or len(on_node) < 2 or not rails:
        return None
    return True if min(each) >= max(rails.values()) else None


def _outliers(rows: pd.DataFrame) -> tuple[float, ...]:
    """The slowest iteration of every row in which one stands far out."""
    most = rows["max_seconds"]
    return tuple(float(seconds) for seconds in most[most >= OUTLIER * rows["median_seconds"]])
