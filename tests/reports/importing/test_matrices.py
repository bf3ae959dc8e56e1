"""nvbandwidth, nvloom, ClusterKit, SuperBench and rccl-tests' files."""

# ruff: noqa: E501  (lines of logs are as long as they are)

from __future__ import annotations

import json

import pytest

GB = 1e9


def pairs(got):
    """(variant, from, to or None, GB/s) of every series of the only run."""
    made = []
    for series in got.run.series.values():
        (seconds,) = series.seconds()
        back = series.what.variant.endswith("back")
        members = series.what.members[::-1] if back else series.what.members
        made.append((*members, round(series.what.nbytes / seconds / GB, 6)))
    return made


NVBANDWIDTH = """nvbandwidth Version: v0.8
Built from Git version: v0.8

CUDA Runtime Version: 13000
Device 0: A GPU (00000000:19:00)
Device 1: A GPU (00000000:2d:00)

Running host_to_device_memcpy_ce.
memcpy CE CPU(row) -> GPU(column) bandwidth (GB/s)
           0         1
 0     55.30     55.40

SUM host_to_device_memcpy_ce 110.70

Running device_to_device_memcpy_write_ce.
memcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)
           0         1
 0       N/A    276.00
 1    275.00       N/A

SUM device_to_device_memcpy_write_ce 551.00

Running multinode_device_to_device_memcpy_read_ce.
Waived: no fabric
"""


def test_nvbandwidth_follows_the_arrow_of_the_caption(read):
    got = read(NVBANDWIDTH)
    assert (got.tool, got.found.rows, got.found.complete) == ("nvbandwidth", 3, True)
    assert pairs(got) == [(0, 55.3), (1, 55.4), (1, 0, 276.0), (0, 1, 275.0)]
    assert [(w.operation, w.call) for w in got.run.series] == [("copy", "to_device")] * 2 + [
        ("copy", "push")
    ] * 2
    assert (got.run.ranks, got.run.pattern, got.run.tool) == (2, "pairs", "nvbandwidth v0.8")
    assert any("Waived" in w for w in got.found.warnings())
    reversed_ = NVBANDWIDTH.replace("GPU(row) <- GPU", "GPU(row) -> GPU")
    assert pairs(read(reversed_))[2:] == [(0, 1, 276.0), (1, 0, 275.0)]


def test_nvbandwidth_latencies_zeros_and_torn_rows(read):
    text = (
        "Running device_to_device_latency_sm.\nmemory latency SM GPU(row) <-> GPU(column) (ns)\n"
        "           0         1\n 0      0.00    800.00\n 1    810.00 "
    )
    got = read(text)
    assert (got.found.rows, got.found.partial_rows, got.found.complete) == (1, 1, False)
    (series,) = got.run.series.values()
    assert (series.what.operation, series.what.members) == ("copy_latency", (0, 1))
    assert series.seconds().tolist() == [pytest.approx(800e-9)]


def test_nvbandwidth_json_says_the_same_as_the_text(read):
    cases = [
        {"name": "device_to_device_memcpy_write_ce", "status": "Passed",
         "bandwidth_description": "memcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)",
         "bandwidth_matrix": [["N/A", "276"], ["275", "N/A"]], "sum": 551},
        {"name": "other", "status": "Error", "error": "out of memory"},
    ]  # fmt: skip
    got = read(json.dumps({"nvbandwidth": {"version": "v0.8", "testcases": cases}}))
    assert pairs(got) == [(1, 0, 276.0), (0, 1, 275.0)]
    assert (got.found.rows, got.found.complete) == (2, True)
    assert got.found.warnings() == ["other: Error out of memory"]
    failed = read(json.dumps({"nvbandwidth": {"error": "no devices", "testcases": cases[:1]}}))
    assert failed.found.complete is False
    odd = json.dumps(
        {"nvbandwidth": {"testcases": [{"name": "x", "bandwidth_matrix": [["a"], 3]}, 7]}}
    )
    assert (read(odd).found.rows, read(odd).found.partial_rows) == (0, 2)


