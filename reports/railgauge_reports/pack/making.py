"""Makes a pack: read the folders once, redact, render the reports, write the archive, vouch for it."""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from railgauge import __version__
from railgauge.errors import UsageError
from railgauge_reports import formats
from railgauge_reports.pack import keys, manifest, names, sources, staging
from railgauge_reports.pack.manifest import File, Manifest, PackedRun
from railgauge_reports.pack.redaction.leaks import left_in_report
from railgauge_reports.pack.redaction.pseudonyms import Map, read_map, write_map
from railgauge_reports.pack.staging import Member, Staged, StagedRun
from railgauge_reports.pack.writing import Archive

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Rendered unless others are asked for: for people, for tables, for programs.
USUAL_REPORTS = ("html", "markdown", "csv", "json")
#: How the file of a format ends where that is not its name: `report.md`.
ENDINGS = {"markdown": "md", "table": "table.txt", "nccl_tests": "nccl_tests.txt", "junit": "xml"}
README = f"""railgauge evidence pack {manifest.VERSION}

runs/          what was measured: plan, journal, raw samples, environment, untouched
reports/       the same as railgauge read it when this was packed
manifest.json  every file with its size and SHA-256; manifest.sig signs it, where it is there

railgauge verify PACK                  checks everything, and who signed it: --key PUBLIC_KEY
railgauge report PACK                  judges the run anew, with the rules of the railgauge at hand
sha256sum --check SHA256SUMS           in the unpacked folder: the files alone, without railgauge
openssl pkeyutl -verify -pubin -inkey PUBLIC_KEY -rawin -in manifest.json -sigfile manifest.sig
"""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a user wants of a pack; `reports` None: the usual ones."""

    output: Path
    reports: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    incomplete: bool = False
    sign: Path | None = None
    redact: bool = False
    map: Path | None = None
    by_clock: bool = False


def make(paths: Sequence[Path], asked: Asked) -> Manifest:
    """Write the pack; nothing is left where that fails.

    Raises UsageError and NotMeasuredError of what is asked and of the folders.
    """
    reports = _reports(asked)
    key = None if asked.sign is None else keys.read_private(asked.sign)
    known = Map() if asked.map is None else read_map(asked.map)
    folders = sources.folders(paths, asked.without, asked.incomplete)
    _check_places(asked, paths)
    with tempfile.TemporaryDirectory(prefix="railgauge-pack-") as scratch:
        into = Path(scratch)
        redact = asked.redact
        staged = (
            staging.redacted(folders, into, known, asked.without)
            if redact
            else staging.as_they_are(folders)
        )
        rendered = [m for run in staged.runs for m in _render(staged, run, reports, into)]
        unchanged = functools.partial(sources.check_unchanged, folders)
        return _write(asked, staged, rendered, reports, key, unchanged)


def _reports(asked: Asked) -> tuple[str, ...]:
    if asked.reports is None:
        return tuple(name for name in USUAL_REPORTS if name in formats.names())
    for name in asked.reports:
        formats.renderer(name)
    return tuple(dict.fromkeys(asked.reports))


def _check_places(asked: Asked, paths: Sequence[Path]) -> None:
    """Raise UsageError where the pack or the map would lie in what is packed, or the pack is there."""
    for option, file in (("--output", asked.output), ("--map", asked.map)):
        inside = file and [p for p in paths if p.resolve() in file.resolve().parents]
        if inside:
            raise UsageError(
                f"{option} {file}: it would lie in {inside[0]}, which is packed.\n"
                f"  next: {option} a file elsewhere"
            )
    if os.path.lexists(asked.output):
        raise UsageError(
            f"{asked.output}: is there already, and evidence is not overwritten.\n"
            "  next: --output ANOTHER_FILE.zip"
        )


def _render(staged: Staged, run: StagedRun, reports: Sequence[str], into: Path) -> list[Member]:
    """The reports of a run, written below `into`; raises NotMeasuredError where one gives a name away."""
    if not reports:
        return []
    from railgauge_reports.loaded import load

    loaded = load(run.folder, called=Path(run.path))
    members = []
    for name in reports:
        made = formats.renderer(name)(loaded)
        place = run.path.removeprefix(f"{names.RUNS}/")
        member = f"{names.REPORTS}/{place}/report.{ENDINGS.get(name, name)}"
        if staged.redactor is not None:
            if isinstance(made, bytes):
                raise UsageError(
                    f"--reports {name}: binary; what is redacted must be text that can be searched.\n"
                    "  next: leave it out of --reports"
                )
            if left := left_in_report(staged.redactor, made):
                raise staging.leaked(member, left)
        data = made.encode() if isinstance(made, str) else made
        file = into / member
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        members.append(Member(member, file, len(data)))
    return members


def _write(
    asked: Asked,
    staged: Staged,
    rendered: Sequence[Member],
    reports: tuple[str, ...],
    key: Ed25519PrivateKey | None,
    check_unchanged: Callable[[], None],
) -> Manifest:
    """The archive under another name first, then the map, then the archive's own name."""
    members = {member.name: member for member in (*staged.members, *rendered)}
    if clash := names.collisions(members):
        raise UsageError(f"{clash[0]}: no pack can hold both.\n  next: rename one of them")
    output = asked.output
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with Archive(unfinished, sum(member.nbytes for member in members.values())) as archive:
            archive.add(names.README, README.encode())
            for name in names.in_order(members):
                archive.copy(name, members[name].file, members[name].nbytes)
            made = _manifest(asked, staged, reports, key, archive.files)
            archive.add(names.SUMS, made.sums())
            made = _manifest(asked, staged, reports, key, archive.files)
            archive.add(names.MANIFEST, made.encoded())
            if key is not None:
                archive.add(names.SIGNATURE, key.sign(made.encoded()))
        check_unchanged()
        if asked.map is not None and staged.pseudonyms is not None:
            write_map(asked.map, staged.pseudonyms.map)
        unfinished.replace(output)
    except OSError as error:
        raise UsageError(
            f"--output {output}: {error.strerror or error}.\n"
            "  expected: a file in a folder that this user may write, with room for the pack\n"
            "  next: --output ANOTHER_FILE.zip"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)
    return made


def _manifest(
    asked: Asked,
    staged: Staged,
    reports: tuple[str, ...],
    key: Ed25519PrivateKey | None,
    files: Sequence[File],
) -> Manifest:
    runs = tuple(_packed(run) for run in staged.runs)
    last = max(run.finished or run.started for run in runs)
    redactor = staged.redactor
    without = asked.without if redactor is None else tuple(map(redactor.name, asked.without))
    return Manifest(
        kind=manifest.KIND,
        version=manifest.VERSION,
        railgauge=__version__,
        created=manifest.timestamp(time.time() if asked.by_clock else last),
        created_by="clock" if asked.by_clock else "journal",
        redacted=redactor is not None,
        replaced=staged.pseudonyms.counts() if staged.pseudonyms else {},
        reports=reports,
        without=without,
        tools=manifest.tools(),
        runs=runs,
        signer=None if key is None else keys.signer(key),
        files=tuple(files),
    )


def _packed(run: StagedRun) -> PackedRun:
    stored = run.source.stored
    end = stored.end
    return PackedRun(
        path=run.path,
        complete=run.source.complete,
        ended=end.verdict if end else "",
        exit_code=end.exit_code if end else None,
        started=stored.starts[0].run.started,
        finished=end.finished if end else None,
        ranks=stored.last.ranks,
        hosts=len(stored.last.hosts),
    )
