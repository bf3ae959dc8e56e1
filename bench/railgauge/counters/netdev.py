"""Network devices: what the kernel counts for every one of them, and how often the carrier went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from railgauge.counting import Kind, Place, Reading, Roots, read_counters
from railgauge.linux.sysfs import entries, text

CLASS = "class/net"
#: Since boot, without help from a driver (Documentation/ABI/testing/sysfs-class-net).
CARRIER = ("carrier_changes", "carrier_down_count", "carrier_up_count")

FACTS = ("operstate", "speed", "mtu")


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    del facts
    canonical = ("link_down",) if name == "carrier_down_count" else ()
    return Kind(unit="B" if name.endswith("_bytes") else "", canonical=canonical)


def read(roots: Roots) -> Iterator[Reading]:
    """Every device of this network namespace but the loopback."""
    devices = roots.sysfs / CLASS
    for device in entries(devices):
        if device == "lo":
            continue
        folder = devices / device
        values: dict[str, int] = {}
        why: dict[str, str] = {}
        read_counters(folder / "statistics", None, values, why)
        if not values and not why:
            continue  # a file beside the devices, as bonding_masters
        there = entries(folder)
        read_counters(folder, [name for name in CARRIER if name in there], values, why)
        facts = {name: text(folder / name) for name in FACTS if name in there}
        yield Reading(Place("netdev", device), values, why, {k: v for k, v in facts.items() if v})
