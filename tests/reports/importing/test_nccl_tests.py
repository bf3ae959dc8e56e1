"""nccl-tests: every layout, torn rows, noise between them, several runs, what a header does not say."""

# ruff: noqa: E501, ISC004  (lines of logs are as long as they are)

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from railgauge_reports.importing.nccl_inference import (
    Evidence,
    operation_of,
    ranks_of,
    unit_trouble,
)
from railgauge_reports.importing.nccl_layout import UNTITLED, cells_of, layout_of

RANKS = 4
FOOTER = ("# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 1.5 ", "#")


def ranks(count: int = RANKS, each: int = 2) -> list[str]:
    return [
        f"#  Rank {k:2d} Group  0 Pid {100 + k:6d} on {f'h{k // each}':>10} device {k % each:2d} [0000:1{k}:00] A GPU"
        for k in range(count)
    ]


def titles(columns: str = "redop root", check: str = "#wrong") -> list[str]:
    block = f"time algbw busbw {check}"
    return [
        f"#       size         count      type  {columns}  {block}  {block}",
        "#        (B)    (elements)",
    ]


def row(
    size: int = 1024, count: int = 256, kind: str = "float", middle: str = "sum      -1",
    out: str = "20.00    0.05    0.08      0", into: str = "10.00    0.10    0.15      0",
) -> str:  # fmt: skip
    return f"{size:12d}  {count:12d}  {kind:>8}  {middle}    {out}    {into}"


def log(
    *rows: str,
    program: str = "all_reduce_perf",
    listed: Iterable[str] | None = None,
    head: Iterable[str] | None = None,
    footer: Iterable[str] = FOOTER,
) -> str:
    """A log of nccl-tests 2.18."""
    lines = [
        "# nccl-tests version 2.18.2 nccl-headers=23007 nccl-library=23007",
        f"# Collective test starting: {program}",
        "# nThread 1 nGpus 1 minBytes 8 maxBytes 64 step: 2(factor) warmup iters: 3 iters: 20 agg iters: 1 validation: 1",
        "#",
        "# Using devices",
        *(ranks() if listed is None else listed),
        "#",
        *(titles() if head is None else head),
        *rows,
        *footer,
    ]
    return "\n".join(lines) + "\n"


FIELDS = ("operation", "nbytes", "count", "dtype", "op", "root", "placement")
OUT = ("all_reduce", 1024, 256, "float32", "sum", None, "out", pytest.approx(20e-6))
IN = ("all_reduce", 1024, 256, "float32", "sum", None, "in", pytest.approx(10e-6))


def test_a_row_is_out_of_place_and_in_place(read):
    got = read(log(row()))
    assert got.table(*FIELDS) == [OUT, IN]
    assert (got.tool, got.found.rows, got.found.runs, got.found.complete) == (
        "nccl_tests",
        1,
        1,
        True,
    )
    assert (got.run.tool, got.run.ranks, got.run.iterations, got.run.warmup) == (
        "nccl-tests 2.18.2", 4, 20, 3,
    )  # fmt: skip
    assert got.run.hosts == {0: "h0", 1: "h0", 2: "h1", 3: "h1"}
    assert got.found.warnings() == []
    assert [s.checked for s in got.run.series.values()] == [True, True]


