"""`railgauge run`: what is typed reaches the ranks, and how a run ended is its exit code."""

import json
import sys

import pytest

from railgauge.commands import run as run_module
from railgauge.errors import EXIT_HANG, EXIT_NOT_MEASURED, EXIT_PASS, EXIT_USAGE, HangError
from railgauge.records import Note

SHORT = ("--sizes", "8", "--iterations", "10")


def parsed(words):
    with run_module.command.make_context("run", list(words)) as context:
        return {k: v for k, v in context.params.items() if k != "json"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-n", "4", "-b", "8", "-e", "1M", "-f", "1.5"],
        ["--sizes", "8,64K", "--skew", "0", "--warmup", "0", "--resume", "--overlap"],
        ["--operation", "all", "--call", "nonblocking", "--root", "0,1", "--placement", "both"],
        ["--output", "a folder with spaces", "--plan", "p.toml", "--format", "csv"],
    ],
)
def test_the_ranks_are_given_the_same_options(words):
    typed = parsed(words)
    command = run_module._rank_command(typed)
    assert command[0] == sys.executable
    assert parsed(command[command.index("run") + 1 :]) == typed


@pytest.mark.mpi
@pytest.mark.parametrize("arguments", [("--format", "json"), ("--json",)])
def test_another_format_is_printed_instead_of_the_table(run, arguments):
    ended = run("-n", "2", *SHORT, *arguments).end()
    assert ended.code == EXIT_PASS, ended
    assert json.loads(ended.stdout)


@pytest.mark.mpi
def test_under_a_launcher_the_format_is_printed_once_after_mpi(jobs, mpi_python, mpiexec):
    words = [mpi_python, "-m", "railgauge", "run", "--output", "{output}", *SHORT]
    ended = jobs([mpiexec(mpi_python), "-n", "2", *words, "--format", "csv"]).end()
    assert ended.code == EXIT_PASS, ended
    assert ended.stdout.count("operation,pattern,") == 1


@pytest.mark.mpi
def test_data_goes_to_stdout_and_talk_to_stderr(run):
    ended = run("-n", "2", *SHORT).end()
    lines = ended.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["operation", "(B)", "all_reduce"]
    assert "thread level funneled" in ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr  # no terminal, no progress bar


@pytest.mark.mpi
@pytest.mark.parametrize(("interval", "notes"), [(("--check-every", "2"), 1), ((), 0)])
def test_an_interval_of_checks_that_a_case_does_not_keep_is_noted(run, interval, notes):
    job = run("-n", "2", *SHORT, "--operation", "latency,sendrecv", *interval)
    assert job.end().code == EXIT_PASS
    texts = [record.text for record in job.records if isinstance(record, Note)]
    said = [
        text for text in texts if "--check-every 2 means nothing back to back (latency)" in text
    ]
    assert len(said) == notes


@pytest.mark.mpi
def test_a_default_run_makes_a_folder_below_runs(jobs, tmp_path):
    words = f"cd {tmp_path} && exec {sys.executable} -m railgauge run {' '.join(SHORT)}"
    ended = jobs(["sh", "-c", words]).end()
    assert ended.code == EXIT_PASS, ended
    (folder,) = (tmp_path / "runs").iterdir()
    names = {path.name for path in folder.iterdir()}
    assert names == {"plan.json", "journal.jsonl", "environment.json", "audit.json", "samples"}
    assert f"PASS: runs/{folder.name}" in ended.stderr


def test_a_run_that_ends_badly_is_ended_in_the_journal(monkeypatch, tmp_path):
    ended = []

    class Launch:
        def __init__(self, *_):
            self.collector = type("Collector", (), {"next": ""})()

        def wait(self):
            assert str(tmp_path) in self.collector.next
            raise HangError("rank 3 did not answer")

    monkeypatch.setattr(run_module, "Launch", Launch)
    monkeypatch.setattr(run_module.Folder, "give_up", lambda _, *said: ended.append(said))
    with pytest.raises(HangError):
        run_module._launch(2, [], 1.0, tmp_path)
    assert ended == [("rank 3 did not answer", EXIT_HANG)]


@pytest.mark.mpi
def test_ranks_that_say_nothing_are_no_success(run, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "if 'PMI_RANK' in os.environ or 'OMPI_COMM_WORLD_RANK' in os.environ: os._exit(0)\n"
    )
    ended = run("-n", "2", *SHORT, PYTHONPATH=str(tmp_path)).end()
    assert ended.code == EXIT_NOT_MEASURED, ended
    assert ended.errors == 1
    assert "0 of 2 ranks had started" in ended.stderr


def test_dry_run_measures_nothing(run):
    job = run("-n", "2", *SHORT, "--dry-run")
    assert job.end().code == EXIT_PASS
    assert not job.folder.exists()


def test_misspelt_options_are_refused(run):
    ended = run("-n", "2", "--operatoin", "barrier").end()
    assert (ended.code, ended.errors) == (EXIT_USAGE, 1)
    assert "--operation" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--json", "--format", "csv"), "--json means --format json"),
        (("--dry-run", "--format", "bogus"), "unknown format 'bogus'"),
        (("--backend", "ncc"), "unknown backend 'ncc'. Did you mean 'nccl'?"),
        (("--dtype", "float8_e5m2"), "--dtype float8_e5m2: --backend mpi has no such dtype"),
        (("--operation", "copy"), "next: railgauge run --operation copy --backend nccl"),
    ],
)
def test_what_cannot_be_printed_or_measured_is_refused_before_anything_starts(run, arguments, said):
    job = run("-n", "2", *SHORT, *arguments)
    ended = job.end()
    assert (ended.code, ended.errors) == (EXIT_USAGE, 1)
    assert said in ended.stderr
    assert not job.folder.exists()


@pytest.mark.mpi
def test_a_binary_format_on_a_terminal_is_refused_and_the_run_is_kept(jobs):
    words = f"{sys.executable} -m railgauge run --output {{output}} -n 2 {' '.join(SHORT)}"
    job = jobs(["script", "-qec", f"{words} --format parquet", "/dev/null"])
    ended = job.end()
    assert ended.code == EXIT_USAGE
    assert "parquet is binary, and this is a terminal" in ended.stdout
    assert f"PASS: {job.folder}" in ended.stdout
