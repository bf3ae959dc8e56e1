"""Captures of counters: values, names of sysfs, widths that the tool had, and what is not known."""

from __future__ import annotations

import pytest

from railgauge import captures
from railgauge.counters import rdma
from railgauge.counting import Place


def test_perfquery_names_become_those_of_sysfs_for_every_port(reading):
    values = reading("perfquery.extended", "rdma", "lid41", 7).values
    assert values["port_xmit_wait"] == 5_000_000_000
    assert values["symbol_error"] == 70000
    assert values["port_xmit_data"] == 90_000_000_001
    assert values["port_rcv_packets"] == 6000
    assert values["unicast_xmit_packets"] == 4900
    assert values["VL15_dropped"] == 0
    assert values["qp1_dropped"] == 0
    assert "port_select" not in values
    assert reading("perfquery.extended", "rdma", "lid41", 8).values["port_xmit_wait"] == 4


@pytest.mark.parametrize(
    ("name", "counter", "bits", "scale"),
    [
        ("perfquery.extended", "symbol_error", 64, 1),
        ("perfquery.extended", "port_xmit_data", 64, 4),
        ("perfquery.basic", "symbol_error", 16, 1),
        ("perfquery.basic", "port_xmit_data", 32, 4),
        ("perfquery.basic", "port_rcv_packets", 32, 1),
        ("perfquery.details", "port_sw_hoq_lifetime_limit_discards", 16, 1),
    ],
)
def test_counters_are_as_wide_as_what_perfquery_asked_for(parsed, name, counter, bits, scale):
    reading = parsed(name).readings[0]
    assert counter in reading.values
    kind = rdma.kind(counter, reading.facts)
    assert (kind.bits, kind.scale) == (bits, scale)


def test_details_of_both_kinds_stand_beside_one_another(reading):
    values = reading("perfquery.details", "rdma", "lid12", 1).values
    assert values["port_neighbor_mtu_discards"] == 5
    assert values["port_dlid_mapping_errors"] == 8
    assert values["port_vl_mapping_errors"] == 0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("PortRcvRemotePhysicalErrors", "port_rcv_remote_physical_errors"),
        ("LocalLinkIntegrityErrors", "local_link_integrity_errors"),
        ("ExcessiveBufferOverrunErrors", "excessive_buffer_overrun_errors"),
        ("RcvSwRelayErrors", "port_rcv_switch_relay_errors"),
        ("XmtDataSL7", "xmt_data_sl7"),
        ("???", "???"),
    ],
)
def test_a_name_that_differs_only_in_spelling_is_respelled(theirs, ours):
    assert captures.perfquery.sysfs_name(theirs) == ours


def test_two_attributes_of_one_port_in_one_file_are_odd():
    head = (
        "# Port{} counters: Lid 1 port 1 (CapMask: 0x1)\nPortSelect:......1\nPortXmitWait:.....{}\n"
    )
    made = captures.format_named("perfquery").parse(
        head.format("", 5) + head.format(" extended", 9)
    )
    assert made.readings[0].values == {"port_xmit_wait": 5}
    assert made.readings[0].facts["attribute"] == rdma.NARROW
    assert [p.line for p in made.problems] == [4, 6]


def test_ibqueryerrors_has_the_ports_that_it_names_and_no_zeros(parsed, reading):
    switch = reading("ibqueryerrors.fabric", "rdma", "0xa1b2c3d4e5f60001", 9)
    assert switch.values == {"link_downed": 3, "port_xmit_discards": 12, "port_xmit_data": 1000}
    assert "perfquery -D" in switch.unknown["port_local_physical_errors"]
    assert switch.facts["node"] == "leaf-3"
    assert rdma.kind("link_downed", switch.facts).bits == 64
    host = reading("ibqueryerrors.fabric", "rdma", "0xa1b2c3d4e5f60099", 1)
    assert host.values == {"symbol_error": 65535, "port_xmit_wait": 12}
    assert rdma.kind("symbol_error", host.facts).bits == 16
    made = parsed("ibqueryerrors.fabric")
    assert made.facts["nodes_checked"] == 12
    assert made.rows[0]["peer"].startswith("0xa1b2c3d4e5f60099")
    assert not made.problems


def test_rdma_text_may_be_wrapped_and_names_may_have_blanks(parsed, reading):
    values = reading("rdma_statistic.text", "rdma", "mlx5_3", 1).values
    assert values == {
        "rx_write_requests": 12,
        "out_of_buffer": 13,
        "out_of_sequence": 4294967290,
        "packet_seq_err": 15,
        "np_cnp_sent": 16,
        "cc_rx_ce_pkts": 17,
    }
    assert reading("rdma_statistic.text", "rdma", "irdma0", 1).values == {
        "RNR sent": 4,
        "Rcvd Out of order packets": 5,
        "cnpSent": 6,
    }
    rows = parsed("rdma_statistic.text").rows
    assert rows[0]["optional_supported"] == ["cc_rx_ce_pkts", "cc_tx_cnp_pkts"]
    assert "cntn 4" in rows[1]["counters_of_a_queue"]  # the link's own value contains it


def test_mlx5_queue_counters_of_a_capture_wrap_as_live_ones_do(reading):
    facts = reading("rdma_statistic.tabs", "rdma", "mlx5_3", 1).facts
    assert rdma.kind("out_of_sequence", facts).arithmetic == "wrap"


def test_a_value_that_is_no_number_is_unknown(reading):
    found = reading("rdma_statistic.tabs", "rdma", "rocep4s0", 2)
    assert found.values == {"tx_cnp_pkts": 9}
    assert "not a number" in found.unknown["strange"]


