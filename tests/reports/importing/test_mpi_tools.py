"""OSU, IMB, GPCNeT, PARAM and perftest: their tables as they print them, and what is odd in them."""

# ruff: noqa: E501  (lines of logs are as long as they are)

from __future__ import annotations

import pytest

from railgauge_reports.importers.osu import benchmark_of
from railgauge_reports.importing.launched import ranks_in

US = 1e-6


def near(*seconds: float) -> tuple:
    return tuple(pytest.approx(value, rel=1e-6) for value in seconds)


# OSU ----------------------------------------------------------------------------------------------


def test_osu_collectives_have_times_of_blocks_and_ranks_of_the_command_line(read):
    got = read(
        "$ mpirun -np 4 --bind-to core libexec/osu_allgather -m 8:16\n\n"
        "# OSU MPI Allgather Latency Test v7.4\n# Datatype: MPI_INT.\n"
        "# Size       Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations\n"
        "8                       1.50              1.40              1.60         100\n"
        "16                      2.50              2.40              2.60         100\n"
        "real 0m1.0s\n"
    )
    assert got.tool == "osu"
    assert got.table("operation", "nbytes", "dtype", "per_block", "call", "timing") == [
        ("all_gather", 8, "int32", True, "blocking", "barrier", *near(1.5 * US)),
        ("all_gather", 16, "int32", True, "blocking", "barrier", *near(2.5 * US)),
    ]
    assert (got.run.ranks, got.run.iterations, got.found.complete) == (4, 100, True)
    assert got.run.tool == "OSU micro-benchmarks 7.4"
    assert any("4, from the command line" in note for note in got.run.notes)


def test_osu_bandwidths_are_rates_of_all_pairs(read):
    got = read(
        "# OSU MPI Multiple Bandwidth / Message Rate Test v7.4\n# [ pairs: 3 ] [ window size: 64 ]\n"
        "# Size                  MB/s        Messages/s\n8 16.00 2000000.00\n4194304 2000.00 476.84\n"
    )
    assert got.table("operation", "nbytes") == [
        ("message_rate", 8, *near(8 / 16e6)),
        ("message_rate", 4194304, *near(4194304 / 2e9)),
    ]
    assert (got.run.ranks, got.found.complete) == (6, True)


def test_osu_validation_counts_and_its_failure_is_no_end(read):
    got = read(
        "# OSU MPI Allreduce Latency Test v7.4\n# Size       Avg Latency(us)        Validation\n"
        "1 0.44 Pass\n2 0.95 Fail\nDATA VALIDATION ERROR: osu_allreduce exited with status 1\n"
    )
    assert [(s.checked, s.wrong) for s in got.run.series.values()] == [(True, 0), (True, 1)]
    assert got.found.complete is False
    assert "DATA VALIDATION ERROR" in got.found.warnings()[0]


def test_osu_overlap_is_kept_with_the_pure_time(read):
    got = read(
        "# OSU MPI Non-blocking Allreduce Latency Test v7.4\n"
        "# Size           Overall(us)       Compute(us)    Pure Comm.(us)        Overlap(%)\n"
        "4 1.93 1.19 0.91 18.53\n# end\n"
    )
    (series,) = got.run.series.values()
    assert series.what.call == "nonblocking"
    assert tuple(series.seconds()) == near(0.91 * US)
    assert series.overlap == near(0.91 * US, 1.19 * US, 1.93 * US)


def test_osu_tables_of_several_types_are_one_run_and_titles_begin_runs(read):
    one = "# OSU MPI Reduce Latency Test v6.2\n# Datatype: MPI_CHAR.\n# Size       Avg Latency(us)\n8 1.0\n"
    more = "# Datatype: MPI_FLOAT.\n# Size       Avg Latency(us)\n8 2.0\n"
    got = read(one + more + one)
    assert [run.rows for run in got.runs] == [2, 1]
    assert [w.dtype for w in got.runs[0].series] == ["int8", "float32"]
    assert got.runs[0].complete is True
    twice = "# OSU MPI Latency Test v7.1\n"
    assert [run.rows for run in read(twice + twice + "# Size Latency (us)\n0 1.00\n").runs] == [1]


