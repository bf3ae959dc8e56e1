"""`railgauge kernels` on the stand-in's GPUs: every ladder is timed, and what it left is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from railgauge.errors import EXIT_NOT_MEASURED, EXIT_PASS, EXIT_USAGE, EXIT_WRONG_DATA
from railgauge_kernels import bandwidth, burning, copying, reducing

BRIEF = ("--size", "64K", "--rounds", "2")


@pytest.fixture
def kernels(gpu_stand_in):
    def run(*arguments, **more):
        machine = {"LD_PRELOAD": gpu_stand_in, "CUDA_VISIBLE_DEVICES": "0"}
        return subprocess.run(
            [sys.executable, "-m", "railgauge", "kernels", *BRIEF, *arguments],
            env=os.environ | machine | more,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    return run


def test_every_step_of_every_ladder_is_timed_and_right(kernels, tmp_path):
    done = kernels("--json", "--output", str(tmp_path / "kernels.json"))
    assert done.returncode == EXIT_PASS, done.stderr
    made = json.loads(done.stdout)
    assert json.loads((tmp_path / "kernels.json").read_text()) == made
    rows = {row["kernel"]: row for row in made["rows"] if row["family"] not in ("fill", "check")}
    ladders = (
        copying.LADDER,
        copying.BIDIRECTIONAL,
        bandwidth.READ,
        bandwidth.WRITE,
        bandwidth.TRIAD,
        burning.LADDER,
    )
    named = [kernel.function for ladder in ladders for kernel in ladder]
    named += [kernel.function for dtype in reducing.REDUCED for kernel in reducing.reduce(dtype)]
    assert set(rows) == {"cuMemcpyAsync", *named}
    assert all(row["right"] and row["samples"] == 2 for row in made["rows"])
    copy, triad = rows["copy_vector"], rows["triad_vector"]
    assert copy["GBps"] == pytest.approx(2 * 65536 / copy["median_seconds"] / 1e9)
    assert triad["GBps"] == pytest.approx(3 * 65536 / triad["median_seconds"] / 1e9)
    best = [row["GBps"] for row in made["rows"] if row["family"] in ("read", "write", "triad")]
    assert made["ceiling_GBps"] == max(best)
    assert copy["of_ceiling"] == pytest.approx(copy["GBps"] / max(best))
    assert copy["of_driver"] == pytest.approx(copy["GBps"] / rows["cuMemcpyAsync"]["GBps"])
    assert rows["burn"]["TFLOPS"] > 0
    checked = {(row["family"], row["kernel"]) for row in made["rows"]}
    assert {("fill", "float32 moved"), ("check", "bfloat16 sum")} <= checked


def test_flags_fly_between_all_gpus_that_are_visible(kernels):
    done = kernels("--json", CUDA_VISIBLE_DEVICES="0,1")
    assert done.returncode == EXIT_PASS, done.stderr
    flights = json.loads(done.stdout)["flags"]
    pairs = {(flight["first"], flight["second"]) for flight in flights}
    first, second = "0000:10:00.0", "0000:11:00.0"
    assert pairs == {(first, first), (first, second), (second, second)}
    assert len(flights) == 6
    for flight in flights:
        assert flight["reached"]
        assert flight["round_trips"] == 400
        assert 0 < flight["least_seconds"] <= flight["one_way_seconds"]


def test_a_pair_that_cannot_reach_each_other_is_said_and_the_rest_measured(kernels):
    done = kernels(CUDA_VISIBLE_DEVICES="0,1", FAKE_GPU_PEER="0")
    assert done.returncode == EXIT_PASS, done.stderr
    assert done.stdout.count("out of reach") == 2
    assert "ceiling:" in done.stdout


def test_an_older_gpu_has_the_versions_that_it_runs(kernels):
    done = kernels("--json", FAKE_GPU_CAPABILITY="8.0")
    assert done.returncode == EXIT_PASS, done.stderr
    made = {row["kernel"] for row in json.loads(done.stdout)["rows"]}
    assert "copy_unrolled" in made
    assert "copy_bulk" not in made


@pytest.mark.parametrize("kernel", ["copy_vector", "triad_plain", "reduce_unrolled_bfloat16"])
def test_wrong_data_is_named_and_ends_with_its_exit_code(kernels, kernel):
    done = kernels(FAKE_GPU_CORRUPT=kernel)
    assert done.returncode == EXIT_WRONG_DATA, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "WRONG" in line]
    assert kernel in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gpu", "3"), "--gpu 3: 1 GPUs are visible"),
        (("--size", "1K"), "at least 64K"),
        (("--rounds", "0"), "at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(kernels, arguments, words):
    done = kernels(*arguments)
    assert done.returncode == EXIT_USAGE, done.stderr
    assert words in done.stderr


def test_without_a_gpu_it_says_so(kernels):
    done = kernels(FAKE_GPU_COUNT="0")
    assert done.returncode == EXIT_NOT_MEASURED, done.stderr
    assert "next: nvidia-smi" in done.stderr


def test_without_room_for_the_arrays_it_says_so(kernels):
    done = kernels(FAKE_GPU_MEMORY="100000")
    assert done.returncode == EXIT_NOT_MEASURED, done.stderr
    assert "CUDA_ERROR_OUT_OF_MEMORY" in done.stderr
