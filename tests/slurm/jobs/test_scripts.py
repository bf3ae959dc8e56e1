"""The batch script by itself: what stands in it, and what it does when a signal comes, without any Slurm."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from railgauge.errors import UsageError
from railgauge_slurm import scripts
from railgauge_slurm.job_options import JobOptions, directive

HOSTILE = "a'b\";$(touch {0}/shell)`touch {0}/ticks`\\ #x"
#: In Slurm's place: what squeue knows of the job, and that it was requeued.
CLIENTS = {
    "squeue": '#!/bin/sh\necho "$JOB_IS"\n',
    "scontrol": '#!/bin/sh\necho "$@" >> "$REQUEUED"\n',
}
RUNNING = "RUNNING         0               N/A                 "


@pytest.fixture
def options(tmp_path):
    """Options of a job with what is given; it runs `sh -c PROGRAM`."""

    def make(program: str = "exit 0", **more: object) -> JobOptions:
        made = {
            "name": "try",
            "folder": str(tmp_path / "out"),
            "command": ("sh", "-c", program, "sh"),
            "again": ("sh", "-c", f"echo again; {program}", "sh"),
            "begun": "begun",
            "nodes": 1,
            "ranks_per_node": 1,
            "minutes": 5,
        }
        return JobOptions(**{**made, **more})

    return make


@pytest.fixture
def started(tmp_path):
    """`started(options, "RUNNING ...")`: the script under bash; squeue says that state."""
    clients = tmp_path / "clients"
    clients.mkdir()
    for name, text in CLIENTS.items():
        (clients / name).write_text(text)
        (clients / name).chmod(0o755)

    def start(made: JobOptions, state: str = RUNNING, **more: str) -> subprocess.Popen[str]:
        script = tmp_path / "job.sh"
        script.write_text(scripts.text("job", made))
        own = {
            "PATH": f"{clients}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "node0",
            "JOB_IS": state,
            "REQUEUED": str(tmp_path / "requeued"),
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(
            ["bash", str(script)], env=own | more, stdout=pipe, stderr=pipe, text=True
        )

    return start


def requeued(folder: Path) -> str:
    file = folder / "requeued"
    return file.read_text() if file.exists() else ""


WAITING = "trap 'kill $!; exit 75' TERM; sleep 60 & touch $2/up; wait $!"


def interrupted(process: subprocess.Popen[str], folder: Path, inside: str = "out") -> int:
    """Send SIGTERM once the measurement is up; the script's exit code."""
    while not (folder / inside / "up").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return process.returncode


def test_hostile_values_stay_values_in_the_shell_and_for_sbatch(options, started, tmp_path):
    hostile = HOSTILE.format(tmp_path)
    made = options(
        'printf %s "$A"',
        name=hostile,
        partition=hostile,
        folder=f"{tmp_path}/out $(touch {tmp_path}/folder)",
        variables={"A": hostile},
    )
    said, _ = started(made).communicate(timeout=60)
    assert said == hostile
    assert (
        sorted(p.name for p in tmp_path.iterdir() if p.name in ("shell", "ticks", "folder")) == []
    )
    text = scripts.text("job", made)
    escaped = hostile.replace("\\", "\\\\").replace('"', '\\"')
    assert f'#SBATCH --partition="{escaped}"\n' in text


@pytest.mark.parametrize("value", ["a\nrm -rf x", "a\rb", "", "x\0", "my-hetjob", "\x1b[2J"])
def test_what_cannot_stand_in_a_line_of_sbatch_is_refused_by_name(value):
    with pytest.raises(UsageError, match="--job-name"):
        directive("job-name", value)


def test_a_log_whose_folder_has_percent_signs_is_where_the_folder_is(options):
    assert options(folder="/a/%j").log == "/a/%%j/slurm-%j.out"
    assert options(folder="/a", blocks=2).log == "/a/slurm-%A_%a.out"
    with pytest.raises(UsageError, match="backslash"):
        _ = options(folder="/a\\b").log


def test_the_exit_code_is_that_of_the_measurement_and_commands_afterwards_know_it(options, started):
    made = options("exit 6", then=(("sh", "-c", "echo $RAILGAUGE_CODE $1", "sh"),))
    process = started(made)
    said, _ = process.communicate(timeout=60)
    assert said == f"6 {made.folder}\n"
    assert process.returncode == 6


def test_a_folder_that_has_begun_is_gone_on_with_and_judged(options, started):
    made = options("exit 9", judge=("sh", "-c", "exit 4", "sh"))
    Path(made.folder).mkdir()
    (Path(made.folder) / "begun").touch()
    process = started(made)
    said, _ = process.communicate(timeout=60)
    assert said == "again\n"
    assert process.returncode == 4


