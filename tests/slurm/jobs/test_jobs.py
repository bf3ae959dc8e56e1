"""Jobs on a real Slurm: submitted, watched, judged; interrupted in every way, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RUN = "--operation all_reduce -b 8 -e 64 --iterations 20 --warmup 2"


def log(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.glob("slurm-*.out")))


@pytest.mark.mpi
def test_a_run_is_submitted_measured_and_judged(slurm, on_slurm, tmp_path):
    folder = tmp_path / "out"
    said = on_slurm("submit", "--run", RUN, "-N2", "--time=5", f"--output={folder}")
    assert said.code == 0, said
    assert "srun --mpi=pmi2: mpich speaks it" in said.stderr
    number = said.stdout.strip()
    assert on_slurm("resume", str(folder)).code == 2  # it waits or runs
    slurm.until_job(number, "COMPLETED", "FAILED", seconds=200)
    reported = on_slurm("report", str(folder), "--json")
    assert reported.code == 0, log(folder)
    assert json.loads(reported.stdout)["verdict"] == "PASS"
    shown = json.loads(on_slurm("status", str(folder), "--json").stdout)
    [block] = shown["blocks"]
    assert block["job"]["state"] == "COMPLETED"
    assert block["progress"]["done"] == block["progress"]["of"] == 4
    left = on_slurm("resume", str(folder))
    assert left.code == 2
    assert "measured to its end" in left.stderr


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


@pytest.mark.mpi
def test_a_job_that_is_interrupted_ahead_of_its_limit_is_requeued_and_goes_on(
    slurm, on_slurm, tmp_path
):
    folder, profile = tmp_path / "out", tmp_path / "two.toml"
    profile.write_text(PROFILE)
    said = on_slurm("submit", str(profile), "-N2", "--time=5", f"--output={folder}")
    assert said.code == 0, said
    number = said.stdout.strip()
    begun = folder / "01-pairs/journal.jsonl"
    slurm.until(lambda: begun.exists() and begun.stat().st_size > 0, "first run", seconds=120)
    slurm.run(["scancel", "--batch", "--signal=TERM", number])  # as Slurm does ahead of the limit
    slurm.until(lambda: slurm.job(number)["Restarts"] == "1", "requeued", 120)
    slurm.until_job(number, "PENDING")
    slurm.run(["scontrol", "update", f"JobId={number}", "StartTime=now"])
    slurm.until_job(number, "COMPLETED", "FAILED", seconds=200)
    print(log(folder))
    print(on_slurm("status", str(folder)))
    print(on_slurm("report", str(folder)))
    raise SystemExit
