"""Submit a job again that did not come to its end: it goes on in the same folder."""

from __future__ import annotations

import time
from pathlib import Path

import click


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(folder: Path, as_json: bool) -> None:
    """Submit the script of FOLDER once more; of an array, the blocks that are not at their end.

    What is measured stays. Refused while the job waits or runs, and where nothing is left to measure.
    Exits with 0, 2 refused, 3 no such folder or no Slurm.
    """
    import msgspec

    from railgauge.errors import NotMeasuredError, UsageError
    from railgauge_slurm import jobs
    from railgauge_slurm.blocks import blocks_of
    from railgauge_slurm.kept import read_kept

    kept = read_kept(folder)
    blocks, silent = blocks_of(kept)
    if silent:
        raise NotMeasuredError(
            f"whether the job still runs is not known: {silent}\n  next: scontrol ping"
        )
    live = [block.id for block in blocks if block.waits_or_runs]
    if live:
        raise UsageError(
            f"{folder}: job {', '.join(live)} waits or runs.\n"
            f"  next: railgauge slurm status {folder}, or scancel {' '.join(live)} first"
        )
    left = tuple(k for k, block in enumerate(blocks) if not block.progress.ended)
    if not left:
        raise UsageError(f"{folder}: measured to its end.\n  next: railgauge slurm report {folder}")
    more = [f"--array={','.join(map(str, left))}"] if kept.options.blocks else []
    number = jobs.submit(kept.script, Path(kept.options.folder), more)
    kept = kept.submitted(number, time.time(), left if kept.options.blocks else ())
    kept.write(Path(kept.options.folder))
    if as_json:
        told = {"job": number, "folder": kept.options.folder, "blocks": left if more else None}
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo(number)
