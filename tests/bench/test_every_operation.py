"""Every operation in every form over every MPI library, each result checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from railgauge.backends import offers_of
from railgauge.errors import EXIT_PASS, EXIT_USAGE
from railgauge.operations import OPERATIONS
from railgauge.plan import forms
from railgauge.records import End, Result

OFFERS = offers_of("mpi")
LIBRARIES = {
    "MPICH": sys.executable,
    "Open MPI": os.environ.get("RAILGAUGE_TEST_OPENMPI", ""),
    "MPI-5 ABI": os.environ.get("RAILGAUGE_TEST_ABI", ""),
}
pytestmark = pytest.mark.mpi
Measured = Callable[..., list[Result]]


def python_of(library: str) -> str:
    if not LIBRARIES[library]:
        pytest.skip(f"no Python environment with {library}: make test prepares it")
    return LIBRARIES[library]


@pytest.fixture
def measured(measure: Callable[..., Any]) -> Measured:
    """The results of a brief run, which has passed."""

    def run(*options: str, python: str = sys.executable) -> list[Result]:
        ended = measure(*options, "--iterations", "6", "--warmup", "2", python=python)
        assert ended.code == EXIT_PASS, ended.stderr
        end = ended.records[-1]
        assert isinstance(end, End)
        assert end.verdict == "PASS"
        return list(ended.results)

    return run


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_operation_is_right_in_every_form_of_call_and_placement(
    library: str, measured: Measured
) -> None:
    options = ("--operation", "all", "--call", "all", "--placement", "both", "--sizes", "8,5000")
    results = measured("-n", "2", "--pattern", "pairs", *options, python=python_of(library))
    made = {(r.case.operation, r.case.call, r.case.placement) for r in results}
    assert made == {
        (name, call, placement)
        for name in OFFERS.operations
        for placements, calls in [forms(OPERATIONS[name], OFFERS)]
        for call in calls
        for placement in placements
    }
    for result in results:
        for group in result.groups:
            assert not group.wrong
            assert group.checked_iterations > 0


def test_four_ranks_verify_every_operation_with_every_root(measured: Measured) -> None:
    options = ("-n", "4", "--operation", "all", "--sizes", "100", "--root", "all")
    results = measured(*options, python=python_of("Open MPI"))
    assert {r.case.operation for r in results} == set(OFFERS.operations) - {"flows"}
    assert {r.case.root for r in results if r.case.operation == "gather"} == {0, 1, 2, 3}


@pytest.mark.parametrize("timing", ["barrier", "back_to_back", "synchronised"])
def test_every_operation_is_right_under_every_timing(timing: str, measured: Measured) -> None:
    options = ("--pattern", "pairs", "--operation", "all", "--sizes", "8,70000", "--timing", timing)
    results = measured("-n", "2", *options, "--placement", "both")
    assert {r.case.timing for r in results} == {timing}
    for group in (r.groups[0] for r in results):
        assert group.iterations == 6
        assert 1 < group.checked_iterations <= 1 + group.warmup_iterations + 6


def test_pairs_of_three_ranks_meet_once_each_and_one_rank_sits_out(measured: Measured) -> None:
    operations = ("--operation", "sendrecv,all_reduce")
    options = ("-n", "3", "--pattern", "pairs", *operations, "--sizes", "64")
    results = measured(*options, python=python_of("Open MPI"))
    sendrecv = [r for r in results if r.case.operation == "sendrecv"]
    assert sorted(r.groups[0].ranks for r in sendrecv) == ["0,2", "0-1", "1-2"]
    assert sorted(r.idle for r in sendrecv) == ["0", "1", "2"]


def test_an_average_is_exact_in_every_dtype_that_the_library_has(measured: Measured) -> None:
    dtypes = "int8,int16,int32,int64,uint8,uint16,uint32,uint64,float16,float32,float64"
    options = ("-n", "2", "--op", "avg,min", "--dtype", dtypes, "--sizes", "4096")
    results = measured(*options, "--operation", "all_reduce,reduce")
    assert len(results) == 2 * 2 * 11


#: A rank for which every count is too large for a C int.
ALL_LARGE = (
    "from railgauge import cli; from railgauge.mpi import calls; calls.MOST_INT = 0; cli.main()"
)


def test_every_operation_is_right_through_the_functions_for_large_counts(
    jobs: Callable[..., Any], mpiexec: Callable[[str], str]
) -> None:
    words = (
        "--pattern",
        "pairs",
        "--operation",
        "all",
        "--call",
        "all",
        "--sizes",
        "64",
        "--iterations",
        "4",
    )
    argv = [mpiexec(sys.executable), "-n", "2", sys.executable, "-c", ALL_LARGE, "run", *words]
    job = jobs([*argv, "--output", "{output}"])
    ended = job.end()
    assert ended.code == EXIT_PASS, ended
    assert {(r.case.operation, r.case.call) for r in job.results} == {
        (name, call) for name in OFFERS.operations for call in forms(OPERATIONS[name], OFFERS)[1]
    }


def test_a_library_without_functions_for_large_counts_is_asked_beforehand(measure) -> None:
    options = ("-n", "2", "--operation", "sendrecv", "--dtype", "int8", "--sizes", "8,4G")
    ended = measure(*options, python=python_of("Open MPI"))
    assert ended.code == EXIT_USAGE, ended.stderr
    assert "has no MPI_" in ended.stderr
    assert not (ended.folder / "journal.jsonl").exists()
