"""`--backend peer` end to end: real ranks, our kernels on the CPU, memory mapped from each other."""

from __future__ import annotations

import pytest

from railgauge.errors import EXIT_NOT_MEASURED, EXIT_PASS, EXIT_USAGE
from railgauge_kernels.reducing import FORMS

BRIEF = (
    *("--backend", "peer", "--budget", "0.05", "--warmup", "1", "--timeout", "60"),
    *("--iterations", "5", "--buffers", "3"),
)
pytestmark = pytest.mark.mpi


@pytest.fixture
def gpus(on_gpus):
    return lambda *arguments, **more: on_gpus(*BRIEF, *arguments, **more)


@pytest.mark.parametrize(("ranks", "dtype"), [(2, "float16"), (3, "float32"), (4, "bfloat16")])
def test_every_form_of_an_all_reduce_is_verified(gpus, ranks, dtype):
    done = gpus(
        *("-n", str(ranks), "--operation", "all_reduce", "--call", "all", "--dtype", dtype),
        *("--sizes", "4,3000", "--clock", "event" if ranks == 3 else "stamp"),
    )
    assert done.code == EXIT_PASS, done.stderr
    assert [result.case.call for result in done.results[::2]] == list(FORMS)
    for result in done.results:
        for group in result.groups:
            assert not group.wrong
            assert group.checked_iterations
            assert group.choice.transport == "peer memory"


def test_two_of_the_forms_work_in_place(gpus):
    done = gpus(
        "-n", "2", "--call", "two_shot,low_latency", "--placement", "in", "--sizes", "8,2000"
    )
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 4


def test_groups_of_two_work_side_by_side(gpus):
    done = gpus("-n", "4", "--pattern", "pairs", "--call", "all", "--sizes", "512")
    assert done.code == EXIT_PASS, done.stderr
    assert all(len(result.groups) == 2 for result in done.results)


def test_copies_need_no_library(gpus):
    done = gpus(
        *("-n", "2", "--operation", "copy", "--pattern", "pairs", "--sizes", "5000"),
        *("--call", "pull,push_sm,both_sm,local_sm"),
    )
    assert done.code == EXIT_PASS, done.stderr
    assert {result.case.call for result in done.results} == {
        *("pull", "push_sm", "both_sm", "local_sm")
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--call", "one_shot", "--placement", "in"), ["one_shot", "--call two_shot"]),
        (("--call", "low_latency", "--sizes", "2M"), ["at most 1 MiB", "--max-bytes 1M"]),
        (("--op", "max"), ["--op max", "sum"]),
        (("--dtype", "int8"), ["--dtype int8", "float32, float16, bfloat16"]),
        (("--timing", "barrier"), ["--timing back_to_back"]),
        (("--streams", "2", "--sizes", "8"), ["would share flags"]),
    ],
)
def test_what_the_kernels_have_no_form_for_is_refused_once(gpus, options, words):
    done = gpus("-n", "2", *options)
    assert done.code == EXIT_USAGE, done.stderr
    assert done.stderr.count("error:") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("operation", ["all_reduce", "copy"])
def test_memory_out_of_reach_is_said_with_what_to_do(gpus, operation):
    done = gpus("-n", "2", "--operation", operation, "--sizes", "8", FAKE_GPU_PEER="0")
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "cannot reach another's memory" in done.stderr
    assert "--backend nccl" in done.stderr


def test_a_launch_that_fails_is_told_in_the_drivers_words(gpus):
    done = gpus("-n", "2", "--sizes", "8", FAKE_GPU_FAULT="cuLaunchKernel:40:700")
    assert done.code == EXIT_NOT_MEASURED, done.stderr
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in done.stderr