def test_osu_rows_per_window_count_as_lines(read):
    got = read(
        "# OSU MPI Multiple Bandwidth / Message Rate Test v7.4\n# [ pairs: 1 ] [ window size: varied ]\n\n"
        "# Uni-directional Bandwidth (MB/sec)\n#                 1           2\n8 10.00 20.00\n16 40.00 80.00\n\n"
        "# Message Rate Profile\n#                 1           2\n8 1250000.00 2500000.00\n16 2.00 4.00\n"
    )
    assert got.found.rows == 4
    assert got.table("nbytes", "variant") == [
        (8, "window 1", *near(8e-7)), (8, "window 2", *near(4e-7)),
        (16, "window 1", *near(4e-7)), (16, "window 2", *near(2e-7)),
    ]  # fmt: skip


def test_osu_tables_that_nothing_follows_may_be_cut_off(read):
    text = "# OSU MPI Latency Test v7.4\n# Size Avg Latency(us)\n1 0.36\n"
    got = read(text)
    assert got.found.complete is False
    assert "may be cut off" in got.found.warnings()[0]
    assert read(text + "4194304 90.0\n").found.complete is True
    assert read(text + "# exit status 0\n").found.complete is True
    assert read(text + "4194304 9").found.complete is False
    short = read(text.replace("Avg Latency(us)", "Avg Latency(us) Min Latency(us)"))
    assert (short.found.rows, short.found.partial_rows) == (0, 1)
    assert short.found.warnings()[0] == "line 3: partial row: 2 of 3 cells"


def test_osu_words_glued_to_a_row_are_taken_off_and_prose_is_no_row(read):
    got = read(
        "# OSU MPI Latency Test v7.4\n# Size Avg Latency(us)\n8 0.07[vm:1] Error: component\n"
        "12 monkeys\n16 0.09\n"
    )
    assert got.table("nbytes") == [(8, *near(0.07 * US)), (16, *near(0.09 * US))]


def test_a_library_that_logs_between_and_behind_rows_changes_nothing(read):
    debug = "n0:17:18 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read"
    head = "# OSU MPI Allreduce Latency Test v7.4\n# Size       Avg Latency(us)\n"
    rows = ["4                       1.50", "1048576               200.25"]
    plain = read(head + "\n".join(rows) + "\n")
    noisy = read(head + "".join(f"{debug}\n{row}{debug}\n{debug}\n" for row in rows))
    assert noisy.table("operation", "nbytes") == plain.table("operation", "nbytes")
    assert len(plain.run.series) == 2
    assert noisy.run.complete


@pytest.mark.parametrize(
    "value", ["nan", "-nan", "inf", "N/A", "0./5j20", "1.2.3", "-0.5", "O   0.@6"]
)
@pytest.mark.parametrize(
    "head",
    [
        "# OSU MPI Latency Test v7.4\n# Size Avg Latency(us)\n8 0.07\n16 {}\n4194304 90.0\n",
        "# OSU MPI Allreduce Latency Test v7.4\n# Size Avg Latency(us) Validation\n8 0.07 Pass\n16 {} Pass\n1048576 9.0 Pass\n",
        "# Benchmarking PingPong\n# #processes = 2\n#bytes #repetitions t[usec] Mbytes/sec\n8 10 0.07 1.0\n16 10 {} 1.0\n32 10 0.8 1.0\n",
    ],
)
def test_a_row_without_a_number_is_partial_and_never_passed_over(read, head, value):
    got = read(head.format(value))
    assert (got.found.rows, got.found.partial_rows) == (2, 1)
    assert "partial row" in got.found.warnings()[-1] or "partial row" in got.found.warnings()[0]