@pytest.mark.parametrize(
    ("columns", "check", "middle", "out", "into", "op", "root", "program", "operation"),
    [
        ("redop", "error", "sum", "20.00 0.05 0.08 4e-07", "10.00 0.10 0.15 N/A", "sum", None, "all_reduce_perf", "all_reduce"),
        ("", "error", "", "20.00 0.05 0.08 0e+00", "10.00 0.10 0.15 0e+00", None, None, "all_gather_perf", "all_gather"),
        ("root", "error", "0", "20.00 0.05 0.05 0e+00", "10.00 0.10 0.10 0e+00", None, 0, "broadcast_perf", "broadcast"),
        ("redop root", "error", "sum 2", "20.00 0.05 0.05 0e+00", "10.00 0.1 0.1 0e+00", "sum", 2, "reduce_perf", "reduce"),
        ("redop", "error", "", "20.00 0.05 0.08 N/A", "10.00 0.10 0.15 N/A", None, None, "alltoall_perf", "alltoall"),
        ("redop root", "#wrong", "mulsum -1", "20.00 0.05 0.08 0", "10.00 0.10 0.15 0", "premul_sum", None, "all_reduce_perf", "all_reduce"),
        ("redop root", "#wrong", "none 0", "20.00 0.05 0.05 0", "10.00 0.10 0.10 0", None, 0, "broadcast_perf", "broadcast"),
        ("redop root", "#wrong", "sum -1", "20.00 0.05 0.05 0", "10.00 0.10 0.10 N/A", None, None, "sendrecv_perf", "sendrecv"),
    ],
)  # fmt: skip
def test_rows_of_every_era_are_read(
    read, columns, check, middle, out, into, op, root, program, operation
):
    got = read(
        log(row(middle=middle, out=out, into=into), program=program, head=titles(columns, check))
    )
    assert got.found.rows == 1
    assert got.found.partial_rows == 0
    assert got.table("operation", "op", "root", "placement") == [
        (operation, op, root, "out", pytest.approx(20e-6)),
        (operation, op, root, "in", pytest.approx(10e-6)),
    ]
    checked = [s.checked for s in got.run.series.values()]
    assert checked == ["N/A" not in out, "N/A" not in into]


def test_tables_of_nccl_1_are_in_milliseconds_and_list_devices(read):
    text = "\n".join(
        [
            "$ ./build/test/single/all_reduce_test 1000",
            "# Using devices",
            "#   Device  0 ->  0 [0x0a] A GPU",
            "#   Device  1 ->  1 [0x09] A GPU",
            "#                                            out-of-place                    in-place",
            "#      bytes             N    type      op     time  algbw  busbw      res     time  algbw  busbw      res",
            "        1000          1000    char    prod    1.628   6.14   6.14    0e+00    1.932   5.18   5.18    0e+00",
        ]
    )
    got = read(text)
    assert got.table("operation", "dtype", "op", "placement") == [
        ("all_reduce", "int8", "prod", "out", pytest.approx(1.628e-3)),
        ("all_reduce", "int8", "prod", "in", pytest.approx(1.932e-3)),
    ]
    assert (got.run.ranks, got.found.complete) == (2, False)


def test_rows_that_were_commented_out_are_rows(read):
    assert read(log("#" + row()[1:])).table(*FIELDS) == [OUT, IN]


def test_columns_behind_a_block_do_not_shift_the_next_one(read):
    head = [
        "#  size count type redop root  time algbw busbw #wrong i_min i_max i_p99 i_cv%"
        "  time algbw busbw #wrong i_min i_max i_p99 i_cv%  #iters"
    ]
    line = row(out="20.00 0.05 0.08 0 1.0 2.0 3.0 4.0", into="10.00 0.10 0.15 0 1 2 3 4  20")
    assert read(log(line, head=head)).table(*FIELDS) == [OUT, IN]


def test_a_row_may_end_in_date_and_time(read):
    got = read(log(row() + "  2026-01-02 03:04:05"))
    assert got.table(*FIELDS) == [OUT, IN]
    assert got.found.partial_rows == 0


@pytest.mark.parametrize(
    "prefix",
    ["[1,0]<stdout>:", "0: ", "    ", "[0] ", "2026-01-02T03:04:05.123Z stdout F ", "worker-0  | "],
)
def test_prefixes_of_launchers_are_taken_off(read, prefix):
    text = "".join(prefix + line + "\n" for line in log(row(), row(2048, 512)).splitlines())
    got = read(text)
    assert (got.found.rows, got.run.ranks, got.found.complete) == (2, 4, True)
    assert got.table(*FIELDS)[:2] == [OUT, IN]


def test_lines_of_libraries_between_rows_are_passed_over_and_warnings_are_told(read):
    noise = [
        "h0:1:2 [0] NCCL INFO Channel 00/0",
        "libibverbs: nothing",
        "h1:1:2 [1] NCCL WARN a cable is loose",
    ]
    got = read(log(row(), *noise, row(2048, 512), "srun: error: h1: task 3: Killed"))
    assert got.found.rows == 2
    (warn, error) = got.found.warnings()
    assert warn.endswith("NCCL WARN a cable is loose")
    assert warn.startswith("line 16: ")
    assert error == "line 18: srun: error: h1: task 3: Killed"


