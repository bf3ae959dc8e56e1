"""From options to a job: what starts the ranks, how long it may take, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from railgauge.errors import UsageError
from railgauge_slurm import cost, launchers
from railgauge_slurm.launchers import Container, chosen, launch

QUICK = ("plan", "quick", "-N2", "--mpi=pmix")


@pytest.mark.parametrize(
    ("family", "plugins", "found"),
    [
        ("mpich", ("none", "pmix", "pmi2"), "pmi2"),
        ("openmpi", ("none", "pmi2", "pmix"), "pmix"),
        ("mpich", ("none", "pmix"), None),
        ("openmpi", ("none", "pmi2"), None),
    ],
)
def test_the_plug_in_is_the_one_that_the_mpi_speaks(family, plugins, found):
    assert chosen(family, plugins) == found


def test_mpirun_starts_the_ranks_where_srun_cannot_speak_to_the_mpi(monkeypatch):
    monkeypatch.setattr(launchers, "offered", lambda: ("none",))
    made = launch(None, None, 2, 4)
    assert made.words[1:3] == ("-n", "8")
    assert made.variables == {"SLURM_MPI_TYPE": "none"}
    with pytest.raises(UsageError, match="srun has none"):
        launch("srun", None, 2, 4)
    with pytest.raises(UsageError, match="--mpi is srun's"):
        launch("mpirun", "pmix", 2, 4)
    with pytest.raises(UsageError, match="2 nodes"):
        launch("local", None, 2, 4)


def test_a_container_is_opened_by_srun_or_ahead_of_the_rank():
    pyxis = Container(image="/a.sqsh", folder="/f", gpus=True, mounts=("/b:/c",))
    words = launch(None, "pmix", 1, 8, None, pyxis).words
    assert "--container-mounts=/f:/f,/b:/c" in words
    apptainer = Container(image="a.sif", folder="/f", gpus=True, runtime="apptainer")
    opened = ("apptainer", "exec", "--nv", "--bind", "/f:/f", "a.sif")
    assert launch(None, "pmix", 1, 8, None, apptainer).words[-6:] == opened
    with pytest.raises(UsageError, match="which MPI the image has"):
        launch(None, None, 1, 8, None, pyxis)
    with pytest.raises(UsageError, match="--launcher mpirun nobody"):
        launch("mpirun", None, 1, 8, None, pyxis)
    with pytest.raises(UsageError, match="comma"):
        launch(None, "pmix", 1, 8, None, Container(image="x", folder="/a,b", gpus=False))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("30", 30), ("30:01", 31), ("2:00:00", 120), ("1-12", 2160), ("1-0:30", 1470), ("0:30", 1)],
)
def test_the_limit_is_read_as_sbatch_reads_it(text, minutes):
    assert cost.parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "1:2:3:4", "1e3", "٣"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="--time"):
        cost.parse_minutes(text)


def test_the_limit_is_derived_from_the_time_at_most_and_the_runs():
    made = cost.cost(cost.Needed(3, 100.0, 20.0, False), 4, None)
    assert made.minutes == 6  # (1.5 x 120 + 3 x 20 + 120) / 60
    assert made.node_hours == pytest.approx(100 * 4 / 3600)
    assert made.limit_node_hours == pytest.approx(6 * 4 / 60)
    assert cost.cost(cost.Needed(1, 1.0, 0.0, False), 1, "3").warning_seconds == 60
    with pytest.raises(UsageError, match="--time"):
        cost.cost(cost.Needed(1, None, 0.0, False), 1, None)


def test_plan_prints_the_script_and_what_it_costs_apart(command):
    said = command(*QUICK, "--gpus-per-node=h100:8", "--backend=nccl", "--adaptive")
    assert said.code == 0, said
    assert said.stdout.startswith("#!/bin/bash\n#SBATCH --job-name=railgauge-quick\n")
    assert "#SBATCH --ntasks-per-node=8\n" in said.stdout
    assert "--ranks 16 --ranks-per-node 8 --adaptive" in said.stdout
    assert "node-hours" in said.stderr
    assert "if suspected: +" in said.stderr
    whole = json.loads(command(*QUICK, "--json").stdout)
    assert whole["script"].startswith("#!/bin/bash")
    assert whole["cost"]["seconds"] > 0
    assert whole["options"]["nodes"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "-N2", "--mpi=pmix"), "which PROFILE, or --run"),
        ((*QUICK, "--run=x"), "which PROFILE, or --run"),
        (("plan", "-N2", "--mpi=pmix", "--run=--output x"), "--output is the job's own"),
        (("plan", "-N2", "--mpi=pmix", "--run=--sizes 'a"), "--run"),
        (("plan", "-N2", "--mpi=pmix", "--run=--operation none"), "unknown operation"),
        (("plan", "-N2", "--mpi=pmix", "--run=-b 8", "--adaptive"), "--adaptive is of a PROFILE"),
        ((*QUICK, "--template=array"), "--blocks"),
        ((*QUICK, "--template=nothing"), "unknown template"),
        ((*QUICK, "--gpus-per-node=all"), "expected 8 or h100:8"),
        ((*QUICK, "--job-name=a\nb"), "--job-name"),
        ((*QUICK, "--time=soon"), "--time"),
        (("plan", "--show-template=nothing"), "unknown template"),
        (("submit", "quick", "-N2", "--mpi=pmix", "--here"), "no allocation"),
    ],
)
def test_what_cannot_be_a_job_is_refused_before_anything_is_written(
    command, tmp_path, arguments, said
):
    ended = command(*arguments)
    assert ended.code == 2, ended
    assert said in ended.stderr
    assert not list(tmp_path.iterdir())


def test_without_slurm_it_is_said_what_is_missing(command, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    asked = command("plan", "quick", "-N2")
    assert asked.code == 3
    assert "srun is not on the path" in asked.stderr
    refused = command("submit", *QUICK[1:], f"--output={tmp_path}/out")
    assert refused.code == 3
    assert "sbatch is not on the path" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_template_is_shown_to_be_edited(command):
    assert command("plan", "--show-template=job").stdout.startswith("{# A job")


def test_a_job_in_the_allocation_at_hand_is_judged_when_slurm_has_forgotten_it(
    command, tmp_path, monkeypatch
):
    forgotten = '#!/bin/sh\necho "slurm_load_jobs error: Invalid job id specified" >&2\nexit 1\n'
    (tmp_path / "squeue").write_text(forgotten)
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    words = [sys.executable, "-m", "railgauge", "slurm", "submit", "quick", "--backend=simulated"]
    done = subprocess.run(
        [*words, "-N8", "--here", f"--output={tmp_path}/out"],
        env=os.environ
        | {"SLURM_JOB_ID": "5", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "n0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert "PASS" in done.stdout
    assert "squeue" not in (tmp_path / "out/slurm.sh").read_text()  # nobody requeues it
    [block] = json.loads(command("status", str(tmp_path / "out"), "--json").stdout)["blocks"]
    assert block["job"] is None
    assert block["progress"]["ended"]
    assert "(forgotten)" in command("status", str(tmp_path / "out")).stdout
    assert command("report", str(tmp_path / "out")).code == 0
    twice = command("submit", *QUICK[1:], f"--output={tmp_path}/out")
    assert "a job was submitted there already" in twice.stderr


def test_a_folder_without_a_job_is_no_job(command, tmp_path):
    for name in ("status", "resume", "report"):
        ended = command(name, str(tmp_path))
        assert ended.code == 3
        assert "slurm.json: not the record of a submitted job" in ended.stderr
