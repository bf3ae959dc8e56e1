"""What an import leaves behind: run folders that say no more than the log does, and the command."""

# ruff: noqa: E501  (lines of logs are as long as they are)

from __future__ import annotations

import json

import pandas as pd
import pytest

from railgauge.errors import UsageError
from railgauge.journal import read_journal
from railgauge.records import Note
from railgauge_reports import formats
from railgauge_reports.importing.folders import Imported, write
from railgauge_reports.importing.found import FoundRun
from railgauge_reports.importing.outcome import import_file, worst
from railgauge_reports.importing.rows import What
from railgauge_reports.loaded import load


@pytest.fixture
def imported(tmp_path):
    def made(text, name="a.log", **options):
        path = tmp_path / name
        path.write_text(text)
        return import_file(path, tmp_path / "out", **options)

    return made


def loaded(outcome, index=0):
    from pathlib import Path

    return load(Path(outcome.folders[index]))


def test_an_import_is_a_run_folder_with_the_rows_of_the_log(imported, nccl_log):
    got = loaded(imported(nccl_log()))
    rows = got.rows
    assert rows[
        ["operation", "placement", "ranks", "nbytes", "samples", "wrong"]
    ].values.tolist() == [
        ["all_reduce", p, 2, size, 1, 0] for size in (1 << 20, 1 << 21) for p in ("out", "in")
    ]
    assert rows["median_seconds"].tolist() == pytest.approx([1e-4, 5e-5, 2e-4, 9.999e-5], rel=1e-12)
    assert rows["busbw_GBps"].tolist()[:2] == pytest.approx([10.48576, 20.97152])
    assert set(rows["hosts"]) == {"a b"}
    assert (set(rows["backend"]), set(rows["call"]), set(rows["timing"])) == (
        {"imported"}, {"stream"}, {"back_to_back"},
    )  # fmt: skip


def test_of_one_value_there_is_no_interval_and_no_extreme(imported, nccl_log):
    rows = loaded(imported(nccl_log())).rows
    for name in (
        "median_low_seconds",
        "median_high_seconds",
        "min_seconds",
        "max_seconds",
        "p99_seconds",
        "stable",
        "steady",
        "first_call_seconds",
    ):
        assert rows[name].isna().all(), name


def test_several_values_have_their_extremes(imported, nccl_log):
    line = nccl_log().splitlines()[5] + "\n"
    rows = loaded(imported(nccl_log().replace(line, line * 40))).rows
    assert rows["samples"].tolist() == [40, 40, 1, 1]
    assert rows["min_seconds"].notna().tolist() == [True, True, False, False]
    assert bool(rows["stable"][0]) is True


@pytest.mark.parametrize(
    ("options", "word", "code", "reason"),
    [
        ({}, "PASS", 0, ""),
        ({"check": "N/A"}, "INCONCLUSIVE", 6, "2 not checked"),
        ({"end": ""}, "INCONCLUSIVE", 6, "the end of the tool was not seen"),
        ({"wrong": "5"}, "FAIL", 4, "counted 5 wrong elements"),
        (
            {"end": "# Out of bounds values : 2 FAILED\n# Avg bus bandwidth    : 1\n"},
            "FAIL",
            4,
            "2 checks that failed",
        ),
        (
            {"end": "  4194304  1048576  float  sum  -1  4"},
            "INCONCLUSIVE",
            6,
            "1 rows are not whole",
        ),
    ],
)
def test_the_verdict_is_what_the_tool_checked_and_no_more(
    imported, nccl_log, options, word, code, reason
):
    got = loaded(imported(nccl_log(**options)))
    assert (got.verdict.word, got.verdict.exit_code) == (word, code)
    assert reason in " ".join(got.verdict.reasons)
    assert "by the tool that measured" in got.verdict.coverage.sentence()


def test_wrong_elements_are_counted_and_not_placed(imported, nccl_log):
    got = loaded(imported(nccl_log(wrong="5")))
    assert got.rows["wrong"].tolist() == [5, 0, 0, 0]
    assert pd.isna(got.rows["busbw_GBps"][0])
    for name in ("table", "markdown"):
        text = formats.renderer(name)(got)
        assert "rank -1" not in text
        assert "| -1 |" not in text
    assert (
        "5 wrong elements (all_reduce float32 sum 1048576 B out stream, round 0)"
        in formats.renderer("table")(got)
    )


def test_notes_say_what_a_time_is_and_what_was_odd(imported, nccl_log, tmp_path):
    outcome = imported(nccl_log(end="h0:1:2 [0] NCCL WARN a cable is loose\n"))
    notes = [r.text for r in read_journal(tmp_path / "out" / "a") if isinstance(r, Note)]
    assert notes[0].startswith(
        "nccl-tests measured this, from a.log, line 1: a time is the mean of 20 iterations"
    )
    assert notes[-1] == "line 8: h0:1:2 [0] NCCL WARN a cable is loose"
    assert outcome.warnings == (notes[-1],)


