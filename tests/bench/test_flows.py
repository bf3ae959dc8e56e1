"""Flows of a pattern on real ranks: every message arrives, is checked, and is timed by its receiver."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from railgauge.flow_clock import FlowClock
from railgauge.journal import read_flows
from railgauge.loop import execute, table

pytestmark = pytest.mark.mpi

PERFTEST = ("--backend", "perftest", "--operation", "rdma_send_latency")


def flows_of(run, result):
    """{(source, target): nanoseconds int64 [n]} of a result."""
    return {
        tuple(flow): row
        for block in result.flows
        for flow, row in zip(block.flows, read_flows(run.folder, block), strict=True)
    }


@pytest.mark.parametrize("call", ["nonblocking", "persistent"])
def test_every_flow_of_an_incast_is_measured_and_none_takes_longer_than_its_receiver(
    measure, library, call
):
    run = measure(
        *("-n", "4", "--pattern", "incast", "--operation", "flows", "--sizes", "1K,256K"),
        *("--call", call, "--iterations", "40", "--check-every", "1", "--counters", "none"),
        python=library.python,
    )
    assert run.code == 0, run.stderr
    assert [result.name for result in run.results[::2]] == ["1 to 1", "2 to 1", "3 to 1"]
    for result in run.results:
        senders = int(result.name[0])
        flows = flows_of(run, result)
        assert set(flows) == {(sender, 0) for sender in range(1, senders + 1)}
        assert result.groups[0].checked_iterations >= 40
        stamps = np.fromfile(
            run.folder / "samples/node0.i64",
            np.int64,
            2 * 40 * (senders + 1),
            offset=result.samples[0].offset,
        ).reshape(senders + 1, 40, 2)
        receiver = stamps[0, :, 1] - stamps[0, :, 0]
        for took in flows.values():
            assert took.shape == (40,)
            assert np.all(took > 0)
            assert np.all(took <= receiver)
        assert np.all(np.max(list(flows.values()), axis=0) <= receiver)


@pytest.mark.parametrize(
    ("pattern", "rounds", "flows"), [("permutation", 3, 4), ("shift", 2, 4), ("bisection", 1, 4)]
)
def test_in_other_patterns_everybody_sends_and_receives(measure, pattern, rounds, flows):
    run = measure(
        *("-n", "4", "--pattern", pattern, "--operation", "flows", "--sizes", "4K"),
        *("--rounds", "3", "--iterations", "5", "--check-every", "1", "--timing", "synchronised"),
    )
    assert run.code == 0, run.stderr
    assert len(run.results) == rounds
    for result in run.results:
        assert len(flows_of(run, result)) == flows
        assert all(np.all(took > 0) for took in flows_of(run, result).values())


def test_flows_of_pairs_go_both_ways_and_the_bye_is_reported(measure):
    run = measure(
        *("-n", "3", "--pattern", "pairs", "--operation", "flows", "--sizes", "1K"),
        *("--iterations", "5"),
    )
    assert run.code == 0, run.stderr
    assert sorted(result.idle for result in run.results) == ["0", "1", "2"]
    for result in run.results:
        ((a, b), (c, d)) = flows_of(run, result)
        assert (a, b) == (d, c)


def test_above_the_sample_budget_the_last_times_of_each_flow_are_kept(measure):
    run = measure(
        *("-n", "3", "--pattern", "incast", "--operation", "flows", "--sizes", "1K"),
        *("--iterations", "500", "--sample-budget", "2000"),
    )
    assert run.code == 0, run.stderr
    for result in run.results:
        (block,) = result.flows
        assert 1 <= block.iterations < 500
        assert read_flows(run.folder, block).shape == (len(block.flows), block.iterations)


def test_a_resumed_run_keeps_the_times_of_its_flows(measure):
    asked = (
        *("-n", "3", "--pattern", "incast", "--operation", "flows", "--sizes", "1K"),
        *("--iterations", "9"),
    )
    run = measure(*asked)
    before = [flows_of(run, result) for result in run.results]
    journal = run.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    last = next(k for k in reversed(range(len(lines))) if b'"record":"case"' in lines[k])
    journal.write_bytes(b"".join(lines[:last]))
    again = measure(*asked, "--output", str(run.folder), "--resume")
    assert again.code == 0, again.stderr
    after = [flows_of(run, result) for result in run.results]
    assert len(after) == 2
    for flow, took in before[0].items():
        assert np.array_equal(after[0][flow], took)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--operation", "flows"), "pattern world says nothing of who sends to whom"),
        (("--pattern", "incast"), "--pattern incast --operation flows"),
        (("--pattern", "leaves"), "--leaves /etc/slurm/topology.conf"),
        (("--pattern", "incast", "--operation", "flows", "-n", "1"), "at least 2 ranks"),
        (("--pattern", "world", "--quiet"), "--quiet: pattern world"),
        (("--pattern", "victim"), "at least 3 ranks"),
        (("--pattern", "victim", "-n", "4", "--victims", "1"), "--victims 1"),
        (("--pattern", "victim", "-n", "4", "--load", "alltoal"), "Did you mean 'alltoall'"),
        (("--pattern", "victim", "-n", "4", "--load", "storage"), "a path belongs to storage"),
        (("--pattern", "victim", "-n", "4", "--load", "incast:/x"), "a path belongs to storage"),
        (("--pattern", "victim", "-n", "4", "--load", ""), "--load: nothing is named"),
        (("--pattern", "victim", "-n", "4", "--backend", "torch"), "torch has no flows"),
        (("--pattern", "victim", "-n", "4", "--load", "alltoall", *PERFTEST), "has no alltoall"),
        (("--pattern", "victim", "-n", "3"), "one rank alone sends nothing"),
        (
            ("--pattern", "victim", "-n", "4", "--victims", "nan", "--root", "all"),
            "--victims nan: no share",
        ),
        (
            ("--pattern", "victim", "-n", "4", "--victims", "inf", "--operation", "all"),
            "--victims inf: no share",
        ),
        (("--pattern", "victim", "-n", "4", "--victims", "-1"), "--victims -1: no share"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused_with_what_would(measure, arguments, said):
    run = measure(*arguments)
    assert run.code == 2
    assert said in run.stderr


# the step ---------------------------------------------------------------------------------------


def test_the_step_notes_when_each_message_came_whatever_the_order():
    """MPI_Waitsome is a function of ours that completes request 2, then 0 and 1, then the one sent."""
    script = [[2], [0, 1], [3]]
    turn = iter([])
    kind = ctypes.CFUNCTYPE(
        ctypes.c_int,
        *(ctypes.c_int64,) * 5,  # count, requests, outcount, indices, statuses
    )

    @kind
    def waitsome(_total, _requests, count, indices, _statuses):
        done = next(turn)
        ctypes.c_int32.from_address(count).value = len(done)
        for k, index in enumerate(done):
            ctypes.c_int32.from_address(indices + 4 * k).value = index
        return 0

    clock = FlowClock(incoming=3, requests=0, total=4, statuses=0)
    program = table([clock.step(ctypes.cast(waitsome, ctypes.c_void_p).value)])
    clock.begin(2)
    for _ in range(3):  # one more than there is room for
        turn = iter(script)
        assert execute(program) == 0
    times = clock.since(np.zeros(2, np.int64))
    assert times.shape == (2, 3)
    assert np.all(times[:, 2] < times[:, 0])
    assert np.array_equal(times[:, 0], times[:, 1])
    assert np.all(times[1] > times[0])


def test_the_step_returns_what_the_library_says_went_wrong():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *(ctypes.c_int64,) * 5)
    failing = kind(lambda *_: 17)
    clock = FlowClock(incoming=1, requests=0, total=1, statuses=0)
    clock.begin(1)
    assert execute(table([clock.step(ctypes.cast(failing, ctypes.c_void_p).value)])) == 17


def test_the_step_ends_where_there_is_nothing_to_wait_for():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *(ctypes.c_int64,) * 5)

    @kind
    def undefined(_total, _requests, count, _indices, _statuses):
        ctypes.c_int32.from_address(count).value = -32766
        return 0

    clock = FlowClock(incoming=1, requests=0, total=1, statuses=0)
    clock.begin(1)
    assert execute(table([clock.step(ctypes.cast(undefined, ctypes.c_void_p).value)])) == 0
