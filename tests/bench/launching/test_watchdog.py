"""A rank that hangs, dies or does not arrive ends the job within --timeout, by name."""

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from railgauge.errors import EXIT_HANG, EXIT_NOT_MEASURED
from railgauge.launching import watchdog as watchdog_module
from railgauge.launching.collector import Beat, Collector
from railgauge.launching.watchdog import CONTROL, Watchdog, patience
from railgauge.patterns import rounds
from railgauge.plan import Plan
from railgauge.records import End
from railgauge.topology import one_node

TIMEOUT = 10.0  # also what a loaded machine may take to get through MPI_Init
#: A case that is over at once, and one that samples until the watchdog's work is done.
LONG = ("--sizes", "8,4M", "--iterations", "10000", "--timeout", str(TIMEOUT))

#: Preloaded: sleeps for ever in an MPI function of rank 1, from when a file is there (not in the few
#: elements on which ranks agree between chunks). Handles are passed on as 64-bit registers; the real
#: library is out of sight of the global scope.
STUCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int find(struct dl_phdr_info *info, size_t size, void *out) {
    (void)size;
    if (!strstr(info->dlpi_name, "/libmpi.so")) return 0;
    *(void **)out = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    return 1;
}
static void *real(const char *name) {
    static void *library;
    if (!library) dl_iterate_phdr(find, &library);
    return dlsym(library, name);
}
static void sleep_here(void) {
    const char *rank = getenv("PMI_RANK") ? getenv("PMI_RANK") : getenv("OMPI_COMM_WORLD_RANK");
    if (rank && atoi(rank) == 1 && access(getenv("STUCK_FILE"), F_OK) == 0) for (;;) pause();
}
#ifdef IN_ALLREDUCE
int MPI_Allreduce(long a, long b, long n, long t, long o, long c) {
    if ((int)n > 1000) sleep_here();
    return ((int (*)(long, long, long, long, long, long))real("PMPI_Allreduce"))(a, b, n, t, o, c);
}
#else
int MPI_Barrier(long c) {
    sleep_here();
    return ((int (*)(long))real("PMPI_Barrier"))(c);
}
#endif
"""


@pytest.fixture
def stuck(tmp_path, preloadable):
    """Builds the shim; `stuck("IN_ALLREDUCE")` returns its variables."""

    def build(where):
        shim = preloadable(STUCK, tmp_path / "stuck.so", f"-D{where}")
        return {"LD_PRELOAD": str(shim), "STUCK_FILE": str(tmp_path / "now")}

    return build


def ended_by_the_watchdog(job, ended):
    """What every such ending has in common."""
    assert ended.code == EXIT_HANG, ended
    assert ended.errors == 1, ended.stderr
    job.until_nothing_is_left()
    assert "BAD TERMINATION" not in ended.stderr
    assert "prterun" not in ended.stderr
    assert len(job.results) == 1  # the finished case is kept
    end = job.records[-1]
    assert isinstance(end, End)
    assert (end.verdict, end.exit_code) == ("ERROR", EXIT_HANG)
    assert end.message.splitlines()[0] in ended.stderr


@pytest.mark.mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_rank_is_named_with_case_and_iteration(run, mpi_python, rank):
    job = run("-n", "2", *LONG, python=mpi_python)
    job.until_measured()
    pid = job.ranks()[rank]
    os.kill(pid, signal.SIGSTOP)
    job.began = time.monotonic()
    ended = job.end()
    ended_by_the_watchdog(job, ended)
    assert ended.seconds < TIMEOUT + 5
    assert f"no progress for {TIMEOUT:g} s in all_reduce float32 sum" in ended.stderr
    assert "iteration" in ended.stderr
    assert f"did not answer (stopped or dead): rank {rank}\n" in ended.stderr
    assert f"pid {pid}" in ended.stderr


@pytest.mark.mpi
def test_a_machine_that_stutters_still_comes_to_a_verdict(run):
    job = run("-n", "2", *LONG)
    job.until_measured()
    ranks = job.ranks()
    os.kill(ranks[1], signal.SIGSTOP)
    # the other one stands still again and again, as it does when the host's hypervisor is busy
    deadline = time.monotonic() + 80
    while job.process.poll() is None and time.monotonic() < deadline:
        for word, seconds in ((signal.SIGSTOP, 1.5), (signal.SIGCONT, 1.5)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(ranks[0], word)
            time.sleep(seconds)
    assert job.process.poll() is not None, "no verdict while it stutters"
    assert job.end().code == EXIT_HANG


@pytest.mark.mpi
def test_a_victim_that_stops_is_named_though_the_load_beside_it_goes_on(run):
    plan = Plan(ranks=4, pattern="victim", victims=0.5)
    isolated, *_ = rounds(plan.schedule, one_node(4))
    victim = isolated.groups[0].ranks[1]
    job = run(
        *("-n", "4", "--pattern", "victim", "--victims", "0.5", "--counters", "none"),
        *("--load", "alltoall", "--sizes", "4M", "--iterations", "300"),
        *("--timeout", str(TIMEOUT)),
    )
    job.until_measured()  # alone
    time.sleep(2.0)  # and now beside the load
    os.kill(job.ranks()[victim], signal.SIGSTOP)
    ended = job.end()
    assert ended.code == EXIT_HANG, ended
    assert f"did not answer (stopped or dead): rank {victim}\n" in ended.stderr
    assert "did something else" not in ended.stderr
    assert "did not arrive" not in ended.stderr
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_killed_rank_is_named_at_once(run, mpi_python):
    job = run("-n", "2", *LONG, "--timeout", "60", python=mpi_python)
    job.until_measured()
    pid = job.ranks()[1]
    os.kill(pid, signal.SIGKILL)
    ended = job.end()
    ended_by_the_watchdog(job, ended)
    assert f"rank 1 on {os.uname().nodename} (pid {pid}) died" in ended.stderr
    assert " died in all_reduce float32 sum" in ended.stderr


@pytest.mark.mpi
def test_a_rank_asleep_inside_the_operation_is_named(run, stuck, mpi_python):
    variables = stuck("IN_ALLREDUCE")
    job = run("-n", "2", *LONG, python=mpi_python, **variables)
    job.until_measured()
    Path(variables["STUCK_FILE"]).touch()
    ended = job.end()
    ended_by_the_watchdog(job, ended)
    assert "all ranks entered the operation, and it does not return" in ended.stderr
    assert "asleep in it while the others poll: rank 1\n" in ended.stderr


@pytest.mark.mpi
def test_a_rank_that_did_not_come_to_an_iteration_is_named(run, stuck, mpi_python):
    variables = stuck("IN_BARRIER")
    job = run("-n", "2", *LONG, "--operation", "broadcast", python=mpi_python, **variables)
    job.until_measured()
    Path(variables["STUCK_FILE"]).touch()
    ended = job.end()
    ended_by_the_watchdog(job, ended)
    # a barrier of two ranks lets neither through, one of them sleeps in it
    assert "asleep in it while the others poll: rank 1\n" in ended.stderr


@pytest.mark.mpi
def test_a_rank_that_never_starts_is_named_by_its_number(run, tmp_path, mpi_python):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        "if os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK')) == '1':\n"
        "    time.sleep(600)\n"
    )
    job = run("-n", "2", *LONG, python=mpi_python, PYTHONPATH=str(tmp_path))
    ended = job.end()
    assert ended.code == EXIT_HANG, ended
    assert ended.errors == 1
    assert f"no start within {TIMEOUT:g} s: 1 of 2 ranks did not arrive: 1\n" in ended.stderr
    assert "in MPI_Init: rank 0\n" in ended.stderr
    assert not job.folder.exists()
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_under_another_launcher_a_rank_that_never_starts_ends_the_job(jobs, mpi_python, mpiexec):
    railgauge = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", "--timeout", "2"]
    launcher = [mpiexec(mpi_python), "-n", "1"]
    job = jobs([*launcher, "sleep", "60", ":", "-n", "1", *railgauge])
    ended = job.end()
    assert ended.code != 0
    assert ended.errors == 1, ended.stderr
    assert "MPI_Init did not return within 2 s" in ended.stderr
    assert ended.seconds < 30
    job.until_nothing_is_left()


@pytest.mark.mpi
@pytest.mark.parametrize("rank", [0, 1])
def test_under_another_launcher_a_stopped_rank_is_named(jobs, mpi_python, mpiexec, rank):
    railgauge = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *LONG]
    job = jobs([mpiexec(mpi_python), "-n", "2", *railgauge])
    job.until_measured()
    pid = job.ranks()[rank]
    os.kill(pid, signal.SIGSTOP)
    ended = job.end()
    assert ended.code != 0
    assert ended.errors == 1, ended.stderr
    assert f"did not answer (stopped or dead): rank {rank}\n" in ended.stderr
    assert f"pid {pid}" in ended.stderr
    if rank != 0:
        assert job.records[-1].exit_code == EXIT_HANG
    job.until_nothing_is_left()


def test_a_rank_that_compiles_is_waited_for(collector, beat):
    collector.take(beat(0, "stalled"))
    collector.take(beat(1, "busy", where="busy"))
    assert collector.verdict() is None
    assert not collector.stalled


def test_a_rank_that_sits_a_round_out_waits_as_long_as_others_make_progress(collector, beat):
    collector.take(beat(0, "stalled", where="agreement"))
    assert collector.verdict() is None
    collector.take(beat(1, "here", iteration=5, where="loop", idle=0.1))
    assert collector.verdict() is None
    assert not collector.stalled


def test_ranks_behind_are_accused_not_those_that_wait(collector, beat):
    for rank, (step, iteration, where) in enumerate(
        [(7, 12, "loop"), (7, 12, "loop"), (7, 11, "loop"), (7, 0, "agreement")]
    ):
        collector.take(beat(rank, "stalled", step=step, iteration=iteration, where=where))
    message = collector.verdict()
    assert "in all_reduce 8 B, iteration 12\n" in message
    assert "did not arrive at this iteration: rank 2\n" in message
    assert "rank 3" not in message


def test_a_rank_in_an_earlier_case_did_not_arrive(collector, beat):
    for rank in range(4):
        collector.take(beat(rank, "stalled", step=7 - (rank == 1), where="agreement"))
    assert "  did not arrive: rank 1\n" in collector.verdict()


def test_a_rank_that_hangs_in_the_file_system_is_named_with_the_function(collector, beat):
    for rank in range(4):
        where = "railgauge.journal.append" if rank == 0 else "agreement"
        collector.take(beat(rank, "stalled", step=7, where=where, state="D"))
    message = collector.verdict()
    assert "did something else: rank 0\n" in message
    assert "(railgauge.journal.append)" in message


def test_when_all_have_entered_nobody_is_accused(collector, beat):
    for rank in range(4):
        collector.take(beat(rank, "stalled", step=7, iteration=3, where="loop", state="R"))
    message = collector.verdict()
    assert "all ranks entered the operation, and it does not return" in message
    assert "asleep" not in message


def test_ranks_that_make_load_are_not_accused_of_what_victims_wait_for(collector, beat):
    for rank, (iteration, where) in enumerate([(9, "loop"), (8, "loop"), (0, "load"), (0, "load")]):
        collector.take(beat(rank, "stalled", step=7, iteration=iteration, where=where))
    message = collector.verdict()
    assert "did not arrive at this iteration: rank 1\n" in message
    assert "ranks 2-3" not in message


def test_a_load_that_does_not_return_is_named_where_all_others_wait(collector, beat):
    for rank in range(4):
        where, state = ("load", "D") if rank == 3 else ("agreement", "S")
        collector.take(beat(rank, "stalled", step=7, where=where, state=state))
    message = collector.verdict()
    assert "rank 3 entered the load, and it does not return\n" in message
    assert "pid" in message


def test_links_that_were_lost_meanwhile_are_named_with_their_host_once(collector, beat):
    for rank in range(4):
        host, lost = (("n1", "fab0 (once, down now)"), ("n0", ""))[rank < 2]
        said = beat(rank, "stalled", step=7, iteration=3, where="loop")
        collector.take(msgspec.structs.replace(said, host=host, lost=lost))
    message = collector.verdict()
    told = (
        "  1 host(s) lost links since the run began:\n    host n1: fab0 (once, down now)\n  next:"
    )
    assert told in message


def test_a_stall_that_resolves_itself_is_forgotten(collector, beat):
    collector.take(beat(0, "stalled", step=7))
    assert collector.verdict() is None
    collector.take(beat(0, "resumed", step=7))
    assert collector.verdict() is None
    assert not collector.stalled


def test_beats_of_another_run_are_not_believed(collector, beat):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        port = collector.socket.getsockname()[1]
        for data in (b"not json", msgspec.json.encode(beat(0, "failed", key="guessed"))):
            stranger.sendto(data, ("127.0.0.1", port))
    assert collector.drain() == []
    assert collector.failed is None


@pytest.mark.parametrize("timeout", [0.5, 2, 3, 120])
def test_the_judgement_comes_within_the_timeout(timeout):
    assert 0.9 * timeout <= patience(timeout) < timeout


class Library:
    """What a library finds out behind the back of the calls, as a backend has it."""

    def __init__(self):
        self.found, self.aborted, self.aborts = "", threading.Event(), 0

    def fault(self):
        return self.found

    def abort(self):
        self.aborts += 1
        self.aborted.set()


@pytest.fixture
def watched():
    """`watched(rank)`: a watchdog of that rank with the hooks of a library."""
    made = []

    def start(rank):
        watchdog = Watchdog(rank, 600.0, np.zeros(8, np.int64))
        library = Library()
        watchdog.fault, watchdog.abort = library.fault, library.abort
        made.append(watchdog)
        return watchdog, library

    before = set(threading.enumerate())
    yield start
    for watchdog in made:
        watchdog.close()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    for watchdog in made:
        watchdog._socket.close()


def test_a_fault_that_a_library_finds_by_itself_is_said_once_and_then_its_calls_are_ended(
    watched, capfd, monkeypatch
):
    monkeypatch.delenv(CONTROL, raising=False)
    watchdog, library = watched(0)
    order = []
    watchdog.ended = lambda message, code: order.append((message, code, library.aborts))
    watchdog.enter("all_reduce 8 B")
    library.found = "ncclRemoteError: connection closed"
    assert library.aborted.wait(60)
    for _ in range(3):  # looks at what is still amiss
        time.sleep(2 * watchdog_module.LOOK_SECONDS)
    message = f"rank 0 on {socket.gethostname()}: all_reduce 8 B: {library.found}"
    assert order == [(message, EXIT_NOT_MEASURED, 0)]
    assert library.aborts == 1
    assert capfd.readouterr().err.count(f"railgauge: error: {message}") == 1


def test_without_a_fault_nothing_is_said_and_no_call_is_ended(watched, capfd, monkeypatch):
    monkeypatch.delenv(CONTROL, raising=False)
    asked = threading.Event()
    watchdog, library = watched(0)
    watchdog.fault = lambda: asked.set() or ""
    assert asked.wait(60)
    watchdog.enter("the next case")
    time.sleep(2 * watchdog_module.LOOK_SECONDS)
    assert not library.aborts
    assert capfd.readouterr().err == ""


def test_the_parent_is_told_of_a_fault_and_by_whom(watched, collector, monkeypatch):
    monkeypatch.setenv(CONTROL, f"127.0.0.1:{collector.socket.getsockname()[1]}/{collector.key}")
    watchdog, library = watched(3)
    watchdog.enter("the making of the groups of round 0")
    library.found = "no route to the peer"
    assert library.aborted.wait(60)
    collector.drain()
    assert collector.failed is not None
    assert (collector.failed.rank, collector.failed.exit_code) == (3, EXIT_NOT_MEASURED)
    assert "round 0: no route to the peer" in collector.failed.phase
    assert collector.left(3)


@pytest.fixture
def collector(beat):
    made = Collector(4, 3.0)
    for rank in range(4):
        made.take(beat(rank, "joined"))
    yield made
    made.socket.close()


@pytest.fixture
def beat():
    def make(rank, kind, key="k", step=1, iteration=0, where="", state="R", idle=9.0):
        phase = "all_reduce 8 B" if step > 1 else "the beginning"
        return Beat(key, kind, rank, 1000 + rank, "n0", step, phase, iteration, where, state, idle)

    return make
