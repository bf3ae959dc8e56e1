"""An MPI library that is wrong once is caught every time; a right one, never.

The faults are those of `shims/faults.c`, compiled here and preloaded before the real library.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from railgauge.backends import offers_of
from railgauge.dtypes import DTYPES
from railgauge.errors import EXIT_PASS, EXIT_USAGE, EXIT_WRONG_DATA
from railgauge.records import End, Result, Run, Wrong
from railgauge.samples import group_samples, seconds
from railgauge_reports.arrivals import judge_arrivals

pytestmark = [pytest.mark.mpi]

SOURCE = Path(__file__).parent / "shims" / "faults.c"
NBYTES, BLOCK = 8184, 4092  # of a whole message and of its half; the control plane has no such call
RANK, INDEX = 1, 7
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "alltoall", "reduce", "gather")
OUT_OF_PLACE = (*COLLECTIVES, "scatter", "sendrecv")
BRIEF = ("-n", "2", "--sizes", str(NBYTES), "--warmup", "2", "--iterations", "12")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory, preloadable: Callable[..., Path]) -> Path:
    made = tmp_path_factory.mktemp("shim") / "libfaults.so"
    return preloadable(SOURCE.read_text(), made)


@pytest.fixture
def faulty(measure: Callable[..., Any], shim: Path, library: Any) -> Callable[..., Any]:
    """A run of which one call of rank RANK is wrong in every case."""

    def run(fault: str, *arguments: str, call: int = 5, **environment: str) -> Any:
        return measure(
            *arguments,
            python=library.python,
            LD_PRELOAD=str(shim),
            RAILGAUGE_SHIM_FAULT=fault,
            RAILGAUGE_SHIM_RANK=str(RANK),
            RAILGAUGE_SHIM_CALL=str(call),
            RAILGAUGE_SHIM_BYTES=f"{NBYTES},{BLOCK}",
            RAILGAUGE_SHIM_INDEX=str(INDEX),
            **environment,
        )

    return run


@dataclasses.dataclass(frozen=True)
class Finding:
    """A wrong element with the numbers behind its words."""

    result: Result
    wrong: Wrong

    @property
    def bits(self) -> int:
        return 8 * DTYPES[self.result.case.dtype].itemsize

    @property
    def expected(self) -> int:
        return int(self.wrong.expected, 16)

    @property
    def found(self) -> int:
        return int(self.wrong.found, 16)

    @property
    def receives(self) -> int:
        """Elements of the receive buffer of a rank that receives."""
        case = self.result.case
        whole = case.operation in ("all_gather", "alltoall", "gather")
        return case.count * (2 if whole else 1)


def findings(done: Any, cases: int) -> list[Finding]:
    """Every case of the run, each with what was found on rank RANK; all of them must be wrong."""
    assert done.code == EXIT_WRONG_DATA, done.stderr
    end = done.records[-1]
    assert isinstance(end, End)
    assert (end.verdict, end.exit_code) == ("FAIL", EXIT_WRONG_DATA)
    results = done.results
    assert len(results) == cases
    header, _, *rows = done.stdout.splitlines()
    assert len(rows) == cases
    made = []
    for result, row in zip(results, rows, strict=True):
        (group,) = result.groups
        assert group.wrong, result.case.describe()
        assert result.stopped in ("wrong data", "count")  # guards are looked at in the end
        # a wrong case has no bandwidth
        assert not row[header.index("algbw") - 1 : header.index("busbw") + 5].strip()
        for wrong in group.wrong:
            assert len(wrong.expected) == len(wrong.found) >= 4
            assert wrong.expected != wrong.found
            told = (
                f"{result.case.describe()}: rank {wrong.rank} on {wrong.host}, {wrong.buffer}"
                f" buffer, element {wrong.index}: expected {wrong.expected}, found {wrong.found}"
            )
            assert told in done.stderr
            made.append(Finding(result, wrong))
    return made


def one_each(done: Any, cases: int) -> list[Finding]:
    """As `findings`, where rank RANK alone is wrong."""
    made = findings(done, cases)
    assert [finding.wrong.rank for finding in made] == [RANK] * cases
    return made


def asked(*operations: str, dtypes: str = "float32,int8", root: int = RANK) -> tuple[str, ...]:
    return ("--operation", ",".join(operations), "--dtype", dtypes, "--root", str(root))


EVERY = ("--check-every", "1")


# one wrong call -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [0, 1, 7])  # the first, one of the warm-up, one of the samples
def test_one_flipped_bit_on_one_rank_in_one_iteration_is_named(faulty, call):
    done = faulty("flip", *BRIEF, *EVERY, *asked(*OUT_OF_PLACE), call=call)
    for finding in one_each(done, 2 * len(OUT_OF_PLACE)):
        wrong = finding.wrong
        assert (wrong.buffer, wrong.index, wrong.elements) == ("receive 0", INDEX, 1)
        assert finding.found == finding.expected ^ (0x10 << (finding.bits - 8))


def test_one_ulp_on_one_element_is_named(faulty, library):
    dtypes = ("float32", "int8", *(["bfloat16"] if library.family == "mpich" else []))
    done = faulty("ulp", *BRIEF, *EVERY, *asked(*OUT_OF_PLACE, dtypes=",".join(dtypes)))
    for finding in one_each(done, len(dtypes) * len(OUT_OF_PLACE)):
        wrong = finding.wrong
        assert (wrong.buffer, wrong.index, wrong.elements) == ("receive 0", INDEX, 1)
        assert finding.found == (finding.expected + 1) % 2**finding.bits


def test_two_swapped_chunks_are_caught(faulty):
    done = faulty("swap", *BRIEF, *EVERY, *asked(*OUT_OF_PLACE))
    for finding in one_each(done, 2 * len(OUT_OF_PLACE)):
        assert finding.wrong.buffer == "receive 0"
        assert finding.wrong.index < 20
        assert finding.wrong.elements > 0.9 * finding.receives - 2


def test_a_call_that_delivers_nothing_is_caught(faulty):
    done = faulty("stale", *BRIEF, *EVERY, *asked(*OUT_OF_PLACE))
    for finding in one_each(done, 2 * len(OUT_OF_PLACE)):
        # what was there before each verified iteration is the complement of what must come
        assert finding.wrong.index == 0
        assert finding.wrong.elements == finding.receives
        assert finding.found == ~finding.expected % 2**finding.bits


def test_a_dropped_contribution_is_caught_on_every_rank_that_needs_it(faulty):
    done = faulty("drop", *BRIEF, *EVERY, *asked(*OUT_OF_PLACE))
    made = findings(done, 2 * len(OUT_OF_PLACE))
    ranks = {operation: {0, 1} for operation in OUT_OF_PLACE}
    ranks |= {"reduce": {1}, "gather": {1}, "sendrecv": {0}}
    seen: dict[tuple[str, str], set[int]] = {}
    for finding in made:
        case = finding.result.case
        seen.setdefault((case.operation, case.dtype), set()).add(finding.wrong.rank)
        if case.op is None:  # zeros came instead of the block of RANK
            assert finding.found == 0
        block = RANK * case.count if case.operation in ("all_gather", "alltoall", "gather") else 0
        assert block <= finding.wrong.index < block + 3
    assert seen == {(o, dtype): ranks[o] for o in OUT_OF_PLACE for dtype in ("float32", "int8")}


def test_a_write_beyond_the_buffer_is_caught_even_where_all_elements_are_right(faulty):
    done = faulty("beyond", *BRIEF, *EVERY, *asked(*OUT_OF_PLACE))
    for finding in one_each(done, 2 * len(OUT_OF_PLACE)):
        wrong = finding.wrong
        assert (wrong.buffer, wrong.index) == ("guard of receive 0", finding.receives)
        assert (wrong.expected, wrong.found) == ("0xc3", "0x5a")
        assert wrong.elements == finding.bits // 8


@pytest.mark.parametrize("fault", ["stale", "beyond"])
def test_a_broadcast_that_is_wrong_on_a_leaf_is_caught(faulty, fault):
    done = faulty(fault, *BRIEF, *EVERY, *asked("broadcast", root=0))
    one_each(done, 2)


@pytest.mark.parametrize("fault", ["flip", "beyond"])
def test_a_fault_in_one_of_several_rotating_buffers_is_caught_and_the_buffer_named(faulty, fault):
    # 4 sets of buffers: a first turn, a leg of 4, and call 9 is the second of the verified turn
    done = faulty(fault, *BRIEF, *asked("latency"), call=9)
    for finding in one_each(done, 2):
        assert finding.wrong.buffer.removeprefix("guard of ") == "receive 1"


@pytest.mark.parametrize("fault", ["flip", "beyond"])
def test_over_one_set_of_buffers_the_last_iteration_of_a_chunk_is_verified(faulty, fault):
    # a first call, a leg of 3, and call 6 is the last of the verified one
    done = faulty(fault, *BRIEF, "--buffers", "1", *asked("latency"), call=6)
    for finding in one_each(done, 2):
        assert finding.wrong.buffer.removeprefix("guard of ") == "receive 0"


@pytest.mark.parametrize("fault", ["swap", "stale"])
def test_faults_in_place_are_caught(faulty, fault):
    operations = [o for o in COLLECTIVES if o not in ("gather", "all_gather")]
    done = faulty(fault, *BRIEF, *EVERY, "--placement", "in", *asked(*operations))
    one_each(done, 2 * len(operations))


# back to back, call 8 is the first of the verified turn (see above)
@pytest.mark.parametrize(("timing", "call"), [("back_to_back", 8), ("synchronised", 5)])
@pytest.mark.parametrize("fault", ["stale", "beyond"])
def test_faults_are_caught_in_every_way_of_timing(faulty, fault, timing, call):
    operations = asked("all_reduce", "alltoall")
    done = faulty(fault, *BRIEF, *EVERY, "--timing", timing, *operations, call=call)
    one_each(done, 4)


def test_a_fault_in_an_iteration_that_is_not_verified_is_reported_as_not_verified(faulty, tmp_path):
    # chunks of any length, however slow the machine is: the first iteration of each is verified
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if 'PMI_RANK' in os.environ or 'OMPI_COMM_WORLD_RANK' in os.environ:\n"
        "    import railgauge.sampling\n"
        "    railgauge.sampling.CHUNK_SECONDS = 3600.0\n"
    )
    every = ("--check-every", "1000")
    done = faulty("flip", *BRIEF, *every, *asked("all_reduce"), call=6, PYTHONPATH=str(tmp_path))
    assert done.code == EXIT_PASS
    for result in done.results:
        assert result.groups[0].checked_iterations < 1 + 2 + result.groups[0].iterations


# a right library ------------------------------------------------------------------------------


def test_a_right_library_never_fails(measure, shim, library):
    # of bfloat16 MPICH has the sum alone, and Open MPI nothing. Open MPI's vectorised 8-bit sums
    # saturate instead of wrapping around: exact data never gets that far
    parts = {name: "all" for name in offers_of("mpi").dtypes if name != "bfloat16"}
    if library.family == "mpich":
        parts["bfloat16"] = "sum,avg"
    checked = 0
    for ops in ("all", "sum,avg"):
        dtypes = [dtype for dtype in parts if parts[dtype] == ops]
        if not dtypes:
            continue
        done = measure(
            *("-n", "2", "--operation", "all_reduce,reduce_scatter", "--sizes", "4000"),
            *("--dtype", ",".join(dtypes), "--op", ops, "--placement", "both"),
            *("--check-every", "1", "--warmup", "2", "--iterations", "50"),
            python=library.python,
            LD_PRELOAD=str(shim),  # which does nothing without a fault
        )
        assert done.code == EXIT_PASS, done.stderr
        assert {result.case.dtype for result in done.results} == set(dtypes)
        groups = [group for result in done.results for group in result.groups]
        assert not any(group.wrong for group in groups)
        assert all(group.checked_iterations == 1 + 2 + 50 for group in groups)
        checked += sum(group.checked_iterations for group in groups)
    assert checked >= 10_000


# types that a library may lack ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats_reduce_with_a_user_defined_operation(measure, library, dtype):
    done = measure(
        *("-n", "2", "--operation", "all_reduce,reduce_scatter", "--sizes", "8,4096"),
        *("--dtype", dtype, "--op", "all", "--op-implementation", "user"),
        *("--warmup", "1", "--iterations", "10", "--check-every", "1"),
        python=library.python,
    )
    assert done.code == EXIT_PASS, done.stderr
    assert len(done.results) == 2 * 2 * 5
    assert not any(group.wrong for result in done.results for group in result.groups)


#: (dtype, reduction, what is said) for each family of libraries
LACKING = {
    "mpich": ("bfloat16", "max", "--dtype bfloat16 --op max: no such reduction"),
    "openmpi": ("bfloat16", "sum", "--dtype bfloat16: no such MPI type"),
}


def test_what_a_library_lacks_is_refused_once_and_nothing_is_measured(measure, library):
    dtype, op, lacking = LACKING[library.family]
    done = measure(*BRIEF, "--dtype", f"float32,{dtype}", "--op", op, python=library.python)
    assert done.code == EXIT_USAGE
    assert done.stderr.count(lacking) == 1
    assert "next: --op-implementation user" in done.stderr
    assert not (done.folder / "journal.jsonl").exists()


# who arrived last --------------------------------------------------------------------------------

DELAY_NS = 110_000  # ranks leave a barrier a little apart
LEAST_SECONDS = 100e-6


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_delayed_rank_shows_in_full_and_is_named_from_the_entry_stamps(faulty, ranks):
    if ranks > len(os.sched_getaffinity(0)):
        pytest.skip(f"{ranks} ranks need as many CPUs: sharing one, every rank is late")
    done = faulty(
        "delay",
        *("-n", str(ranks), "--sizes", "8", "--warmup", "2", "--iterations", "60"),
        RAILGAUGE_SHIM_NS=str(DELAY_NS),
    )
    assert done.code == EXIT_PASS, done.stderr
    (result,) = done.results
    run = done.records[0]
    assert isinstance(run, Run)
    (samples,) = group_samples(done.folder, result)
    # a mean over ranks would hide it: the late rank's own call is the shortest
    assert np.median(seconds(samples, result)) >= LEAST_SECONDS
    entry, leave = samples.rows[:, :, 0], samples.rows[:, :, 1]
    assert np.median(entry[RANK] - np.delete(entry, RANK, axis=0).max(axis=0)) > 0
    arrivals = judge_arrivals(
        entry, leave, samples.ranks, run.hosts * ranks, run.clock_uncertainty_ns
    )
    assert arrivals.late is not None, arrivals
    assert arrivals.late.rank == RANK
    assert arrivals.late.host == run.hosts[0]
    assert arrivals.late.lateness_seconds >= LEAST_SECONDS
