"""What a run should have reached, told of the groups that it ran in."""

from __future__ import annotations

import pytest

from railgauge.cli import call
from railgauge_reports.judged import judged_of
from railgauge_reports.loaded import load


def bands(folder, *options):
    """(operation, nbytes) -> what is expected of a simulated run of 8 nodes."""
    given = ("--nodes", "8", "--sizes", "1G", "--output", str(folder), *options)
    call(["run", "--backend", "simulated", *given])
    return judged_of(load(folder)).expected


def test_a_group_of_one_node_is_expected_to_run_at_the_rate_of_nvlink(tmp_path):
    nodes = ("--pattern", "nodes", "--ranks-per-node", "8")
    alone = bands(tmp_path / "alone", *nodes, "--group-nodes", "1")["all_reduce", 1 << 30]
    four = bands(tmp_path / "four", *nodes, "--group-nodes", "4")["all_reduce", 1 << 30]
    world = bands(tmp_path / "world")["all_reduce", 1 << 30]
    assert alone.bound_GBps > 1.5 * four.bound_GBps
    assert four.bound_GBps == pytest.approx(400, rel=0.05)
    assert world.bound_GBps == pytest.approx(four.bound_GBps, rel=0.05)


def test_what_has_no_expectation_says_why(tmp_path):
    made = tmp_path / "run"
    call(
        [
            "run",
            "--backend",
            "simulated",
            "--nodes",
            "2",
            "--operation",
            "barrier",
            "--output",
            str(made),
        ]
    )
    judged = judged_of(load(made))
    assert judged.expected == {}
    assert judged.unexpected.startswith("no expectation")
