"""Overlap is three measured times, recorded for non-blocking operations alone."""

from __future__ import annotations

import pytest

from railgauge.errors import EXIT_PASS, EXIT_USAGE
from railgauge.layouts import Ends
from railgauge.mpi.calls import Arguments, program, waits_at
from railgauge.needs import group_facts
from railgauge.operations import OPERATIONS
from railgauge.plan import Plan, cases
from railgauge.records import Overlap
from railgauge.samples import compute_slowdown

BRIEF = ("-n", "2", "--sizes", "4096", "--warmup", "2", "--iterations", "12")


@pytest.mark.mpi
def test_non_blocking_operations_record_the_times_behind_their_overlap(measure):
    done = measure(
        *BRIEF,
        *("--operation", "all_reduce,alltoall,sendrecv", "--call", "blocking,nonblocking"),
        "--overlap",
    )
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 6
    for result in done.results:
        (group,) = result.groups
        if result.case.call == "blocking":
            assert group.overlap is None
            continue
        made = group.overlap
        assert made is not None
        assert min(made.pure_seconds, made.compute_seconds, made.together_seconds) > 0
        assert made.beside_seconds is not None
        assert made.beside_seconds > 0
        assert not group.wrong


@pytest.mark.mpi
def test_without_being_asked_for_no_overlap_is_measured(measure):
    done = measure(*BRIEF, "--call", "nonblocking")
    assert done.code == EXIT_PASS, done.stderr
    assert [group.overlap for result in done.results for group in result.groups] == [None]


@pytest.mark.parametrize("me", [0, 1])
@pytest.mark.parametrize("name", [o.name for o in OPERATIONS.values() if "nonblocking" in o.calls])
def test_computation_goes_between_what_starts_an_operation_and_what_waits_for_it(name, me):
    plan = Plan(ranks=2, operations=(name,), sizes=(64,), calls=("nonblocking",), window=3)
    case = cases(plan)[0]
    arguments = Arguments(1, 4, 2, 3, 4, 5, request_size=8, window=3)
    both = Ends((1 - me,), (1 - me,))
    calls = program(case, group_facts(plan, case, 2, me, both), arguments, 1000, [2000, 3000])
    names = [called for called, _ in calls.iteration]
    at = waits_at(calls.iteration)
    assert all(called.startswith("MPI_I") for called in names[:at])
    assert at > 0
    assert "Wait" in names[at]


def test_a_blocking_operation_waits_nowhere():
    assert waits_at([("MPI_Send", ()), ("MPI_Recv", ())]) == 2


def test_overlap_of_a_blocking_operation_is_refused(measure):
    done = measure(*BRIEF, "--overlap", "--call", "blocking")
    assert done.code == EXIT_USAGE
    assert "--overlap --call nonblocking" in done.stderr


@pytest.mark.mpi
def test_overlap_alone_means_the_non_blocking_form_of_an_operation(measure):
    done = measure(*BRIEF, "--overlap")
    assert done.code == EXIT_PASS, done.stderr
    (result,) = done.results
    assert result.case.call == "nonblocking"
    assert result.groups[0].overlap is not None


def overlapped(**seconds: float | None) -> Overlap:
    facts = {"pure_seconds": 2.0, "compute_seconds": 2.0, "together_seconds": 3.0}
    return Overlap(**facts | seconds)


@pytest.mark.parametrize(
    ("overlap", "slowdown"),
    [
        (None, None),
        (overlapped(), None),  # of a journal that does not know it
        (overlapped(beside_seconds=3.0), 1.5),
        (overlapped(beside_seconds=2.0), 1.0),
        (overlapped(beside_seconds=3.0, compute_seconds=0.0), None),
    ],
)
def test_computation_beside_an_operation_is_compared_with_itself_alone(overlap, slowdown):
    assert compute_slowdown(overlap) == slowdown