NVLOOM = (
    "nvloom_cli 1.3.0\nBuffer size: 256 MiB\n"
    "Process 0 (a): device 0: A GPU (0000:01:00); rackGuid: r0\n"
    "Process 1 (b): device 0: A GPU (0000:01:00); rackGuid: r1\n\n"
    "Running device_to_device_unidir_write_ce\n\t0\t1\t\n0\tN/A\t700.00\t\n1\t690.00\tN/A\t\n\n"
    "MinBW device_to_device_unidir_write_ce 690.00\nTotalBW device_to_device_unidir_write_ce 1390.00\n"
    "Done device_to_device_unidir_write_ce\n"
)


def test_nvloom_columns_are_sources_and_rows_are_targets(read):
    got = read(NVLOOM)
    assert (got.tool, got.found.rows, got.found.complete) == ("nvloom", 2, True)
    assert pairs(got) == [(1, 0, 700.0), (0, 1, 690.0)]
    assert {w.nbytes for w in got.run.series} == {256 << 20}
    assert got.run.hosts == {0: "a", 1: "b"}


def test_nvloom_suites_of_one_column_both_ways_and_racks(read):
    more = (
        "Running bisect_device_to_device_write_sm\n\t0\t\n0->1\t600.00\t\n1->0\t610.00\t\n\nDone x\n"
        "Running device_to_device_bidir_read_ce\n\t0\t1\t\n0\tN/A\t900.00\t\n1\t900.00\tN/A\t\nDone x\n"
        "Running gpu_to_rack_write\n\tr0\tr1\t\n0\t500.00\t|\t400.00;(x)\t\n1\t501.00\t|\t401.00\t\nDone x\n"
        "Running latency_device\n\t0\t1\t\n0\tN/A\t850.00\t\n1\t860.00\tN/A\t\n\nMin latency_device 850.00 ns\nDone x\n"
        "Running torn\n\t0\t1\t\n0\tN/A\t1.0"
    )
    got = read(NVLOOM + more)
    assert [p for p in pairs(got)[2:] if p[-1] > 1] == [
        (0, 1, 600.0), (1, 0, 610.0), (0, 1, 900.0), (0, 500.0), (0, 400.0), (1, 501.0), (1, 401.0),
    ]  # fmt: skip
    assert [w.variant for w in got.run.series][5:7] == [
        "gpu_to_rack_write r0",
        "gpu_to_rack_write r1",
    ]
    latencies = [s for s in got.run.series.values() if s.what.operation == "copy_latency"]
    assert [s.seconds().tolist() for s in latencies] == [
        [pytest.approx(850e-9)],
        [pytest.approx(860e-9)],
    ]
    assert got.found.complete is False


def test_clusterkit_matrices_name_nodes_and_halves_that_agree_are_one(read):
    got = read(
        "# clusterkit bandwidth (MB/s)\n,n1,n2,n3\nn1,,24000,23000\nn2,24000,-,22000\nn3,23500,22000,0\n"
    )
    assert (got.tool, got.found.rows, got.found.complete) == ("clusterkit", 3, True)
    assert pairs(got) == [(0, 1, 24.0), (0, 2, 23.0), (1, 2, 22.0), (2, 0, 23.5)]
    assert (got.run.hosts, got.run.ranks) == ({0: "n1", 1: "n2", 2: "n3"}, 3)
    assert {w.operation for w in got.run.series} == {"bidirectional_bandwidth"}
    assert got.found.warnings() == []


def test_clusterkit_lists_latencies_units_and_odd_cells(read):
    got = read(
        "node1,node2,latency (usec)\na,b,1.5\na,c,2.5\nb,b,1\nb,c,x\n", "latency.csv", "clusterkit"
    )
    assert [(w.operation, w.members) for w in got.run.series] == [
        ("latency", (0, 1)),
        ("latency", (0, 2)),
    ]
    assert (got.found.rows, got.found.partial_rows) == (2, 2)
    plain = read("Node,a,b\na,0,5\nb,5,0\n", "x.csv", "clusterkit")
    assert "taken as bandwidth in MB/s" in plain.found.warnings()[0]
    assert (
        "no unit is named: taken as MB/s"
        in read("Node,a,b\na,0,5\nb,5,0\n", "bw.csv").found.warnings()[0]
    )
    cut = read("bandwidth MB/s,a,b\na,0,5\nb,5\n", "x.csv", "clusterkit")
    assert (cut.found.rows, cut.found.partial_rows, cut.found.complete) == (1, 1, False)


