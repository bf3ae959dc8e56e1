"""The user's scrontab: our own block is put in, replaced or taken out; every other line stays as it was."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from railgauge.errors import NotMeasuredError
from railgauge_reports.processes import quoted
from railgauge_slurm.nightly import schedule as texts
from railgauge_slurm.nightly.schedule import Schedule
from railgauge_slurm.programs import RefusedError, ask

PROGRAM = "scrontab"
NEXT = "railgauge slurm nightly --print cron"


def lacking() -> str:
    """Why no entry can be installed here; "" where one can."""
    if shutil.which(PROGRAM) is None:
        return f"there is no {PROGRAM} on this host (Debian ships none)"
    shown = ask(["scontrol", "show", "config"], NEXT)
    found = (line.partition("=") for line in shown.splitlines())
    value = next((v.strip() for name, _, v in found if name.strip() == "ScronParameters"), "")
    if "enable" not in value.lower().split(","):
        return f"the controller has no ScronParameters=enable (it has {value or 'none'})"
    return ""


def installed() -> str:
    """The user's table; "" where there is none. Raises RefusedError where it cannot be told."""
    try:
        return ask([PROGRAM, "-l"], NEXT)
    except RefusedError as refused:
        if refused.said.startswith("no crontab for "):
            return ""
        raise


def with_block(table: str, schedule: Schedule) -> str:
    """The table with our block in its place, or at its end."""
    before, _, after = _split(table, schedule)
    gap = "\n" if before and not before.endswith("\n") else ""
    return f"{before}{gap}{texts.scrontab(schedule)}{after}"


def without_block(table: str, schedule: Schedule) -> str:
    """The table without our block."""
    before, _, after = _split(table, schedule)
    return before + after


def _split(table: str, schedule: Schedule) -> tuple[str, str, str]:
    """(lines before, our block, lines after); raises NotMeasuredError for a block that was torn apart.

    scrontab writes `#DISABLED: ` ahead of lines that it no longer runs: such a block is ours too.
    """
    lines = table.splitlines(keepends=True)
    bare = [line.removeprefix("#DISABLED: ").rstrip("\n") for line in lines]
    marks = (f"# {schedule.name} begin:", texts.end(schedule))
    first = [k for k, line in enumerate(bare) if line.startswith(marks[0])]
    last = [k for k, line in enumerate(bare) if line == marks[1]]
    if not first and not last:
        return table, "", ""
    if len(first) != 1 or len(last) != 1 or last[0] < first[0]:
        raise NotMeasuredError(
            f"{PROGRAM}: the block of this history is torn: {len(first)} lines begin it,"
            f" {len(last)} end it.\n"
            f"  expected: one `{marks[0]}...`, below it one `{marks[1]}`\n"
            f"  next: {PROGRAM} -e, and take these lines out"
        )
    at, to = first[0], last[0] + 1
    return "".join(lines[:at]), "".join(lines[at:to]), "".join(lines[to:])


def write(table: str) -> None:
    """Install a table; raises RefusedError where Slurm does not take it, and where it is not there then."""
    if not table.strip():
        ask([PROGRAM, "-r"], NEXT)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PROGRAM
        file.write_text(table)
        said = ask([PROGRAM, str(file)], NEXT)
    if installed() != table:
        raise RefusedError(
            f"{PROGRAM} took the table and does not show it:\n{quoted(said)}\n  next: {PROGRAM} -l",
            said,
        )


def change(schedule: Schedule, remove: bool = False) -> bool:
    """Put the block in, or take it out; False where the table says so already, and is left alone."""
    table = installed()
    wanted = without_block(table, schedule) if remove else with_block(table, schedule)
    if wanted == table:
        return False
    write(wanted)
    return True
