"""Captures of a configuration: the same keys whatever the tool."""

from __future__ import annotations

import pytest

from railgauge import captures

ONLY_3 = [priority == 3 for priority in range(8)]


def test_mlnx_qos_has_everything_of_its_table(parsed):
    made = parsed("mlnx_qos.device")
    (row,) = made.rows
    assert row["netdev"] == "eth5"
    assert (row["trust"], row["dcbx"], row["cable_metres"]) == ("dscp", "OS controlled", 7)
    assert row["dscp_to_priority"] == {**dict.fromkeys(range(8), 0), 26: 3}
    assert row["pfc"] == ONLY_3
    assert row["priority_to_buffer"] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert row["buffer_nbytes"][1] == 156096
    assert row["priority_to_tc"] == [0, 0, 0, 3, 6, 6, 6, 6]
    assert row["traffic_classes"][1]["bandwidth_percent"] == 60
    assert "bandwidth_percent" not in row["traffic_classes"][2]
    assert not made.problems


def test_rdma_qos_joins_network_and_rdma_device(parsed):
    (row,) = parsed("rdma_qos.query").rows
    assert (row["netdev"], row["device"], row["trust"]) == ("eth5", "mlx5_5", "pcp")
    assert row["pfc"].index(True) == 4
    assert row["ecn_np"] == [
        None,
        None,
        None,
        None,
        True,
        None,
        None,
        None,
    ]  # others were not shown
    assert row["ecn_rp"][4] is False
    assert (row["cnp_dscp"], row["cma_roce_tos"], row["traffic_class"]) == (46, 128, 128)


def test_a_traffic_class_is_its_dscp_times_four_on_all_devices_named(parsed):
    tclass, qos = parsed("tclass.text").rows
    assert tclass == {"devices": ["mlx5_3", "mlx5_4", "mlx5_5"], "traffic_class": 104, "dscp": 26}
    assert qos["dscp_to_priority"][26] == 3
    assert qos["pfc"] == ONLY_3


def test_lldptool_reads_priorities_by_name(parsed):
    (row,) = parsed("lldptool.tlvs").rows
    assert row["pfc"] == [n in (3, 4) for n in range(8)]
    assert (row["pfc_willing"], row["willing"]) == (False, True)
    assert row["priority_to_tc"] == [0, 0, 0, 1, 1, 0, 2, 0]
    assert row["traffic_classes"][1] == {"tc": 1, "tsa": "ets", "bandwidth_percent": 80.0}


@pytest.mark.parametrize(
    ("told", "on"),
    [
        ("3", [3]),
        ("3 4", [3, 4]),
        ("none", []),
        ("0,0,0,1,0,0,0,1", [3, 7]),
        ("0 1 2 3 4 5 6 7", list(range(8))),
    ],
)
def test_pfc_may_be_told_as_flags_or_as_priorities(told, on):
    text = f"IEEE 8021QAZ PFC TLV:\n   PFC enabled: {told}\n"
    (row,) = captures.format_named("niccli").parse(text).rows
    assert row["pfc"] == [n in on for n in range(8)]


def test_pfc_of_a_priority_that_does_not_exist_is_not_known():
    made = captures.format_named("niccli").parse("IEEE 8021QAZ PFC TLV:\n   PFC enabled: 9\n")
    assert made.rows[0]["pfc"] is None
    assert made.problems[0].line == 2


def test_niccli_tells_dscps_from_ports(parsed):
    (row,) = parsed("niccli.getqos").rows
    assert row["dscp_to_priority"] == {46: 6}
    assert row["app"][1] == {"priority": 3, "sel": 3, "udp_or_dccp": 4791}
    assert row["priority_to_tc"] == [0, 0, 0, 1, 0, 0, 0, 2]


def test_niccli_lists_cards(parsed):
    assert [(row["netdev"], row["pci"]) for row in parsed("niccli.list").rows] == [
        ("bnxt0", "0000:3a:00.0"),
        ("bnxt1", "0000:3b:00.0"),
    ]


def test_dcb_ets_and_app_have_the_common_keys(parsed):
    (row,) = parsed("dcb.ets").rows
    assert row["priority_to_tc"] == [0, 0, 0, 3, 0, 0, 6, 0]
    assert row["dscp_to_priority"] == {26: 3, 48: 6}
    assert row["traffic_classes"][3] == {"tc": 3, "tsa": "ets", "bandwidth_percent": 90.0}
    assert row["willing"] is False


def test_rows_of_settings_that_are_odd_say_where():
    text = "# mlnx_qos -i e0\nPFC configuration:\n  enabled 0 0 1\nPriority trust state: dscp\n"
    made = captures.format_named("mlnx_qos").parse(text)
    assert made.rows[0]["pfc"] is None
    assert made.problems[0].line == 3


@pytest.mark.parametrize("name", ["rdma_link.links", "rdma_link.text"])
def test_rdma_links_have_state_and_network_device(parsed, name):
    up, down = parsed(name).rows
    assert (up["device"], up["port"], up["netdev"], up["state"]) == ("mlx5_3", 1, "eth3", "ACTIVE")
    assert down["state"] == "DOWN"
    assert "netdev" not in down


def test_gids_are_counted_against_what_the_tool_says(parsed):
    made = parsed("show_gids.table")
    assert made.rows[1]["ipv4"] == "10.0.0.1"
    assert made.rows[1]["version"] == "v2"
    assert "netdev" not in made.rows[2]
    assert not made.problems
    short = captures.format_named("show_gids").parse("DEV PORT INDEX GID\nn_gids_found=2\n")
    assert short.problems[0].what == "2 GIDs were found, 0 stand here"
