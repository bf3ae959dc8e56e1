"""How operations are spelt: what a C int cannot hold goes to functions that take 64 bits, whole."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from railgauge.backends import offers_of
from railgauge.layouts import Ends
from railgauge.mpi.calls import WAIT_EACH, Arguments, CallArguments, Calls, program, symbols
from railgauge.needs import group_facts
from railgauge.operations import OPERATIONS
from railgauge.plan import Case, Plan, cases, forms

ARGUMENTS = Arguments(1, 1, 2, 3, 4, 5, request_size=8, window=3)
OFFERS = offers_of("mpi")
FORMS = [
    (name, call, me)
    for name in OFFERS.operations
    for call in forms(OPERATIONS[name], OFFERS)[1]
    for me in (0, 1)
]


def spelt(name: str, call: str, me: int, nbytes: int, skew: float = 0.0) -> tuple[Case, Calls]:
    plan = Plan(
        ranks=2, operations=(name,), sizes=(nbytes,), dtypes=("int8",), calls=(call,), skew=skew
    )
    case = cases(plan)[0]
    facts = group_facts(plan, case, 2, me, Ends((1 - me,), (1 - me,)))
    return case, program(case, facts, ARGUMENTS, 1000, [2000] * 3)


def moving(calls: Calls) -> list[CallArguments]:
    """The calls that say how much is moved, but for the one element that acknowledges a window."""
    everything = calls.setup + calls.iteration
    waiting = ("MPI_Start", "MPI_Wait", WAIT_EACH)
    return [c for c in everything if not c[0].startswith(waiting) and 1 not in c[1][1:2]]


@pytest.mark.parametrize(("name", "call", "me"), [f for f in FORMS if f[0] != "barrier"])
def test_a_count_above_an_int_goes_whole_to_a_function_that_takes_64_bits(name, call, me):
    case, calls = spelt(name, call, me, 1 << 33)
    assert moving(calls)
    for function, arguments in moving(calls):
        assert function.endswith("_c")
        if name != "alltoallv":
            assert case.count in arguments
            assert case.count > 2**31 - 1


@pytest.mark.parametrize(("name", "call", "me"), FORMS)
def test_a_count_that_fits_an_int_needs_nothing_of_mpi_4(name, call, me):
    _, calls = spelt(name, call, me, (1 << 31) - 2)
    assert not any(function.endswith("_c") for function, _ in calls.setup + calls.iteration)


@pytest.mark.parametrize("nbytes", [64, 1 << 33])
@pytest.mark.parametrize(("name", "call", "me"), FORMS)
def test_what_is_called_is_known_before_anything_is_measured(name, call, me, nbytes):
    case, calls = spelt(name, call, me, nbytes)
    assert {function for function, _ in moving(calls)} <= set(symbols(case, 1))


@pytest.mark.parametrize(
    ("nbytes", "skew", "width"),
    [(1 << 33, 0.5, np.int64), (1 << 31, 0.5, np.int64), (1 << 10, 0.5, np.int32)],
)
def test_counts_and_displacements_of_alltoallv_are_as_wide_as_its_function_takes(
    nbytes, skew, width
):
    case, calls = spelt("alltoallv", "blocking", 1, nbytes, skew)
    ((function, arguments),) = calls.iteration
    assert function == "MPI_Alltoallv" + ("_c" if width is np.int64 else "")
    kind = ctypes.c_int64 if width is np.int64 else ctypes.c_int32
    counts, displacements = ((kind * 2).from_address(arguments[k]) for k in (1, 2))
    away = case.count - round(case.count * skew)
    assert list(counts) == [2 * case.count - away, away]
    assert list(displacements) == [0, 2 * case.count - away]
