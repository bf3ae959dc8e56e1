"""Ranks started here or by a launcher: exact exit codes, every error once, nothing left behind."""

import contextlib
import importlib.metadata
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from railgauge.errors import (
    EXIT_HANG,
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_USAGE,
    NotMeasuredError,
)
from railgauge.launching import launch
from railgauge.launching.collector import Beat
from railgauge.launching.launch import OBITUARY, Launcher, find_launcher
from railgauge.records import End, Run

SHORT = ("--sizes", "8", "--iterations", "10")
LONG = ("--sizes", "8,4M", "--iterations", "20000")

BANNER = b"""
===================================================================================
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
"""


# here --------------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", ["1", "2", "3"])
def test_ranks_are_started_through_the_embedded_mpi(run, mpi_python, ranks):
    job = run("-n", ranks, *SHORT, "--operation", "barrier", python=mpi_python)
    ended = job.end()
    assert ended.code == EXIT_PASS, ended
    begin = job.records[0]
    assert isinstance(begin, Run)
    assert (begin.ranks, begin.thread_level) == (int(ranks), "funneled")
    assert "railgauge: error" not in ended.stderr
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_service_without_a_home_can_start_ranks(run, mpi_python, monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    ended = run("-n", "2", *SHORT, "--operation", "barrier", python=mpi_python).end()
    assert (ended.code, ended.errors) == (EXIT_PASS, 0), ended


@pytest.mark.mpi
def test_what_the_ranks_refuse_is_said_once_and_leaves_no_folder(run, library):
    # bfloat16 is known to the plan, but not to every library; user operations are not asked for
    dtype = "bfloat16" if library.family == "openmpi" else "float16"
    job = run("-n", "2", *SHORT, "--dtype", dtype, "--op", "prod", python=library.python)
    ended = job.end()
    if ended.code == EXIT_PASS:
        pytest.skip(f"this library multiplies {dtype}")
    assert ended.code == EXIT_USAGE, ended
    assert ended.errors == 1, ended.stderr
    assert "next: " in ended.stderr
    assert not job.folder.exists()


@pytest.mark.mpi
def test_a_size_that_memory_forbids_is_inconclusive(run, mpi_python):
    job = run(
        "-n", "2", "--sizes", "8,1M", "--iterations", "5", "--max-memory", "64K", python=mpi_python
    )
    ended = job.end()
    assert ended.code == 6, ended
    assert "not measured" in ended.stderr


def test_errors_of_the_plan_start_no_ranks(run):
    job = run("-n", "2", "--operation", "all_redux", MPIEXEC="/nowhere")
    ended = job.end()
    assert ended.code == EXIT_USAGE
    assert ended.errors == 1
    assert "all_reduce" in ended.stderr
    assert ended.seconds < 20


@pytest.mark.mpi
def test_a_signal_ends_the_run_between_two_chunks(run, library):
    job = run("-n", "2", *LONG, python=library.python)
    job.until_measured()
    job.process.send_signal(signal.SIGHUP if library.family == "openmpi" else signal.SIGINT)
    ended = job.end()
    assert ended.code == EXIT_INTERRUPTED, ended
    end = job.records[-1]
    assert isinstance(end, End)
    assert (end.verdict, end.exit_code) == ("INTERRUPTED", EXIT_INTERRUPTED)
    assert len(job.results) == 1
    assert "railgauge: error" not in ended.stderr
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_signal_before_the_ranks_are_there_is_not_lost(run):
    job = run("-n", "2", *LONG)
    job.until(lambda: len(job.left()) > 1, "mpiexec")
    job.process.send_signal(signal.SIGTERM)
    assert job.end().code == EXIT_INTERRUPTED


@pytest.mark.mpi
def test_a_second_signal_ends_the_run_at_once(run):
    job = run("-n", "2", *LONG)
    job.until_measured()
    for pid in job.ranks().values():  # ranks that cannot obey
        os.kill(pid, signal.SIGSTOP)
    for number in (signal.SIGTERM, signal.SIGINT):  # two of a kind may be heard as one
        job.process.send_signal(number)
    ended = job.end()
    assert ended.code == EXIT_INTERRUPTED, ended
    assert ended.errors == 1
    assert "--resume" in ended.stderr
    assert job.records[-1].exit_code == EXIT_INTERRUPTED
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_ignored_signals_stay_ignored(jobs):
    railgauge = f"{sys.executable} -m railgauge run --output {{output}} -n 2 {' '.join(SHORT)}"
    job = jobs(["sh", "-c", f"trap '' HUP INT; {railgauge}; exit $?"])
    job.until_ranks(2)
    for pid, environ in job.left().items():
        if "RAILGAUGE_CONTROL" not in environ:
            os.kill(pid, signal.SIGHUP)
    assert job.end().code == EXIT_PASS


@pytest.mark.mpi
def test_ranks_end_when_their_parent_is_killed(run, mpi_python):
    job = run("-n", "2", *LONG, python=mpi_python)
    job.until_measured()
    job.process.kill()
    job.until_nothing_is_left()
    assert len(job.results) == 1


@pytest.mark.mpi
def test_ranks_end_when_parent_and_launcher_are_killed(run, mpi_python):
    job = run("-n", "2", *LONG, python=mpi_python)
    job.until_measured()
    ranks = set(job.ranks().values())
    for pid in set(job.left()) - ranks:
        with contextlib.suppress(ProcessLookupError):  # gone with the one before
            os.kill(pid, signal.SIGKILL)
    job.until_nothing_is_left()


@pytest.mark.mpi
def test_a_rank_that_cannot_write_is_named_without_a_traceback(run, mpi_python):
    job = run("-n", "2", *LONG, python=mpi_python)
    job.until_measured()
    samples = job.folder / "samples"
    samples.rename(job.folder / "moved")
    samples.write_text("in the way")
    job.process.send_signal(signal.SIGINT)
    ended = job.end()
    if ended.code == EXIT_INTERRUPTED:
        return  # no case ended in between
    assert ended.code == EXIT_NOT_MEASURED


@pytest.mark.mpi
def test_what_lies_in_the_current_folder_is_not_imported(jobs, tmp_path):
    (tmp_path / "statistics.py").write_text("raise SystemExit('imported from the current folder')")
    script = Path(sys.executable).parent / "railgauge"
    words = [str(script), "run", "--output", "{output}", "-n", "2", *SHORT]
    job = jobs(["sh", "-c", f"cd {tmp_path} && exec {' '.join(words)}"])
    assert job.end().code == EXIT_PASS


def test_no_mpi_is_an_error_that_says_what_to_install(monkeypatch, tmp_path):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMeasuredError, match=r"no MPI found.*\n.*pip install mpich"):
        find_launcher()