@pytest.mark.parametrize(
    ("title", "operation", "per_block", "call", "pair"),
    [
        ("MPI Latency", "latency", False, "blocking", True),
        ("MPI Multi Latency", "latency", False, "blocking", False),
        ("MPI-CUDA Bandwidth", "bandwidth", False, "blocking", True),
        ("MPI Bi-Directional Bandwidth", "bidirectional_bandwidth", False, "blocking", True),
        ("MPI_Put Latency", "put_latency", False, "blocking", True),
        ("MPI_Get Bandwidth", "get_bandwidth", False, "blocking", True),
        ("MPI All-to-All Personalized Exchange Latency", "alltoall", True, "blocking", False),
        ("MPI Reduce_scatter Latency", "reduce_scatter", False, "blocking", False),
        ("MPI Broadcast Persistent Latency", "broadcast", False, "persistent", False),
        ("MPI Non-blocking Scatter Latency", "scatter", True, "nonblocking", False),
        ("MPI Allgatherv Latency", "allgatherv", False, "blocking", False),
        ("NCCL Allreduce Latency", "all_reduce", False, "blocking", False),
    ],
)
def test_osu_titles_name_our_operations(title, operation, per_block, call, pair):
    assert benchmark_of(title) == (operation, per_block, call, pair)


def test_osu_programs_without_a_table(read):
    hello = read("# OSU MPI Hello World Test v7.4\nThis is a test with 2 processes\n")
    assert (hello.found.rows, hello.found.complete, hello.run.ranks) == (0, True, 2)
    init = read("# OSU MPI Init Test v7.4\nnprocs: 2, min: 10 ms, max: 30 ms, avg: 20 ms\n")
    assert init.table("operation") == [("mpi_init", *near(0.02))]
    failed = read("This test requires at least two processes\n")
    assert (failed.tool, failed.found.runs, failed.found.warnings()) == (
        "osu", 0, ["line 1: This test requires at least two processes"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("mpirun -np 8 x", 8), ("srun -n 16 osu_bw", 16), ("mpiexec -n 2 x", 2),
        ("flux run -N2 --tasks-per-node=96 x", 192), ("srun --ntasks=4 x", 4), ("srun -N 2 x", None),
        ("osu_bw -n 4", None), ("mpirun -npernode 20 -np 1240 x", 1240),
    ],
)  # fmt: skip
def test_ranks_of_a_command_line(text, ranks):
    assert ranks_in(text) == ranks


# IMB ----------------------------------------------------------------------------------------------

IMB = """#----------------------------------------------------------------
#    Intel(R) MPI Benchmarks 2021.11, MPI-1 part
#----------------------------------------------------------------
# MPI_Datatype                   :   MPI_BYTE
# MPI_Datatype for reductions    :   MPI_DOUBLE
# MPI_Op                         :   MPI_MAX
"""


def imb(name: str, columns: str, *rows: str, ranks: int = 4) -> str:
    head = f"# Benchmarking {name}\n# #processes = {ranks}\n#-----\n       {columns}\n"
    return head + "".join(f"     {line}\n" for line in rows) + "\n"


AVERAGES = "#bytes #repetitions  t_min[usec]  t_max[usec]  t_avg[usec]"


def test_imb_benchmarks_of_one_start_are_one_run(read):
    got = read(
        IMB
        + imb("PingPong", "#bytes #repetitions t[usec] Mbytes/sec", "8 1000 1.50 5.33", ranks=2)
        + imb("Allreduce", AVERAGES, "8 1000 1.0 3.0 2.0", ranks=2)
        + imb("Allreduce", AVERAGES, "8 1000 1.0 3.0 2.5")
        + imb("Allgather", AVERAGES, "8 1000 1.0 3.0 4.0")
        + imb("Barrier", "#repetitions t_min[usec] t_max[usec] t_avg[usec]", "1000 1.0 1.0 1.0")
        + "# All processes entering MPI_Finalize\n"
    )
    assert (got.tool, got.found.runs, got.found.rows, got.found.complete) == ("imb", 1, 5, True)
    assert got.table("operation", "nbytes", "dtype", "op", "ranks", "per_block", "timing") == [
        ("latency", 8, "int8", None, 2, False, "back_to_back", *near(1.5 * US)),
        ("all_reduce", 8, "float64", "max", 2, False, "barrier", *near(2 * US)),
        ("all_reduce", 8, "float64", "max", 4, False, "barrier", *near(2.5 * US)),
        ("all_gather", 8, "int8", None, 4, True, "barrier", *near(4 * US)),
        ("barrier", 0, "int8", None, 4, False, "back_to_back", *near(1 * US)),
    ]
    assert (got.run.ranks, got.run.tool) == (4, "Intel MPI Benchmarks 2021.11")


