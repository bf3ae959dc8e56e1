"""Runs of many groups: columns made of all groups at once say what each group says alone."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest

from railgauge.errors import NotMeasuredError
from railgauge.journal import JOURNAL
from railgauge.rank_lists import decode_ranks
from railgauge.records import Wrong
from railgauge.samples import bandwidths, group_samples, seconds
from railgauge.statistics import summarise
from railgauge.units import NANOSECONDS
from railgauge_reports import cells, frames
from railgauge_reports.arrivals import judge_arrivals
from railgauge_reports.findings import slow_arrivals
from railgauge_reports.formats import markdown, table
from railgauge_reports.frames import case_frame, sample_frame
from railgauge_reports.loaded import load
from railgauge_reports.recovery import recovery
from railgauge_reports.stored import read_run


@pytest.fixture(scope="module")
def large_run(rig, tmp_path_factory):
    """`large_run(**shape)`: a run folder of the rig."""
    made = rig("large_run")

    def write(**shape):
        return made.write(tmp_path_factory.mktemp("large") / "run", made.Shape(**shape))

    return write


def same(cell, value):
    return pd.isna(cell) if value is None else cell == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "shape",
    [
        {"nodes": 7, "gpus": 3, "rounds": 3, "iterations": 45},
        {"nodes": 6, "gpus": 2, "rounds": 2, "columns": ("duration", "rank")},
        {"nodes": 5, "gpus": 2, "pattern": "world", "iterations": 1100},
        {"nodes": 4, "gpus": 2, "pattern": "permutation", "rounds": 2, "iterations": 3},
    ],
)
def test_every_row_says_what_its_group_says_alone(large_run, shape):
    stored = read_run(large_run(**shape))
    rows = iter(case_frame(stored).to_dict("records"))
    host_of = stored.starts[0].host_of
    for made in stored.results:
        result = made.result
        for samples in group_samples(stored.folder, result):
            row, series = next(rows), seconds(samples, result)
            summary = summarise(series, stored.plan.precision)
            algbw, busbw = bandwidths(result.case.nbytes, summary.median, result.bus_factor)
            ranks = decode_ranks(samples.group.ranks)
            hosts = " ".join(dict.fromkeys(host_of[rank] for rank in ranks))
            assert (row["group"], row["hosts"]) == (samples.group.ranks.replace(",", " "), hosts)
            assert (row["ranks"], row["samples"]) == (len(ranks), summary.samples)
            assert row["stable"] == summary.stable
            for name, value in (
                ("median_seconds", summary.median),
                ("median_low_seconds", summary.low),
                ("median_high_seconds", summary.high),
                ("min_seconds", summary.minimum),
                ("mean_seconds", summary.mean),
                ("p99_seconds", summary.p99),
                ("max_seconds", summary.maximum),
                ("algbw_GBps", algbw),
                ("busbw_GBps", busbw),
                ("rail", samples.group.rail),
            ):
                assert same(row[name], value), name
            if samples.columns == ("entry", "exit"):
                stamps = samples.rows[:, :, 0], samples.rows[:, :, 1]
                found = judge_arrivals(
                    *stamps, samples.ranks, [host_of[r] for r in samples.ranks], 0
                )
                assert row["late_iterations"] == found.late_iterations
                assert same(row["slowest_rank"], found.late and found.late.rank)
                gone = recovery(samples.rows[0, :, 1] * NANOSECONDS, series * result.transfers)
                assert same(row["disturbed_at_seconds"], gone and gone.begin_seconds)
    assert next(rows, None) is None


def test_iterations_of_many_groups_are_those_of_each_alone(large_run):
    stored = read_run(large_run(nodes=4, gpus=2, rounds=2, iterations=5))
    frame = sample_frame(stored)
    alone = [
        (made.result.round, samples.group.ranks.replace(",", " "), seconds(samples, made.result))
        for made in stored.results
        for samples in group_samples(stored.folder, made.result)
    ]
    assert frame["group"].tolist() == [group for _, group, _ in alone for _ in range(5)]
    assert frame["round"].tolist() == [index for index, _, _ in alone for _ in range(5)]
    assert frame["iteration"].tolist() == [*range(5)] * len(alone)
    assert frame["seconds"].tolist() == np.concatenate([series for *_, series in alone]).tolist()


# for people ---------------------------------------------------------------------------------------------


def test_of_many_rows_the_slowest_of_every_case_are_shown_and_the_rest_is_counted():
    rows = pd.DataFrame(
        {
            "case": pd.array([0, 0, 0, 0, 1, 1, 1, 2], dtype="Int64"),
            "median_seconds": pd.array([1, 4, 3, 2, 9, None, 8, 5], dtype="Float64"),
            "wrong": pd.array([1, 0, 0, 0, 0, None, 0, 0], dtype="Int64"),
        }
    )
    assert cells.slowest(rows, 8) is rows
    assert cells.slowest(rows, 7).index.tolist() == [0, 1, 4, 5, 7]
    assert cells.slowest(rows, 2).index.tolist() == [0, 5, 7]


def test_a_report_of_many_groups_stays_short_and_says_where_the_rest_is(large_run):
    run = load(large_run(nodes=40, gpus=8, rounds=2, slow_node=7))
    for made in (table.render(run), markdown.render(run)):
        assert (
            f"200 rows are shown, the slowest of each case; 120 more: railgauge report {run.stored.folder}"
            in made
        )
        assert len(made.splitlines()) < 260
        rows = [
            line for line in made.splitlines() if "railgauge" not in line and "67108864" in line
        ]
        assert len(rows) == 200
    slow = run.rows[run.rows["hosts"].str.contains("node00007")]
    assert all(f" {group} " in table.render(run) for group in slow["group"])
    assert "node00031 8 more in the run folder |" in markdown.render(run)


def test_of_many_late_ranks_the_latest_are_named(start):
    run = start(ranks=60, hosts=30, pattern="pairs", operations=("sendrecv",), sizes=(8,))

    def the_first_is_late(group):
        stamps = np.zeros((2, 100, 2), np.int64)
        stamps[:, :, 0] = np.arange(100) * 10_000_000
        stamps[0, :, 0] += 100_000 + 10_000 * group[0]
        stamps[:, :, 1] = stamps[:1, :, 0] + 3_000
        return stamps

    for index in range(2):
        run.result(run.cases[0], the_first_is_late, index=index)
    loaded = load(run.end())
    everybody = slow_arrivals(loaded)
    told = slow_arrivals(loaded, 3)
    assert len(everybody) > 25
    assert everybody[0].startswith(
        "rank 0 on n0 arrived last in 200 of 200 iterations (2 rows): 100 us"
    )
    assert told == [*everybody[-3:], f"{len(everybody) - 3} more ranks arrived last, less late"]
    assert f"late: {everybody[-1]}" in table.render(loaded)


def test_of_many_ranks_with_wrong_data_a_few_are_named(start):
    run = start(ranks=80, sizes=(8,))
    found = tuple(
        Wrong(
            rank=rank,
            host="n0",
            buffer="receive 0",
            index=0,
            expected="0x0",
            found="0x1",
            elements=1,
            iteration=0,
        )
        for rank in range(80)
    )
    run.result(run.cases[0], wrong=found)
    loaded = load(run.end("FAIL", 4))
    assert table.render(loaded).count("wrong data: rank") == 30
    assert "50 more ranks had wrong data (--format json names them)" in table.render(loaded)
    assert "50 more ranks had wrong data: `--format json` names them." in markdown.render(loaded)


# what an old or damaged journal says ----------------------------------------------------------------------


def test_a_line_leaves_out_what_a_group_has_not(large_run):
    folder = large_run(nodes=4, gpus=1, rounds=1)
    _, line, _ = (folder / JOURNAL).read_bytes().splitlines()
    group = msgspec.json.decode(line)["groups"][0]
    assert "wrong" not in group
    assert "choice" not in group
    assert group["iterations"] == 20


def test_a_block_of_all_groups_is_read_as_before_format_5(large_run):
    folder = large_run(nodes=4, gpus=2, rounds=1, columns=("duration", "rank"))
    before = case_frame(folder)
    text = (folder / JOURNAL).read_text()
    named = msgspec.json.decode(text.splitlines()[1])["samples"][0]["ranks"]
    (folder / JOURNAL).write_text(
        text.replace(f'"ranks":"{named}","columns"', '"ranks":"","columns"')
    )
    pd.testing.assert_frame_equal(case_frame(folder), before)


@pytest.mark.parametrize("ranks", ["0,99", "", "0,<script>", "1-0", "0-99999999999"])
def test_a_group_of_ranks_that_the_run_did_not_have_is_an_error(large_run, ranks):
    folder = large_run(nodes=4, gpus=1, rounds=1)
    journal = folder / JOURNAL
    journal.write_text(journal.read_text().replace('"ranks":"0,3"', f'"ranks":"{ranks}"'))
    with pytest.raises(NotMeasuredError, match=r"did not have|no list of ranks"):
        case_frame(folder)


def test_threads_make_the_same_frame(large_run, monkeypatch):
    stored = read_run(large_run(nodes=12, gpus=2, rounds=11, iterations=7))
    alone = case_frame(stored)
    monkeypatch.setattr(frames, "_MANY_PAIRS", 2)
    pd.testing.assert_frame_equal(case_frame(stored), alone)


def test_an_error_of_one_round_ends_the_threads_with_that_error(large_run, monkeypatch):
    monkeypatch.setattr(frames, "_MANY_PAIRS", 2)
    folder = large_run(nodes=12, gpus=2, rounds=11, iterations=7)
    (folder / "samples/node0.i64").write_bytes(b"")
    with pytest.raises(NotMeasuredError, match="cut short"):
        case_frame(read_run(folder))


def test_one_frame_of_many_runs_holds_the_frame_of_each(large_run):
    shapes = ({"nodes": 4, "gpus": 2, "rounds": 2}, {"nodes": 3, "gpus": 2, "pattern": "world"})
    runs = [read_run(large_run(**shape)) for shape in shapes]
    whole = frames.frame_of_runs(runs)
    assert whole.columns.tolist() == ["run", *frames.COLUMNS]
    for number, stored in enumerate(runs):
        own = whole[whole["run"] == number].drop(columns="run").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, case_frame(stored))
