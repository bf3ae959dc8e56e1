"""Show where a submitted job is: what Slurm says of it, and how far its folder is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from railgauge_slurm.blocks import Block


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, as_json: bool) -> None:
    """Show the job of FOLDER, which railgauge slurm submit made, every block of an array by itself.

    Slurm forgets a job minutes after its end (MinJobAge); how far it is stands in the folder. Exits
    with 0, 3 where there is no such folder.
    """
    import msgspec

    from railgauge_reports.cells import align
    from railgauge_slurm.blocks import blocks_of
    from railgauge_slurm.kept import read_kept

    kept = read_kept(folder)
    blocks, silent = blocks_of(kept)
    if as_json:
        whole = {"folder": kept.options.folder, "slurm": silent or "answers", "blocks": blocks}
        click.echo(msgspec.json.encode(whole).decode())
        return

    def row(block: Block) -> tuple[str, ...]:
        job = block.job
        times = "" if job is None else f"{job.used} of {job.limit}"
        where = "" if job is None else job.nodes or job.reason
        begun = str(max(int(job.restarts) if job else 0, block.progress.restarts))
        return (block.id, block.state, times, begun, where, block.progress.sentence())

    header = ("job", "state", "time", "restarts", "nodes or why not", "measured")
    click.echo("\n".join(align(header, [row(block) for block in blocks])))
    if silent:
        click.echo(f"Slurm was not asked: {silent}", err=True)
    click.echo(_next(kept.options.folder, blocks), err=True)


def _next(folder: str, blocks: Sequence[Block]) -> str:
    if any(block.waits_or_runs for block in blocks):
        return f"next: railgauge slurm status {folder}"
    if all(block.progress.ended for block in blocks):
        return f"next: railgauge slurm report {folder}"
    return f"next: railgauge slurm resume {folder}, or report {folder}: what is known so far"