def test_imb_rates_modes_overlap_and_defects(read):
    got = read(
        IMB
        + imb("Uniband", "#bytes #repetitions Mbytes/sec Msg/sec", "8 100 16.0 2000000", "0 100 0.0 500000")
        + imb("Unidir_Get", "#\n#    MODE: AGGREGATE\n#\n #bytes #repetitions t[usec] Mbytes/sec defects", "8 10 3.0 1.0 0.00", "16 10 3.0 1.0 2.00")
        + imb("Iallreduce", "#bytes #repetitions t_ovrl[usec] t_pure[usec] t_CPU[usec] overlap[%]", "8 50 3.0 1.0 2.5 50.0")
        + imb("Allreduce_persist_pure", AVERAGES, "8 50 1.0 2.0 1.5")
    )  # fmt: skip
    assert got.table("operation", "nbytes", "call", "variant") == [
        ("bandwidth", 8, "blocking", "", *near(5e-7)),
        ("bandwidth", 0, "blocking", "", *near(2e-6)),
        ("unidir_get", 8, "blocking", "aggregate", *near(3 * US)),
        ("unidir_get", 16, "blocking", "aggregate", *near(3 * US)),
        ("all_reduce", 8, "nonblocking", "", *near(1 * US)),
        ("all_reduce", 8, "persistent", "pure", *near(1.5 * US)),
    ]
    series = list(got.run.series.values())
    assert [(s.checked, s.wrong) for s in series[2:4]] == [(True, 0), (True, 1)]
    assert series[4].overlap == near(1 * US, 2.5 * US, 3 * US)
    assert got.found.complete is False


def test_imb_without_its_header_begins_a_run_where_a_benchmark_comes_again(read):
    table = imb("Allreduce", AVERAGES, "8 1000 1.0 3.0 2.0", "16 1000 1.0 3.0")
    got = read(table + table)
    assert [(run.rows, run.partial_rows) for run in got.runs] == [(1, 1), (1, 1)]
    assert got.found.warnings() == [
        "lines 6, 13: partial row: 4 of 5 columns".replace("columns", "cells")
    ]


def test_imb_halo_and_invalid_names(read):
    got = read(
        "# Benchmarking simple_halo (processes: 2; threads: 1; dimensions: 1)\n"
        "4(x4)(bytes) 0.57(usec) 27.5(Mb/s)\nInvalid benchmark name halo2\n"
    )
    assert got.table("operation", "nbytes", "ranks") == [("simple_halo", 4, 2, *near(0.57 * US))]
    assert got.found.warnings() == ["line 3: Invalid benchmark name halo2"]


# GPCNeT -------------------------------------------------------------------------------------------


def box(title: str, *rows: str, columns: str = "| Name | Avg | 99% | Units |") -> str:
    lines = [f"|  {title}  |", columns, *rows]
    rule = "+------+------+"
    return rule + "\n" + "".join(f"{line}\n{rule}\n" for line in lines)


