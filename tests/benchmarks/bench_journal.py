"""What writing facts costs between two cases: a journal line and its samples, both fsynced."""

import msgspec
import numpy as np
import pytest

from railgauge.journal import Folder, read_journal
from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, Block, GroupResult, Result

PLAN = Plan(ranks=2, sizes=(8,))
GROUP = GroupResult(
    ranks="0-1",
    first_call_ns=1000,
    warmup_iterations=64,
    steady=True,
    iterations=20_000,
    checked_iterations=20_000,
    missed_windows=0,
)


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "run")
    made.claim(PLAN, resume=False)
    yield made
    made.release()


def result(groups):
    (case,) = cases(PLAN)
    return Result(
        case=case,
        round=0,
        started=1.5e9,
        seconds=1.0,
        stopped="precision",
        groups=(GROUP,) * groups,
        samples=(Block(node=0, offset=0, ranks="0-1", columns=("entry", "exit")),),
        transfers=1,
        bus_factor=1.0,
    )


@pytest.mark.parametrize("groups", [1, 1000])
def test_a_journal_line_with_fsync(benchmark, folder, groups):
    line = result(groups)
    benchmark(folder.append, line)


@pytest.mark.parametrize("iterations", [32, 20_000])
def test_samples_of_eight_ranks_with_fsync(benchmark, folder, iterations):
    rows = np.zeros((8, iterations, 2), np.int64)
    benchmark.pedantic(folder.append_samples, (0, rows), rounds=20)


def test_reading_a_journal_of_a_thousand_cases(benchmark, folder):
    run = {
        "record": "run",
        "format": FORMAT,
        "todo": 1,
        "version": "0",
        "plan_sha256": "",
        "started": 0.0,
    }
    run |= {"ranks": 2, "hosts": ["n0"], "nodes": [[0, 2]], "backend": "mpi", "library": ""}
    run |= {"thread_level": "single", "init_seconds": 0.0, "communicator_seconds": 0.0}
    run |= {"stamp_nanoseconds": 0.0, "clock_uncertainty_ns": 0}
    line = msgspec.json.encode(result(1)) + b"\n"
    (folder.path / "journal.jsonl").write_bytes(msgspec.json.encode(run) + b"\n" + line * 1000)
    assert len(benchmark(read_journal, folder.path)) == 1001
