"""Drivers' own statistics of network devices: pauses by priority, discards, FEC, by the ethtool ioctl.

SIOCETHTOOL with ETHTOOL_GSSET_INFO, GSTRINGS and GSTATS (include/uapi/linux/ethtool.h), which anybody
may ask. Names and meanings are the drivers'; those known here are mlx5's, bnxt's, ice's and ionic's.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping

from railgauge.counting import Kind, Place, Reading, Roots, entries
from railgauge.ethtool import ask

CLASS = "class/net"
_GSSET_INFO, _GSTRINGS, _GSTATS = 0x37, 0x1B, 0x1D
_SS_STATS, _NAME = 1, 32  # ETH_SS_STATS, ETH_GSTRING_LEN
MOST = 1 << 16  # statistics of one device
_GAUGES = re.compile(r"outbound_pci_stalled_(rd|wr)|.*_high_temp|.*link_speed")
_MICROSECONDS = re.compile(r".*(_duration|_duration_us|_1us_count)")
_PRIORITY = re.compile(r"(?:^|[_-])(?:prio|priority_|pri|pripause_|prio-)(\d)(?:[_.]|$)")
#: What counts the same thing with several drivers; {p} is a priority.
_CANONICAL = (
    (re.compile(r"rx_prio\d_pause|rx_pfc_ena_frames_pri\d|rx_priority_\d_xoff\.nic"), "pause_rx"),
    (re.compile(r"tx_prio\d_pause|tx_pfc_ena_frames_pri\d|tx_priority_\d_xoff\.nic"), "pause_tx"),
    (
        re.compile(r"rx_prio\d_pause_duration|pfc_pri\d_rx_duration_us|rx_pripause_\d_1us_count"),
        "pause_rx_us",
    ),
    (
        re.compile(r"tx_prio\d_pause_duration|pfc_pri\d_tx_duration_us|tx_pripause_\d_1us_count"),
        "pause_tx_us",
    ),
    (re.compile(r"rx_global_pause|rx_pause_frames|link_xoff_rx\.nic"), "global_pause_rx"),
    (re.compile(r"tx_global_pause|tx_pause_frames|link_xoff_tx\.nic"), "global_pause_tx"),
    (re.compile(r"rx_discards_phy|rx_stat_discard|hw_rx_dropped"), "discard_rx"),
    (re.compile(r"tx_discards_phy|hw_tx_dropped"), "discard_tx"),
    (re.compile(r"rx_crc_errors_phy|rx_crc_errors\.nic"), "crc_error"),
    (re.compile(r"rx_pcs_symbol_err(_phy)?|rx_fec_uncorrectable_blocks"), "uncorrected_error"),
    (re.compile(r"rx_corrected_bits_phy|rx_fec_corrected_blocks"), "corrected_error"),
    (re.compile(r"link_down_events(_phy)?"), "link_down"),
    (re.compile(r"rx_oversize_pkts_phy|rx_ovrsz_frames"), "mtu_drop"),
)


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    """By the name alone: whatever the driver, 64 bits that run freely, but for gauges."""
    del facts
    return _kind(name)


@functools.cache  # a host has thousands of names, and each case asks for them
def _kind(name: str) -> Kind:
    if _GAUGES.fullmatch(name):
        return Kind(unit="%" if "stalled" in name else "", arithmetic="gauge")
    unit = "us" if _MICROSECONDS.fullmatch(name) else "B" if "bytes" in name else ""
    found = _PRIORITY.search(name)
    priority = int(found[1]) if found else None
    canonical = tuple(event for pattern, event in _CANONICAL if pattern.fullmatch(name))
    return Kind(unit, canonical=canonical, priority=priority)


def read(roots: Roots) -> Iterator[Reading]:
    """Devices of this network namespace that a driver of hardware (a `device` link) stands behind."""
    folder = roots.sysfs / CLASS
    for device in entries(folder):
        if not (folder / device / "device").exists():
            continue
        place, facts = Place("ethtool", device), {}
        with contextlib.suppress(OSError):
            facts["driver"] = os.readlink(folder / device / "device/driver").rpartition("/")[2]
        try:
            yield Reading(place, statistics(device), {}, facts)
        except OSError as error:
            yield Reading(place, {}, {"*": error.strerror or str(error)}, facts)


def statistics(device: str) -> dict[str, int]:
    """What `ethtool -S` shows; raises OSError (not supported, no such device)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        head = ask(control, device, struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SS_STATS, 0))
        mask, count = struct.unpack_from("=QI", head, 8)
        if not mask or not 0 < count <= MOST:
            return {}
        asked = struct.pack("=III", _GSTRINGS, _SS_STATS, count) + bytes(_NAME * count)
        strings = ask(control, device, asked)
        values = ask(control, device, struct.pack("=II", _GSTATS, count) + bytes(8 * count))
    return decoded(strings[12:], values[8:], count)


def decoded(strings: bytes, values: bytes, count: int) -> dict[str, int]:
    """Names of 32 bytes each and 64-bit values; of a name that stands twice the first is kept."""
    found: dict[str, int] = {}
    for k, (value,) in enumerate(struct.iter_unpack("=Q", values[: 8 * count])):
        raw = strings[_NAME * k : _NAME * (k + 1)]
        name = raw.partition(b"\0")[0].decode(errors="replace").strip()
        if name:
            found.setdefault(name, value)
    return found
