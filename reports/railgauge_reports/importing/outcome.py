"""What became of a file that was to be imported: counts, warnings, folders; as JSON and for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.errors import (
    EXIT_INCONCLUSIVE,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_USAGE,
    RailgaugeError,
)
from railgauge_reports import importers
from railgauge_reports.importing import folders
from railgauge_reports.importing.found import Found, FoundRun

#: Worst first: with several files the first of these that any of them has.
_WORST = (EXIT_NOT_MEASURED, EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_PASS)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `rows` counts data rows as it has them, `complete`: the tool's end was seen."""

    file: str
    tool: str | None
    complete: bool
    runs: int
    rows: int
    partial_rows: int
    warnings: tuple[str, ...]
    folders: tuple[str, ...] = ()
    error: str = ""
    exit_code: int = EXIT_PASS
    described: tuple[str, ...] = ()  # a line a run: operations, ranks, where it was written


def import_file(
    path: Path, output: Path | None, tool: str | None = None, ranks: int | None = None
) -> Outcome:
    """Read a file and write a run folder for each of its runs that has rows (None: write nothing)."""
    found: Found | None = None
    written: list[Path] = []
    told: list[str] = []

    def keep(run: FoundRun) -> None:
        assert found is not None
        where = ""
        if output is not None and run.series:
            folder = _free(output, path, run.number)
            origin = folders.Imported(path, found.tool, tuple(found.warnings()))
            written.append(folders.write(run, folder, origin, ranks))
            where = str(folder)
        told.append(_described(run, where))

    try:
        source, importer = importers.opened(path, tool)
        found = Found(importer.name, keep, path.stem)
        importer.read(source, found)
        if source.lines.long:
            found.warn(
                0,
                f"{source.lines.long} lines are longer than 64 KiB: the rest of them was passed over",
            )
    except RailgaugeError as error:
        return _failed(path, found, error, written)
    usable = found.rows > 0
    return Outcome(
        file=str(path),
        tool=found.tool,
        complete=found.runs > 0 and found.complete,
        runs=found.runs,
        rows=found.rows,
        partial_rows=found.partial_rows,
        warnings=tuple(found.warnings()),
        folders=tuple(map(str, written)),
        error="" if usable else _nothing(path, found),
        exit_code=EXIT_PASS if usable else EXIT_INCONCLUSIVE,
        described=tuple(told),
    )


def worst(outcomes: Sequence[Outcome]) -> int:
    """The exit code of all of them."""
    codes = {outcome.exit_code for outcome in outcomes}
    return next((code for code in _WORST if code in codes), max(codes, default=EXIT_PASS))


def _failed(
    path: Path, found: Found | None, error: RailgaugeError, written: Sequence[Path]
) -> Outcome:
    return Outcome(
        file=str(path),
        tool=found.tool if found else None,
        complete=False,
        runs=found.runs if found else 0,
        rows=found.rows if found else 0,
        partial_rows=found.partial_rows if found else 0,
        warnings=(str(error).partition("\n")[0], *(found.warnings() if found else ())),
        folders=tuple(map(str, written)),
        error=str(error),
        exit_code=error.exit_code,
    )


def _nothing(path: Path, found: Found) -> str:
    why = "; ".join(found.warnings()[:3]) or "no row of a table stands in it"
    return (
        f"{path}: {found.tool}, but nothing was measured in it: {why}\n"
        "  expected: what the benchmark printed, with its table"
    )


def _free(output: Path, path: Path, number: int) -> Path:
    """A folder of that name in `output` that is not there yet."""
    stem = re.sub(r"[^\w.+-]+", "_", path.stem).strip("._") or "log"
    name = stem if number == 1 else f"{stem}.{number}"
    folder, again = output / name, 1
    while folder.exists():
        again += 1
        folder = output / f"{name}-{again}"
    return folder


def _described(run: FoundRun, where: str) -> str:
    operations = dict.fromkeys(what.operation for what in run.series)
    some = ", ".join(list(operations)[:4]) + (
        f" and {len(operations) - 4} more" if len(operations) > 4 else ""
    )
    ranks = f"{run.ranks} ranks" if run.ranks else "ranks unknown"
    hosts = {host for host in run.hosts.values() if host != folders.UNKNOWN_HOST}
    on = f" on {len(hosts)} host{'s' * (len(hosts) != 1)}" if hosts else ""
    words = (
        f"run {run.number}: {run.tool}, {some or 'nothing measured'}, {ranks}{on}, {run.rows} rows"
    )
    return f"{words}{f' -> {where}' if where else ''}"
