"""The files of a pack before they are packed: as they are, or redacted copies of them.

A redacted run stands in a folder of its own, with links to its samples, so that reports are rendered
from what the pack will hold and from nothing else.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import PLAN, SAMPLES, read_stored_plan
from railgauge.sampler import FOLDER as COUNTERS
from railgauge_reports.pack import names
from railgauge_reports.pack.redaction.collecting import Site
from railgauge_reports.pack.redaction.json_text import NotJsonError, strings
from railgauge_reports.pack.redaction.leaks import left_in_binary
from railgauge_reports.pack.redaction.ours import FILES
from railgauge_reports.pack.redaction.pseudonyms import Map, Pseudonyms
from railgauge_reports.pack.redaction.rewriting import Redactor
from railgauge_reports.pack.sources import Folder, Source, SourceRun

_MOST_LINE_BYTES = 256 << 20
_OF_A_NODE = re.compile(rf"{SAMPLES}/node\d+\.i64|{COUNTERS}/node\d+\.jsonl")


@dataclasses.dataclass(frozen=True)
class Member:
    """A file to be packed as `name`: the first `nbytes` of `file`."""

    name: str
    file: Path
    nbytes: int


@dataclasses.dataclass(frozen=True)
class StagedRun:
    """A run at `folder`, which the pack has at `path`."""

    path: str
    folder: Path
    source: SourceRun


@dataclasses.dataclass(frozen=True)
class Staged:
    """Everything that goes in but the reports; `redactor` is None where nothing is redacted."""

    members: tuple[Member, ...]
    runs: tuple[StagedRun, ...]
    redactor: Redactor | None = None
    pseudonyms: Pseudonyms | None = None


def as_they_are(folders: Sequence[Folder]) -> Staged:
    """The files themselves."""
    members = [
        Member(f"{names.RUNS}/{folder.name}/{file.path}", file.file, file.nbytes)
        for folder in folders
        for file in folder.files
    ]
    runs = [
        StagedRun(_joined(names.RUNS, folder.name, run.path), folder.folder / run.path, run)
        for folder in folders
        for run in folder.runs
    ]
    return Staged(tuple(members), tuple(runs))


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


# redacted -----------------------------------------------------------------------------------------


def redacted(
    folders: Sequence[Folder], into: Path, known: Map, without: Sequence[str] = ()
) -> Staged:
    """Redacted copies below `into`, which is empty; `known` is what earlier packs replaced.

    `without` are words of the user's that the manifest will show.

    Raises UsageError for a file that cannot be redacted, NotMeasuredError where anything is left.
    """
    site = _site(folders)
    for pattern in without:
        site.text(pattern)
    pseudonyms = Pseudonyms(known)
    site.name_all(pseudonyms)
    redactor = Redactor(site, pseudonyms, plans={})
    members: list[Member] = []
    runs: list[StagedRun] = []
    for number, folder in enumerate(folders, 1):
        name = f"run{number:04d}"
        for file in sorted(folder.files, key=lambda file: PurePosixPath(file.path).name != PLAN):
            member = _joined(names.RUNS, name, _renamed(redactor, file.path))
            target = into / member
            target.parent.mkdir(parents=True, exist_ok=True)
            if _is_samples(folder, file):
                _check_samples(redactor, file)
                target.symlink_to(file.file.absolute())
                members.append(Member(member, file.file, file.nbytes))
                continue
            if target.exists():
                raise UsageError(
                    f"{file.file}: redacted, its name is that of another file.\n  next: rename it"
                )
            _rewrite(redactor, file, target)
            if target.name == PLAN:
                _note_plan(redactor, folder, file, target.parent)
            _check(redactor, file, target)
            members.append(Member(member, target, target.stat().st_size))
        for run in folder.runs:
            path = _joined(names.RUNS, name, _renamed(redactor, run.path))
            runs.append(StagedRun(path, into / path, run))
    return Staged(tuple(members), tuple(runs), redactor, pseudonyms)


def _site(folders: Sequence[Folder]) -> Site:
    """What gives the site away: hosts in the order of the runs, then what else stands in the files."""
    site = Site()
    for folder in folders:
        for run in folder.runs:
            for start in run.stored.starts:
                site.add_hosts(start.run.hosts, nodes=True)
    files = [file for folder in folders for file in folder.files if not _is_samples(folder, file)]
    files.sort(key=lambda file: PurePosixPath(file.path).name != PLAN)  # it names leaves in order
    torn = [text for file in files if _is_json(file) for text in _placed(site, file)]
    site.strings()
    for text in torn:
        site.text(text)
    for file in files:
        for text in () if _is_json(file) else _texts(file):
            site.text(text)
    for folder in folders:
        for file in folder.files:
            site.text(file.path)
    _add_owner(site)
    return site


def _placed(site: Site, file: Source) -> Iterator[str]:
    """Take up the places of a JSON file; what of it is no JSON."""
    for text in _texts(file):
        try:
            for string in strings(text):
                site.place(string)
        except NotJsonError:
            yield text


def _add_owner(site: Site) -> None:
    """Who packs may stand in paths that do not look like a home."""
    try:
        user = pwd.getpwuid(os.getuid())
    except KeyError:
        return
    if user.pw_uid and user.pw_name:
        site.add_user(user.pw_name)


def _is_json(file: Source) -> bool:
    return file.path.endswith((".json", ".jsonl"))


def _is_samples(folder: Folder, file: Source) -> bool:
    path = PurePosixPath(file.path)
    runs = {PurePosixPath(run.path or ".") for run in folder.runs}
    return path.suffix == ".i64" and path.parent.name == SAMPLES and path.parent.parent in runs


def _texts(file: Source) -> Iterator[str]:
    """What is looked at at once: a whole JSON file, or a line; raises UsageError for what is no text."""
    left = file.nbytes
    whole = file.path.endswith(".json")
    try:
        with file.file.open("rb") as opened:
            while left > 0:
                raw = opened.read(left) if whole else opened.readline(min(left, _MOST_LINE_BYTES))
                if not raw:
                    return
                left -= len(raw)
                if b"\0" in raw or len(raw) == _MOST_LINE_BYTES:
                    raise _binary(file)
                yield raw.decode()
    except OSError as error:
        raise NotMeasuredError(f"{file.file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _binary(file) from None


def _binary(file: Source) -> UsageError:
    return UsageError(
        f"{file.file}: no text, and so it cannot be redacted.\n"
        f"  next: leave it out: --without {PurePosixPath(file.path).name!a}"
    )


def _rewrite(redactor: Redactor, file: Source, target: Path) -> None:
    change = redactor.document if _is_json(file) else redactor.text
    with target.open("w", encoding="utf-8", newline="") as made:
        for text in _texts(file):
            made.write(change(text))


def _renamed(redactor: Redactor, path: str) -> str:
    """The path with names in it replaced; `samples/node0.i64` is ours, whatever hosts are called."""
    parts = path.split("/")
    kept = 2 if _OF_A_NODE.fullmatch("/".join(parts[-2:])) else int(parts[-1] in FILES)
    changed = parts[: len(parts) - kept]
    return "/".join((*map(redactor.name, changed), *parts[len(changed) :]))


def _note_plan(redactor: Redactor, folder: Folder, file: Source, target: Path) -> None:
    """The digest of the plan as it reads now stands for that of the plan as it was."""
    at = file.path.rpartition("/")[0]
    made = read_stored_plan(target).sha256()
    for run in folder.runs:
        if run.path == at:
            redactor.plans[run.stored.plan.sha256()] = made
            redactor.plans |= {start.run.plan_sha256: made for start in run.stored.starts}


# what is left ---------------------------------------------------------------------------------------


def _check(redactor: Redactor, file: Source, target: Path) -> None:
    left = ""
    made = Source(target.parent, target.name, target.stat().st_size, 0)
    look = redactor.left_in_document if _is_json(file) else redactor.left_in_text
    for text in _texts(made):
        left = left or look(text)
    if left:
        raise leaked(str(file.file), left)


def _check_samples(redactor: Redactor, file: Source) -> None:
    if left := left_in_binary(redactor, file.file):
        raise leaked(str(file.file), left)


def leaked(where: str, left: str) -> NotMeasuredError:
    """The error that ends a redaction which has not replaced everything."""
    return NotMeasuredError(
        f"{where}: {left[:80]!r} is still there after redaction; nothing was packed.\n"
        "  expected: no name and no address of the site anywhere\n"
        "  next: take it out by hand or leave the file out (--without), and tell us: it is a defect"
    )
