"""Leaves from a real Slurm, asked once a run; and ranks that are not where its step is."""

from __future__ import annotations

import json
import sys


def test_a_run_asks_slurm_for_its_leaves_and_its_hosts_are_those_of_the_step(slurm, tmp_path):
    read = "from railgauge.leaves.source import leaves_of; print(leaves_of('slurm'))"
    assert slurm.run([sys.executable, "-c", read]).strip() == (
        "(('leaf0', ('node0', 'node1')), ('leaf1', ('node2', 'node3')))"
    )
    folder = tmp_path / "run"
    options = (
        "--pattern leaves --leaves slurm --operation sendrecv --sizes 8K --iterations 3 --warmup 1"
    )
    argv = [sys.executable, "-m", "railgauge", "run", *options.split(), "--output", str(folder)]
    done = slurm.call(
        ["srun", "-K", "-N4", "-n4", "--mpi=pmi2", *argv, "--counters", "none"], slurm.fabric
    )
    assert done.returncode == 0, done.stderr
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["leaves"] == [["leaf0", ["node0", "node1"]], ["leaf1", ["node2", "node3"]]]
