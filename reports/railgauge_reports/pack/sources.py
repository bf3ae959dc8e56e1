"""What is to be packed: every file of the folders that were named, as they stand at one moment."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import JOURNAL
from railgauge_reports.pack import names
from railgauge_reports.stored import StoredRun, read_run


@dataclasses.dataclass(frozen=True)
class Source:
    """A file: its path below the folder, and its size when it was listed.

    A run that goes on only appends: these first `nbytes` do not change.
    """

    folder: Path
    path: str
    nbytes: int
    changed_ns: int

    @property
    def file(self) -> Path:
        return self.folder / self.path


@dataclasses.dataclass(frozen=True)
class SourceRun:
    """A run folder at `path` below its folder ("" the folder itself); `writing`: somebody holds it."""

    path: str
    stored: StoredRun
    writing: bool

    @property
    def complete(self) -> bool:
        return self.stored.end is not None and not self.writing


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder that was named: a run, or what holds runs; `name` is what a pack calls it."""

    name: str
    folder: Path
    files: tuple[Source, ...]
    runs: tuple[SourceRun, ...]


def folders(paths: Sequence[Path], without: Sequence[str], incomplete: bool) -> list[Folder]:
    """What is to be packed, read once.

    Raises UsageError for a link, an odd file or name, a folder named twice and, unless `incomplete`, a
    run that has not ended; NotMeasuredError for what is no run or cannot be read.
    """
    found: list[Folder] = []
    seen: dict[Path, Path] = {}
    for path in paths:
        real = path.resolve()
        again = next((p for p in seen if p == real or p in real.parents or real in p.parents), None)
        if again is not None:
            raise UsageError(f"{path}: it is, or holds, what {seen[again]} names already.")
        seen[real] = path
        name = names.run_name(real.name, [folder.name for folder in found])
        found.append(_folder(path, name, without))
    for folder in found:
        for run in folder.runs:
            if not run.complete and not incomplete:
                raise _unfinished(folder.folder / run.path, run.writing)
    return found


def _unfinished(folder: Path, writing: bool) -> UsageError:
    why = "is still being written" if writing else "ended without a word (killed, or its host died)"
    return UsageError(
        f"{folder}: the run {why}.\n"
        "  expected: a run that has ended, or --incomplete: the pack says that it had not\n"
        f"  next: {'wait for its end' if writing else 'railgauge run --resume'}, or --incomplete"
    )


def _folder(path: Path, name: str, without: Sequence[str]) -> Folder:
    if not path.is_dir():
        what = "a file" if path.exists() else "nothing there"
        raise NotMeasuredError(
            f"{path}: {what}.\n  expected: a run folder, or a folder of runs\n"
            "  next: railgauge run --output DIR"
        )
    # journals first: samples are on the disk before the line that speaks of them
    paths = sorted(_files(path, path, without), key=lambda p: (not p.endswith(JOURNAL), p))
    files = [_source(path, one) for one in paths]
    journals = [one.path for one in files if one.path.rpartition("/")[2] == JOURNAL]
    if not journals:
        raise NotMeasuredError(
            f"{path}: no {JOURNAL} here, and none in a folder below.\n"
            "  expected: a run folder, or a folder of runs\n  next: railgauge run --output DIR"
        )
    runs = [_run(path, journal.rpartition("/")[0]) for journal in journals]
    return Folder(name, path, tuple(sorted(files, key=lambda f: f.path)), tuple(runs))


def _run(folder: Path, path: str) -> SourceRun:
    at = folder / path
    writing = _held(at / JOURNAL)
    return SourceRun(path, read_run(at), writing)


def _held(journal: Path) -> bool:
    """Does a run hold the lock of `railgauge.journal.Folder`? No where the file system has none."""
    try:
        descriptor = os.open(journal, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # reading it will say why
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def _files(top: Path, at: Path, without: Sequence[str]) -> Iterator[str]:
    """The paths of all plain files below `at`, relative to `top`."""
    try:
        entries = sorted(os.scandir(at), key=lambda entry: entry.name)
    except OSError as error:
        raise NotMeasuredError(f"{error.filename or at}: {error.strerror or error}") from None
    for entry in entries:
        path = os.path.relpath(entry.path, top)
        if any(fnmatch.fnmatch(path, p) or fnmatch.fnmatch(entry.name, p) for p in without):
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode) and not names.unsafe(path):
            yield from _files(top, Path(entry.path), without)
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
            raise _odd(entry.path, f"{kind}; a pack holds plain files alone", entry.name)
        elif why := names.unsafe(path):
            raise _odd(entry.path, f"its name {why}", entry.name)
        else:
            yield path


def _odd(path: str, why: str, name: str) -> UsageError:
    shown = path.encode(errors="backslashreplace").decode()
    return UsageError(
        f"{shown!r}: {why}.\n  expected: what railgauge run, report or compare has written\n"
        f"  next: move it elsewhere, or leave it out: --without {name!a}"
    )


def _source(folder: Path, path: str) -> Source:
    try:
        found = (folder / path).stat()
    except OSError as error:
        raise NotMeasuredError(f"{folder / path}: {error.strerror or error}") from None
    return Source(folder, path, found.st_size, found.st_mtime_ns)


def check_unchanged(folders: Sequence[Folder]) -> None:
    """Raise NotMeasuredError where a file of a run that had ended is not what was listed."""
    for folder in folders:
        if not all(run.complete for run in folder.runs):
            continue
        for file in folder.files:
            if _source(file.folder, file.path) != file:
                raise NotMeasuredError(
                    f"{file.file}: changed while it was packed.\n"
                    "  next: wait until nobody writes there, then pack again"
                )
