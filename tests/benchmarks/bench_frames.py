"""How long a report takes: of a run of 1,000 cases, and of one of 49,152 groups on 4,096 nodes of 8 GPUs.

`python tests/benchmarks/bench_frames.py [NODES ROUNDS]` prints seconds of CPU and of the clock, and the
peak of memory after each phase of the large one; 1024 1023 is a whole tournament of 1,024 nodes (4,190,208
rows, 3.2 GB in the folder for temporary files). `... history` opens a folder of 1,000 runs instead.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from railgauge.journal import JOURNAL, PLAN, Folder
from railgauge.plan import Plan, cases
from railgauge.records import FORMAT, Block, GroupResult, Result, Run

frames = pytest.importorskip("railgauge_reports.frames", reason="the reports are not installed")
formats = pytest.importorskip("railgauge_reports.formats")

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


# many groups ------------------------------------------------------------------------------------------

FORMATS = ("csv", "json", "markdown", "table", "parquet", "nccl_tests", "html")


@pytest.fixture(scope="module")
def many_groups(rig, tmp_path_factory):
    """Three rounds of pairs of 4,096 nodes, rail by rail: 16,384 groups each."""
    made = rig("large_run")
    shape = made.Shape(nodes=4096, gpus=8, rounds=3)
    return made.write(tmp_path_factory.mktemp("many") / "run", shape)


@pytest.fixture(scope="module")
def loaded(many_groups):
    from railgauge_reports.loaded import load

    return load(many_groups)


def test_reading_and_judging_many_groups(benchmark, many_groups):
    from railgauge_reports.loaded import load

    made = benchmark.pedantic(load, (many_groups,), rounds=3)
    assert len(made.rows) == 49_152
    assert made.verdict.word == "PASS"


@pytest.mark.parametrize("name", FORMATS)
def test_formats_of_many_groups(benchmark, loaded, name):
    assert benchmark.pedantic(formats.renderer(name), (loaded,), rounds=3)


def history(folder, shape, runs=1000):
    """A folder of small runs, one below the other."""
    for k in range(runs):
        large_run().write(folder / f"{k:04d}", shape._replace(seed=k))
    return folder


@pytest.fixture(scope="module")
def thousand_runs(rig, tmp_path_factory):
    """Runs of an all_reduce on two nodes of 4 GPUs, with counters."""
    shape = rig("large_run").Shape(2, 4, pattern="world", iterations=100, counters=True)
    return history(tmp_path_factory.mktemp("history"), shape)


def test_opening_a_thousand_runs(benchmark, thousand_runs):
    made = benchmark.pedantic(opened, (thousand_runs,), rounds=3)
    assert len(made) == 1000


def test_the_times_of_a_thousand_runs(benchmark, thousand_runs):
    from railgauge_reports.compare.measured import launches_of

    made = benchmark.pedantic(launches_of, (thousand_runs,), rounds=1)
    assert len(made) == 1000


def opened(folder):
    from railgauge_reports.stored import read_run

    return [read_run(child) for child in sorted(folder.iterdir())]


# as a program -------------------------------------------------------------------------------------------


def large_run():
    """The rig, without pytest."""
    place = Path(__file__).parents[1] / "rigs/large_run/__init__.py"
    spec = importlib.util.spec_from_file_location("large_run", place)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def phase(name, work, *arguments):
    """The value of some work, whose cost is printed."""
    before, began = time.process_time(), time.perf_counter()
    value = work(*arguments)
    seconds, took = time.process_time() - before, time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:12}{seconds:8.2f} s CPU{took:8.2f} s{peak:8.2f} GiB", flush=True)
    return value


def opening() -> None:
    """Print what a history of 1,000 runs costs."""
    from railgauge_reports.compare.measured import launches_of

    with tempfile.TemporaryDirectory() as folder:
        shape = large_run().Shape(2, 4, pattern="world", iterations=100, counters=True)
        path = phase("write", history, Path(folder), shape)
        phase("open", opened, path)
        phase("times", launches_of, path)


def phases(nodes: int, rounds: int) -> None:
    """Print what each phase of a report costs."""
    from railgauge_reports.loaded import LoadedRun
    from railgauge_reports.localise.localiser import localise_run
    from railgauge_reports.lossless import told
    from railgauge_reports.lossless.run import fabric_of
    from railgauge_reports.stored import read_run
    from railgauge_reports.verdict import judge, with_faults

    made = large_run()
    shown = FORMATS if rounds <= 100 else ("html", "parquet", "markdown", "table")
    renderers = {name: formats.renderer(name) for name in shown}
    with tempfile.TemporaryDirectory() as folder:
        path = phase("write", made.write, Path(folder) / "run", made.Shape(nodes, 8, rounds=rounds))
        stored = phase("read", read_run, path)
        rows = phase("frame", frames.case_frame, stored)
        verdict = phase("verdict", judge, stored)
        fabric = phase("fabric", fabric_of, stored, rows)
        verdict = with_faults(verdict, told.reasons(fabric), told.next_commands(fabric))
        run = LoadedRun(stored, rows, verdict, fabric)
        print(f"{len(rows)} rows")
        phase("localise", localise_run, stored, rows)
        for name, render in renderers.items():
            text = phase(name, render, run)
            print(f"{'':12}{len(text) / 1e6:8.2f} MB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["history"]:
            opening()
        case asked:
            phases(*(map(int, asked) if asked else (4096, 3)))
