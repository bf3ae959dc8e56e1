"""RDMA devices: every port, every driver's names, and what sysfs says instead of a number."""

from __future__ import annotations

import shutil

import pytest

from railgauge import counting
from railgauge.counters import rdma
from railgauge.counting import Place, Roots
from railgauge.linux import sysfs

MLX5 = {"driver": "mlx5_core"}


@pytest.fixture
def tree(tmp_path):
    """`tree({"mlx5_0/ports/1/counters/symbol_error": 3})`: readings of such a sysfs, by place."""

    def read(files):
        for name, value in files.items():
            path = tmp_path / "class/infiniband" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        return {r.place: r for r in rdma.read(Roots(tmp_path, tmp_path))}

    return read


def test_all_ports_of_all_devices_are_read_with_what_they_are(tree):
    found = tree(
        {
            "mlx5_0/board_id": "B1",
            "mlx5_0/fw_ver": "28.1",
            "mlx5_0/device/net/eth2/mtu": 9000,
            "mlx5_0/ports/1/state": "4: ACTIVE",
            "mlx5_0/ports/1/rate": "400 Gb/sec (4X NDR)",
            "mlx5_0/ports/1/link_layer": "Ethernet",
            "mlx5_0/ports/1/counters/symbol_error": 3,
            "mlx5_0/ports/1/hw_counters/lifespan": 10,
            "mlx5_0/ports/1/hw_counters/out_of_sequence": 7,
            "mlx5_0/ports/12/counters/symbol_error": 4,
            "mlx5_0/ports/junk/counters/symbol_error": 4,
            "cxgb4_0/hw_counters/ip4InSegs": 5,
        }
    )
    assert set(found) == {
        Place("rdma", "cxgb4_0"),
        Place("rdma", "mlx5_0", 1),
        Place("rdma", "mlx5_0", 12),
    }
    port = found[Place("rdma", "mlx5_0", 1)]
    assert port.values == {"symbol_error": 3, "out_of_sequence": 7}
    assert port.facts == MLX5 | {
        "netdev": "eth2",
        "board_id": "B1",
        "fw_ver": "28.1",
        "state": "4: ACTIVE",
        "rate": "400 Gb/sec (4X NDR)",
        "link_layer": "Ethernet",
    }


def test_names_with_blanks_and_commas_are_names(tree):
    files = {"irdma0/ports/1/hw_counters/RNR sent": 4, "hfi1_0/ports/1/hw_counters/SwLinkUp,32": 2}
    found = tree(files)
    assert found[Place("rdma", "irdma0", 1)].values == {"RNR sent": 4}
    assert found[Place("rdma", "hfi1_0", 1)].values == {"SwLinkUp,32": 2}


def test_a_device_without_a_pma_is_unknown_and_not_0(tree):
    (reading,) = tree({"i40iw0/ports/1/counters/symbol_error": "N/A (no PMA)"}).values()
    assert not reading.values
    assert "N/A (no PMA)" in reading.unknown["symbol_error"]


def test_the_driver_is_the_kernels_link_where_there_is_one(tree, tmp_path):
    (tmp_path / "class/infiniband/roce0/device").mkdir(parents=True)
    (tmp_path / "class/infiniband/roce0/device/driver").symlink_to("/drivers/bnxt_re")
    (reading,) = tree({"roce0/ports/1/hw_counters/dup_req": 1}).values()
    assert reading.facts["driver"] == "bnxt_re"


def test_a_device_whose_ports_may_not_be_listed_is_unknown_and_the_others_are_read(
    tree, monkeypatch
):
    def entries(folder):
        if "mlx5_0/ports" in str(folder):
            raise PermissionError(13, "Permission denied")
        return sysfs.entries(folder)

    monkeypatch.setattr(rdma, "entries", entries)
    name = "ports/1/counters/symbol_error"
    found = tree({f"mlx5_0/{name}": 3, f"mlx5_1/{name}": 4})
    assert found[Place("rdma", "mlx5_0")].unknown == {"*": "Permission denied"}
    assert found[Place("rdma", "mlx5_1", 1)].values == {"symbol_error": 4}