def test_every_format_shows_an_import_and_next_commands_name_the_log(imported, nccl_log):
    got = loaded(imported(nccl_log(end="")))
    for name in formats.names():
        assert formats.renderer(name)(got)
    assert "railgauge import" in got.verdict.next_commands[1]
    assert "MPI_Init" not in formats.renderer("markdown")(got)
    assert "--resume" not in formats.renderer("table")(got)


def test_our_own_nccl_tests_format_comes_back_as_it_was(imported, nccl_log):
    first = loaded(imported(nccl_log()))
    second = loaded(imported(formats.renderer("nccl_tests")(first), "b.log"))
    same = ["operation", "dtype", "op", "placement", "ranks", "nbytes", "count", "hosts", "wrong"]
    pd.testing.assert_frame_equal(first.rows[same], second.rows[same])
    assert second.rows["median_seconds"].tolist() == pytest.approx(
        first.rows["median_seconds"].tolist()
    )


def test_unknown_ranks_are_empty_and_not_zero(imported):
    text = (
        "# OSU MPI Allgather Latency Test v7.4\n# Size Avg Latency(us)\n8 2.00\n1048576 900.00\n"
        "# OSU MPI Allreduce Latency Test v7.4\n# Size Avg Latency(us)\n8 2.00\n1048576 900.00\n"
    )
    outcome = imported(text)
    gathered, reduced = loaded(outcome), loaded(outcome, 1)
    for got in (gathered, reduced):
        assert got.rows["ranks"].isna().all()
        assert got.rows["busbw_GBps"].isna().all()
        assert "unknown number of ranks" in formats.renderer("table")(got)
    assert gathered.rows["algbw_GBps"].isna().all()  # the size of ours depends on the ranks
    assert reduced.rows["algbw_GBps"].tolist() == pytest.approx([0.004, 1.16508444])
    known = loaded(imported(text, "b.log", ranks=4))
    assert known.rows["nbytes"].tolist() == [32, 4194304]
    assert known.rows["ranks"].tolist() == [4, 4]
    assert any("4, from --ranks" in note for note in known.stored.notes)


def test_groups_of_other_sizes_and_foreign_operations_are_cases_of_their_own(imported):
    table = "# Benchmarking {}\n# #processes = {}\n #bytes #repetitions t_min[usec] t_max[usec] t_avg[usec]\n 8 10 1.0 3.0 2.0\n"
    text = table.format("Allgather", 2) + table.format("Allgather", 4) + table.format("Exchange", 4)
    rows = loaded(imported(text)).rows
    assert rows[["operation", "ranks", "nbytes", "group"]].values.tolist() == [
        ["all_gather", 2, 16, "0-1"], ["all_gather", 4, 32, "0-3"], ["exchange", 4, 8, "0-3"],
    ]  # fmt: skip
    assert rows["busbw_GBps"].isna().tolist() == [False, False, True]


def test_pairs_are_groups_of_the_rounds_they_meet_in(imported):
    text = "clusterkit bandwidth MB/s,a,b,c,d\na,0,1000,2000,3000\nb,1000,0,4000,5000\nc,2000,4000,0,6000\nd,3500,5000,6000,0\n"
    got = loaded(imported(text, "bw.csv"))
    assert got.stored.plan.pattern == "pairs"
    forth = got.rows[got.rows["selected"].isna()]
    by_group = dict(zip(forth["group"], forth["algbw_GBps"], strict=True))
    assert by_group == pytest.approx({"0-1": 1, "0 2": 2, "0 3": 3, "1-2": 4, "1 3": 5, "2-3": 6})
    assert set(forth["round"]) == {0, 1, 2}
    assert forth.groupby("round").size().tolist() == [2, 2, 2]
    back = got.rows[got.rows["selected"] == "back"]
    assert back[["group", "hosts"]].values.tolist() == [["0 3", "a d"]]
    assert back["algbw_GBps"].tolist() == pytest.approx([3.5])


def test_gpcnet_shows_the_impact_of_congestion(imported):
    box = "+--+\n|  {}  |\n+--+\n| Name | Avg | 99% | Units |\n+--+\n| RR Two-sided Lat (8 B) | {} | 9 | usec |\n+--+\n"
    text = "NetworkLoad Tests v1.3\n  Test with 12 MPI ranks (6 nodes)\n" + box.format(
        "Isolated Network Tests", 2.0
    )
    text += box.format("Network Tests running with Congestion Tests", 5.0)
    rows = loaded(imported(text)).rows
    assert rows["setting"].tolist() == ["isolated", "beside congestion"]
    assert rows["impact"][1] == pytest.approx(2.5)


def test_rates_keep_their_digits_and_zeros_are_gaps(tmp_path):
    run = FoundRun("x", 1, 1)
    run.ranks = 2
    run.put(What(operation="bandwidth", nbytes=1), 1348.55, 1, 1e6, rate=True)
    run.put(What(operation="bandwidth", nbytes=2), 0.0, 2, 1e6, rate=True)
    source = tmp_path / "log"
    source.write_text("x")
    got = load(write(run, tmp_path / "out", Imported(source, "osu")))
    assert got.rows["algbw_GBps"][0] == pytest.approx(1.34855, rel=1e-5)
    assert got.rows["gap"].tolist() == [False, True]
    assert got.verdict.word == "INCONCLUSIVE"
    with pytest.raises(UsageError, match="holds a run already"):
        write(run, tmp_path / "out", Imported(source, "osu"))


