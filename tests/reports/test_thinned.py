"""A run without its raw samples is still read: its rows stand in their place, and nothing else does."""

import json
import shutil

import pandas as pd
import pytest

from railgauge.cli import main
from railgauge.errors import NotMeasuredError
from railgauge_reports.frames import case_frame, frame_of_runs, sample_frame
from railgauge_reports.stored import read_run
from railgauge_reports.thinned import ROWS, THINNED, is_thinned
from railgauge_reports.thinning import runs_below, thin


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A modelled run with a load beside it; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    words = ["--nodes", "4", "--pattern", "victim", "--load", "alltoall", "--sizes", "64K,1M"]
    assert main(["run", "--backend", "simulated", *words, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def thinned(whole, tmp_path):
    folder = tmp_path / "thinned"
    shutil.copytree(whole, folder)
    assert thin(folder) > 1000
    return folder


def test_rows_are_the_same_to_the_last_bit_and_type(whole, thinned):
    assert not (thinned / "samples").exists()
    pd.testing.assert_frame_equal(case_frame(thinned), case_frame(whole))


def test_runs_with_and_without_samples_stand_in_one_frame_in_their_order(whole, thinned):
    both = frame_of_runs([read_run(thinned), read_run(whole), read_run(thinned)])
    assert both["run"].drop_duplicates().tolist() == [0, 1, 2]
    one = both[both["run"] == 1].reset_index(drop=True).drop(columns="run")
    pd.testing.assert_frame_equal(one, case_frame(whole))
    assert (both.dtypes == frame_of_runs([read_run(whole)]).dtypes).all()


def test_its_report_has_the_same_verdict_and_says_what_is_missing(thinned, capsys):
    assert main(["report", str(thinned), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert THINNED in json.dumps(made)
    assert main(["report", str(thinned), "--format", "pytest_benchmark"]) == 3


def test_what_needs_single_iterations_is_refused(thinned):
    with pytest.raises(NotMeasuredError, match="samples"):
        sample_frame(thinned)


def test_a_run_that_cannot_be_read_keeps_its_samples(whole, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(whole, broken)
    file = next((broken / "samples").iterdir())
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(NotMeasuredError, match="cut short"):
        thin(broken)
    assert file.exists()
    assert not is_thinned(broken)


def test_what_was_cut_off_while_samples_went_is_finished(whole, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    thin(cut)
    (cut / "samples.dropped").mkdir()
    (cut / "samples.dropped/node0.i64").write_bytes(bytes(8))
    assert is_thinned(cut)
    assert thin(cut) == 8
    assert sorted(p.name for p in cut.iterdir() if "samples" in p.name) == []
    assert runs_below(tmp_path) == [cut]


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"PAR1 but no more"])
def test_rows_that_are_none_are_named_by_their_file(thinned, content):
    (thinned / ROWS).write_bytes(content)
    with pytest.raises(NotMeasuredError, match=ROWS):
        case_frame(thinned)


def test_a_column_of_a_later_version_is_unknown(thinned, whole):
    rows = pd.read_parquet(thinned / ROWS).drop(columns=["impact"])
    rows.to_parquet(thinned / ROWS)
    made = case_frame(thinned)
    assert made["impact"].isna().all()
    assert case_frame(whole)["impact"].notna().any()
