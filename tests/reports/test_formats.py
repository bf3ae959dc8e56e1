from __future__ import annotations

import io
import json

import pandas as pd
import pyarrow.parquet
import pytest

from railgauge.errors import UsageError
from railgauge_reports import cells, formats
from railgauge_reports.formats import csv, markdown, parquet, table
from railgauge_reports.formats import json as json_format
from railgauge_reports.frames import COLUMNS
from railgauge_reports.loaded import load


@pytest.fixture
def mixed(start, flipped):
    """Right, wrong and missing: three sizes of an all_reduce, and a note."""
    run = start(sizes=(8, 1024, 4096))
    run.note("versions differ on 1 of 4 ranks")
    run.result(run.cases[0])
    run.result(run.cases[1], wrong=(flipped,))
    run.gap(run.cases[2], "needs 9 GiB, 8 GiB may be used")
    return load(run.end("FAIL", 4))


def test_every_file_in_the_folder_is_a_format_with_a_render_function():
    assert {"csv", "json", "markdown", "nccl_tests", "parquet", "table"} <= set(formats.names())
    assert all(callable(formats.renderer(name)) for name in formats.names())


def test_an_unknown_format_suggests_the_closest_one():
    with pytest.raises(UsageError, match="Did you mean 'markdown'"):
        formats.renderer("markdwn")


def test_csv_leaves_missing_values_empty(mixed):
    lines = csv.render(mixed).splitlines()
    assert lines[0].split(",") == list(COLUMNS)
    right, wrong, gap = (dict(zip(COLUMNS, line.split(","), strict=False)) for line in lines[1:])
    assert right["p99_seconds"] == wrong["algbw_GBps"] == gap["median_seconds"] == ""
    assert right["median_seconds"] == "1e-05"
    assert wrong["wrong"] == "3"
    assert gap["wrong"] == ""


def test_csv_reads_back_as_the_frame(mixed):
    back = pd.read_csv(io.StringIO(csv.render(mixed))).astype(mixed.rows.dtypes)
    pd.testing.assert_frame_equal(back, mixed.rows)


def test_json_is_one_object_with_null_for_missing_values(mixed):
    made = json.loads(json_format.render(mixed))
    assert {"run", "verdict", "exit_code", "coverage", "notes", "rows"} <= made.keys()
    assert (made["verdict"], made["exit_code"]) == ("FAIL", 4)
    assert made["coverage"]["planned"] == 3
    assert made["coverage"]["measured"] == 2
    assert made["notes"][0] == "versions differ on 1 of 4 ranks"
    assert [list(row) for row in made["rows"]] == [list(COLUMNS)] * 3
    assert made["rows"][0]["p99_seconds"] is None
    assert made["rows"][0]["wrong"] == 0
    assert made["rows"][2]["median_seconds"] is None
    assert made["rows"][2]["gap"] is True
    assert made["wrong"][0]["found"] == "0x40c00001"
    assert made["run"]["hosts"] == ["n0", "n1"]


def test_parquet_keeps_types_and_facts(mixed):
    data = parquet.render(mixed)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(data)), mixed.rows)
    facts = json.loads(pyarrow.parquet.read_schema(io.BytesIO(data)).metadata[b"railgauge"])
    assert facts["verdict"] == "FAIL"


def test_the_table_shows_what_a_person_looks_for(mixed):
    lines = table.render(mixed).splitlines()
    assert lines[0].startswith("FAIL (4): 2 of 3 planned measurements made, 1 gap; ")
    assert lines[2] == "float32, sum, out of place, blocking, barrier"
    assert lines[4].split("  ")[0] == "operation"
    # operation, ranks, nbytes, median, low - high, min, p99, algbw, busbw, wrong, samples, stable
    row = "all_reduce 4 8 10 us 10 - 10 us 10 us - 0.000800 0.00120 0 100 yes"
    assert " ".join(lines[5].split()) == row
    assert lines[6].split()[-5:] == ["-", "-", "3", "100", "yes"]
    assert lines[7].split() == ["all_reduce", "4", "4096", *"-" * 9]
    assert any(
        "rank 2 on n1: receive 0, element 17 is 0x40c00001, expected 0x40c00000" in line
        for line in lines
    )
    assert "note: versions differ on 1 of 4 ranks" in lines
    assert "plan.json --operation all_reduce" in lines[-2]


def test_the_table_adapts_its_unit_of_time(start):
    run = start(sizes=(8, 16, 32))
    for case, seconds in zip(run.cases, (4.2e-7, 1.5e-3, 2.5), strict=True):
        run.result(case, seconds)
    text = table.render(load(run.end()))
    assert all(time in text for time in ("0.42 us", "1.5 ms", "2.5 s"))


def test_the_table_shows_a_column_for_what_varies_only(start):
    run = start(placements=("out", "in"), dtypes=("float32", "int8"), sizes=(8,))
    for case in run.cases:
        run.result(case)
    lines = table.render(load(run.end())).splitlines()
    assert lines[2] == "sum, blocking, barrier"
    assert lines[4].split()[:4] == ["operation", "dtype", "placement", "ranks"]


def test_markdown_has_verdict_evidence_tables_machine_and_next(mixed):
    text = markdown.render(mixed)
    assert text.startswith("# railgauge: FAIL\n\n2 of 3 planned measurements made, 1 gap;")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# railgauge: FAIL",
        "## Wrong data",
        "## Results",
        "### all_reduce: float32, sum, out of place, blocking, barrier",
        "## Lossless fabric",
        "## Notes",
        "## Machine",
        "## Next",
    ]
    assert "| 0 | 2 | n1 | receive 0 | 17 | `0x40c00000` | `0x40c00001` | 3 | 4 |" in text
    assert "- versions differ on 1 of 4 ranks" in text
    assert "| hosts | n0 n1 |" in text
    assert "plan.json --operation all_reduce" in text


def test_markdown_names_the_gpus_of_a_run(start):
    run = start(sizes=(8,), backend="nccl", memory="device")
    run.result(run.cases[0], 1e-6)
    text = markdown.render(load(run.end()))
    gpus = "4 x Test GPU (sm_90, 132 multiprocessors, 80.0 GiB), driver for CUDA 13.1"
    assert f"| GPUs | {gpus} |" in text


def test_markdown_tables_have_as_many_cells_in_every_row(mixed):
    previous = None
    for line in markdown.render(mixed).splitlines():
        found = line.count(" | ") if line.startswith("|") else None
        assert previous is None or found is None or found == previous
        previous = found


@pytest.mark.parametrize("name", ["table", "csv", "json", "markdown", "nccl_tests", "parquet"])
def test_a_run_that_measured_nothing_can_be_shown(start, name):
    run = start()
    text = formats.renderer(name)(load(run.path))
    if name in ("table", "markdown", "json"):
        assert "not reached" in str(text) or '"not_reached": 2' in str(text)
    if name == "csv":
        assert str(text).count("\n") == 1  # the names of the columns


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (400.0, "400"),
        (999.4, "999"),
        (1234.4, "1,234"),
        (48.04, "48.0"),
        (0.5, "0.500"),
        (0.0, "0.00"),
    ],
)
def test_a_figure_has_three_digits_and_no_point_at_its_end(value, shown):
    assert cells.significant(value) == shown
