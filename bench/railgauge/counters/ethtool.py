"""Drivers' own statistics of network devices: pauses by priority, discards, FEC, by the ethtool ioctl.

SIOCETHTOOL with ETHTOOL_GSSET_INFO, GSTRINGS and GSTATS (include/uapi/linux/ethtool.h), which anybody
may ask. Names and meanings are the drivers'; those known here are mlx5's, bnxt's, ice's,
i40e's and ionic's.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping

from railgauge.counting import Kind, Place, Reading, Roots
from railgauge.linux.ethtool import ask
from railgauge.linux.sysfs import entries

CLASS = "class/net"
_GSSET_INFO, _GSTRINGS, _GSTATS = 0x37, 0x1B, 0x1D
_SS_STATS, _NAME = 1, 32  # ETH_SS_STATS, ETH_GSTRING_LEN
MOST = 1 << 16  # statistics of one device
_GAUGES = re.compile(r"outbound_pci_stalled_(rd|wr)|.*link_speed")
_MICROSECONDS = re.compile(r".*(_duration|_duration_us|_1us_count)")
_PRIORITY = re.compile(r"(?:^|[_-])(?:prio|priority_|pri|pripause_|prio-)(\d)(?:[_.]|$)")
#: What counts the same thing with several drivers: the event, and names of counters as a pattern.
#: `*_us` are microseconds of pause; a storm is what a driver's own watchdog took for one.
EVENTS: Mapping[str, str] = {
    "pause_rx": r"rx_prio\d_pause|rx_pfc_ena_frames_pri\d|(port\.)?rx_priority_\d_xoff(\.nic)?",
    "pause_tx": r"tx_prio\d_pause|tx_pfc_ena_frames_pri\d|(port\.)?tx_priority_\d_xoff(\.nic)?",
    "pause_rx_us": r"rx_prio\d_pause_duration|pfc_pri\d_rx_duration_us|rx_pripause_\d_1us_count",
    "pause_tx_us": r"tx_prio\d_pause_duration|pfc_pri\d_tx_duration_us|tx_pripause_\d_1us_count",
    "global_pause_rx": r"rx_global_pause|rx_pause_frames|link_xoff_rx\.nic|port\.link_xoff_rx",
    "global_pause_tx": r"tx_global_pause|tx_pause_frames|link_xoff_tx\.nic|port\.link_xoff_tx",
    "global_pause_rx_us": r"rx_global_pause_duration",
    "global_pause_tx_us": r"tx_global_pause_duration",
    "pause_wire_rx": r"rx_pause_ctrl_phy|rx_pfc_frames|frames_rx_pripause|pfc_frames_received",
    "pause_wire_tx": r"tx_pause_ctrl_phy|tx_pfc_frames|frames_tx_pripause|pfc_frames_sent",
    "pause_storm": r"tx_pause_storm_(warning|error)_events|pfc_wd_storms_detected_p\d",
    "discard_rx": r"rx_discards_phy|rx_stat_discard|hw_rx_dropped|rx_dropped\.nic|port\.rx_dropped"
    r"|rx_brb_discard",
    "discard_tx": r"tx_discards_phy|tx_stat_discard|hw_tx_dropped",
    "priority_discard_rx": r"rx_prio\d(_buf|_cong)?_discards?",
    "priority_marked": r"rx_prio\d_marked",
    "buffer_threshold": r"rx_buffer_passed_thres_phy",
    "crc_error": r"rx_crc_errors_phy|rx_crc_errors\.nic|port\.rx_crc_errors",
    "uncorrected_error": r"rx_pcs_symbol_err(_phy)?|rx_fec_uncorrectable_blocks",
    "corrected_error": r"rx_corrected_bits_phy|rx_fec_corrected_blocks",
    "lane_error": r"rx_err_lane_\d_phy",
    "link_down": r"link_down_events(_phy)?",
    "module_error": r"module_(unplug|bus_stuck|high_temp|bad_shorted)",
    "mtu_drop": r"rx_oversize_pkts_phy|rx_ovrsz_frames|rx_oversize\.nic|port\.rx_oversize",
    "pci_signal": r"[rt]x_pci_signal_integrity",
    "pci_stalled": r"outbound_pci_stalled_wr",
    "pci_overflow": r"outbound_pci_buffer_overflow",
    "phy_bits_rx": r"rx_bits_phy",
    "phy_bytes_rx": r"rx_bytes_phy",
    "rdma_bytes_tx": r"tx_vport_rdma_unicast_bytes",
    "priority_bytes_tx": r"tx_prio\d_bytes|tx_bytes_pri\d",
}
_PATTERNS = {event: re.compile(names) for event, names in EVENTS.items()}


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    """By the name alone: whatever the driver, 64 bits that run freely, but for gauges."""
    del facts
    return _kind(name)


@functools.cache  # a host has thousands of names, and each case asks for them
def _kind(name: str) -> Kind:
    canonical = tuple(event for event, names in _PATTERNS.items() if names.fullmatch(name))
    if _GAUGES.fullmatch(name):
        return Kind("%" if "stalled" in name else "", arithmetic="gauge", canonical=canonical)
    unit = "us" if _MICROSECONDS.fullmatch(name) else "B" if "bytes" in name else ""
    found = _PRIORITY.search(name)
    priority = int(found[1]) if found else None
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
