"""On a real GPU: our kernels leave what their twins leave, and an all-reduce over peer memory is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from railgauge.errors import EXIT_PASS

pytestmark = pytest.mark.gpu
RAILGAUGE = [sys.executable, "-m", "railgauge"]


def railgauge(*arguments):
    return subprocess.run(
        [*RAILGAUGE, *arguments],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def test_every_kernel_is_right_on_this_gpu():
    done = railgauge("kernels", "--size", "64M", "--rounds", "3", "--json")
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr
    made = json.loads(done.stdout)
    assert all(row["right"] for row in made["rows"])
    assert made["flags"][0]["reached"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_form_of_an_all_reduce_is_right_between_ranks_that_share_a_gpu(tmp_path, dtype):
    done = railgauge(
        *("run", "--backend", "peer", "-n", "2", "--functional", "--output", str(tmp_path / "run")),
        *("--call", "one_shot,two_shot,low_latency", "--dtype", dtype, "--sizes", "8,100000"),
        *("--warmup", "1", "--iterations", "6", "--buffers", "4", "--timeout", "100"),
    )
    assert done.returncode == EXIT_PASS, done.stdout + done.stderr