def test_gpcnet_canaries_are_alone_and_beside_congestion(read):
    got = read(
        "NetworkLoad Tests v1.3\n  Test with 12 MPI ranks (6 nodes)\n"
        + box(
            "Isolated Network Tests",
            "|  RR Two-sided Lat (8 B) |  2.0 |  3.0 |  usec |",
            "| RR Two-sided BW+Sync (131072 B) |  100.0 | 50.0 | MiB/s/rank |",
        )
        + box(
            "Network Tests running with Congestion Tests",
            "| RR Two-sided Lat (8 B) | 5.0 | 9.0 | usec |",
        )
        + box(
            "Network Tests running with Congestion Tests - Key Results",
            "| RR Two-sided Lat (8 B) | 2.5X | 3.0X |",
            "| RR Two-sided BW+Sync (131072 B) | 1.0X | 1.0X |",
            columns="| Name | Congestion Impact Factor |",
        )
    )
    assert (got.tool, got.found.rows, got.found.complete, got.run.ranks) == ("gpcnet", 5, True, 12)
    assert got.table("operation", "nbytes", "setting") == [
        ("gpcnet_rr_two_sided_lat", 8, "isolated", *near(2 * US)),
        ("gpcnet_rr_two_sided_bw_sync", 131072, "isolated", *near(131072 / (100 * 2**20))),
        ("gpcnet_rr_two_sided_lat", 8, "beside congestion", *near(5 * US)),
    ]


def test_gpcnet_that_breaks_off_is_not_complete(read):
    text = "Network Tests v1.3\n" + box(
        "Isolated Network Tests", "| RR Get Lat (8 B) | 2.0 | 3.0 | usec |"
    )
    got = read(text)
    assert (got.found.rows, got.found.complete) == (1, False)
    whole = text + "| Multiple Alltoall (4096 B) | 2.0 | 3.0 | MiB/s/rank |\n+---+\n"
    assert read(whole).found.complete is True
    torn = read(text + "|  RR Put BW (131072 B) |  491")
    assert (torn.found.rows, torn.found.partial_rows) == (1, 1)


def test_gpcnet_is_complete_only_with_every_canary_among_its_key_results(read):
    canaries = ("RR Two-sided Lat (8 B)", "Multiple Allreduce (8 B)")
    measured = "NetworkLoad Tests v1.3\n" + box(
        "Isolated Network Tests", *(f"| {name} | 2.0 | 3.0 | usec |" for name in canaries)
    )
    keys = box(
        "Network Tests running with Congestion Tests - Key Results",
        *(f"| {name} | 2.5X | 3.0X |" for name in canaries),
        columns="| Name | Congestion Impact Factor |",
    )
    assert read(measured + keys).found.complete is True
    torn = measured + keys[: keys.index("| Multiple")]
    assert (read(torn).found.rows, read(torn).found.complete) == (3, False)


# PARAM --------------------------------------------------------------------------------------------

PARAM = (
    "\t PARAM COMM environment: {'world_size': 2, 'local_size': 2}\n\t backend: gloo nw-stack: x\n"
    "Hello from Rank 0: [Rank   0] host a, device: cpu\nHello from Rank 1: [Rank   1] host b, device: cpu\n"
    "[Rank   0] allSizes: [8, 64] element_size: 4\n"
    "\tCOMMS-RES    total-size (B)  nElementsPerRank  Time(us):p50 p75 p95 Min Max AlgBW(GB/s) BusBW(GB/s)\n"
    "\tCOMMS-RES-all_reduce-float32      8      2     10.0  11.0  12.0  9.0  13.0  0.0  0.0\n"
)


def test_param_is_complete_once_the_sizes_it_announced_are_there(read):
    got = read(PARAM)
    assert (got.found.rows, got.found.complete) == (1, False)
    row = PARAM.splitlines()[-1].replace("     8      2", "     64     16")
    got = read(PARAM + row + "\n")
    assert (got.tool, got.found.rows, got.found.complete) == ("param", 2, True)
    assert got.table("operation", "nbytes", "count", "dtype", "op") == [
        ("all_reduce", 8, 2, "float32", "sum", *near(10 * US)),
        ("all_reduce", 64, 16, "float32", "sum", *near(10 * US)),
    ]
    assert (got.run.ranks, got.run.hosts, got.run.tool) == (
        2,
        {0: "a", 1: "b"},
        "PARAM comms (gloo)",
    )
    assert read(PARAM + row[:60]).found.partial_rows == 1


# perftest -----------------------------------------------------------------------------------------


