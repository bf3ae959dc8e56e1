"""Counters are read around a case by the first rank of every node, and what moved is recorded."""

from __future__ import annotations

import json

import pytest

from railgauge.auditing.checks import all_checks
from railgauge.auditing.facts import settings_of
from railgauge.auditing.records import read_stored
from railgauge.counting import Roots
from railgauge.errors import EXIT_PASS, EXIT_USAGE
from railgauge.records import Moved
from railgauge.tally import Tally

BRIEF = ("-n", "2", "--sizes", "64", "--iterations", "20", "--warmup", "2")
PORT = "class/infiniband/mlx5_0/ports/1"


@pytest.fixture
def port(tmp_path):
    """`port(name=value)` writes counters of a port below the fixture's sysfs."""

    def write(**values):
        for name, value in values.items():
            path = tmp_path / PORT / "counters" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    return write


def test_only_what_moved_is_told(port, tmp_path):
    port(symbol_error=3, port_rcv_data=10, link_downed=0, excessive_buffer_overrun_errors=15)
    tally = Tally(4, True, ["rdma"], Roots(tmp_path, tmp_path))
    tally.begin()
    port(symbol_error=5, port_rcv_data=20, VL15_dropped=1)
    made = tally.end()
    assert made.node == 4
    assert made.seconds > 0
    assert made.moved == (
        Moved("rdma", "mlx5_0", 1, "VL15_dropped", None, "appeared"),
        Moved("rdma", "mlx5_0", 1, "port_rcv_data", 40),
        Moved("rdma", "mlx5_0", 1, "symbol_error", 2),
    )


def test_what_is_unknown_is_a_fact_of_the_node(port, tmp_path):
    port(symbol_error="N/A (no PMA)")
    facts = Tally(0, True, ["rdma", "tcp"], Roots(tmp_path, tmp_path / "none")).facts()
    (place,) = facts["counters"]["places"]
    assert place["unknown"] == {"symbol_error": "not a number: 'N/A (no PMA)'"}
    assert place["facts"] == {"driver": "mlx5_core"}
    assert "tcp" in facts["counters"]["problems"]


def test_counters_of_known_events_are_named_once_a_set(port, tmp_path):
    port(symbol_error=65535, link_downed=0, never_heard_of=1)
    other = tmp_path / PORT.replace("mlx5_0", "mlx5_1") / "counters"
    other.mkdir(parents=True)
    for name in ("link_downed", "symbol_error"):
        (other / name).write_text("7\n")
    counters = Tally(0, True, ["rdma"], Roots(tmp_path, tmp_path)).facts()["counters"]
    assert counters["names"] == [["link_downed", "symbol_error"]]
    assert [place["names"] for place in counters["places"]] == [0, 0]
    assert [place.get("full") for place in counters["places"]] == [["symbol_error"], None]


def test_what_moves_before_the_first_case_is_told(port, tmp_path, monkeypatch):
    port(port_xmit_data=0, symbol_error=2, never_heard_of=1)

    def others_send(_):
        port(port_xmit_data=25_000, never_heard_of=2)

    monkeypatch.setattr("railgauge.tally.time.sleep", others_send)
    idle = Tally(3, True, ["rdma"], Roots(tmp_path, tmp_path)).facts()["counters"]["idle"]
    assert idle["node"] == 3
    assert [tuple(moved) for moved in idle["moved"]] == [
        ("rdma", "mlx5_0", 1, "port_xmit_data", 100_000, "")
    ]
    assert idle["seconds"] > 0


def test_a_host_without_rdma_ports_does_not_wait_for_an_idle_window(tmp_path):
    (tmp_path / "class/net/eth7/statistics").mkdir(parents=True)
    counters = Tally(0, True, ["netdev"], Roots(tmp_path, tmp_path)).facts()["counters"]
    assert "idle" not in counters


@pytest.mark.parametrize(("reads", "names"), [(False, ["rdma"]), (True, [])])
def test_other_ranks_and_runs_without_sources_read_nothing(reads, names, tmp_path):
    tally = Tally(0, reads, names, Roots(tmp_path, tmp_path))
    tally.begin()
    assert tally.end() is None
    assert tally.facts() == {}


@pytest.mark.mpi
def test_every_case_of_a_run_has_what_its_node_counted(measure):
    options = ("--operation", "all_reduce,broadcast", "--set", "UCX_NET_DEVICES=eth7:1")
    done = measure(*BRIEF, *options)
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 2
    for result in done.results:
        (counted,) = result.counted
        assert counted.node == 0
        assert 0 < counted.seconds < result.seconds
    environment = json.loads((done.folder / "environment.json").read_text())
    sources = {place["source"] for place in environment["nodes"][0]["counters"]["places"]}
    assert "tcp" in sources
    assert [rank["nics"] for rank in environment["ranks"]] == [
        {"names": ["eth7"], "why": "UCX_NET_DEVICES"}
    ] * 2


@pytest.mark.mpi
def test_counters_can_be_left_out(measure):
    done = measure(*BRIEF, "--counters", "none")
    assert done.code == EXIT_PASS, done.stderr
    assert done.results[0].counted == ()


@pytest.mark.mpi
def test_one_source_alone_can_be_asked_for(measure):
    done = measure(*BRIEF, "--counters", "netdev")
    assert done.code == EXIT_PASS, done.stderr
    environment = json.loads((done.folder / "environment.json").read_text())
    places = environment["nodes"][0]["counters"]["places"]
    assert {place["source"] for place in places} <= {"netdev"}


@pytest.mark.mpi
def test_an_unknown_source_is_refused_with_the_closest(measure):
    done = measure(*BRIEF, "--counters", "ntedev")
    assert done.code == EXIT_USAGE
    assert "Did you mean 'netdev'?" in done.stderr


@pytest.mark.mpi
def test_a_run_that_counts_keeps_the_audit_of_every_node(measure):
    done = measure(*BRIEF)
    (taken,) = read_stored(done.folder)
    assert taken.leads
    assert {read.check for read in taken.reads} == set(all_checks())
    environment = json.loads((done.folder / "environment.json").read_text())
    assert environment["nodes"][0]["configuration"] == settings_of(taken)


@pytest.mark.mpi
def test_a_run_without_counters_reads_no_configuration(measure):
    done = measure(*BRIEF, "--counters", "none")
    assert not (done.folder / "audit.json").exists()
    environment = json.loads((done.folder / "environment.json").read_text())
    assert "configuration" not in environment["nodes"][0]