def test_an_imported_plan_is_not_run(imported, nccl_log, tmp_path):
    from railgauge.journal import read_stored_plan
    from railgauge.plan_rules import validate

    imported(nccl_log())
    with pytest.raises(UsageError, match="another tool measured them"):
        validate(read_stored_plan(tmp_path / "out" / "a"))


def test_two_imports_can_be_compared(imported, nccl_log):
    from pathlib import Path

    from railgauge_reports.compare.answer import judge_folders
    from railgauge_reports.compare.measured import launches_of

    a = imported(nccl_log())
    b = imported(nccl_log().replace("100.0 ", "300.0 "), "b.log")
    sides = [launches_of(Path(made.folders[0])) for made in (a, b)]
    answer = judge_folders(*sides, ("A", "B"), 0.02, 0.02)
    assert "slower" in repr(answer)


# files --------------------------------------------------------------------------------------------


def test_several_runs_and_equal_names_get_folders_of_their_own(imported, nccl_log):
    outcome = imported(nccl_log() * 2)
    assert [f.rsplit("/", 1)[1] for f in outcome.folders] == ["a", "a.2"]
    again = imported(nccl_log() * 2)
    assert [f.rsplit("/", 1)[1] for f in again.folders] == ["a-2", "a.2-2"]
    assert (outcome.runs, outcome.rows, outcome.complete, outcome.exit_code) == (2, 4, True, 0)
    odd = imported(nccl_log(), "<a> b.log")
    assert odd.folders[0].rsplit("/", 1)[1] == "a_b"


def test_files_without_rows_and_unreadable_ones_have_their_codes(imported, nccl_log, tmp_path):
    nothing = imported("# nThread 1 nGpus 1 minBytes 8\n", "head.log")
    assert (nothing.exit_code, nothing.tool, nothing.rows, nothing.folders) == (
        6,
        "nccl_tests",
        0,
        (),
    )
    assert "nothing was measured in it" in nothing.error
    prose = imported("hello\n", "p.log")
    assert (prose.exit_code, prose.tool, prose.complete) == (2, None, False)
    missing = import_file(tmp_path / "missing", None)
    assert missing.exit_code == 3
    good = imported(nccl_log())
    assert worst([good, nothing]) == 6
    assert worst([nothing, prose, good]) == 2
    assert worst([prose, missing, nothing]) == 3
    assert worst([good]) == 0


def test_nothing_is_written_without_an_output(tmp_path, nccl_log):
    path = tmp_path / "a.log"
    path.write_text(nccl_log())
    assert import_file(path, None).folders == ()
    assert [p.name for p in tmp_path.iterdir()] == ["a.log"]


def call(*arguments):
    from railgauge.cli import main

    return main(["import", *map(str, arguments)])


def test_the_command_prints_a_table_and_one_object_a_file(tmp_path, nccl_log, capsys):
    good, bad = tmp_path / "good.log", tmp_path / "bad.log"
    good.write_text(nccl_log(check="N/A"))
    bad.write_text("# nThread 1 nGpus 1\n")
    assert call(good, "--output", tmp_path / "one") == 0
    shown = capsys.readouterr().out
    assert "good.log  nccl_tests     1     2        0       yes" in shown
    assert f"next: railgauge report {tmp_path / 'one' / 'good'}" in shown
    assert call(good, bad, "--json", "--output", tmp_path / "two") == 6
    output = capsys.readouterr()
    objects = [json.loads(line) for line in output.out.splitlines()]
    assert objects[0] == {
        "file": str(good), "tool": "nccl_tests", "complete": True, "runs": 1, "rows": 2, "partial_rows": 0,
        "warnings": [], "folders": [str(tmp_path / "two" / "good")],
    }  # fmt: skip
    assert (objects[1]["rows"], objects[1]["complete"], objects[1]["runs"]) == (0, False, 1)
    assert "bad.log: nccl_tests, but nothing was measured in it" in output.err


def test_the_command_refuses_what_it_cannot_do(tmp_path, capsys):
    assert call() == 2
    assert "no FILE is named" in capsys.readouterr().err
    assert call("x", "--tool", "ncl_tests") == 2
    assert "Did you mean 'nccl_tests'" in capsys.readouterr().err
    assert call("x", "--ranks", 0) == 2
    assert call(tmp_path / "missing", "--output", tmp_path / "out") == 3
    assert not (tmp_path / "out").exists()


def test_runs_go_beside_other_runs_by_default(tmp_path, monkeypatch, nccl_log, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.log").write_text(nccl_log())
    assert call("a.log") == 0
    (made,) = (tmp_path / "runs").iterdir()
    assert made.name.endswith("-import")
    assert (made / "a" / "journal.jsonl").exists()
    capsys.readouterr()
