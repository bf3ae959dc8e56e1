"""Captures of links, topology, PCIe, GPUs and bandwidths."""

from __future__ import annotations

import pytest

from railgauge import captures


def test_mlxlink_numbers_are_numbers_and_lanes_lists(parsed):
    (row,) = parsed("mlxlink.port").rows
    assert (row["device"], row["rate_Gbps"], row["state"]) == ("mlx5_5", 400.0, "Active")
    assert row["effective_physical_errors"] == 2
    assert row["effective_physical_ber"] == 3e-14
    assert row["raw_physical_errors_per_lane"] == [1, 2, 3, 400]
    assert row["symbol_ber"] == 15e-255
    assert (row["bin_0"], row["bin_1"]) == (90, 8)


def test_a_ber_below_what_can_be_measured_is_no_rate_and_no_zero(parsed):
    first, second, bad = parsed("cxiberstat.nodes").rows
    assert (first["ccw_ber"], first["ucw_ber"], first["ucw_ber_below"]) == (2e-11, None, 1.176e-12)
    assert second["ccw_ber"] is None
    assert (bad["node"], bad["device"], bad["ucw_ber"]) == ("nid000102", "cxi2", 4e-12)
    assert not parsed("cxiberstat.nodes").problems


def test_ibstat_has_a_row_for_every_port(parsed):
    up, down = parsed("ibstat.adapters").rows
    assert (up["device"], up["port"], up["rate_Gbps"], up["lid"]) == ("mlx5_5", 1, 400, 90)
    assert up["firmware"] == "28.1.2"
    assert (down["state"], down["physical_state"]) == ("Down", "Disabled")


def test_leaves_have_the_hosts_that_hang_on_them(parsed):
    facts = parsed("ibnetdiscover.ports").facts
    assert facts["leaves"] == {"leaf-1": ["node1"], "leaf-2": ["node2"]}
    assert facts["hosts"]["node1"] == [
        {
            "guid": "0x00000000000000a1",
            "port": 1,
            "leaf": "leaf-1",
            "leaf_guid": "0x00000000000000b1",
            "leaf_port": 11,
        }
    ]
    assert facts["switches"]["0x00000000000000c1"] == "spine-1"
    last = parsed("ibnetdiscover.ports").rows[-1]
    assert last["speed"] is None
    assert "peer_guid" not in last


def test_a_topology_file_gives_the_same_leaves(parsed):
    facts = parsed("ibnetdiscover.topology").facts
    assert facts["leaves"] == {"leaf-1": ["node1"]}
    assert not parsed("ibnetdiscover.topology").problems


@pytest.mark.parametrize(
    ("node", "host"),
    [
        ("node7 HCA-11", "node7"),
        ("node7 mlx5_3", "node7"),
        ("node7", "node7"),
        ("a b HCA-1", "a b"),
    ],
)
def test_a_host_is_its_node_description_without_the_adapter(node, host):
    assert captures.ibnetdiscover.host_of(node) == host


def test_what_a_switch_leaves_blank_is_none(parsed):
    made = parsed("ibswinfo.switch")
    (row,) = made.rows
    assert row["uptime_seconds"] == 2 * 86400 + 3 * 3600 + 4 * 60 + 5
    assert row["fans_rpm"] == {1: None, 2: 7349}
    assert row["fan_status"] == "ERROR"
    assert row["supplies"][0] == {"supply": 0, "status": "OK", "pn": "EXPSU", "watts": 72}
    assert row["supplies"][1] == {"supply": 1, "status": "ERROR", "dc_power": None}
    assert (row["ports"], row["celsius"]) == (40, 45)
    assert {problem.line for problem in made.problems} == {16, 21}


def test_lspci_has_links_redirections_and_what_root_would_see(parsed):
    bridge, nic, closed = parsed("lspci.functions").rows
    assert (bridge["speed_GTps"], bridge["max_speed_GTps"]) == (16, 32)
    assert (bridge["width"], bridge["max_width"], bridge["numa_node"]) == (8, 16, 1)
    assert bridge["downgraded"] == ["speed", "width"]
    assert bridge["acs"] == ["SrcValid", "ReqRedir"]
    assert (nic["pci"], nic["driver"], nic["class"]) == (
        "0001:1a:00.0",
        "mlx5_core",
        "Ethernet controller",
    )
    assert (nic["max_payload_nbytes"], nic["max_read_request_nbytes"]) == (512, 4096)
    assert "downgraded" not in nic
    assert "access denied" in closed["unknown"]
    assert "speed_GTps" not in closed


