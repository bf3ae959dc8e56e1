"""How long a report takes to read a run of 1,000 cases."""

import msgspec
import numpy as np
import pytest

from railgauge.journal import JOURNAL, PLAN, Folder
from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, Block, GroupResult, Result, Run

frames = pytest.importorskip("railgauge_reports.frames", reason="the reports are not installed")

ITERATIONS = 500


@pytest.fixture(scope="module")
def thousand_cases(tmp_path_factory):
    """A run folder of 1,000 cases with 2 x 500 samples each."""
    plan = Plan(ranks=2, sizes=tuple(4 * (k + 1) for k in range(1000)))
    folder = Folder(tmp_path_factory.mktemp("frames") / "run")
    folder.claim(plan, resume=False)
    seconds = {"init_seconds": 0.1, "communicator_seconds": 1e-5, "stamp_nanoseconds": 22.0}
    run = Run(
        format=FORMAT,
        version="0",
        plan_sha256=plan.sha256(),
        started=1.5e9,
        ranks=2,
        hosts=("n0",),
        nodes=((0, 2),),
        backend="mpi",
        library="MPICH",
        thread_level="funneled",
        clock_uncertainty_ns=0,
        todo=1,
        **seconds,
    )
    random = np.random.default_rng(1)
    group = GroupResult(
        ranks="0-1",
        first_call_ns=1000,
        warmup_iterations=64,
        steady=True,
        iterations=ITERATIONS,
        checked_iterations=ITERATIONS,
        missed_windows=0,
    )
    lines, data, offset = [msgspec.json.encode(run)], [], 0
    for case in cases(plan):
        entry = np.arange(ITERATIONS, dtype=np.int64) * 10_000 + random.integers(0, 50, (2, 1))
        rows = np.stack([entry, entry + random.integers(900, 1100, (2, ITERATIONS))], axis=2)
        block = Block(node=0, offset=offset, ranks="0-1", columns=("entry", "exit"))
        data.append(rows.tobytes())
        offset += len(data[-1])
        made = Result(
            case=case,
            round=0,
            started=1.5e9,
            seconds=1.0,
            stopped="count",
            groups=(group,),
            samples=(block,),
            transfers=1,
            bus_factor=1.0,
        )
        lines.append(msgspec.json.encode(made))
    (folder.path / JOURNAL).write_bytes(b"\n".join(lines) + b"\n")
    (folder.path / "samples" / "node0.i64").write_bytes(b"".join(data))
    folder.release()
    assert (folder.path / PLAN).exists()
    return folder.path


def test_case_frame_of_a_thousand_cases(benchmark, thousand_cases):
    frame = benchmark.pedantic(frames.case_frame, (thousand_cases,), rounds=3)
    assert len(frame) == 1000


def test_sample_frame_of_a_thousand_cases(benchmark, thousand_cases):
    frame = benchmark.pedantic(frames.sample_frame, (thousand_cases,), rounds=3)
    assert len(frame) == 1000 * ITERATIONS