@pytest.mark.parametrize("value", ["true", "-1", "1.5", "1e3", "18446744073709551616", "null"])
def test_only_counts_are_counts(value):
    text = f'[{{"ifname": "a", "port": 1, "x": {value}}}]'
    (found,) = captures.format_named("rdma_statistic").parse(text).readings
    assert found.values == {}
    assert set(found.unknown) == {"x"}


def test_ethtool_splits_at_the_last_colon_and_keeps_the_first_of_two(parsed, reading):
    found = reading("ethtool.titled", "ethtool", "eth3")
    assert found.values["[0]: rx_discards"] == 7
    assert found.values["veb.rx bytes"] == 8
    assert found.values["rx_packets"] == 100
    assert found.unknown == {"broken": "not a number: 'n/a'"}
    odd = {problem.line: problem.what for problem in parsed("ethtool.titled").problems}
    assert "100, the first, is kept" in odd[8]
    assert 9 in odd


def test_ethtool_without_title_or_device_is_unnamed(reading):
    assert reading("ethtool.bare", "ethtool", "unnamed").values["rx_crc_errors_phy"] == 386


def test_several_devices_in_one_file_stay_apart():
    text = "# ethtool -S a0\nNIC statistics:\n rx: 1\nNIC statistics:\n rx: 2\n$ sudo ethtool -S a1\n rx: 3\n"
    made = captures.format_named("ethtool").parse(text)
    assert {r.place.device: r.values["rx"] for r in made.readings} == {
        "a0": 1,
        "unnamed2": 2,
        "a1": 3,
    }


def test_a_flattened_tree_is_read_as_the_hosts_own(parsed, reading):
    port = reading("sysfs.tree", "rdma", "mlx5_5", 1)
    assert port.values == {
        "excessive_buffer_overrun_errors": 15,
        "port_rcv_data": 1000,
        "out_of_sequence": 77,
    }
    assert "N/A (no PMA)" in port.unknown["symbol_error"]
    assert port.facts["driver"] == "mlx5_core"
    network = reading("sysfs.tree", "netdev", "eth5")
    assert network.values == {"rx_dropped": 6, "carrier_down_count": 4}
    rows = parsed("sysfs.tree").rows
    assert rows[0]["rate_Gbps"] == 400
    assert rows[0]["traffic_class"] == 104
    assert rows[1]["ecn_np"] == [n == 3 for n in range(8)]
    assert rows[1]["pci"] == "0000:10:01.0"


def test_bus_ids_in_paths_do_not_end_them(parsed, reading):
    assert reading("sysfs.grep", "rdma", "mlx5_5", 1).values == {"link_downed": 2}
    port, network, link = parsed("sysfs.grep").rows
    assert port["state"] == "INIT"
    assert (network["netdev"], network["pci"]) == ("eth5", "0000:1a:00.0")
    assert link == {"pci": "0000:1a:00.0", "speed_GTps": 16.0, "width": 8, "max_width": 16}


def test_a_map_of_paths_shows_devices_by_class(parsed, reading):
    port, network = parsed("sysfs.map").rows
    assert (port["netdev"], port["rate_Gbps"]) == ("ib5", 100)
    assert (network["state"], network["rate_Gbps"]) == ("down", 200)
    assert reading("sysfs.map", "netdev", "ib5").values == {"carrier_down_count": 49}


@pytest.mark.parametrize(
    "text",
    [
        "/sys/class/infiniband\t-> .\n/sys/class/net\t-> ../net\n",
        "/sys/class/net/eth0/mtu\t-> /etc/passwd\n",
        "/sys/../../../../etc/passwd\tx\n/sys/a\t1\n/sys/a/b\t2\n",
        f"/sys/{'x' * 400}\t1\n/sys/a\0b\t1\n",
    ],
)
def test_no_path_or_link_of_a_capture_leads_out_of_it_or_breaks_it(text):
    made = captures.format_named("sysfs").parse(text)
    assert "root:" not in repr(made)


def test_a_counter_that_is_cut_is_unknown_and_not_shorter():
    text = "/sys/class/infiniband/mlx5_0/ports/1/counters/port_xmit_wait\t1234"
    (found,) = captures.format_named("sysfs").parse(text).readings
    assert found.values == {}
    assert "the capture ends inside" in found.unknown["port_xmit_wait"]


def test_proc_net_dev_has_sysfs_names_but_for_sums(reading):
    found = reading("proc_net.dev", "netdev", "eth5").values
    assert found["rx_bytes"] == 2000
    assert found["tx_carrier"] == 11
    assert (found["rx_drop"], found["rx_fifo_errors"], found["multicast"]) == (2, 3, 6)
    assert "rx_dropped" not in found
    assert reading("proc_net.dev", "netdev", "veth0001").values["tx_packets"] == 5


def test_snmp_and_netstat_may_stand_in_one_file(reading):
    values = reading("proc_net.snmp", "tcp", "host").values
    assert values["Tcp.RetransSegs"] == 17
    assert values["IpExt.InCEPkts"] == 2
    assert "Tcp.RtoMin" not in values


@pytest.mark.parametrize(
    ("name", "sent", "received"), [("dcb.pfc.txt", 77, 88), ("dcb.pfc.json", 21, 22)]
)
def test_pfc_frames_of_dcb_have_the_names_of_drivers_statistics(pytestconfig, name, sent, received):
    made = captures.read(pytestconfig.rootpath / "tests/bench/captures/fixtures" / name)
    (found,) = made.readings
    assert found.place == Place("ethtool", "eth5" if name.endswith("txt") else "unnamed")
    assert (found.values["tx_prio3_pause"], found.values["rx_prio3_pause"]) == (sent, received)
    assert made.rows[0]["pfc"] == [n == 3 for n in range(8)]