def test_a_row_that_is_torn_in_two_is_one_row(read):
    whole = row()
    cut = whole.index("20.00")
    got = read(
        log(row(8, 2), whole[:cut].rstrip() + "h0:1:2 [0] NCCL INFO in between", whole[cut:])
    )
    assert (got.found.rows, got.found.partial_rows) == (2, 0)
    assert got.table(*FIELDS)[2:] == [OUT, IN]


def test_a_row_broken_by_summaries_of_alltoallv_is_one_row(read):
    text = log(
        "        1024             0     float    none      -1# NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY: mode=matrix",
        "#   rank=0 send_bytes=1 alg_bw=1 bus_bw=1",
        "    20.00    0.05    0.08      0# NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY: mode=matrix",
        "#   rank=0 send_bytes=1 alg_bw=1 bus_bw=1",
        "    10.00    0.10    0.15    N/A",
        program="alltoallv_perf",
    )
    got = read(text)
    assert (got.found.rows, got.found.partial_rows) == (1, 0)
    assert got.table("operation", "placement") == [
        ("alltoallv", "out", pytest.approx(20e-6)),
        ("alltoallv", "in", pytest.approx(10e-6)),
    ]


def test_a_word_glued_to_the_last_number_is_taken_off(read):
    got = read(log(row() + "h0:1:2 [0] NCCL INFO glued"))
    assert got.table(*FIELDS) == [OUT, IN]


def test_what_is_missing_of_a_row_is_a_partial_row_with_its_line(read):
    got = read(log(row(), row(2048, 512)[:70], row(4096, 1024)))
    assert (got.found.rows, got.found.partial_rows) == (2, 1)
    (told,) = got.found.warnings()
    assert told == "line 14: partial row: 2 of 8 values of a row of 2048 B"


def test_a_file_that_ends_within_a_row_has_a_partial_row_and_is_not_complete(read):
    text = log(row(), footer=())
    for tail in (row(2048, 512)[:90], "        2048           51", "   20"):
        got = read(text + tail)
        assert (got.found.rows, got.found.partial_rows, got.found.complete) == (1, 1, False)
        assert got.found.warnings()[0].startswith("line 14: ")


def test_a_new_header_is_a_new_run_and_titles_alone_are_one_too(read):
    once = log(row())
    assert [run.rows for run in read(once + once).runs] == [1, 1]
    table = "\n".join([*titles(), row(), row(2048, 512)]) + "\n"
    got = read(table + table)
    assert [run.rows for run in got.runs] == [2, 2]
    assert got.found.complete is False


def test_each_run_is_of_the_program_that_its_own_command_names(read):
    table = "\n".join([*titles("root"), row(middle="0"), *FOOTER]) + "\n"
    got = read(f"$ mpirun ./gather_perf -b 8\n{table}$ mpirun ./broadcast_perf -b 8\n{table}")
    assert [s.what.operation for run in got.runs for s in run.series.values()][::2] == [
        "gather",
        "broadcast",
    ]


def test_complete_means_that_every_run_ended(read):
    whole, cut = log(row()), log(row(), footer=())
    assert read(whole + cut).found.complete is False
    assert (
        read(whole + log(row(), footer=["# Avg bus bandwidth    : -nan "])).found.complete is True
    )
    assert (
        read(log(row(), footer=["# Collective test concluded: all_reduce_perf"])).found.complete
        is True
    )


def test_sizes_that_come_again_are_more_values_of_one_series(read):
    got = read(log(row(), row(out="30.00 0.05 0.08 0", into="40.00 0.1 0.1 0"), row()))
    assert got.found.rows == 3
    assert got.table("placement") == [
        ("out", *map(pytest.approx, (20e-6, 30e-6, 20e-6))),
        ("in", *map(pytest.approx, (10e-6, 40e-6, 10e-6))),
    ]


