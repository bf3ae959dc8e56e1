"""Show a run folder as a table, CSV, JSON, Parquet, Markdown or as nccl-tests prints it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from railgauge.errors import UsageError
from railgauge_reports import formats
from railgauge_reports.lossless.catalogue import PROFILES


@click.command(context_settings={"max_content_width": 100})
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    metavar="|".join(formats.names()),
    help="What to print.  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write to this file and print its path (parquet is binary and needs it).",
)
@click.option(
    "--profile",
    metavar="|".join(PROFILES),
    help="What the fabric is judged as.  [default: as its ports suggest]",
)
def command(
    run: Path, name: str | None, as_json: bool, output: Path | None, profile: str | None
) -> int:
    """Show what the run folder RUN, or a pack of one, holds, judged from its raw facts.

    PACK.zip/runs/NAME is one of several runs in a pack.

    The exit code is the run's verdict: 0 PASS, 1 FAIL, 4 wrong data, 5 hang, 6 inconclusive, 75
    interrupted; 3 where the run ended without a word or its folder cannot be read. A fault of the
    fabric that its profile does not allow is a FAIL.
    """
    if as_json and name not in (None, "json"):
        raise UsageError(f"--json means --format json, and --format {name} asks for another.")
    render = formats.renderer("json" if as_json else name or "table")
    from railgauge_reports.loaded import load
    from railgauge_reports.pack.opened import folder_of, one_run

    with folder_of(run) as folder:
        loaded = load(one_run(folder, run), profile, called=run)
        made = render(loaded)
    if output is not None:
        write(output, made)
        click.echo(str(output))
    elif isinstance(made, bytes) and sys.stdout.isatty():
        raise UsageError(
            f"--format {name} is binary, and this is a terminal.\n"
            f"  next: railgauge report {run} --format {name} --output FILE"
        )
    else:
        click.echo(made, nl=False)
    return loaded.verdict.exit_code


def write(path: Path, made: str | bytes) -> None:
    """Write a whole file or none: under another name in its folder first, then renamed.

    Raises UsageError where the folder is missing or may not be written.
    """
    data = made.encode() if isinstance(made, str) else made
    try:
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(
            f"--output {path}: {error.strerror or error}.\n"
            "  expected: a file in a folder that this user may write\n  next: --output ANOTHER_FILE"
        ) from None
