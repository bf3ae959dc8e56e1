"""torch.distributed through the same loops and checks: gloo here, NCCL's side in the GPU tests."""

from __future__ import annotations

import json

import pytest

from railgauge.backends import offers_of
from railgauge.errors import EXIT_PASS, EXIT_USAGE
from railgauge.samples import compute_slowdown, overlap_share

BRIEF = ("--backend", "torch", "--budget", "0.05", "--warmup", "1")


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_every_operation_of_gloo_is_verified(measure, ranks):
    even = ranks % 2 == 0
    done = measure(
        *("-n", str(ranks), "--operation", "all", "--sizes", "40,6000", "--dtype", "float32,int8"),
        *("--root", "all", "--iterations", "8"),
        *BRIEF,
    )
    assert done.code == EXIT_PASS, done.stderr
    measured = {result.case.operation for result in done.results}
    assert measured == set(offers_of("torch").operations) - (set() if even else {"latency"})
    for result in done.results:
        for group in result.groups:
            assert not group.wrong
            assert group.checked_iterations or not result.case.entry.sized


@pytest.mark.mpi
@pytest.mark.parametrize("timing", ["back_to_back", "synchronised"])
def test_every_type_and_reduction_of_gloo_is_verified(measure, timing):
    done = measure(
        *("-n", "2", "--operation", "all_reduce,reduce_scatter", "--sizes", "4096"),
        *("--dtype", "int8,uint8,int32,int64,float16,bfloat16,float32,float64"),
        *("--op", "sum,prod,min,max", "--iterations", "6", "--timing", timing),
        *BRIEF,
    )
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 8 * 4 * 2


@pytest.mark.mpi
def test_groups_of_a_round_have_process_groups_of_their_own(measure):
    done = measure(
        *("-n", "3", "--pattern", "pairs", "--operation", "all_reduce,alltoall", "--sizes", "64"),
        *("--iterations", "4"),
        *BRIEF,
    )
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 6
    for result in done.results:
        (group,) = result.groups
        assert group.init_seconds is not None
        assert group.init_seconds > 0


@pytest.mark.mpi
def test_overlap_tells_what_was_hidden_and_how_much_slower_the_computation_was(measure):
    done = measure("-n", "2", "--plan", "ddp", "--sizes", "64K", "--iterations", "10", *BRIEF)
    assert done.code == EXIT_PASS, done.stderr
    assert {result.case.call for result in done.results} == {"nonblocking"}
    for result in done.results:
        (group,) = result.groups
        share, slowdown = overlap_share(group.overlap), compute_slowdown(group.overlap)
        assert share is not None
        assert 0 <= share <= 1
        assert slowdown is not None
        assert slowdown > 0


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--op", "avg"), "gloo has no such reduction"),
        (("--dtype", "float8_e5m2"), "gloo cannot reduce it"),
        (("--op", "premul_sum"), "--backend torch has no such op"),
        (("--operation", "reduce"), "next: railgauge run --operation reduce --backend mpi"),
        (("--placement", "out"), "allowed for all_reduce: in"),
    ],
)
def test_what_gloo_or_torch_lacks_is_refused_once(measure, arguments, told):
    done = measure("-n", "2", *BRIEF, *arguments)
    assert done.code == EXIT_USAGE, done.stderr
    assert told in done.stderr
    assert done.stderr.count("railgauge: error:") == 1


@pytest.mark.mpi
def test_the_run_says_which_torch_moved_the_data_and_which_mpi_agreed(measure):
    done = measure("-n", "2", *BRIEF, "--sizes", "8", "--iterations", "4", "--json")
    assert done.code == EXIT_PASS, done.stderr
    report = json.loads(done.stdout)
    assert "PyTorch 2" in json.dumps(report)
    assert "gloo (control: " in json.dumps(report)