def test_the_short_way_of_rows_that_were_met_says_what_the_long_way_says(read):
    """Equal rows go the short way; other checks, lost values and NaN must not."""
    same = [row(out=f"{20 + k}.00 0.05 0.08 0") for k in range(50)]
    wrong = row(out="20.00 0.05 0.08 7")
    unchecked = row(into="10.00 0.10 0.15 N/A")
    nan = row(out="nan 0.05 0.08 0")
    got = read(log(*same, wrong, unchecked, nan, same[0][:60], *same))
    out, into = got.run.series.values()
    assert got.found.rows == 102
    assert got.found.partial_rows == 2
    assert [round(v * 1e6) for v in out.seconds()] == [*range(20, 70), 20, 20, *range(20, 70)]
    assert len(into.values) == 103
    assert (out.wrong, out.checked, into.checked) == (7, True, False)


@pytest.mark.parametrize("time", ["nan", "-nan", "inf", "1e400"])
def test_a_row_whose_time_is_no_number_is_not_whole(read, time):
    got = read(log(row(), row(2048, 512, out=f"{time} 0.05 0.08 0")))
    assert (got.found.rows, got.found.partial_rows, got.found.complete) == (1, 1, True)
    assert f"partial row: the time {time} is no number" in got.found.warnings()[0]
    assert [w.placement for w in got.run.series if w.nbytes == 2048] == ["in"]


def test_rows_of_the_short_way_belong_to_the_run_they_stand_in(read):
    table = log(row(), row(), row())
    assert [run.rows for run in read(table + table).runs] == [3, 3]


def test_longer_numbers_under_a_known_beginning_are_not_mistaken(read):
    got = read(log(row(1024, 256), row(10240, 2560), row(1024, 25600), row(102400, 25600)))
    assert [w.nbytes for w in got.run.series][::2] == [1024, 10240, 1024, 102400]
    assert [w.count for w in got.run.series][::2] == [256, 2560, 25600, 25600]


def test_wrong_elements_and_failed_checks_are_counted(read):
    got = read(
        log(
            row(out="20.00 0.05 0.08 1.5e+06"),
            footer=["# Out of bounds values : 3 FAILED", FOOTER[1]],
        )
    )
    assert [s.wrong for s in got.run.series.values()] == [1_500_000, 0]
    assert got.run.out_of_bounds == 3
    assert got.found.warnings() == ["line 14: # Out of bounds values : 3 FAILED"]


@pytest.mark.parametrize(
    ("kind", "error", "wrong"),
    [("float", "9e-06", 0), ("float", "2e-05", 1), ("half", "9e-03", 0), ("half", "2e-02", 1), ("double", "2e-12", 1), ("int", "1e+00", 1), ("int", "0e+00", 0), ("float", "nan", 1)],
)  # fmt: skip
def test_errors_of_old_versions_are_judged_as_those_did(read, kind, error, wrong):
    line = row(kind=kind, middle="sum", out=f"20.00 0.05 0.08 {error}", into="10.0 0.1 0.1 0e+00")
    got = read(log(line, head=titles("redop", "error")))
    assert [s.wrong for s in got.run.series.values()] == [wrong, 0]


def test_lines_that_were_left_out_are_told(read):
    assert read(log(row(), "   ...", row(2048, 512))).found.warnings() == [
        "line 14: rows were left out here ('...')"
    ]


def test_bandwidths_in_another_unit_than_they_say_are_noticed(read):
    gigabits = row(1 << 30, 1 << 28, out="10000 858.99 1288.5 0", into="10000 858.99 1288.5 0")
    (told,) = read(log(gigabits)).found.warnings()
    assert "Gb/s, not GB/s" in told
    honest = row(1 << 30, 1 << 28, out="10000 107.37 161.06 0", into="10000 107.37 161.06 0")
    assert read(log(honest)).found.warnings() == []
    named = [*titles()[:1], "#        (B)    (elements)  (us)  (Gb/s)  (Gb/s)"]
    assert any("Gb/s" in w for w in read(log(honest, head=named)).found.warnings())


def test_listed_ranks_that_bandwidths_contradict_are_noticed(read):
    line = row(1 << 30, 1 << 28, out="10000 107.37 187.90 0", into="10000 107.37 187.90 0")
    assert (
        "4 ranks are listed, and bandwidths are those of 8" in read(log(line)).found.warnings()[0]
    )
    assert read(log(line, listed=ranks(8, 8))).found.warnings() == []


# what a header does not say -----------------------------------------------------------------------


def bare(*rows: str) -> str:
    return "\n".join([*titles(), *rows, *FOOTER]) + "\n"


