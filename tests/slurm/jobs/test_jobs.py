"""Jobs on a real Slurm: submitted, watched, judged; interrupted in every way, and gone on with."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

OPENMPI = "RAILGAUGE_TEST_OPENMPI"
RUN = "--operation all_reduce -b 8 -e 64 --iterations 20 --warmup 2"
PROFILE = """
about = "two runs"
[[stages]]
name = "pairs"
kind = "pairs"
plan = { sizes = "8", budget = 4.0, precision = 1e-6, counters = [] }
[[stages]]
name = "sweep"
kind = "sweep"
scales = [2]
plan = { operations = ["all_reduce"], sizes = "8", iterations = 20, warmup = 2 }
"""
#: A site's template: nothing is measured, and SIGTERM ends the wait with 75.
SLEEPER = """{% extends "job.sh.j2" %}
{% block measure %}
set -- sh -c 'trap "kill \\$!; exit 75" TERM; sleep 300 & wait $!'
{% endblock %}
"""
#: One block of the array has a node on which nothing can start.
BROKEN = """{% extends "array.sh.j2" %}
{% block environment %}
[ "$SLURM_ARRAY_TASK_ID" != 1 ] || { echo "no driver on this node" >&2; exit 3; }
{% endblock %}
"""
PATIENCE = 200  # seconds, of a busy machine


def log(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("slurm-*.out")))


def begin_again(slurm, number: str) -> None:
    """A requeued job without the two minutes that it would wait for.

    Its credential is revoked by the second: one that begins in the same second is refused by the node.
    """
    slurm.until(lambda: slurm.job(number)["Restarts"] == "1", "requeued", PATIENCE)
    slurm.until_job(number, "PENDING", seconds=PATIENCE)
    time.sleep(2)
    slurm.run(["scontrol", "update", f"JobId={number}", "StartTime=now"])


@pytest.fixture
def sleeping(slurm, on_slurm, tmp_path):
    """`sleeping("-N2", ...)`: the id of a job that runs until it is interrupted, and its folder."""
    template = tmp_path / "sleeper.sh.j2"
    template.write_text(SLEEPER)

    def submit(*more: str) -> tuple[str, Path]:
        folder = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        said = on_slurm(
            *("submit", "quick", "--time=5", f"--template={template}", f"--output={folder}"),
            *("--mpi=pmi2", *more),
        )
        assert said.code == 0, said
        number = said.stdout.strip()
        slurm.until(lambda: folder.exists() and "restart 0" in log(folder), "running")
        return number, folder

    return submit


@pytest.mark.mpi
def test_a_job_interrupted_ahead_of_its_limit_is_requeued_goes_on_and_is_judged(
    slurm, on_slurm, tmp_path
):
    folder, profile = tmp_path / "out", tmp_path / "two.toml"
    profile.write_text(PROFILE)
    said = on_slurm("submit", str(profile), "-N2", "--time=5", f"--output={folder}")
    assert said.code == 0, said
    assert "srun --mpi=pmi2: mpich speaks it" in said.stderr
    number = said.stdout.strip()
    begun = folder / "01-pairs/journal.jsonl"
    slurm.until(lambda: begun.exists() and begun.stat().st_size, "the first run", PATIENCE)
    assert "waits or runs" in on_slurm("resume", str(folder)).stderr

    slurm.run(["scancel", "--batch", "--signal=TERM", number])  # as Slurm does ahead of the limit
    begin_again(slurm, number)
    assert json.loads(begun.read_text().splitlines()[1])["verdict"] == "INTERRUPTED"
    slurm.until_job(number, "COMPLETED", "FAILED", seconds=PATIENCE)

    reported = on_slurm("report", str(folder), "--json")
    assert reported.code == 0, log(folder)
    assert json.loads(reported.stdout)["verdict"] == "PASS"
    [block] = json.loads(on_slurm("status", str(folder), "--json").stdout)["blocks"]
    assert block["job"]["state"] == "COMPLETED"
    progress = block["progress"]
    assert (progress["done"], progress["of"], progress["restarts"]) == (2, 2, 1)
    assert "measured to its end" in on_slurm("resume", str(folder)).stderr


def test_a_cancelled_job_stays_away_and_is_gone_on_with_when_asked(slurm, on_slurm, sleeping):
    number, folder = sleeping("-N2")
    slurm.run(["scancel", number])
    slurm.until_job(number, "CANCELLED")
    assert slurm.job(number)["Restarts"] == "0"
    nothing = on_slurm("report", str(folder))
    assert nothing.code == 3
    assert "left nothing to judge" in nothing.stderr
    assert "| job 1, restart 0: node[0-1]" in nothing.stderr
    again = on_slurm("resume", str(folder))
    assert again.code == 0, again
    assert json.loads((folder / "slurm.json").read_text())["submissions"][1]["job"] == "2"
    slurm.run(["scancel", "2"])


def test_a_preempted_job_is_requeued_once_and_by_slurm_alone(slurm, sleeping):
    number, folder = sleeping("-N4", "--partition=idle")
    other, _ = sleeping("-N4", "--partition=bench")
    slurm.until(lambda: slurm.job(number)["Restarts"] == "1", "preempted")
    slurm.run(["scancel", other])
    begin_again(slurm, number)
    slurm.until_job(number, "RUNNING")
    assert slurm.job(number)["Restarts"] == "1"
    assert "requeued" not in log(folder)
    slurm.run(["scancel", number])


def test_a_job_whose_node_dies_begins_again_on_others(slurm, on_slurm, sleeping):
    number, folder = sleeping("-N2")
    slurm.kill("node1")
    begin_again(slurm, number)
    slurm.until_job(number, "RUNNING")
    assert "node1" not in slurm.job(number)["NodeList"]
    shown = on_slurm("status", str(folder))
    assert "RUNNING" in shown.stdout
    slurm.run(["scancel", number])


def test_of_an_array_every_block_is_judged_and_the_one_that_failed_is_named(
    slurm, on_slurm, tmp_path
):
    folder, template = tmp_path / "out", tmp_path / "broken.sh.j2"
    template.write_text(BROKEN)
    name = f"a'b\";$(touch {tmp_path}/shell) `touch {tmp_path}/ticks`"
    said = on_slurm(
        *("submit", "quick", "--backend=simulated", "-N8", "--blocks=2"),
        *(f"--template={template}", f"--output={folder}", f"--job-name={name}"),
    )
    assert said.code == 0, said
    number = said.stdout.strip()
    assert slurm.job(number)["JobName"].startswith("a'b\";$(touch")
    chained = on_slurm(
        *("submit", "quick", "--backend=simulated", "-N8", f"--dependency=afternotok:{number}"),
        f"--output={tmp_path}/after",
    )
    after = chained.stdout.strip()
    assert slurm.job(after)["Dependency"] == f"afternotok:{number}_*(unfulfilled)"
    slurm.until_job(f"{number}_0", "COMPLETED", "FAILED", seconds=PATIENCE)
    slurm.until_job(f"{number}_1", "FAILED", seconds=PATIENCE)

    told = on_slurm("report", str(folder))
    assert told.code == 3
    assert told.stdout.startswith("ERROR (3): 1 of 2 blocks PASS\n")
    assert f"{number}_1 | no driver on this node" in told.stdout
    again = on_slurm("resume", str(folder), "--json")
    assert json.loads(again.stdout)["blocks"] == [1]
    slurm.until_job(after, "COMPLETED", "FAILED", seconds=PATIENCE)
    assert on_slurm("report", f"{tmp_path}/after").code == 0
    assert not (tmp_path / "shell").exists()
    assert not (tmp_path / "ticks").exists()


@pytest.mark.mpi
@pytest.mark.parametrize("how", ["mpirun", "pmix"])
def test_ranks_are_as_many_as_asked_whoever_starts_them(how, slurm, on_slurm, tmp_path):
    python = os.environ.get(OPENMPI, "") if how == "pmix" else sys.executable
    if not python:
        pytest.skip(f"{OPENMPI} does not name the python of an environment with Open MPI")
    if how == "pmix" and slurm.call(["srun", "--mpi=pmix", "true"]).returncode:
        pytest.skip("srun lists pmix and cannot load it: apt-get install libpmix-dev")
    folder = tmp_path / "out"
    start = ["--launcher=mpirun"] if how == "mpirun" else ["--mpi=pmix", f"--python={python}"]
    said = on_slurm("submit", "--run", RUN, "-N3", "--time=5", f"--output={folder}", *start)
    assert said.code == 0, said
    slurm.until_job(said.stdout.strip(), "COMPLETED", "FAILED", seconds=PATIENCE)
    reported = on_slurm("report", str(folder))
    assert reported.code == 0, log(folder)
    first = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])
    assert first["hosts"] == ["node0", "node1", "node2"]


def test_what_slurm_refuses_is_told_with_what_to_type_and_leaves_no_folder(on_slurm, tmp_path):
    folder = tmp_path / "out"
    refused = on_slurm("submit", "quick", "-N2", "-p", "nowhere", f"--output={folder}")
    assert refused.code == 2
    assert "invalid partition" in refused.stderr
    assert "next: sinfo" in refused.stderr
    assert not folder.exists()
    many = on_slurm("submit", "quick", "-N2", "--gpus-per-node=9", f"--output={folder}")
    assert many.code == 2
    assert "next: sinfo" in many.stderr
    sweep = on_slurm("plan", "quick", "-N2", "--template=rolling", "-p", "idle", "-x", "node3")
    assert "#SBATCH --array=0-0\n" in sweep.stdout  # of three idle nodes, blocks of two
    assert "#SBATCH --nice=100000\n" in sweep.stdout