def test_kernel_messages_become_events(parsed):
    made = parsed("dmesg.boot")
    events = {row["event"]: row for row in made.rows}
    limited = events["pcie_limited"]
    assert (limited["available_Gbps"], limited["capable_Gbps"]) == (31.504, 252.048)
    assert (limited["width"], limited["at"], limited["pci"]) == (4, "0000:15:01.0", "0000:1a:00.0")
    assert events["cable"]["said"] == "Cable unplugged"
    assert events["link_down"]["netdev"] == "eth5"
    assert (events["xid"]["xid"], events["xid"]["at"]) == (79, "PCI:0000:19:00")
    assert made.facts["firmware"] == {"0000:1a:00.0": "28.1.2"}
    assert made.facts["lines"] == 6


def test_repeated_messages_are_counted(parsed):
    (row,) = parsed("dmesg.kmsg").rows
    assert (row["event"], row["times"], row["seconds"]) == ("peermem", 2, 5.0001)


@pytest.mark.parametrize(
    "line",
    [
        "[Mon Aug  3 10:11:12 2026] mlx5_core 0000:1a:00.0: Port module event: module 1, Cable plugged",
        "Aug  3 10:11:12 node3 kernel: mlx5_core 0000:1a:00.0: Port module event: module 1, Cable plugged",
        "<6>[   12.000001] mlx5_core 0000:1a:00.0: Port module event: module 1, Cable plugged",
    ],
)
def test_all_ways_to_print_the_time_are_known(line):
    form = captures.format_named("dmesg")
    assert form.recognises(f"{line}\n")
    (row,) = form.parse(f"{line}\n").rows
    assert (row["event"], row["module"], row["pci"]) == ("cable", 1, "0000:1a:00.0")


def test_an_inactive_nvlink_is_none(parsed):
    first, second = parsed("nvidia_smi.nvlink").rows
    assert (first["links"], first["inactive"]) == ({0: 26.562, 1: None}, [1])
    assert second["links"] == {0: 26.562, 1: 26.562}


def test_the_last_link_counts_though_no_line_end_follows():
    text = "GPU 0: X (UUID: GPU-1)\n\t Link 0: 25 GB/s\n\t Link 1: 25 GB"
    form = captures.format_named("nvidia_smi")
    assert form.parse(f"{text}/s").rows[0]["links"] == {0: 25.0, 1: 25.0}
    assert form.parse(text).rows[0]["links"] == {0: 25.0}


def test_a_topology_has_paths_and_names_of_nics(parsed):
    made = parsed("nvidia_smi.topo")
    assert made.rows[0]["paths"] == {"GPU1": "NV18", "NIC0": "PIX"}
    assert made.rows[1]["cpu_affinity"] == "80-159"
    assert made.facts["nics"] == {"NIC0": "mlx5_5"}
    assert not made.problems


def test_perftest_passes_over_warnings_inside_its_table(parsed):
    made = parsed("perftest.bandwidth")
    assert [row["bw_average_Gbps"] for row in made.rows] == [390.11, 391.22]
    assert made.rows[0]["nbytes"] == 65536
    assert made.rows[0]["bw_peak_Gbps"] is None  # it says that it is not measured, and prints 0.00
    assert made.facts["number_of_qps"] == "8"
    assert made.facts["transport_type"] == "IB"
    assert len(made.facts["warnings"]) == 2
    assert not made.problems


def test_perftest_is_read_indented_with_banners_and_raw_times():
    text = """
* Waiting for client to connect... *
      ---------------
                    RDMA_Read Latency Test
       Mtu             : 4096[B]
       local address: LID 0000 QPN 0x0001 PSN 0x000002
       GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:00:00:01
      ---------------
       #bytes #iterations    t_avg[usec]
#, usec
1, 2.50
       2       1000          2.60
"""
    made = captures.format_named("perftest").parse(text)
    assert made.rows == ({"nbytes": 2, "iterations": 1000, "t_avg_us": 2.6},)
    assert made.facts == {"test": "RDMA_Read Latency Test", "mtu": "4096[B]"}
    assert not made.problems


def test_perftest_latencies_keep_their_unit(parsed):
    (row,) = parsed("perftest.latency").rows
    assert (row["t_typical_us"], row["99_percentile_us"], row["99_9_percentile_us"]) == (2.5, 3, 4)


def test_a_sites_own_table_keeps_what_is_no_number_apart(parsed):
    good, bad = parsed("bandwidth_csv.site").rows
    assert (good["result_Gbps"], good["nodes"], good["flags"]) == (391.22, 2, "-q 8, -s 65536")
    assert bad["result_Gbps"] is None
    assert parsed("bandwidth_csv.site").problems[0].line == 3
