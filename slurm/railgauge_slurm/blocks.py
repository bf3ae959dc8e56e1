"""A submitted job seen from both sides: what Slurm says of it, and what its folders say."""

from __future__ import annotations

from pathlib import Path

import msgspec

from railgauge.errors import NotMeasuredError
from railgauge_slurm import jobs
from railgauge_slurm.jobs import Job
from railgauge_slurm.kept import Kept
from railgauge_slurm.programs import RefusedError
from railgauge_slurm.progress import Progress, progress


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The job, or one of an array: its number in it (None: no array), and both sides.

    `job` None: Slurm has forgotten it, or cannot be asked.
    """

    number: int | None
    id: str
    job: Job | None
    progress: Progress

    @property
    def waits_or_runs(self) -> bool:
        return self.job is not None and not self.job.ended

    @property
    def state(self) -> str:
        return self.job.state if self.job is not None else "(forgotten)"


def blocks_of(kept: Kept) -> tuple[list[Block], str]:
    """Every block with the last job that was to measure it; and why Slurm could not be asked, if so."""
    silent = ""
    try:
        known = {job.job: job for job in jobs.jobs(kept.numbers)}
    except (NotMeasuredError, RefusedError) as error:
        known, silent = {}, str(error).splitlines()[0]
    last = _last_ids(kept)
    folders = kept.options.folders()
    numbers: list[int | None] = list(range(len(folders))) if kept.options.blocks else [None]
    made = [
        Block(number=number, id=name, job=known.get(name), progress=progress(Path(folder)))
        for number, name, folder in zip(numbers, last, folders, strict=True)
    ]
    return made, silent


def _last_ids(kept: Kept) -> list[str]:
    """The id of the last job of each block: a resumed array takes some of them alone."""
    if not kept.options.blocks:
        return [kept.numbers[-1]]
    last = [""] * kept.options.blocks
    for submission in kept.submissions:
        for block in submission.blocks or range(kept.options.blocks):
            last[block] = f"{submission.job}_{block}"
    return last
