"""A run that is killed at any moment keeps what it finished, and --resume measures the rest."""

import os
import random
import signal

import pytest

from railgauge.errors import EXIT_PASS, EXIT_USAGE
from railgauge.journal import JOURNAL, PLAN, block_end, read_block, sample_path
from railgauge.records import End, Run
from railgauge.samples import group_samples

ITERATIONS = 6000
CASES = ("--sizes", "8:64K", "--iterations", str(ITERATIONS))  # 14 cases, the last ones slow


def check_samples(job):
    """Every finished case has all its samples; the file holds nothing else."""
    ends = [0]
    for result in job.results:
        for block in result.samples:
            assert block.offset == ends[-1]
            ends.append(block_end(result, block))
            rows = read_block(job.folder, block, result.groups[0].iterations, 2)
            assert rows.shape == (2, ITERATIONS, 2)
            assert (rows[:, :, 1] >= rows[:, :, 0]).all()
        (samples,) = group_samples(job.folder, result)
        assert samples.ranks == (0, 1)
    assert sample_path(job.folder, 0).stat().st_size == ends[-1]


@pytest.mark.mpi
@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_at_random_moments_is_completed(run, mpi_python, seed):
    chance = random.Random(seed)
    resume = ()
    for _ in range(2):
        job = run("-n", "2", *CASES, *resume, python=mpi_python)
        # the last case is still to come: a run that has ended cannot be killed
        finished = min(chance.randrange(4) + len(job.results if resume else ()), 12)
        if finished:
            job.until_measured(finished)
        else:
            job.until_ranks(2)
        signal.sigtimedwait((), chance.random() * 0.3)
        job.kill()
        job.until_nothing_is_left()
        journal = job.folder / JOURNAL
        if (job.folder / PLAN).exists():
            resume = ("--resume",)
        if journal.exists() and b"\n" in journal.read_bytes():
            assert len(job.records) == journal.read_bytes().count(b"\n")
    job = run("-n", "2", *CASES, *resume, python=mpi_python)
    ended = job.end()
    assert ended.code == EXIT_PASS, ended
    assert sorted(result.case.index for result in job.results) == list(range(14))
    assert isinstance(job.records[-1], End)
    check_samples(job)


@pytest.mark.mpi
def test_torn_ends_of_journal_and_samples_are_cut(run):
    first = run("-n", "2", *CASES)
    first.until_measured(2)
    first.kill()
    first.until_nothing_is_left()
    with (first.folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"record":"case","case":{"ind')
    with sample_path(first.folder, 0).open("ab") as samples:
        samples.write(b"\1" * 1001)
    job = run("-n", "2", *CASES, "--resume")
    assert job.end().code == EXIT_PASS
    assert sorted(result.case.index for result in job.results) == list(range(14))
    check_samples(job)


@pytest.mark.mpi
def test_an_interrupted_run_is_completed_and_a_complete_one_stays_complete(run):
    first = run("-n", "2", *CASES)
    first.until_measured(2)
    first.process.send_signal(signal.SIGTERM)
    assert first.end().code == 75
    measured = len(first.results)
    for _ in range(2):
        job = run("-n", "2", *CASES, "--resume", "--timeout", "77")  # another patience is no plan
        assert job.end().code == EXIT_PASS
        assert sorted(result.case.index for result in job.results) == list(range(14))
    check_samples(job)
    begins = [record for record in job.records if isinstance(record, Run)]
    assert [begin.todo for begin in begins] == [14, 14 - measured, 0]


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--resume", "--sizes", "8,16"), "sizes differ (sizes: (8,) there, (8, 16) asked)"),
        (("--resume", "--seed", "2"), "seed differ (seed: 1 there, 2 asked)"),
        ((), "already holds this run.\n  next: --resume"),
    ],
)
def test_another_plan_or_no_resume_is_refused_and_nothing_is_lost(run, arguments, said):
    short = ("-n", "2", "--sizes", "8", "--iterations", "10")
    first = run(*short)
    assert first.end().code == EXIT_PASS
    before = {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()}
    again = run(*short, *arguments)
    ended = again.end()
    assert ended.code == EXIT_USAGE
    assert ended.errors == 1
    assert said in ended.stderr
    assert {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()} == before


@pytest.mark.mpi
def test_nothing_to_resume_is_refused_and_makes_no_folder(run):
    job = run("-n", "2", "--sizes", "8", "--iterations", "10", "--resume")
    ended = job.end()
    assert (ended.code, ended.errors) == (EXIT_USAGE, 1)
    assert "holds no run" in ended.stderr
    assert not job.folder.exists()


@pytest.mark.mpi
def test_a_folder_that_cannot_be_made_is_a_usage_error(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "run"
    job = run("-n", "2", "--sizes", "8", "--iterations", "10", "--output", str(target))
    ended = job.end()
    assert (ended.code, ended.errors) == (EXIT_USAGE, 1)
    assert f"--output {target}: Not a directory" in ended.stderr
    assert "expected: a folder that this user may write" in ended.stderr


@pytest.mark.mpi
def test_two_runs_cannot_write_into_one_folder(run):
    first = run("-n", "2", *CASES, "--sizes", "8,4M")
    first.until_measured()
    second = run("-n", "2", *CASES, "--sizes", "8,4M", "--resume")
    ended = second.end()
    assert (ended.code, ended.errors) == (EXIT_USAGE, 1)
    assert "another run is writing there" in ended.stderr
    os.kill(first.process.pid, signal.SIGTERM)
    assert first.end().code == 75
    assert [record.exit_code for record in first.records if isinstance(record, End)] == [75]
