"""The hosts of a run against those that Slurm gave: a launcher that places ranks elsewhere is refused."""

from __future__ import annotations

import pytest

from railgauge.allocation import check_hosts
from railgauge.errors import UsageError

JOB = {"SLURM_JOB_NODELIST": "n[0-3]", "SLURM_JOB_NUM_NODES": "4"}
STEP = JOB | {
    "SLURM_STEP_NODELIST": "n[0-3]",
    "SLURM_STEP_NUM_NODES": "4",
    "SLURM_PROCID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
}
ALL = ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("hosts", "ranks", "environ"),
    [
        (ALL, 8, STEP),
        (["n0.cluster", "n1.cluster", "n2.cluster", "n3.cluster"], 8, STEP),
        (["a", "b", "c", "d"], 8, STEP),  # Slurm calls them otherwise
        (["n1", "n2"], 2, JOB),  # mpirun on some of its nodes
        (["n1", "n2"], 2, STEP),  # within a step of something else
        (["x", "x"], 2, {}),
        (["x"], 1, STEP | {"SLURM_STEP_NUM_TASKS": "1"}),
        (["x", "x"], 8, STEP | {"SLURM_STEP_NUM_NODES": "many"}),
    ],
)
def test_hosts_of_the_allocation_are_right(hosts, ranks, environ):
    check_hosts(hosts, ranks, environ)


@pytest.mark.parametrize(
    ("hosts", "ranks", "environ", "said"),
    [
        (
            ALL[:3],
            8,
            STEP,
            "8 ranks stand on 3 nodes (n0, n1, n2) of SLURM_STEP_NODELIST=n[0-3], 4",
        ),
        (ALL[:3], 8, STEP, "none on n3"),
        (["a"], 8, STEP, "8 ranks stand on 1 nodes (a)"),
        ([*ALL, "n3.b"], 5, JOB, "5 ranks stand on 5 nodes"),
        (["n0", "n9"], 2, JOB, "n9: ranks run there, outside of the allocation"),
        (["n0", "n1", "n1", "n3"], 8, STEP, "n1: 2 nodes of this job call themselves so"),
    ],
)
def test_other_hosts_are_named(hosts, ranks, environ, said):
    with pytest.raises(UsageError) as caught:
        check_hosts(hosts, ranks, environ)
    assert said in str(caught.value)
