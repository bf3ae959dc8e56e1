"""Check a pack: every byte accounted for, every hash right, and who signed it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from railgauge_reports.pack.checking import Checked


@click.command(context_settings={"max_content_width": 100})
@click.argument("pack", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="PUB.pem",
    help="The public key that must have signed it.",
)
@click.option(
    "--extract",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Unpack into this new folder if all is good.",
)
@click.option(
    "--most-bytes", metavar="SIZE", help="What it may hold.  [default: 1G, or 100 x its size]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    pack: Path, key: Path | None, extract: Path | None, most_bytes: str | None, as_json: bool
) -> int:
    """Check PACK, which may come from anybody. A hash tells damage; only --key tells who made it.

    Exit codes: 0 good, 1 tampered with (or not signed by --key), 2 usage, 3 not a pack.
    """
    from railgauge.units import parse_size
    from railgauge_reports.pack import keys
    from railgauge_reports.pack.checking import check

    public = None if key is None else keys.read_public(key)
    most = None if most_bytes is None else parse_size(most_bytes, "--most-bytes")
    checked = check(pack, public, extract, most)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(checked), indent=1))
    else:
        click.echo("\n".join(_lines(checked)))
    return checked.exit_code


SIGNATURES = {
    "none": "not signed: who made it cannot be told",
    "unchecked": "signed by {key}, NOT checked: pip install 'railgauge[sign]'",
    "valid": "signed by {key}; whose key that is, --key PUB.pem tells",
    "known": "signed by {key}, the key of --key",
    "bad": "the signature is not that of {key}",
    "missing": "the signature is missing",
    "other key": "signed by {key}, which is not the key of --key",
}


def _lines(checked: Checked) -> list[str]:
    """What a person sees; names of a pack come from anybody and are shown without control characters."""
    made = checked.manifest
    lines = [f"{checked.verdict}: {checked.pack}: {checked.files} files, {checked.bytes} B"]
    if made is not None:
        redacted = ", redacted" if made.redacted else ""
        lines.append(
            f"railgauge {made.railgauge}, {made.created} (by the {made.created_by}){redacted}"
        )
        for run in made.runs:
            ended = run.ended if run.complete else "had not ended when it was packed"
            lines.append(f"{run.path}: {ended}, {run.ranks} ranks on {run.hosts} host(s)")
        lines.append(SIGNATURES[checked.signature].format(key=checked.key))
    lines += [f"problem: {problem}" for problem in checked.problems]
    if checked.extracted:
        lines.append(f"extracted: {checked.extracted}")
    return ["".join(c if c.isprintable() else "?" for c in line) for line in lines]
