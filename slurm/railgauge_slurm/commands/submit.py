"""Submit a job that measures; its folder keeps what was submitted, and all results."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from railgauge.errors import UsageError
from railgauge_slurm.asking import options


@click.command(context_settings={"max_content_width": 100})
@options
@click.option(
    "--here",
    is_flag=True,
    help="Run the script in the allocation that this is typed in (salloc), and wait for it.",
)
def command(as_json: bool, here: bool, **typed: Any) -> None:
    """Submit the job that railgauge slurm plan shows for the same arguments.

    \b
    railgauge slurm submit nightly -N 16 --gpus-per-node 8 --backend nccl --output FOLDER
    railgauge slurm status FOLDER
    railgauge slurm report FOLDER

    Prints the job's id. Exits with 0, 2 usage or refused by Slurm, 3 no Slurm; with --here, as
    railgauge accept or railgauge run.
    """
    from railgauge_slurm import jobs
    from railgauge_slurm.kept import check_new, fresh
    from railgauge_slurm.planning import in_words, planned

    made = planned({**typed, "requeues": 0} if here else typed)
    folder = Path(made.options.folder)
    check_new(folder)
    for line in in_words(made):
        click.echo(line, err=True)
    kept = fresh(made.template, made.options, made.cost, made.script)
    if here:
        number = _allocation(made.options.nodes, made.options.blocks)
        script = jobs.write(made.script, folder)
        kept.submitted(number, time.time()).write(folder)
        sys.stdout.flush()
        os.execvp("bash", ["bash", str(script)])
    kept = kept.submitted(jobs.submit(made.script, folder), time.time())
    kept.write(folder)
    number = kept.numbers[-1]
    if as_json:
        click.echo(msgspec.json.encode({"job": number, "folder": str(folder)}).decode())
    else:
        click.echo(number)
        click.echo(f"next: railgauge slurm status {folder}", err=True)


def _allocation(nodes: int, blocks: int) -> str:
    """The id of the allocation that this process stands in; raises UsageError where it will not do."""
    number = os.environ.get("SLURM_JOB_ID")
    if number is None:
        raise UsageError(
            "--here: this is no allocation of Slurm (SLURM_JOB_ID is not set).\n"
            f"  next: salloc -N {nodes}, and the same command in it; or without --here"
        )
    if blocks:
        raise UsageError(
            "--here: an array is submitted.\n  next: without --blocks, or without --here"
        )
    held = os.environ.get("SLURM_JOB_NUM_NODES", "")
    if held.isdigit() and int(held) < nodes:
        raise UsageError(f"-N {nodes}: this allocation has {held} nodes.\n  next: -N {held}")
    return number
