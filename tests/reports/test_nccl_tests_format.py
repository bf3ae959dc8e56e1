from __future__ import annotations

import re

import pytest

from railgauge_reports.formats.nccl_tests import float_text, render
from railgauge_reports.loaded import load

EXPECTED = """\
# nccl-tests version 2.19.6 nccl-headers=0 nccl-library=0
# Collective test starting: all_reduce_perf
# nThread 1 nGpus 1 minBytes 8 maxBytes 2097152 step: 512(factor) warmup iters: 32 iters: 100 agg iters: 1 validation: 1 graph: 0 unalign: 0
#
# Using devices
#  Rank  0 Group  0 Pid      0 on         n0 device  0 [0000:00:00] Test CPU
#  Rank  1 Group  0 Pid      0 on         n0 device  1 [0000:00:00] Test CPU
#  Rank  2 Group  0 Pid      0 on         n1 device  0 [0000:00:00] Test CPU
#  Rank  3 Group  0 Pid      0 on         n1 device  1 [0000:00:00] Test CPU
#
# Written by railgauge 0.1.0: mpi (MPICH Version: 5.0.2), blocking, barrier; time is the median
#
#                                                              out-of-place                       in-place          
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong 
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)         
           8             2     float     sum      -1     1.50    0.01    0.01       0     2.00    0.00    0.01       0
        4096          1024     float     sum      -1    12.00    0.34    0.51       0  12345.7    0.00    0.00       0
     2097152        524288     float     sum      -1   123.46   16.99   25.48       0  1234568    0.00    0.00       0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 4.3349 
#
# Collective test concluded: all_reduce_perf
#

"""  # noqa: E501, W291 (the layout is what is tested)

ROW = re.compile(
    r"^\s+(?P<size>\d+)\s+(?P<count>\d+)\s+(?P<type>\S+)\s+(?P<redop>\S+)\s+(?P<root>-?\d+)"
    r"\s+(?P<time>\S+)\s+(?P<algbw>\S+)\s+(?P<busbw>\S+)\s+(?P<wrong>\S+)"
    r"\s+(?P<time_in>\S+)\s+(?P<algbw_in>\S+)\s+(?P<busbw_in>\S+)\s+(?P<wrong_in>\S+)$"
)


def measured(run, *seconds):
    for case, took in zip(run.cases, seconds, strict=True):
        run.result(case, took)
    return load(run.end())


def data_rows(text):
    """What `grep -v '^#'` and a regular expression of a script get."""
    return [match for line in text.splitlines() if (match := ROW.match(line))]


def test_the_layout_is_that_of_nccl_tests_byte_for_byte(start):
    run = start(sizes=(8, 4096, 2097152), placements=("out", "in"))
    loaded = measured(run, 1.5e-6, 12e-6, 123.457e-6, 2e-6, 12345.7e-6, 1.234568)
    assert render(loaded) == EXPECTED


def test_ranks_on_gpus_are_listed_with_name_and_bus(start):
    run = start(sizes=(8,), backend="nccl", memory="device")
    text = render(measured(run, 1e-6))
    assert "#  Rank  3 Group  0 Pid      0 on         n1 device  1 [0000:3c:00] Test GPU\n" in text


def test_the_average_is_the_mean_over_rows_and_placements(start):
    run = start(sizes=(1024, 4096), placements=("out", "in"))
    loaded = measured(run, 1e-6, 2e-6, 4e-6, 8e-6)
    mean = loaded.rows["busbw_GBps"].mean()
    assert f"# Avg bus bandwidth    : {mean:g} \n" in render(loaded)


def test_scripts_that_count_fields_from_the_end_read_the_in_place_bandwidth(start):
    run = start(sizes=(4096,), placements=("out", "in"))
    (row,) = data_rows(render(measured(run, 10e-6, 20e-6)))
    fields = row.string.split()
    assert len(fields) == 13
    assert fields[-2] == row["busbw_in"] == "0.31"
    assert fields[7] == row["busbw"] == "0.61"


