"""On a real GPU: every operation, type and reduction of NCCL is verified, by several ranks on one of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from railgauge.errors import EXIT_PASS, EXIT_USAGE

pytestmark = pytest.mark.gpu
RUN = [sys.executable, "-m", "railgauge", "run"]
BRIEF = ("--warmup", "1", "--iterations", "6", "--budget", "0.2", "--timeout", "100")


def run(folder, *arguments, **environment):
    return subprocess.run(
        [*RUN, "--backend", "nccl", "--output", str(folder), *BRIEF, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_every_operation_is_verified_by_ranks_that_share_a_gpu(tmp_path, ranks):
    done = run(
        tmp_path / "run",
        *("-n", str(ranks), "--functional", "--operation", "all", "--sizes", "64,100000"),
        *("--placement", "both"),
    )
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr


@pytest.mark.parametrize("op", ["sum", "prod", "min", "max", "avg", "premul_sum"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_every_type_and_reduction_is_verified(tmp_path, ranks, op):
    done = run(
        tmp_path / "run",
        *("-n", str(ranks), "--functional", "--sizes", "64,30000", "--dtype", "all", "--op", op),
    )
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr


@pytest.mark.parametrize("call", ["stream", "graph"])
@pytest.mark.parametrize("clock", ["stamp", "event"])
def test_both_clocks_time_streams_and_graphs(tmp_path, clock, call):
    done = run(
        tmp_path / "run",
        *("-n", "1", "--sizes", "8,1M,64M", "--call", call, "--clock", clock),
    )
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr


@pytest.mark.parametrize("register", ["none", "local", "symmetric"])
def test_buffers_are_registered(tmp_path, register):
    done = run(tmp_path / "run", "-n", "1", "--sizes", "1M", "--register", register)
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr


def test_a_gpu_copies_within_itself_and_from_and_to_the_host(tmp_path):
    done = run(
        tmp_path / "run",
        *("-n", "1", "--operation", "copy", "--sizes", "1M,256M"),
        *("--call", "local,local_sm,to_device,from_device"),
    )
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr


def test_ranks_that_share_a_gpu_copy_from_and_to_each_other(tmp_path):
    done = run(
        tmp_path / "run",
        *("-n", "2", "--functional", "--operation", "copy", "--sizes", "1M", "--pattern", "pairs"),
        *("--call", "pull,push,both,pull_sm,push_sm,both_sm"),
    )
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr


def test_two_ranks_on_one_gpu_are_refused_unless_asked_for(tmp_path):
    done = run(tmp_path / "run", "-n", "2", CUDA_VISIBLE_DEVICES="0")
    assert done.returncode == EXIT_USAGE, done.stderr
    assert "--functional" in done.stderr
