"""The Slurm of the tests is a real one: jobs run, nodes die and are drained, and nothing is left."""

import subprocess

import pytest


def test_a_job_runs_on_four_hosts_and_every_task_has_its_gpus(slurm):
    said = slurm.run(
        ["srun", "-N4", "--gpus-per-node=8", "sh", "-c", "echo $(hostname) $CUDA_VISIBLE_DEVICES"]
    )
    assert sorted(said.splitlines()) == [f"node{k} 0,1,2,3,4,5,6,7" for k in range(4)]


def test_a_killed_slurmd_is_a_node_that_is_down(slurm):
    slurm.kill("node2")
    slurm.until(lambda: slurm.states()["node2"].startswith("DOWN"), "node2 down")
    assert slurm.states()["node1"] == "IDLE"


def test_daemons_and_jobs_end_with_the_rig(slurm_rig, tmp_path):
    hosts_rig, rig = slurm_rig
    with hosts_rig.Hosts(2, tmp_path) as hosts, rig.Slurm(hosts, tmp_path) as slurm:
        script = tmp_path / "job.sh"
        script.write_text("#!/bin/sh\nsrun sleep 4321\n")
        number = slurm.run(["sbatch", "--parsable", "-N2", str(script)]).strip()
        slurm.until_job(number, "RUNNING")
    left = subprocess.run(["pgrep", "-f", f"sleep 4321|{tmp_path}"], capture_output=True, text=True)
    assert left.stdout == ""


def test_what_is_not_there_is_refused_by_slurm_itself(slurm):
    refused = slurm.call(["sbatch", "--partition=nowhere", "--wrap=true"])
    assert refused.returncode == 1
    assert "invalid partition" in refused.stderr
    with pytest.raises(subprocess.CalledProcessError):
        slurm.run(["scontrol", "show", "node", "node9"])
