"""Show a run folder: table, HTML, Markdown, JSON, Parquet, JUnit, Prometheus, nccl-tests and more."""

from __future__ import annotations

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from railgauge.errors import RailgaugeError, UsageError
from railgauge_reports import formats, nagios
from railgauge_reports.acceptance import is_acceptance
from railgauge_reports.lossless.catalogue import PROFILES
from railgauge_reports.whole_files import replacing

if TYPE_CHECKING:
    from railgauge_reports.loaded import Asked, LoadedRun


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
@click.option(
    "--charts",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write every chart into this folder, a file each, and print their paths.",
)
@click.option(
    "--chart-format",
    metavar="svg|png",
    help="Of the files of --charts.  [default: svg]",
)
@click.option(
    "--price",
    type=click.FloatRange(min=0, max=1e6),
    help="Of a GPU-hour, in your money: the page then says what a shortfall costs a day.",
)
@click.option(
    "--nagios",
    "as_nagios",
    is_flag=True,
    help="Print one line of a monitoring plugin and exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
)
def command(run: Path, profile: str | None, as_nagios: bool, **asked: Any) -> int:
    """Show what the run folder RUN holds, one of railgauge accept, or a pack, judged from raw facts.

    PACK.zip/runs/NAME is one of several runs in a pack.

    The exit code is the run's verdict: 0 PASS, 1 FAIL, 4 wrong data, 5 hang, 6 inconclusive, 75
    interrupted; 3 where the run ended without a word or its folder cannot be read. A fault of the
    fabric that its profile does not allow is a FAIL. With --nagios: 0 PASS, 1 inconclusive or
    interrupted, 2 FAIL, wrong data or a hang, 3 what could not be measured or read.
    """
    wanted = _Wanted(**asked)
    if as_nagios:
        return _monitored(run, profile, wanted)
    if wanted.as_json and wanted.name not in (None, "json"):
        raise UsageError(
            f"--json means --format json, and --format {wanted.name} asks for another."
        )
    if wanted.chart_format and wanted.charts is None:
        raise UsageError("--chart-format is of --charts.\n  next: add --charts FOLDER")
    if is_acceptance(run):
        return _acceptance(run, wanted)
    shown = wanted.charts is None or wanted.name or wanted.as_json or wanted.output
    render = formats.renderer(wanted.format) if shown else None
    from railgauge_reports.loaded import load
    from railgauge_reports.pack.opened import folder_of, one_run

    with folder_of(run) as folder:
        loaded = load(one_run(folder, run), profile, wanted.of_reader(), called=run)
        if render is not None:
            _show(run, _rendered(render, loaded, wanted), wanted)
        if wanted.charts is not None:
            _draw(loaded, wanted.charts, wanted.chart_format or "svg")
    return loaded.verdict.exit_code


def _acceptance(folder: Path, wanted: _Wanted) -> int:
    """Show what railgauge accept left, judged anew; the exit code is its verdict's."""
    if wanted.charts is not None:
        raise UsageError(
            f"--charts: {folder} is an acceptance of several runs.\n"
            f"  next: railgauge report {folder}/01-... --charts FOLDER"
        )
    render = formats.acceptance_renderer(wanted.format)
    from railgauge_reports.acceptance.judge import judge, read_acceptance

    result = judge(read_acceptance(folder))
    _show(folder, render(result), wanted)
    return result.verdict.exit_code


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """The options that say what is shown, and where."""

    name: str | None
    as_json: bool
    output: Path | None
    charts: Path | None
    chart_format: str | None
    price: float | None

    @property
    def format(self) -> str:
        return "json" if self.as_json else self.name or "table"

    @property
    def beside(self) -> Path | None:
        """The file of all rows that a page would have beside it."""
        suffix = formats.beside_suffix(self.format)
        if self.output is None or not suffix:
            return None
        return self.output.with_name(f"{self.output.stem}{suffix}")

    def of_reader(self) -> Asked:
        from railgauge_reports.loaded import Asked

        return Asked(self.price, self.beside.name if self.beside else "")


def _rendered(render: formats.Render, run: LoadedRun, wanted: _Wanted) -> str | bytes:
    """What a format says of a run; the file beside it is written meanwhile, mostly without the GIL."""
    rows = formats.beside(wanted.format, run) if wanted.beside else None
    if wanted.beside is None or rows is None:
        return render(run)
    with ThreadPoolExecutor(1) as meanwhile:
        written = meanwhile.submit(write, wanted.beside, rows)
        made = render(run)
        written.result()
    return made


def _show(folder: Path, made: str | bytes, wanted: _Wanted) -> None:
    """Print, or write to --output."""
    if wanted.output is not None:
        write(wanted.output, made)
        click.echo(str(wanted.output))
    elif isinstance(made, bytes) and sys.stdout.isatty():
        raise UsageError(
            f"--format {wanted.format} is binary, and this is a terminal.\n"
            f"  next: railgauge report {folder} --format {wanted.format} --output FILE"
        )
    else:
        click.echo(made, nl=False)


def _draw(run: LoadedRun, folder: Path, kind: str) -> None:
    from railgauge_reports.judged import judged_of
    from railgauge_reports.page import drawing
    from railgauge_reports.page.gallery import charts_of

    charts = charts_of(run, judged_of(run))
    if not charts:
        click.echo("nothing to draw: no row has a time", err=True)
    for path, made in drawing.files(folder, charts, kind, run.warning).items():
        write(path, made, "--charts")
        click.echo(str(path))


def _monitored(run: Path, profile: str | None, wanted: _Wanted) -> int:
    """A monitoring system takes 2 for CRITICAL, so no error leaves with a code of ours."""
    from railgauge_reports.loaded import load
    from railgauge_reports.pack.opened import folder_of, one_run

    try:
        if wanted.name or wanted.as_json or wanted.output or wanted.charts:
            raise UsageError("--nagios prints one line: leave --format, --output and --charts out")
        if is_acceptance(run):
            from railgauge_reports.acceptance.judge import judge, read_acceptance

            result = judge(read_acceptance(run))
            made, ended = nagios.acceptance_line(result), result.verdict.exit_code
        else:
            with folder_of(run) as folder:
                loaded = load(one_run(folder, run), profile, called=run)
                made, ended = nagios.line(loaded), loaded.verdict.exit_code
    except RailgaugeError as error:
        click.echo(nagios.failure(error))
        return nagios.UNKNOWN
    click.echo(made)
    return nagios.code(ended)


def write(path: Path, made: str | bytes | formats.Write, option: str = "--output") -> None:
    """Write a whole file or none: under another name in its folder first, then renamed.

    `made` may be what writes it. Raises UsageError where the folder is missing or may not be written.
    """
    data = made.encode() if isinstance(made, str) else made
    try:
        with replacing(path) as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
    except OSError as error:
        raise UsageError(
            f"{option} {path}: {error.strerror or error}.\n"
            f"  expected: a file in a folder that this user may write\n  next: {option} ANOTHER_PLACE"
        ) from None
