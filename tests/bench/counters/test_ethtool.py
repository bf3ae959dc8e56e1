"""Drivers' statistics through the ioctl, and what their names mean."""

from __future__ import annotations

import struct

import pytest

from railgauge.counters import ethtool
from railgauge.counting import Roots


def test_names_of_32_bytes_get_their_values():
    strings = b"rx_prio3_pause".ljust(32, b"\0") + b"x" * 32 + b"".ljust(32, b"\0")
    values = struct.pack("=QQQ", 5, 2**64 - 1, 7)
    assert ethtool.decoded(strings, values, 3) == {"rx_prio3_pause": 5, "x" * 32: 2**64 - 1}


def test_of_a_name_that_stands_twice_the_first_is_kept():
    strings = b"again".ljust(32, b"\0") * 2
    assert ethtool.decoded(strings, struct.pack("=QQ", 1, 2), 2) == {"again": 1}


def test_replies_that_are_cut_off_give_what_is_there():
    assert ethtool.decoded(b"one".ljust(32, b"\0"), struct.pack("=Q", 4), 3) == {"one": 4}


def test_a_device_that_the_kernel_does_not_know_is_an_error():
    with pytest.raises(OSError, match=r"No such device|not supported"):
        ethtool.statistics("no-such-device")


def test_a_device_whose_driver_says_nothing_is_unknown_with_the_reason(tmp_path):
    (tmp_path / "class/net/no-such/device").mkdir(parents=True)
    (tmp_path / "class/net/no-such/device/driver").symlink_to("/drivers/mlx5_core")
    (tmp_path / "class/net/virtual").mkdir()
    (reading,) = ethtool.read(Roots(tmp_path, tmp_path))
    assert not reading.values
    assert "*" in reading.unknown
    assert reading.facts == {"driver": "mlx5_core"}


@pytest.mark.parametrize(
    ("name", "event", "priority", "unit"),
    [
        ("rx_prio3_pause", "pause_rx", 3, ""),
        ("tx_prio5_pause_duration", "pause_tx_us", 5, "us"),
        ("pfc_pri4_rx_duration_us", "pause_rx_us", 4, "us"),
        ("rx_pfc_ena_frames_pri2", "pause_rx", 2, ""),
        ("tx_priority_1_xoff.nic", "pause_tx", 1, ""),
        ("rx_pripause_6_1us_count", "pause_rx_us", 6, "us"),
        ("rx_global_pause", "global_pause_rx", None, ""),
        ("rx_discards_phy", "discard_rx", None, ""),
        ("link_down_events_phy", "link_down", None, ""),
        ("port.rx_priority_2_xoff", "pause_rx", 2, ""),
        ("tx_pause_frames", "global_pause_tx", None, ""),
        ("tx_global_pause_duration", "global_pause_tx_us", None, "us"),
        ("rx_pfc_frames", "pause_wire_rx", None, ""),
        ("rx_prio3_discards", "priority_discard_rx", 3, ""),
        ("rx_prio3_buf_discard", "priority_discard_rx", 3, ""),
        ("rx_prio5_marked", "priority_marked", 5, ""),
        ("rx_err_lane_3_phy", "lane_error", None, ""),
        ("module_high_temp", "module_error", None, ""),
        ("outbound_pci_stalled_wr", "pci_stalled", None, "%"),
        ("tx_vport_rdma_unicast_bytes", "rdma_bytes_tx", None, "B"),
        ("tx_bytes_pri4", "priority_bytes_tx", 4, "B"),
        ("rx_vport_rdma_unicast_bytes", None, None, "B"),
        ("rx_prio0_bytes", None, 0, "B"),
        ("rx_total_ring_discards", None, None, ""),
    ],
)
def test_drivers_names_are_understood(name, event, priority, unit):
    kind = ethtool.kind(name, {})
    assert kind.canonical == ((event,) if event else ())
    assert (kind.priority, kind.unit) == (priority, unit)


def test_stalls_of_the_last_second_are_a_gauge():
    assert ethtool.kind("outbound_pci_stalled_wr", {}).arithmetic == "gauge"
    assert ethtool.kind("outbound_pci_stalled_wr_events", {}).arithmetic == "free"


def test_how_often_a_module_was_too_hot_is_a_count():
    assert ethtool.kind("module_high_temp", {}).arithmetic == "free"