def test_a_launcher_that_cannot_be_started_is_named(monkeypatch, tmp_path):
    broken = tmp_path / "mpiexec"
    broken.write_text("not a program")
    monkeypatch.setattr(launch, "find_launcher", lambda: Launcher(str(broken), "mpich"))
    with pytest.raises(NotMeasuredError, match="mpiexec cannot be started"):
        launch.Launch(2, ["true"], 60.0)


def test_a_launcher_that_fails_is_quoted(monkeypatch, tmp_path):
    failing = tmp_path / "mpiexec"
    failing.write_text("#!/bin/sh\necho '[mpiexec@n0] unable to start' >&2\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(launch, "find_launcher", lambda: Launcher(str(failing), "mpich"))
    with pytest.raises(NotMeasuredError, match=r"ended with 3; 0 of 2 ranks had started") as error:
        launch.Launch(2, ["true"], 60.0).wait()
    assert "| [mpiexec@n0] unable to start" in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        BANNER,
        b"progress\n" + BANNER,
        b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n",
        b"-" * 74 + b"\nprterun noticed that process rank 1\n",
    ],
)
def test_obituaries_of_launchers_are_recognised(text):
    assert OBITUARY.search(text)


@pytest.mark.parametrize("text", [b"note: === 60 % ===\n", b"WRONG DATA: all_reduce\n", b"-----\n"])
def test_what_ranks_say_is_no_obituary(text):
    assert not OBITUARY.search(text)


@pytest.mark.parametrize("family", ["mpich", "openmpi"])
def test_more_ranks_than_cores_are_not_bound(family, monkeypatch):
    monkeypatch.setattr(launch, "cores", lambda: 2)
    launcher = Launcher("mpiexec", family)
    assert "core" in launcher.argv(2, ["true"])
    assert "none" in launcher.argv(3, ["true"])
    assert ("--oversubscribe" in launcher.argv(3, ["true"])) == (family == "openmpi")


