"""Import what nccl-tests, OSU, IMB, perftest and others printed, into run folders."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from railgauge.errors import UsageError
from railgauge.launching.rank_process import default_output, say
from railgauge_reports.importing.outcome import Outcome, import_file, worst

_KEYS = ("file", "tool", "complete", "runs", "rows", "partial_rows", "warnings", "folders")


@click.command(context_settings={"max_content_width": 100})
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The folder for the run folders.  [default: runs/TIME-import]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a file, one a line.")
@click.option("--tool", help="Which tool printed the FILEs (railgauge list).  [default: find out]")
@click.option("--ranks", "-n", type=int, help="Ranks, where the log does not say them (OSU).")
def command(
    files: tuple[Path, ...], output: Path | None, as_json: bool, tool: str | None, ranks: int | None
) -> int:
    """Read other benchmarks' output and write a run folder for every run in it.

    `report`, `compare` and the others read these folders. Prefixes of mpirun, srun and kubectl,
    lines of libraries in between, torn rows and logs of any size are understood; what is odd is said.

    Exit codes: 0 imported, 2 no tool or several recognised, 3 cannot be read, 6 nothing measured in it; with
    several files the worst, in the order 3, 2, 6.
    """
    if not files:
        raise UsageError("no FILE is named.\n  next: railgauge import all_reduce.log")
    if ranks is not None and ranks < 1:
        raise UsageError(f"--ranks {ranks}: expected at least 1")
    if tool is not None:
        from railgauge_reports.importers import importer_named

        importer_named(tool)
    folder = output or Path(f"{default_output()}-import")
    outcomes = []
    for path in files:
        outcome = import_file(path, folder, tool, ranks)
        outcomes.append(outcome)
        if as_json:
            fields = msgspec.to_builtins(outcome)
            click.echo(msgspec.json.encode({key: fields[key] for key in _KEYS}))
        if outcome.error:
            say(f"railgauge: error: {outcome.error}")
    if not as_json:
        click.echo(_table(outcomes), nl=False)
    return worst(outcomes)


def _table(outcomes: list[Outcome]) -> str:
    from railgauge_reports.cells import align

    header = ("file", "tool", "runs", "rows", "partial", "complete")
    body = [
        (
            Path(made.file).name,
            made.tool or "-",
            str(made.runs),
            str(made.rows),
            str(made.partial_rows),
            "yes" if made.complete else "no",
        )
        for made in outcomes
    ]
    lines = align(header, body)
    for made in outcomes:
        told = [*made.described, *(f"warning: {text}" for text in made.warnings)]
        lines += ["", f"{Path(made.file).name}:", *(f"  {text}" for text in told)] if told else []
    written = [folder for made in outcomes for folder in made.folders]
    if written:
        lines += ["", f"next: railgauge report {written[0]}"]
    return "\n".join(lines) + "\n"