def test_superbench_nodes_are_runs_and_metrics_of_data_are_rows(read):
    first = {
        "node": "n1", "kernel-launch/event_time:0": 0.005, "nccl-bw:nvlink/return_code": 0,
        "nccl-bw:nvlink/allreduce_1024_time:0": 12.0, "nccl-bw:nvlink/allreduce_1024_busbw:0": 0.1,
        "nccl-bw:nvlink/allgather_1024_algbw:0": 2.0, "mem-bw/h2d_bw:1": 26.0,
        "gpu-copy-bw:perf/gpu0_to_gpu1_read_by_sm_bw": 250.0, "gpu-copy-bw:perf/gpu1_to_gpu0_read_by_sm_bw": 240.0,
        "ib-traffic/ib_write_bw_8388608_0_0:0_1:0": 24.0, "x/return_code": 3,
    }  # fmt: skip
    got = read(
        json.dumps(first) + "\n" + json.dumps({"node": "n2", "mem-bw/d2h_bw:0": 25.0}) + "\n{torn"
    )
    assert (got.tool, [run.rows for run in got.runs]) == ("superbench", [6, 1])
    assert (got.found.partial_rows, got.found.complete) == (1, False)
    assert [run.hosts[0] for run in got.runs] == ["n1", "n2"]
    made = {(s.what.operation, s.what.call, s.what.members): s for s in got.runs[0].series.values()}
    assert made["all_reduce", "stream", ()].seconds().tolist() == [pytest.approx(12e-6)]
    assert made["all_gather", "stream", ()].seconds().tolist() == [pytest.approx(1024 / 2e9)]
    assert made["rdma_write_bandwidth", "forth", (0, 1)].what.variant == "back"
    assert made["copy", "to_device", (1,)].what.nbytes / made["copy", "to_device", (1,)].seconds()[
        0
    ] == pytest.approx(26e9)
    assert "x ended with 3" in got.found.warnings()[0]
    assert any("1 metrics" in note for note in got.runs[0].notes)


CSV = (
    "numCycle,Collective,ranks,size (B),type,redop,inplace,time (us),algbw,busbw,#wrong\n"
    "0,AllReduce,8,1024,float,sum,0,12.0,0.09,0.15,0\n0,AllReduce,8,1024,float,sum,1,11.0,0.09,0.16,3\n"
)


def test_files_of_rccl_tests_have_a_row_for_each_placement(read):
    got = read(CSV.replace("AllReduce", "all_reduce_perf"))
    assert (got.tool, got.found.rows, got.run.ranks, got.found.complete) == (
        "rccl_tests",
        2,
        8,
        True,
    )
    assert got.table("operation", "placement", "nbytes", "op") == [
        ("all_reduce", "out", 1024, "sum", pytest.approx(12e-6)),
        ("all_reduce", "in", 1024, "sum", pytest.approx(11e-6)),
    ]
    assert [(s.checked, s.wrong) for s in got.run.series.values()] == [(True, 0), (True, 3)]
    assert read(CSV + "0,AllReduce,8\n").found.partial_rows == 1
    rows = [
        {"name": "broadcast", "nranks": 2, "size": 8, "type": "half", "redop": "none", "inPlace": 1,
         "time": 3.0, "algBw": 0.1, "busBw": 0.1, "wrong": "N/A"},
        {"size": None, "type": "half", "time": 1, "algbw": 1, "busbw": 1},
    ]  # fmt: skip
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        got = read(text)
        assert got.table("operation", "placement", "dtype", "root") == [
            ("broadcast", "in", "float16", 0, pytest.approx(3e-6))
        ]
        assert (got.found.rows, got.found.partial_rows) == (1, 1)
        assert next(iter(got.run.series.values())).checked is False


def test_a_log_that_names_rccl_or_amd_is_of_rccl_tests(read, nccl_log):
    assert read(nccl_log()).tool == "nccl_tests"
    assert read(nccl_log().replace("[0x1] A GPU", "[0x1] AMD Instinct")).tool == "rccl_tests"
    version = "# rccl-tests version 2.17.9-develop:25 rccl-headers=1\n"
    got = read(version + nccl_log())
    assert (got.tool, got.run.tool) == ("rccl_tests", "rccl-tests 2.17.9-develop:25")
