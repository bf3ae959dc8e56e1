"""slurm.json: what was submitted, kept in the job's folder beside what it measures."""

from __future__ import annotations

from pathlib import Path

import msgspec

from railgauge import __version__
from railgauge.errors import UsageError
from railgauge_reports.kept import OF_THE_JOB, read_record, write_record
from railgauge_slurm.cost import Cost
from railgauge_slurm.job_options import JobOptions

RECORD = f"{OF_THE_JOB}.json"
FORMAT = 1


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A job's id, when (seconds since 1970), and of an array that goes on, which blocks (none: all)."""

    job: str
    when: float
    blocks: tuple[int, ...] = ()


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The record: `script` is what was submitted, whatever the template has become since."""

    format: int
    version: str
    template: str
    options: JobOptions
    cost: Cost
    script: str
    submissions: tuple[Submission, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """The ids of all jobs, in order."""
        return tuple(submission.job for submission in self.submissions)

    def submitted(self, job: str, when: float, blocks: tuple[int, ...] = ()) -> Kept:
        """The record with one more submission."""
        made = Submission(job=job, when=when, blocks=blocks)
        return msgspec.structs.replace(self, submissions=(*self.submissions, made))

    def write(self, folder: Path) -> None:
        """Replace slurm.json as a whole; raises NotMeasuredError, with the job's id, where it cannot be."""
        done = f"job {self.numbers[-1]} is submitted all the same" if self.numbers else "no job yet"
        write_record(folder / RECORD, self, f"; {done}.\n  next: squeue --me")


def fresh(template: str, options: JobOptions, cost: Cost, script: str) -> Kept:
    """What is kept before the first job."""
    return Kept(
        format=FORMAT,
        version=__version__,
        template=template,
        options=options,
        cost=cost,
        script=script,
    )


def read_kept(folder: Path) -> Kept:
    """slurm.json of a folder; raises NotMeasuredError where there is none, or not one of ours."""
    return read_record(
        folder / RECORD,
        Kept,
        FORMAT,
        "a submitted job",
        "a folder that railgauge slurm submit --output made",
        "railgauge slurm submit PROFILE -N 4 --output FOLDER",
    )


def check_new(folder: Path) -> None:
    """Raise UsageError where the folder has a job already, or something else."""
    if (folder / RECORD).exists():
        raise UsageError(
            f"--output {folder}: a job was submitted there already.\n"
            f"  next: railgauge slurm status {folder}, or --output ANOTHER_FOLDER"
        )
    try:
        taken = folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"--output {folder}: {error.strerror or error}") from None
    if taken:
        raise UsageError(
            f"--output {folder}: not empty.\n  expected: a new folder\n  next: --output ANOTHER_FOLDER"
        )