def test_hardware_threads_of_one_core_count_once(monkeypatch, tmp_path):
    for cpu in range(4):
        (tmp_path / str(cpu)).write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    monkeypatch.setattr(launch, "SIBLINGS", f"{tmp_path}/{{}}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert launch.cores() == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 7})  # 7: no topology
    assert launch.cores() == 2


@pytest.fixture
def started_launch(monkeypatch, tmp_path):
    """A Launch whose mpiexec only waits."""
    waits = tmp_path / "mpiexec"
    waits.write_text("#!/bin/sh\nexec sleep 60\n")
    waits.chmod(0o755)
    monkeypatch.setattr(launch, "find_launcher", lambda: Launcher(str(waits), "mpich"))
    made = []

    def start():
        made.append(launch.Launch(2, ["true"], 60.0))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one._kill()
        os.close(one._ended)
        one._forget()


def test_a_pid_of_another_host_is_nobody_here(started_launch):
    job = started_launch()
    address = ("127.0.0.1", job.collector.socket.getsockname()[1])
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for rank, host in enumerate(("elsewhere", socket.gethostname())):
        beat = Beat(job.collector.key, "hello", rank, job.process.pid, host)
        sender.sendto(msgspec.json.encode(beat), address)
    sender.close()
    job._look(1.0)
    assert set(job.collector.beats) == {0, 1}
    assert list(job._pids.values()) == [1]


@pytest.mark.parametrize("alone", [True, False])
def test_ranks_that_may_be_elsewhere_are_told_a_name_of_this_host(
    started_launch, monkeypatch, tmp_path, alone
):
    hosts = tmp_path / "hosts"
    hosts.write_text("localhost\n" if alone else "localhost\nelsewhere\n")
    monkeypatch.setenv("PBS_NODEFILE", str(hosts))
    job = started_launch()
    assert job.collector.host == ("127.0.0.1" if alone else socket.gethostname())
    assert ("-disable-auto-cleanup" in job.process.args) == alone


# under a launcher --------------------------------------------------------------------------------


def joined(jobs, launcher, python, *arguments, ranks=2, **more):
    words = [python, "-m", "railgauge", "run", "--output", "{output}", *arguments]
    return jobs([launcher, "-n", str(ranks), *words], **more)


@pytest.mark.mpi
def test_ranks_of_a_launcher_are_joined(jobs, mpi_python, mpiexec):
    job = joined(jobs, mpiexec(mpi_python), mpi_python, *SHORT, "-n", "2")
    ended = job.end()
    assert ended.code == EXIT_PASS, ended
    assert len(job.results) == 1
    assert ended.stderr.count("run folder: ") == 1
    job.until_nothing_is_left()


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--operation", "all_redux"), "all_reduce"),
        (("-n", "3"), "--ranks 3, but the launcher started 2"),
        (("--format", "tabel"), "table"),
        (("--output", "/dev/null/run"), "--output /dev/null/run"),
    ],
)
def test_usage_errors_under_a_launcher_are_said_once(jobs, mpi_python, mpiexec, arguments, said):
    job = joined(jobs, mpiexec(mpi_python), mpi_python, *SHORT, *arguments)
    ended = job.end()
    assert ended.code == EXIT_USAGE, ended
    assert ended.errors == 1, ended.stderr
    assert said in ended.stderr
    assert not job.folder.exists()


@pytest.mark.mpi
def test_a_launcher_of_the_other_library_is_refused(jobs, library):
    other = os.environ.get("RAILGAUGE_TEST_OPENMPI")
    if not other or find_launcher().family != "mpich":
        pytest.skip("needs both libraries: RAILGAUGE_TEST_OPENMPI names the other one")
    foreign = sys.executable if library.family == "openmpi" else other
    job = joined(jobs, str(Path(foreign).parent / "mpiexec"), library.python, *SHORT)
    ended = job.end()
    assert ended.code == EXIT_USAGE, ended
    assert ended.errors == 1, ended.stderr
    assert "2 processes were started" in ended.stderr
    assert not job.folder.exists()


@pytest.mark.mpi
def test_a_step_of_srun_without_a_process_manager_is_refused_once(jobs):
    # what srun --mpi=none does: tasks with nothing but these variables
    script = (
        "for r in 0 1 2; do SLURM_PROCID=$r SLURM_STEP_NUM_TASKS=3 "
        f"{sys.executable} -m railgauge run --output {{output}} {' '.join(SHORT)} &"
        ' pids="$pids $!"; done; for p in $pids; do wait $p; code=$?; done; exit $code'
    )
    job = jobs(["sh", "-c", script])
    ended = job.end()
    assert ended.code == EXIT_USAGE, ended
    assert ended.errors == 1, ended.stderr
    assert "SLURM_STEP_NUM_TASKS=3" in ended.stderr
    assert not job.folder.exists()


@pytest.mark.mpi
def test_a_smaller_mpirun_inside_a_larger_step_is_right(jobs, mpi_python, mpiexec):
    step = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4"}
    words = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *SHORT]
    inside = ["env", *(f"{name}={value}" for name, value in step.items())]
    job = jobs([mpiexec(mpi_python), "-n", "2", *inside, *words])
    ended = job.end()
    assert ended.code == EXIT_PASS, ended
    assert job.records[0].ranks == 2


@pytest.mark.mpi
def test_a_killed_rank_of_a_launcher_leaves_the_journal_whole(jobs, mpi_python, mpiexec):
    job = joined(jobs, mpiexec(mpi_python), mpi_python, *LONG)
    job.until_measured()
    os.kill(job.ranks()[1], signal.SIGKILL)
    ended = job.end()
    assert ended.code not in (EXIT_PASS, EXIT_HANG)  # foreign launchers rewrite codes
    assert len(job.results) == 1
    job.until_nothing_is_left()