def test_ranks_and_collective_are_inferred_from_rows_and_said(read):
    got = read(
        bare(row(1 << 30, 1 << 28, out="10000 107.37 161.06 0", into="10000 107.37 161.06 0"))
    )
    assert got.run.ranks == 4
    assert [w.operation for w in got.run.series] == ["all_reduce"] * 2
    assert any("does not name its collective: all_reduce" in note for note in got.run.notes)
    assert any("does not say its ranks: 4" in note for note in got.run.notes)


def test_a_name_that_only_the_file_tells_is_said_to_be_from_there(read):
    text = bare(row(1024, 64, middle="none -1"))
    got = read(text, "node7-allgather.log")
    assert [w.operation for w in got.run.series] == ["all_gather"] * 2
    assert "from the name of the file" in got.run.notes[0]
    assert got.run.ranks == 4
    assert [w.operation for w in read(text, "x.log").run.series] == ["unknown_collective"] * 2


@pytest.mark.parametrize(
    ("reduces", "rooted", "unchecked", "blocks", "operation"),
    [
        (True, True, False, 1, "reduce"), (True, False, False, 4, "reduce_scatter"),
        (True, False, False, 1, "all_reduce"), (True, False, True, 1, "sendrecv"),
        (False, True, False, 1, "broadcast"), (False, False, False, 1, "sendrecv"),
        (False, False, True, 4, "alltoall"), (False, False, False, 4, "unknown_collective"),
        (False, True, False, 4, "unknown_collective"),
    ],
)  # fmt: skip
def test_collectives_are_told_apart_by_columns_and_counts(
    reduces, rooted, unchecked, blocks, operation
):
    rows = [Evidence(4096, 4096 // blocks, 1e-5, "0.4", "0.4")]
    assert operation_of(reduces, rooted, unchecked, rows, "")[0] == operation


@pytest.mark.parametrize("n", [1, 2, 3, 8, 16, 72])
def test_ranks_of_an_all_reduce_follow_from_its_bandwidths(n):
    algbw = 300.0
    rows = [
        Evidence(1 << 30, 1 << 30, 1e-2, f"{a:.2f}", f"{a * 2 * (n - 1) / n:.2f}")
        for a in (algbw, 0.5, 0.0)
    ]
    assert ranks_of("all_reduce", rows) == n


def test_ranks_are_not_guessed_where_digits_do_not_reach_or_rows_disagree():
    assert ranks_of("all_reduce", [Evidence(8, 8, 1e-5, "0.01", "0.02")]) is None
    two = [
        Evidence(1 << 30, 1 << 30, 1e-2, "100.00", f"{100 * 2 * (n - 1) / n:.2f}") for n in (2, 8)
    ]
    assert ranks_of("all_reduce", two) is None
    assert (
        ranks_of("all_gather", [Evidence(64, 16, 1, "1", "1"), Evidence(64, 8, 1, "1", "1")])
        is None
    )
    assert ranks_of("broadcast", [Evidence(64, 64, 1, "1", "1")]) is None


@pytest.mark.parametrize(
    ("factor", "unit"),
    [
        (8, "Gb/s"),
        (0.93132, "GiB/s"),
        (1000, "MB/s"),
        (1, None),
        (1.03, None),
        (7.3, None),
        (3, None),
    ],
)
def test_units_are_told_by_the_factor_between_bandwidth_and_size_over_time(factor, unit):
    told = unit_trouble([Evidence(1 << 30, 1, (1 << 30) / 1e11, f"{100 * factor:.3f}", "1")])
    assert (unit is None and told is None) or f"are {unit}, not GB/s" in told


def test_rows_without_titles_are_read_by_their_shape(read):
    old = row(middle="sum", out="20.00 0.05 0.08 1e-07", into="10.00 0.10 0.15 1e-07")
    for line in (row(), old):
        got = read("\n".join([line, row(2048, 512), *FOOTER]) + "\n")
        assert (got.found.rows, got.found.partial_rows, got.found.runs) == (2, 0, 1)
        assert got.table("op", "root")[0] == ("sum", None, pytest.approx(20e-6))
    rooted = cells_of(row(middle="none 3"), UNTITLED)
    assert (rooted.identity.root, len(rooted.values)) == (3, 8)
    assert cells_of("  8  2  float  hello 1 2", UNTITLED).identity.op is None


def test_a_footer_that_says_failed_without_a_count_is_a_failure(read):
    got = read(log(row(), footer=["# Out of bounds values : 0 FAILED", FOOTER[1]]))
    assert got.run.out_of_bounds == 1


def test_sizes_that_are_no_multiple_of_a_block_say_nothing():
    rows = [Evidence(100, 30, 1e-5, "0.4", "0.4")]
    assert operation_of(True, False, False, rows, "")[0] == "all_reduce"
    assert ranks_of("all_gather", [*rows, Evidence(120, 30, 1e-5, "0.4", "0.4")]) == 4


def test_titles_are_told_from_other_comments():
    assert layout_of("#       size  of something") is None
    assert layout_of("# size count type nothing") is None
    assert cells_of("  1024 256 grape sum -1 1 2 3 0 1 2 3 0", layout_of(titles()[0])) is None


# JSON ---------------------------------------------------------------------------------------------


def document(**changes):
    made = {
        "version": 3,
        "start_time": "x",
        "args": ["build/all_gather_perf", "-J", "x.json"],
        "env": ["SECRET=1"],
        "nccl_version": "2.30.4",
        "config": {
            "nthreads": 1, "ngpus": 2, "warmup_iters": 5, "iterations": 20,
            "devices": [{"rank": r, "hostname": f"h{r // 2}", "device_info": "A GPU"} for r in (0, 2)],
        },
        "results": [
            {
                "size": 1024, "count": 128, "type": "half", "redop": "none", "root": "    -1",
                "out_of_place": {"time": 12.5, "alg_bw": 0.08, "bus_bw": 0.06, "nwrong": 0},
                "in_place": {"time": 11.0, "alg_bw": 0.09, "bus_bw": 0.07, "nwrong": None},
            }
        ],
        "out_of_bounds": {"count": 0, "okay": True},
        "average_bus_bandwidth": {"bandwidth": 1.0, "okay": "unchecked"},
        "errors": [],
        "end_time": "y",
    }  # fmt: skip
    return made | changes


def test_the_document_of_j_is_read(read):
    got = read(json.dumps(document()), "a.json")
    assert got.tool == "nccl_tests"
    assert got.table("operation", "dtype", "placement", "count") == [
        ("all_gather", "float16", "out", 128, pytest.approx(12.5e-6)),
        ("all_gather", "float16", "in", 128, pytest.approx(11e-6)),
    ]
    assert (got.run.ranks, got.run.iterations, got.found.complete) == (4, 20, True)
    assert got.run.hosts == {0: "h0", 1: "h0", 2: "h1", 3: "h1"}
    assert [s.checked for s in got.run.series.values()] == [True, False]
    assert "SECRET" not in repr(vars(got.run))


def test_times_of_single_iterations_are_samples(read):
    result = document()["results"][0] | {"out_of_place_per_iter": {"times_us": [1.0, 2.0, 4.0]}}
    got = read(json.dumps(document(results=[result])), "a.json")
    assert got.table("placement")[0] == ("out", *map(pytest.approx, (1e-6, 2e-6, 4e-6)))
    assert got.found.rows == 1
    assert any("single iterations" in note for note in got.run.notes)


def test_bare_inf_and_nan_are_nothing_and_a_torn_document_keeps_its_whole_results(read):
    text = json.dumps(document(), indent=1).replace("0.06", "inf").replace("0.07", "-nan")
    got = read(text, "a.json")
    assert (got.found.rows, got.found.complete) == (1, True)
    torn = text[: text.index('"out_of_bounds"')].replace("  }\n ],", '  },\n  {"size": 2048, "cou')
    got = read(torn, "b.json")
    assert (got.found.rows, got.found.partial_rows, got.found.complete) == (1, 1, False)
    assert [w.operation for w in got.run.series] == ["all_gather"] * 2


def test_failed_checks_and_errors_of_the_document_are_told(read):
    text = json.dumps(document(out_of_bounds={"count": 2}, errors=["a rank is gone"]))
    got = read(text, "a.json")
    assert got.run.out_of_bounds == 2
    assert got.found.warnings() == ["error: a rank is gone"]