def test_ranks_that_did_not_begin_are_started_once_more(options, started, tmp_path):
    made = options(f"echo try; [ -e {tmp_path}/2 ] && touch $2/begun; touch {tmp_path}/2; exit 15")
    judged = msgspec.structs.replace(made, judge=("sh", "-c", "exit 0", "sh"))
    process = started(judged)
    said, told = process.communicate(timeout=60)
    assert said == "try\ntry\n"
    assert "ended with 15 before anything had begun" in told
    assert process.returncode == 0


def test_sigterm_is_handed_on_and_the_job_requeued(options, started, tmp_path):
    assert interrupted(started(options(WAITING)), tmp_path) == 75
    assert requeued(tmp_path) == "requeue 7\n"


@pytest.mark.parametrize(
    ("state", "restarts"),
    [
        ("CANCELLED 0 N/A ", "0"),
        ("COMPLETING 0 N/A ", "0"),
        ("RUNNING 1 N/A ", "0"),  # it runs anew already
        ("RUNNING 0 2026-11-26T03:00:00 ", "0"),  # Slurm preempts it
        ("RUNNING 2 N/A ", "2"),  # as often as it may
        ("", "0"),
    ],
)
def test_what_was_cancelled_preempted_or_restarted_is_not_requeued(
    state, restarts, options, started, tmp_path
):
    made = options(WAITING, requeues=2)
    assert interrupted(started(made, state, SLURM_RESTART_COUNT=restarts), tmp_path) == 75
    assert requeued(tmp_path) == ""


def test_a_measurement_that_ends_by_itself_is_not_requeued(options, started, tmp_path):
    process = started(options("exit 75"))
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert requeued(tmp_path) == ""


def test_a_verdict_that_comes_while_it_is_interrupted_counts(options, started, tmp_path):
    made = options(WAITING.replace("exit 75", "exit 1"))
    assert interrupted(started(made), tmp_path) == 1
    assert requeued(tmp_path) == ""


def test_srun_is_sent_the_signal_that_it_hands_on(options):
    assert options().stop == "TERM"
    assert options(command=("/opt/slurm/bin/srun", "x")).stop == "USR2"


def test_a_task_of_an_array_measures_into_its_own_folder_and_requeues_itself_alone(
    options, started, tmp_path
):
    made = options(WAITING, blocks=3, at_once=2)
    assert "#SBATCH --array=0-2%2\n" in scripts.text("job", made)
    process = started(made, SLURM_ARRAY_JOB_ID="5", SLURM_ARRAY_TASK_ID="2")
    assert interrupted(process, tmp_path, "out/block-002") == 75
    assert requeued(tmp_path) == "requeue 5_2\n"
    assert made.folders()[2] == f"{made.folder}/block-002"


def test_a_template_of_a_site_gets_quoted_values_and_says_what_is_wrong_in_it(options, tmp_path):
    file = tmp_path / "site.sh.j2"
    file.write_text(
        '{% extends "nightly.sh.j2" %}{% block environment %}X={{ job.name }}{% endblock %}'
    )
    text = scripts.text(str(file), options(name="a b"))
    assert "X='a b'" in text
    assert "#SBATCH --dependency=singleton\n" in text
    for wrong, said in (
        ("{{ job.nobody }}", "nobody"),
        ("{% if %}", "line 1"),
        ('{% extends "gone.sh.j2" %}', "there is no gone.sh.j2"),
    ):
        file.write_text(wrong)
        with pytest.raises(UsageError, match=said):
            scripts.text(str(file), options())
    with pytest.raises(UsageError, match=r"unknown template 'acceptence'.*'acceptance'"):
        scripts.text("acceptence", options())


@pytest.mark.parametrize("name", scripts.names())
def test_every_template_is_bash_with_all_lines_for_sbatch_ahead_of_the_first_command(name, options):
    made = options(blocks=2, at_once=1, account="a", gpus_per_node="8")
    for shown in (made, msgspec.structs.replace(made, blocks=0, at_once=None, requeues=0)):
        text = scripts.text(name, shown)
        assert text.startswith("#!/bin/bash\n#SBATCH --job-name=try\n")
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        lines = [line for line in text.splitlines() if line]
        first = next(k for k, line in enumerate(lines) if not line.startswith("#"))
        assert not [line for line in lines[first:] if line.startswith("#SBATCH")]
