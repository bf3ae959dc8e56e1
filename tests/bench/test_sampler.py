"""The process beside the ranks: it writes what changes, gives way, and ends with who started it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from railgauge import sampler
from railgauge.counting import Place, Reading, Snapshot
from railgauge.errors import EXIT_PASS, EXIT_USAGE
from railgauge.launching.launchers import python_module
from railgauge.sampler import Began, Line, Numbered, Order, Sampler

PORT = "class/infiniband/mlx5_0/ports/1/counters"
PATIENCE_SECONDS = 60.0
BRIEF = ("-n", "2", "--sizes", "64", "--iterations", "20", "--warmup", "2")


def made(nanoseconds, **values):
    place = Place("rdma", "mlx5_0", 1)
    return Snapshot(nanoseconds, (Reading(place, values),) if values else ())


def test_a_line_has_names_once_and_values_where_they_change():
    numbered = Numbered()
    first = numbered.line(made(1, a=5, b=0))
    assert first.names == (("rdma", "mlx5_0", 1, "a"), ("rdma", "mlx5_0", 1, "b"))
    assert (first.first, first.changed) == (0, (0, 5, 1, 0))
    assert numbered.line(made(2, a=5, b=0)) == Line(2, 2)
    later = numbered.line(made(3, a=6, b=0, c=7))
    assert (later.first, later.names) == (2, (("rdma", "mlx5_0", 1, "c"),))
    assert later.changed == (0, 6, 2, 7)


def test_what_vanishes_is_gone_and_its_return_is_told():
    numbered = Numbered()
    numbered.line(made(1, a=5, b=1))
    assert numbered.line(made(2, a=5)) == Line(2, 2, gone=(1,))
    assert numbered.line(made(3)).gone == (0,)
    assert numbered.line(made(4, a=5)).changed == (0, 5)


@pytest.mark.parametrize(
    ("asked", "cpus", "seconds"),
    [
        (0.0, [{0}], 0.0),
        (0.5, [{0}, {1}, {2}, {3}], 0.5),
        (None, [{0}, {1}, {2}], 1.0),  # a CPU is left
        (None, [{0, 1, 2, 3}] * 3, 1.0),  # unbound, and fewer ranks than CPUs
        (None, [{0}, {1}, {2}, {3}], 0.0),
        (None, [{0, 1, 2, 3}] * 4, 0.0),
    ],
)
def test_unasked_it_is_started_only_where_a_cpu_is_left(monkeypatch, asked, cpus, seconds):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    found, why = sampler.period(asked, cpus)
    assert found == seconds
    assert bool(why) == (not seconds)


@pytest.fixture
def order(tmp_path):
    """An order to sample a port of a sysfs made here."""
    port = tmp_path / PORT
    port.mkdir(parents=True)
    (port / "symbol_error").write_text("3\n")
    return Order(
        path=str(sampler.file_of(tmp_path, 0)),
        seconds=0.02,
        sources=("rdma",),
        taken=(),
        sysfs=str(tmp_path),
        proc=str(tmp_path),
    )


def lines(order, least=1):
    """The lines so far, once there are that many."""
    until = time.monotonic() + PATIENCE_SECONDS
    decoder = msgspec.json.Decoder(Began | Line)
    while time.monotonic() < until:
        try:
            with open(order.path, "rb") as file:
                whole = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            whole = []
        if len(whole) >= least:
            return [decoder.decode(line) for line in whole]
        time.sleep(0.02)
    pytest.fail(f"waited in vain for {least} lines of {order.path}")
    return []


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_samples_until_it_is_closed(order, tmp_path):
    running = Sampler(order)
    try:
        began, first, *_ = lines(order, 3)
        (tmp_path / PORT / "symbol_error").write_text("8\n")
        so_far = len(lines(order))
        lines(order, so_far + 3)
    finally:
        running.close()
    assert (began.sources, began.seconds) == (("rdma",), 0.02)
    assert abs(began.monotonic_ns - time.monotonic_ns()) < 10**11
    assert first.changed == (0, 3)
    after = lines(order)
    assert [line.changed for line in after[2:] if line.changed] == [(0, 8)]
    assert running._process.returncode == 0


def test_it_runs_where_no_rank_does_and_gives_way(order):
    mine = sorted(os.sched_getaffinity(0))
    running = Sampler(msgspec.structs.replace(order, taken=tuple(mine[:1])))
    try:
        (began, *_) = lines(order, 2)
        pid = running._process.pid
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        assert set(began.cpus) == os.sched_getaffinity(pid)
        if len(mine) > 1:
            assert mine[0] not in began.cpus
    finally:
        running.close()


def test_it_ends_with_the_process_that_started_it_however_that_ends(order):
    code = (
        "import sys, time, msgspec; from railgauge.sampler import Order, Sampler;"
        "made = Sampler(msgspec.json.decode(sys.argv[1], type=Order));"
        "print(made._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, msgspec.json.encode(order)], stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    try:
        lines(order, 2)
        parent.kill()
    finally:
        parent.wait()
        parent.stdout.close()
    until = time.monotonic() + PATIENCE_SECONDS
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not lives(pid)


def test_signals_that_the_ranks_obey_do_not_end_it(order):
    running = Sampler(order)
    try:
        lines(order, 2)
        for number in (signal.SIGINT, signal.SIGTERM):
            running._process.send_signal(number)
        lines(order, len(lines(order)) + 2)
        assert running._process.poll() is None
    finally:
        running.close()


def test_the_file_never_grows_beyond_its_bound_and_the_period_doubles_before(order, tmp_path):
    small = msgspec.structs.replace(order, most_bytes=1000, seconds=0.001)
    with open(tmp_path / "told", "w+") as told:  # a file is always ready: one reading a call
        for _ in range(100):
            sampler.sample(small, (0,), told.fileno())
    assert os.path.getsize(small.path) < 1000 + 100 * 300  # each start says that it began
    lines(small)
    reads, writes = os.pipe()
    big = msgspec.structs.replace(order, most_bytes=3000, path=str(tmp_path / "counters/b"))
    try:
        sampler.sample(msgspec.structs.replace(big, seconds=0.0001), (0,), reads)  # ends by itself
    finally:
        os.close(reads)
        os.close(writes)
    assert 2500 < os.path.getsize(big.path) <= 3000
    times = [line.monotonic_ns for line in lines(big)[1:]]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps[-3:]) > 2 * 100_000


def test_after_a_line_that_was_cut_short_it_goes_on_in_a_new_one(order, tmp_path):
    path = sampler.file_of(tmp_path, 0)
    path.parent.mkdir()
    path.write_bytes(b'{"record":"li')
    with open(tmp_path / "told", "w+") as told:
        sampler.sample(order, (0,), told.fileno())
    cut, *rest = path.read_bytes().split(b"\n")
    assert cut == b'{"record":"li'
    assert json.loads(rest[0])["record"] == "began"


def test_a_folder_that_cannot_be_written_ends_it_without_a_word(order):
    lost = msgspec.structs.replace(order, path="/proc/none/counters/node0.jsonl")
    argv = [*python_module("railgauge.sampler"), msgspec.json.encode(lost)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


# as part of a run -------------------------------------------------------------------------------


def sampled(folder):
    path = sampler.file_of(folder, 0)
    return path.read_bytes() if path.exists() else b""


@pytest.mark.mpi
def test_a_run_that_asks_for_it_is_sampled_and_says_so(measure):
    done = measure("-n", "1", "--operation", "barrier", "--budget", "3", "--precision", "1e-6",
                   "--sample-counters", "0.05")  # fmt: skip
    assert done.code == EXIT_PASS, done.stderr
    assert b'"record":"began"' in sampled(done.folder)
    (node,) = json.loads((done.folder / "environment.json").read_text())["nodes"]
    assert node["sampler"] == {"seconds": 0.05, "why": ""}


@pytest.mark.mpi
def test_a_run_without_counters_starts_none_and_says_why(measure):
    done = measure(*BRIEF, "--counters", "none", "--sample-counters", "1")
    assert done.code == EXIT_PASS, done.stderr
    assert not (done.folder / sampler.FOLDER).exists()
    (node,) = json.loads((done.folder / "environment.json").read_text())["nodes"]
    assert node["sampler"] == {"seconds": 0.0, "why": "no counters are read"}


@pytest.mark.mpi
@pytest.mark.parametrize("text", ["often", "-1", "1e-9", "nan"])
def test_a_period_that_means_nothing_is_refused(measure, text):
    done = measure(*BRIEF, "--sample-counters", text)
    assert done.code == EXIT_USAGE
    assert "--sample-counters" in done.stderr
