"""What rules about a fabric need to know of each host's configuration, under names that stay.

A fact of a device is called `NAME:DEVICE`, one of a port after the first `NAME:DEVICE/PORT`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from railgauge.auditing.records import Read, Report, Taken

#: A number, a word, yes or no, or priorities.
Setting = str | int | float | bool | tuple[int, ...]


def _plain(name: str) -> Callable[[Any], dict[str, Setting]]:
    return lambda value: {name: value}


def _priorities(name: str) -> Callable[[Any], dict[str, Setting]]:
    """Those of {priority: on}, or of a list."""

    def made(value: Any) -> dict[str, Setting]:
        on = [p for p, yes in value.items() if yes] if isinstance(value, dict) else value
        return {name: tuple(sorted(map(int, on)))}

    return made


def _pcie(value: Any) -> dict[str, Setting]:
    """The worst link on the way to the root, lanes and GT/s, and what it should be."""
    worst = value["worst"]
    return {f"pcie_{name}": worst[name] for name in ("width", "width_max", "speed", "speed_max")}


#: Check -> the facts in its value.
FACTS: dict[str, Callable[[Any], dict[str, Setting]]] = {
    "pfc": _priorities("pfc"),
    "trust": lambda value: {"trust": value["trust"]},  # dscp, pcp
    "dscp_priority": lambda value: {
        "dscp_priority": ",".join(f"{dscp}:{priority}" for dscp, priority in value.items())
    },
    "mtu": _plain("mtu"),  # bytes
    "ecn_np": _priorities("np_enable"),
    "ecn_rp": _priorities("rp_enable"),
    "cnp_dscp": _plain("cnp_dscp"),
    "global_pause": lambda value: {"global_pause": bool(value["rx"] or value["tx"])},
    "pcie_link": _pcie,
    "link_layer": _plain("link_layer"),
    "port_rate": lambda value: {"rate_Gbps": value["Gbps"]},
    "device_binding": lambda value: {"netdev": value["netdev"]},
}


def facts_of(report: Report) -> dict[str, dict[str, Setting]]:
    """Host -> {name: value}. What is unknown or does not apply is not there."""
    return {taken.host: settings_of(taken) for taken in report.taken if taken.leads}


def settings_of(taken: Taken) -> dict[str, Setting]:
    """The facts of one host."""
    return {
        f"{name}:{place}" if place else name: value
        for read in taken.reads
        for name, place, value in _facts(read)
    }


def _facts(read: Read) -> Iterator[tuple[str, str, Setting]]:
    if read.check in FACTS and not read.unknown and not read.inapplicable:
        device, _, port = read.where.partition(" port ")
        place = f"{device}/{port}" if port not in ("", "1") else device
        for name, value in FACTS[read.check](read.value).items():
            yield name, place, value