def perftest(title: str, head: str, *rows: str, device: str = "mlx5_0") -> str:
    line = "-" * 87 + "\n"
    facts = (
        f" Dual-port       : OFF          Device         : {device}\n Mtu             : 4096[B]\n"
    )
    return (
        line
        + f"                    {title}\n{facts}{line} {head}\n"
        + "".join(r + "\n" for r in rows)
        + line
    )


BW = "#bytes     #iterations    BW peak[{0}]    BW average[{0}]   MsgRate[Mpps]"


def test_perftest_bandwidths_and_latencies_are_ours_of_the_same_name(read):
    lat = "#bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]"
    got = read(
        perftest(
            "RDMA_Write BW Test",
            BW.format("Gb/sec"),
            " 65536      5000    99.0   98.3040   0.187500",
        )
        + perftest(
            "RDMA_Read Latency Test", lat, " 2       1000     1.40    9.0    1.47     2.00    0.10"
        )
        + perftest(
            "RDMA_Write Bidirectional BW Test",
            BW.format("Gb/sec"),
            " 65536 5000 99.0 98.3040 0.187500",
        )
    )
    assert (got.tool, got.found.runs, got.found.rows, got.found.complete) == (
        "perftest",
        3,
        3,
        True,
    )
    made = [
        (s.what.operation, s.what.call, *s.seconds()) for r in got.runs for s in r.series.values()
    ]
    assert made == [
        ("rdma_write_bandwidth", "forth", *near(1 / 187500)),
        ("rdma_read_latency", "forth", *near(1.47 * US)),
        ("rdma_write_bandwidth", "both", *near(1 / 187500)),
    ]
    assert [run.ranks for run in got.runs] == [2, 2, 2]


def test_perftest_mixed_and_wrong_units_are_noticed(read):
    row = " 65536      5000    99.0   98.3040   0.187500"
    mixed = read(
        perftest("RDMA_Write BW Test", BW.format("Gb/sec"), row)
        + perftest("RDMA_Write BW Test", BW.format("MB/sec"), " 65536 5000 99.0 11718.75 0.187500")
    )
    assert ["units differ between tables: Gb/sec, MB/sec" in w for w in mixed.found.warnings()] == [
        True
    ]
    wrong = read(perftest("RDMA_Write BW Test", BW.format("MB/sec"), row))
    assert "is its unit as the title says?" in wrong.found.warnings()[0]


def test_perftest_warnings_torn_rows_and_a_missing_end(read):
    whole = perftest("RDMA_Write BW Test", BW.format("Gb/sec"), " 65536 5000 99.0 98.3040 0.187500")
    noisy = whole.replace(" 65536", "Conflicting CPU frequency values detected: 1 != 2\n 65536")
    got = read(noisy)
    assert (got.found.rows, got.found.warnings()[0][:22]) == (1, "line 7: Conflicting CP")
    cut = read(whole[: whole.index("98.3040")])
    assert (cut.found.rows, cut.found.partial_rows, cut.found.complete) == (0, 1, False)


def test_two_perftests_that_wrote_at_once_are_two_runs(read):
    server = perftest("RDMA_Write BW Test", BW.format("Gb/sec"))
    title = server[: server.index(" #bytes")]
    got = read(
        title
        + perftest("RDMA_Write BW Test", BW.format("Gb/sec"), " 65536 5000 99.0 98.3040 0.187500")
    )
    assert [run.rows for run in got.runs] == [0, 1]
    assert got.found.complete is True
    assert "another program began" in got.found.warnings()[0]


def test_the_document_of_perftest_is_read(read):
    got = read(
        '{ "test_info": {"test": "RDMA_Write BW Test", "Device": "mlx5_0"},\n'
        ' "results": {"MsgSize": 65536, "n_iterations": 5000, "BW_peak": 99.0, "BW_average": 98.304, "MsgRate": 0.1875,} }'
    )
    assert got.table("operation", "nbytes") == [("rdma_write_bandwidth", 65536, *near(1 / 187500))]
    torn = read('{ "test_info": {"test": "RDMA_Write BW Test"}, "results": {"Msg')
    assert (torn.found.rows, torn.found.partial_rows, torn.found.complete) == (0, 1, False)