def test_a_placement_that_was_not_measured_is_not_answered_with_the_other(start):
    run = start(sizes=(4096,))
    (row,) = data_rows(render(measured(run, 10e-6)))
    assert (row["time"], row["busbw"], row["wrong"]) == ("10.00", "0.61", "0")
    assert {row["time_in"], row["algbw_in"], row["busbw_in"], row["wrong_in"]} == {"N/A"}
    assert len(row.string.split()) == 13
    assert row.string.endswith("       0      N/A     N/A     N/A    N/A")


def test_wrong_data_is_counted_and_has_no_bandwidth(start, flipped):
    run = start(sizes=(4096,), placements=("out", "in"))
    run.result(run.cases[0], wrong=(flipped,))
    run.result(run.cases[1])
    text = render(load(run.end("FAIL", 4)))
    (row,) = data_rows(text)
    assert (row["algbw"], row["busbw"], row["wrong"]) == ("N/A", "N/A", "3")
    assert row["wrong_in"] == "0"
    assert "# Out of bounds values : 1 FAILED\n" in text


def test_a_gap_alone_has_the_average_of_nothing(start):
    run = start(sizes=(4096,))
    run.gap(run.cases[0], "no memory")
    text = render(load(run.end("INCONCLUSIVE", 6)))
    (row,) = data_rows(text)
    assert row["busbw"] == "N/A"
    assert "# Avg bus bandwidth    : -nan \n" in text


def test_every_operation_has_a_table_of_its_own(start):
    operations = ("all_reduce", "broadcast", "alltoall", "sendrecv")
    run = start(operations=operations, sizes=(4096,))
    text = render(measured(run, 1e-5, 1e-5, 1e-5, 1e-5))
    for line in ("# Collective test starting: {}_perf", "# Collective test concluded: {}_perf"):
        found = [text.index(line.format(operation)) for operation in operations]
        assert found == sorted(found)
    rows = data_rows(text)
    assert [row["redop"] for row in rows] == ["sum", "none", "none", "sum"]
    assert [row["root"] for row in rows] == ["-1", "0", "-1", "-1"]
    assert [row["count"] for row in rows] == ["1024", "1024", "256", "1024"]


def test_types_have_the_names_that_nccl_tests_gives_them(start):
    dtypes = ("float16", "float32", "float64", "bfloat16", "int8", "uint64")
    run = start(dtypes=dtypes, sizes=(4096,))
    rows = data_rows(render(measured(run, *[1e-5] * 6)))
    assert [row["type"] for row in rows] == [
        "half",
        "float",
        "double",
        "bfloat16",
        "int8",
        "uint64",
    ]


def test_the_groups_of_a_pattern_are_runs_of_their_own(start):
    run = start(hosts=4, pattern="pairs", operations=("sendrecv",), sizes=(4096,))
    for index in range(3):
        run.result(run.cases[0], index=index)
    text = render(load(run.end()))
    assert text.count("# Collective test starting: sendrecv_perf") == 6
    assert text.count("#  Rank ") == 12


@pytest.mark.parametrize(
    ("sizes", "step"),
    [
        ((8, 16, 32), "2(factor)"),
        ((8, 16, 24), "8(bytes)"),
        ((8, 16, 64), "0(bytes)"),
        ((8,), "0(bytes)"),
    ],
)
def test_the_step_of_the_sizes_is_told(start, sizes, step):
    run = start(sizes=sizes)
    assert f" step: {step} warmup" in render(measured(run, *[1e-5] * len(sizes)))


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (0.0, 7, "   0.00"),
        (85.47, 7, "  85.47"),
        (9999.99, 7, "9999.99"),
        (10000.0, 7, "10000.0"),
        (99999.96, 7, " 100000"),
        (1234567.0, 7, "1234567"),
        (12345678.0, 7, "1.2e+07"),
        (389.4, 6, "389.40"),
        (999.996, 6, "1000.0"),
        (291905.0, 6, "291905"),
        (1_000_000.0, 6, " 1e+06"),
    ],
)
def test_numbers_take_the_form_that_fits(value, width, text):
    assert float_text(value, width) == text
