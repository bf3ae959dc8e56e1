"""A run wherever it lies: a folder, or a pack, which is checked and unpacked for as long as it is read."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import JOURNAL
from railgauge_reports.pack import names


def pack_of(path: Path) -> tuple[Path, str] | None:
    """(pack, path of a folder in it) where `path` is a pack or leads into one; None for all else."""
    for pack in (path, *path.parents):
        if pack.is_file():
            return pack, path.relative_to(pack).as_posix() if pack != path else ""
        if pack.exists():
            return None
    return None


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[Path]:
    """The folder that `path` is, or that it is in a pack: `PACK.zip`, `PACK.zip/runs/NAME`.

    A pack of one folder stands for that folder. Raises NotMeasuredError for a file that is no pack, for
    one that was tampered with, and for a folder that it does not have.
    """
    found = pack_of(path)
    if found is None:
        yield path
        return
    pack, inside = found
    from railgauge_reports.pack.checking import check

    with tempfile.TemporaryDirectory(prefix="railgauge-unpacked-") as scratch:
        into = Path(scratch) / "pack"
        checked = check(pack, extract=into)
        if checked.problems:
            raise NotMeasuredError(
                f"{pack}: tampered with: {checked.problems[0]}.\n"
                "  expected: a pack as railgauge pack wrote it\n"
                f"  next: railgauge verify {shlex.quote(str(pack))}"
            )
        yield _inside(into, pack, inside)


def _inside(into: Path, pack: Path, inside: str) -> Path:
    folder = into / (inside if inside.split("/")[0] == names.RUNS else f"{names.RUNS}/{inside}")
    if not inside:
        folder = into / names.RUNS
        below = sorted(folder.iterdir())
        if len(below) == 1:
            return below[0]
    if ".." in Path(inside).parts or not folder.is_dir():
        there = [path.parent.relative_to(into).as_posix() for path in into.rglob(JOURNAL)]
        raise NotMeasuredError(
            f"{pack}: has no folder {inside!r}.\n  there: {', '.join(sorted(there))}\n"
            f"  next: railgauge report {shlex.quote(str(pack / sorted(there)[0]))}"
        )
    return folder


def one_run(folder: Path, path: Path) -> Path:
    """The run in what `folder_of` gave for `path`; UsageError where a pack holds several."""
    found = pack_of(path)
    if found is None or (folder / JOURNAL).exists():
        return folder
    pack, inside = found
    runs = sorted(one.parent.relative_to(folder).as_posix() for one in folder.rglob(JOURNAL))
    if len(runs) == 1:
        return folder / runs[0]
    into = pack / (inside or names.RUNS)
    raise UsageError(
        f"{path}: holds {len(runs)} runs: {', '.join(runs[:8])}{' ...' * (len(runs) > 8)}.\n"
        f"  expected: which one\n  next: railgauge report {shlex.quote(str(into / runs[0]))}"
    )
