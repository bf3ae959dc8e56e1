"""Judge what a submitted job left; the exit code is its verdict's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from railgauge_slurm.blocks import Block
    from railgauge_slurm.kept import Kept


@click.command(context_settings={"max_content_width": 100})
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "name", help="As railgauge report --format; table or json of an array.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="As railgauge report --output (no array)."
)
def command(folder: Path, name: str | None, as_json: bool, output: Path | None) -> int:
    """Show what the job of FOLDER measured, as railgauge report does, and exit with its verdict.

    An array is shown block by block, and the worst of them decides: 0 PASS, 1 FAIL, 3 a block left
    nothing that can be judged, 4 wrong data, 5 hang, 6 inconclusive, 75 not at its end.
    """
    from railgauge.errors import UsageError
    from railgauge_slurm.blocks import blocks_of
    from railgauge_slurm.kept import read_kept

    name = "json" if as_json else name or "table"
    kept = read_kept(folder)
    blocks, _ = blocks_of(kept)
    for block in blocks:
        if block.waits_or_runs:
            click.echo(f"job {block.id} is {block.state}: this is what is known so far", err=True)
    if not kept.options.blocks:
        return _single(kept, blocks[0], name, output)
    if name not in ("table", "json") or output is not None:
        raise UsageError(
            f"--format {name}: an array of {kept.options.blocks} jobs has a table, or json.\n"
            f"  next: railgauge report {blocks[0].progress.folder} --format {name}"
        )
    return _array(kept, blocks, name)


def _single(kept: Kept, block: Block, name: str, output: Path | None) -> int:
    from railgauge.cli import call
    from railgauge.errors import NotMeasuredError
    from railgauge_slurm.progress import last_words

    if block.progress.of is None:
        said = "".join(f"\n  | {line}" for line in last_words(kept.options, block.id))
        again = "status" if block.waits_or_runs else "resume"
        raise NotMeasuredError(
            f"{kept.options.folder}: job {block.id} ({block.state}) left nothing to judge.{said}\n"
            f"  next: railgauge slurm {again} {kept.options.folder}"
        )
    more = [] if output is None else ["--output", str(output)]
    return call(["report", kept.options.folder, "--format", name, *more])


def _array(kept: Kept, blocks: list[Block], name: str) -> int:
    """One line a block; the verdict of all is the worst."""
    import msgspec

    from railgauge_reports.acceptance.algebra import PASS, worst
    from railgauge_reports.cells import align
    from railgauge_slurm.progress import last_words, verdict

    judged = [(block, *verdict(Path(block.progress.folder))) for block in blocks]
    whole = worst(found for _, found, _ in judged)
    if name == "json":
        told_of = [
            {
                "block": block,
                "verdict": found,
                "why": why,
                "said": last_words(kept.options, block.id),
            }
            for block, found, why in judged
        ]
        told = {"folder": kept.options.folder, "verdict": whole, "blocks": told_of}
        click.echo(msgspec.json.encode(told).decode())
        return whole.exit_code
    good = sum(found == PASS for _, found, _ in judged)
    click.echo(f"{whole.word} ({whole.exit_code}): {good} of {len(judged)} blocks PASS")
    rows = [
        (block.id, block.state, found.word, block.progress.sentence(), why)
        for block, found, why in judged
    ]
    click.echo("\n".join(align(("job", "state", "verdict", "measured", "why"), rows)))
    for block, found, _ in judged:
        if found != PASS:
            for line in last_words(kept.options, block.id)[-3:]:
                click.echo(f"  {block.id} | {line}")
            click.echo(f"next: railgauge report {block.progress.folder}", err=True)
    return whole.exit_code
