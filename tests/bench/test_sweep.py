"""A sweep is a run a value: variables reach the ranks before MPI reads them, and are in the plan."""

from __future__ import annotations

import subprocess
import sys

import pytest

from railgauge.errors import EXIT_PASS, UsageError
from railgauge.journal import read_stored_plan
from railgauge.plan_options import parse_variable
from railgauge.sweep import label, parse_sweep


def test_several_variables_make_all_combinations_the_last_changing_fastest():
    made = parse_sweep(["A=1,2", "B=x,y"])
    assert [label(variables) for variables in made] == ["A=1,B=x", "A=1,B=y", "A=2,B=x", "A=2,B=y"]
    assert parse_sweep([]) == [()]


def test_a_value_may_hold_an_equals_sign_and_a_folder_name_no_slash():
    assert parse_variable("NCCL_NET_PLUGIN=a=b", "--set") == ("NCCL_NET_PLUGIN", "a=b")
    assert label((("P", "/a/b"),)) == "P=_a_b"


@pytest.mark.parametrize("text", ["NCCL_ALGO", "=Ring", "NCCL ALGO=Ring", "NCCL_ALGO="])
def test_what_is_no_variable_with_values_is_refused(text):
    with pytest.raises(UsageError, match="--sweep"):
        parse_sweep([text])


def sweep(folder, *more):
    argv = [sys.executable, "-m", "railgauge", "run", "-n", "2", "--sizes", "8", "--output"]
    return subprocess.run(
        [*argv, str(folder), "--iterations", "4", "--warmup", "1", *more],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.mpi
def test_every_value_has_a_run_folder_and_the_times_stand_side_by_side(tmp_path):
    done = sweep(tmp_path, "--sweep", "OMP_NUM_THREADS=1,2")
    assert done.returncode == EXIT_PASS, done.stderr
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == ["OMP_NUM_THREADS=1", "OMP_NUM_THREADS=2"]
    for folder in folders:
        plan = read_stored_plan(tmp_path / folder)
        assert plan.variables == (tuple(folder.split("=")),)
        environment = (tmp_path / folder / "environment.json").read_text()
        assert f'"OMP_NUM_THREADS":"{folder[-1]}"' in environment.replace(" ", "")
    *_, heading, row = done.stdout.splitlines()
    assert heading.split()[-2:] == folders
    assert len([cell for cell in row.split() if cell.replace(".", "").isdigit()]) >= 3


@pytest.mark.mpi
def test_under_a_launcher_a_sweep_is_refused_with_what_to_type(tmp_path, mpiexec):
    done = subprocess.run(
        [
            *(mpiexec(sys.executable), "-n", "2", sys.executable, "-m", "railgauge", "run"),
            *("--output", str(tmp_path / "run"), "--sweep", "NCCL_ALGO=Ring,Tree"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "--set NCCL_ALGO=Ring" in done.stderr
    assert done.stderr.count("railgauge: error:") == 1
    assert not (tmp_path / "run").exists()
