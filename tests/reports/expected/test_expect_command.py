"""`railgauge expect` as it is typed: tables, JSON, references, thresholds, exit codes."""

from __future__ import annotations

import json

import pytest

from railgauge.cli import main
from railgauge.operations import OPERATIONS


@pytest.fixture
def typed(capsys):
    def call(*arguments):
        code = main(["expect", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_table_has_sizes_bound_derivation_traps_and_references(typed):
    code, out, _ = typed("--cluster", "h100", "--nodes", "4")
    assert code == 0
    assert "all_reduce, world: 4 nodes, 8 GPUs each, 32 ranks" in out
    rows = [line.split() for line in out.splitlines()[3:14]]
    assert [row[0] for row in rows] == [
        "8",
        "64",
        "512",
        "4K",
        "32K",
        "256K",
        "2M",
        "16M",
        "128M",
        "1G",
        "8G",
    ]
    assert rows[0][-3:] == ["tree", "LL", "latency"]
    assert rows[-1][-3:] == ["ring", "Simple", "bandwidth"]
    assert "bound: 400 GB/s busbw, by NICs" in out
    assert "trap: One dead rail of 8 takes 12.5%" in out
    assert "366 GB/s busbw: measured, H100, 8 x NDR InfiniBand" in out


def test_where_nothing_is_published_it_says_no_reference(typed):
    _, out, _ = typed("--cluster", "h100", "--nodes", "5", "--sizes", "1M")
    assert "no reference: nothing published" in out
    assert typed("--cluster", "h100", "--nodes", "5", "--reference")[0] == 6


def test_all_operations_are_those_that_the_pattern_has(typed):
    code, out, _ = typed(
        "--cluster", "h100", "--nodes", "2", "--operation", "all", "--sizes", "1M", "--json"
    )
    made = {one["operation"]: one["reason"] for one in json.loads(out)["expectations"]}
    assert code == 0
    collectives = [
        name for name, entry in OPERATIONS.items() if not (entry.directed or entry.external)
    ]
    assert [name for name in made if not name.startswith("rdma_")] == collectives
    assert {name for name in made if not made[name]} >= {"all_reduce", "alltoall", "sendrecv"}
    assert made["barrier"] == "it moves no data"
    code, _, err = typed("--cluster", "h100", "--nodes", "0", "--operation", "all")
    assert (code, "--nodes 0: this cluster has 64" in err) == (2, True)


def test_a_size_of_nothing_is_refused_by_its_name(typed):
    code, _, err = typed("--cluster", "h100", "--sizes", "0")
    assert code == 2
    assert "--sizes: 0 bytes alone have no bandwidth to expect" in err
    assert typed("--cluster", "h100", "--sizes", "0,1M")[0] == 0


def test_json_has_the_same(typed):
    code, out, _ = typed(
        "--cluster",
        "h100",
        "--operation",
        "all_reduce,barrier",
        "--nodes",
        "2",
        "-b",
        "1G",
        "-e",
        "2G",
        "--json",
    )
    assert code == 0
    first, second = json.loads(out)["expectations"]
    assert [row["nbytes"] for row in first["rows"]] == [1 << 30, 2 << 30]
    assert first["rows"][0]["algorithm"] == "nvls_tree"
    assert first["rows"][0]["bound_GBps"] == pytest.approx(750)
    assert {a["name"] for a in first["algorithms"]} >= {"ring", "tree", "nvls_tree", "hierarchical"}
    by_name = {a["name"]: a for a in first["algorithms"]}
    assert by_name["ring"]["bound_GBps"] == pytest.approx(400)
    assert by_name["nvls_tree"]["busbw_GBps"] == pytest.approx(first["rows"][-1]["busbw_GBps"])
    assert (by_name["ring"]["nccl"], by_name["hierarchical"]["nccl"]) == ("RING", None)
    assert {t["id"] for t in first["traps"]} == {"two_nodes_above_line_rate", "small_dtypes"}
    assert len(first["references"]) == 7
    assert "no data" in second["reason"]


def test_ranks_alone_take_as_few_nodes_as_hold_them(typed):
    _, out, _ = typed("--cluster", "h100", "-n", "16", "--sizes", "1G")
    assert "2 nodes, 8 GPUs each, 16 ranks" in out


def test_nothing_that_can_be_said_is_exit_6(typed):
    code, out, _ = typed("--cluster", "h100", "--operation", "alltoallv")
    assert (code, out) == (6, "alltoallv, world: no expectation: its traffic matrix decides\n")


def test_a_run_on_host_memory_has_no_expectation(typed, start):
    folder = start().end()
    code, out, _ = typed("--run", str(folder))
    assert code == 6
    assert out.startswith("all_reduce, world: no expectation: its buffers lie in host memory")
    assert json.loads(typed("--run", str(folder), "--json")[1])["expectations"][0]["reason"]


def test_references_are_printed_with_source_and_expectation(typed):
    code, out, _ = typed("--reference")
    assert code == 0
    assert len(out.splitlines()) > 60
    (line,) = [text for text in out.splitlines() if "issue 309" in text and " 2 " in text]
    assert "469 to 471 measured" in line
    assert "415 - 507" in line
    _, some, _ = typed("--reference", "--operation", "sendrecv", "--json")
    assert {entry["operation"] for entry in json.loads(some)["references"]} == {"sendrecv"}
    code, fitting, _ = typed(
        "--reference", "--cluster", "h100", "--nodes", "4", "--algorithm", "ring"
    )
    assert (code, len(fitting.splitlines())) == (0, 3)


def test_lint_prints_verdicts_and_exits_by_the_worst(typed, tmp_path):
    file = tmp_path / "limits.toml"
    file.write_text(
        'operation = "all_reduce"\nalgorithm = "ring"\nnodes = 4\nunit = "GB/s"\n'
        '[[threshold]]\nname = "<script>"\nvalue = 800\n[[threshold]]\nname = "low"\nvalue = 120\n'
        '[[threshold]]\nname = "good"\nvalue = 345\n'
    )
    code, out, _ = typed("--lint", str(file), "--cluster", "h100")
    assert code == 1
    heads = [p.splitlines()[0] for p in out.split("\n\n")]
    assert heads == [
        "UNREACHABLE <script>",
        "BLIND low",
        "FINE good",
        "1 unreachable, 1 blind, 1 fine",
    ]
    code, out, _ = typed("--lint", str(file), "--cluster", "h100", "--json")
    assert code == json.loads(out)["exit_code"] == 1
    assert [t["dead_rails"] for t in json.loads(out)["thresholds"]] == [None, 5, 0]
    assert typed("--lint", str(file))[0] == 6  # no cluster: what is missing is asked for


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "Neither --cluster nor --run"),
        (("--cluster", "h100", "--run", "x"), "both say which machine"),
        (("--cluster", "h1000"), "cannot be read"),
        (("--cluster", "h100", "--operation", "all_reduc"), "Did you mean 'all_reduce'"),
        (("--cluster", "h100", "--operation", ","), "names none"),
        (("--cluster", "h100", "--nodes", "65"), "--nodes 65"),
        (("--cluster", "h100", "--nodes", "2", "--algorithm", "nvls"), "--algorithm nvls"),
        (("--cluster", "h100", "--sizes", "8X"), "'8X' is not a size"),
        (("--cluster", "h100", "--sizes", "0"), "1 B to 1 PiB"),
        (("--cluster", "h100", "-b", "2000T", "-e", "3000T"), "1 B to 1 PiB"),
        (("--lint", "x.toml", "--run", "y"), "not --run"),
    ],
)
def test_what_makes_no_sense_is_exit_2_and_named(typed, arguments, named):
    code, out, err = typed(*arguments)
    assert (code, out) == (2, "")
    assert named in err


def test_a_run_that_is_not_there_is_exit_3(typed, tmp_path):
    assert typed("--run", str(tmp_path))[0] == 3
