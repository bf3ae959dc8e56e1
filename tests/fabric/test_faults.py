"""Faults in mid-run on several hosts under a foreign launcher: recorded, ended and cleaned up after."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from railgauge.errors import EXIT_HANG, EXIT_NOT_MEASURED
from railgauge.records import End
from railgauge_reports.counters import counter_frame
from railgauge_reports.stored import read_run

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

TIMEOUT = 10.0  # also what a loaded machine may take to get through MPI_Init
#: A case that is over at once, and one that goes on until the watchdog has ended it.
LARGE = 4 << 20
LONG = (
    "--sizes",
    f"8,{LARGE}",
    "--iterations",
    "300",
    "--warmup",
    "1",
    "--timeout",
    f"{TIMEOUT:g}",
)
STRUCK, HOST = 1, "node1"


def number_on_host(pid):
    """The number that a process has on its host."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])


def until_busy(cluster, job):
    """Wait until the long case runs: its megabytes, and nothing else, have begun to arrive."""
    job.until_measured()
    read = ["cat", "/sys/class/net/fab0/statistics/rx_bytes"]
    begin = int(cluster.hosts.run(HOST, read))
    job.until(lambda: int(cluster.hosts.run(HOST, read)) > begin + (2 << 20), "the long case")


def ended_by_the_watchdog(cluster, job):
    """What was recorded: one error, within --timeout of the last progress; nothing is left."""
    began = time.monotonic()
    ended = job.end()
    # of several ranks that end prterun hands on the first one's code: one that lost a peer has another
    exact = cluster.library.family == "mpich"
    assert ended.code == EXIT_HANG if exact else ended.code, ended
    assert time.monotonic() - began < TIMEOUT + 30
    assert ended.stderr.count("railgauge: error:") == 1, ended.stderr
    job.until_nothing_is_left()
    end = job.records[-1]
    assert isinstance(end, End)
    assert (end.verdict, end.exit_code) == ("ERROR", EXIT_HANG)
    assert end.message in ended.stderr
    assert len(job.results) == 1  # the finished case is kept
    return end.message


def test_a_link_that_goes_down_for_good_ends_a_run_that_mpi_would_leave_hanging(cluster_of):
    cluster = cluster_of(3)
    job = cluster.railgauge(*LONG)
    until_busy(cluster, job)
    cluster.hosts.link(HOST, up=False)
    message = ended_by_the_watchdog(cluster, job)
    assert message.startswith(f"no progress for {TIMEOUT:g} s in all_reduce float32 sum {LARGE} B")
    assert f"\n    host {HOST}: fab0 (once, down now)\n" in message
    named = [line for line in message.splitlines() if line.startswith("    rank ")]
    assert named  # ranks that wait for others, each with its host
    for line in named:
        rank = line.split()[1].rstrip(":")
        assert line.startswith(f"    rank {rank}: host node{rank}, pid ")


@pytest.mark.parametrize("library", ["embedded"], indirect=True)
def test_a_link_that_comes_back_is_recorded_on_the_line_of_its_case(cluster_of):
    cluster = cluster_of(3)
    job = cluster.railgauge("--sizes", f"8,{LARGE}", "--iterations", "12", "--warmup", "1")
    until_busy(cluster, job)
    cluster.hosts.link(HOST, up=False)
    time.sleep(0.5)
    cluster.hosts.link(HOST, up=True)
    ended = job.end()
    assert ended.code == 0, ended
    job.until_nothing_is_left()
    frame = counter_frame(read_run(job.folder))
    down = frame[frame["counter"] == "carrier_down_count"]
    columns = ["nbytes", "host", "device", "delta"]
    assert down[columns].to_numpy().tolist() == [[LARGE, HOST, "fab0", 1]]


def test_a_rank_that_is_killed_on_another_host_ends_the_job_and_its_run_is_no_pass(cluster_of):
    cluster = cluster_of(2)
    job = cluster.railgauge(*LONG)
    until_busy(cluster, job)
    os.kill(job.ranks()[STRUCK], signal.SIGKILL)
    ended = job.end()
    assert ended.code != 0  # whatever the launcher makes of a signal
    job.until_nothing_is_left()
    # both libraries end the others before they can say anything; what was measured is kept
    assert len(job.results) == 1
    report = [sys.executable, "-m", "railgauge", "report", str(job.folder), "--format", "json"]
    done = subprocess.run(report, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_NOT_MEASURED, done


def test_a_rank_that_is_stopped_on_another_host_is_named(cluster_of):
    cluster = cluster_of(2)
    job = cluster.railgauge(*LONG)
    until_busy(cluster, job)
    pid = job.ranks()[STRUCK]
    number = number_on_host(pid)
    os.kill(pid, signal.SIGSTOP)
    message = ended_by_the_watchdog(cluster, job)
    assert f"did not answer (stopped or dead): rank {STRUCK}\n" in message
    assert f"rank {STRUCK}: host {HOST}, pid {number}" in message
