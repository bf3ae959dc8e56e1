"""What rules about a fabric need to know of each host's configuration, under names that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from railgauge.audit_records import Read, Report, Taken

#: Check -> name of the fact; a fact of a device is called `NAME/DEVICE`.
FACTS = {
    "pfc": "pfc",  # list of priorities, by netdev
    "trust": "trust",  # dscp or pcp, by netdev
    "dscp_priority": "dscp_priority",  # {DSCP: priority}, by netdev
    "mtu": "mtu",  # bytes, by netdev
    "ecn_np": "np_enable",  # list of priorities, by netdev
    "ecn_rp": "rp_enable",
    "cnp_dscp": "cnp_dscp",  # by netdev
    "global_pause": "global_pause",  # bool, by netdev
    "pcie_link": "pcie_narrow",  # list of sentences, empty where all links are whole, by device
    "link_layer": "link_layer",  # by port, as mlx5_0:1
    "port_rate": "rate_Gbps",  # by port
    "device_binding": "netdev",  # by port
}


def facts_of(report: Report) -> dict[str, dict[str, Any]]:
    """Host -> {name: value}. What is unknown or does not apply is not there."""
    return facts_of_readings(report.taken)


def facts_of_readings(taken: Sequence[Taken]) -> dict[str, dict[str, Any]]:
    """The same of what nodes have read, as a run's `audit.json` keeps it."""
    made: dict[str, dict[str, Any]] = {}
    for by in taken:
        if by.leads:
            here = made.setdefault(by.host, {})
            for read in by.reads:
                if read.check in FACTS and not read.unknown and not read.inapplicable:
                    name = FACTS[read.check]
                    where = read.where.replace(" port ", ":")
                    here[f"{name}/{where}" if where else name] = _fact(name, read)
    return made


def _fact(name: str, read: Read) -> Any:
    value = read.value
    if name in ("np_enable", "rp_enable"):
        return sorted(int(priority) for priority, on in value.items() if on)
    if name == "global_pause":
        return bool(value["rx"] or value["tx"])
    if name == "trust":
        return value["trust"]
    if name == "rate_Gbps":
        return value["Gbps"]
    if name == "netdev":
        return value["netdev"]
    if name == "pcie_narrow":
        return [
            " ".join(str(s[k]) for k in ("bus_id", "width", "speed") if k in s)
            for s in value["slow"]
        ]
    return value