def test_a_port_that_vanishes_while_it_is_read_is_vanished_and_not_0(tree, tmp_path):
    name = "mlx5_0/ports/1/counters/symbol_error"
    before = counting.Snapshot(0, tuple(tree({name: 3}).values()))
    shutil.rmtree(tmp_path / "class/infiniband/mlx5_0/ports/1")
    after = counting.Snapshot(1, tuple(tree({}).values()))
    (change,) = counting.changes(before, after, still=False)
    assert (change.delta, change.note) == (None, "vanished")


def test_a_host_without_rdma_has_no_readings(tree):
    assert tree({}) == {}


@pytest.mark.parametrize(
    ("name", "bits", "arithmetic"),
    [
        ("symbol_error", 16, "saturate"),
        ("link_downed", 8, "saturate"),
        ("excessive_buffer_overrun_errors", 4, "saturate"),
        ("port_xmit_wait", 32, "saturate"),
        ("port_rcv_packets", 64, "free"),
        ("out_of_sequence", 32, "wrap"),
        ("np_cnp_sent", 64, "free"),
        ("db_fifo_register", 64, "gauge"),
    ],
)
def test_each_counter_has_its_width_and_arithmetic(name, bits, arithmetic):
    kind = rdma.kind(name, MLX5)
    assert (kind.bits, kind.arithmetic) == (bits, arithmetic)


def test_only_mlx5s_queue_counters_wrap_at_32_bits():
    assert rdma.kind("out_of_sequence", {"driver": "bnxt_re"}).arithmetic == "free"


def test_data_counts_words_of_four_bytes():
    assert rdma.kind("port_xmit_data", {})[:1] == ("B",)
    assert rdma.kind("port_xmit_data", {}).scale == 4
    assert rdma.kind("rx_bytes", {}).scale == 1


@pytest.mark.parametrize(
    ("names", "event"),
    [
        (("np_cnp_sent", "tx_cnp_pkts", "cnpSent", "tx_rdma_cnp_pkts"), "cnp_tx"),
        (("rp_cnp_handled", "rx_cnp_pkts", "cnpHandled", "rx_rdma_cnp_pkts"), "cnp_rx"),
        (("packet_seq_err", "seq_err_naks_rcvd", "Nak Sequence Error"), "seq_nak_rx"),
        (("resp_rx_outouf_seq", "oos_drop_count"), "oos_rx"),
    ],
)
def test_the_same_event_has_one_name_whatever_the_driver(names, event):
    for name in names:
        assert event in rdma.kind(name, MLX5).canonical


def test_what_one_counter_says_of_two_events_is_both():
    assert set(rdma.kind("to_retransmits", {}).canonical) == {"ack_timeout", "retransmits"}
    assert rdma.kind("never_heard_of", {}).canonical == ()


@pytest.mark.parametrize(
    ("name", "event", "driver"),
    [
        ("link_downed", "link_down", "mlx5_core"),
        ("symbol_error", "symbol_error", "mlx5_core"),
        ("port_xmit_data", "data_tx", "mlx5_core"),
        ("rx_icrc_encapsulated", "icrc_error", "mlx5_core"),
        ("tx_rdma_ucast_pkts", "packets_tx", "ionic"),
        ("tx_pkts", "packets_tx", "efa"),
        ("impaired_remote_conn_events", "impaired_remote", "efa"),
    ],
)
def test_what_rules_judge_has_one_name_whatever_the_driver(name, event, driver):
    assert rdma.kind(name, {"driver": driver}).canonical == (event,)


def test_words_of_efa_mean_nothing_elsewhere():
    assert rdma.kind("tx_pkts", {"driver": "irdma"}).canonical == ()
