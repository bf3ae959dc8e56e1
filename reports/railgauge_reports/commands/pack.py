"""Pack runs as evidence: raw data, reports and a manifest in one archive, signed or redacted on request."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from railgauge.errors import UsageError
from railgauge_reports import formats


@click.command(context_settings={"max_content_width": 100})
@click.argument("run", nargs=-1, type=click.Path(path_type=Path), metavar="RUN|FOLDER...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The archive.  [default: NAME.zip, or redacted.zip, in this folder]",
)
@click.option(
    "--reports",
    metavar=f"none|{'|'.join(formats.names())}",
    help="Reports to render, with commas.  [default: those of html, markdown, csv, json that there are]",
)
@click.option(
    "--sign", type=click.Path(path_type=Path), metavar="KEY.pem", help="Sign with this Ed25519 key."
)
@click.option(
    "--redact", is_flag=True, help="Replace hosts, addresses, GUIDs, users and serial numbers."
)
@click.option(
    "--map",
    "map_",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep here what stands for what, and go on with what is there. It never goes into a pack.",
)
@click.option(
    "--incomplete", is_flag=True, help="Pack a run that has not ended, too; the pack says so."
)
@click.option(
    "--without", multiple=True, metavar="PATTERN", help="Leave files of this name out. Repeatable."
)
@click.option(
    "--created-now",
    is_flag=True,
    help="Write the time of day into it, not when the last run ended.",
)
@click.option(
    "--make-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Make a key to sign with, FILE, and FILE.pub to give away; pack nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def command(
    run: tuple[Path, ...],
    output: Path | None,
    reports: str | None,
    sign: Path | None,
    redact: bool,
    map_: Path | None,
    incomplete: bool,
    without: tuple[str, ...],
    created_now: bool,
    make_key: Path | None,
    as_json: bool,
) -> int:
    """Pack run folders, or folders of runs, for somebody else or for later.

    The same folders give the same bytes. `railgauge verify PACK` checks a pack anywhere, `railgauge
    report PACK` judges it anew. Exit codes: 0 packed, 2 usage, 3 a run cannot be read, or something of
    the site is left after --redact.
    """
    if make_key is not None:
        return _make_key(make_key, run)
    if not run:
        raise UsageError("nothing to pack.\n  next: railgauge pack RUN")
    if map_ is not None and not redact:
        raise UsageError(
            "--map is what --redact replaced.\n  next: --redact --map FILE, or neither"
        )
    from railgauge_reports.pack.making import Asked, make

    made = make(
        run,
        asked := Asked(
            output=output or _default(run, redact),
            reports=_names(reports),
            without=without,
            incomplete=incomplete,
            sign=sign,
            redact=redact,
            map=map_,
            by_clock=created_now,
        ),
    )
    if as_json:
        click.echo(made.encoded(), nl=False)
    else:
        click.echo(str(asked.output))
    _tell(asked.output, [run for run in made.runs if not run.complete], made.replaced)
    return 0


def _make_key(path: Path, run: tuple[Path, ...]) -> int:
    if run:
        raise UsageError("--make-key packs nothing.\n  next: railgauge pack --make-key FILE")
    from railgauge_reports.pack.keys import make_key

    public, fingerprint = make_key(path)
    click.echo(f"{public} {fingerprint}")
    click.echo(
        f"{path} is the private key: keep it. Who checks your packs needs {public}.", err=True
    )
    return 0


def _default(run: tuple[Path, ...], redact: bool) -> Path:
    """A redacted pack does not bear the name of its run: that may be the name of the site."""
    if redact:
        return Path("redacted.zip")
    return Path(f"{run[0].resolve().name or 'runs'}.zip") if len(run) == 1 else Path("runs.zip")


def _names(reports: str | None) -> tuple[str, ...] | None:
    if reports is None:
        return None
    return tuple(name for name in reports.split(",") if name) if reports != "none" else ()


def _tell(output: Path, incomplete: list[object], replaced: dict[str, int]) -> None:
    if incomplete:
        click.echo(f"note: {len(incomplete)} run(s) had not ended; the manifest says so", err=True)
    if replaced:
        kinds = ", ".join(f"{count} {kind}" for kind, count in replaced.items())
        click.echo(f"replaced: {kinds}; numbers and times are as they were", err=True)
    click.echo(f"next: railgauge verify {shlex.quote(str(output))}", err=True)
