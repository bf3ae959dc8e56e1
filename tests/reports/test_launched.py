"""Launches by another command: how they are ended, and whose last word counts."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from railgauge.errors import EXIT_NOT_MEASURED, HangError, UsageError
from railgauge.plan import Plan
from railgauge_reports import kept, launched
from railgauge_reports.acceptance.launching import Launched
from railgauge_reports.processes import execute, stopping


def test_srun_is_ended_by_what_it_hands_on_and_others_by_sigterm(tmp_path):
    assert stopping(["/usr/bin/srun", "-n2"]) == signal.SIGUSR2
    assert stopping(["mpiexec", "-n", "2"]) == signal.SIGTERM
    srun = tmp_path / "srun"
    srun.write_text(
        f"#!/bin/sh\ntrap 'kill $!; echo handed > {tmp_path}/on; exit 7' USR2\nsleep 60 & wait $!\n"
    )
    srun.chmod(0o755)
    with pytest.raises(HangError):
        execute([str(srun)], {"PATH": "/usr/bin:/bin"}, 0.5)
    assert (tmp_path / "on").read_text() == "handed\n"


def test_a_rank_takes_what_srun_hands_on_for_an_order_to_stop():
    program = (
        "import os, signal\n"
        "from railgauge.launching.rank_process import Signals\n"
        "heard = Signals()\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "print(heard.seen)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "True\n"


FAILS = """#!/bin/sh
echo try >> {0}/tries
echo "no MPI" >&2
exit 15
"""


def test_ranks_that_never_began_are_started_once_more_and_the_last_word_is_not_an_earlier_runs(
    tmp_path,
):
    folder = tmp_path / "run"
    folder.mkdir()
    # what an interrupted launch left: without a new record it must not be judged again
    (folder / "journal.jsonl").write_text("{}\n")
    launcher = tmp_path / "launcher"
    launcher.write_text(FAILS.format(tmp_path))
    launcher.chmod(0o755)
    plan = Plan(ranks=2, operations=("all_reduce",), sizes=(8,))
    ended = Launched([str(launcher)], 2, 60.0).run(plan, folder)
    assert ended.exit_code == EXIT_NOT_MEASURED
    assert "no MPI" in ended.message
    assert (tmp_path / "tries").read_text() == "try\ntry\n"


def test_the_python_of_a_container_runs_the_ranks():
    words = launched.run_command(["srun"], ["--plan", "p"], Path("/f"), "python3")
    assert words == ["srun", "python3", "-m", "railgauge", "run", "--plan", "p", "--output", "/f"]
    assert launched.run_command([], [], Path("/f"))[0] == sys.executable


def test_the_files_of_a_job_take_no_folder_away(tmp_path):
    (tmp_path / "slurm.json").touch()
    (tmp_path / "slurm-12.out").touch()
    kept.new_folder(tmp_path, "an acceptance")
    (tmp_path / "notes").touch()
    with pytest.raises(UsageError, match="not empty"):
        kept.new_folder(tmp_path, "an acceptance")
