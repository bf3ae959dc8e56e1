"""One `railgauge run` launched by another command: what it ended with, as its folder says."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from railgauge.errors import (
    EXIT_HANG,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_USAGE,
    EXIT_WRONG_DATA,
    NotMeasuredError,
    RailgaugeError,
)
from railgauge.journal import JOURNAL
from railgauge.launching.launch import failed_error
from railgauge.launching.launchers import python_module
from railgauge_reports.processes import execute, quoted
from railgauge_reports.stored import StoredRun
from railgauge_reports.verdict import judge

#: Verdicts of a launch after which its times count: sizes left out are named, the others are measured.
COUNT = (EXIT_PASS, EXIT_INCONCLUSIVE)
#: Codes of a launch that mean what they mean here; all others are a launcher's.
OURS = (EXIT_USAGE, EXIT_NOT_MEASURED, EXIT_WRONG_DATA, EXIT_HANG, EXIT_INTERRUPTED)


def run_command(
    launcher: Sequence[str], arguments: Sequence[str], folder: Path, python: str = ""
) -> list[str]:
    """`railgauge run` into a folder, under the launcher where there is one; `python`: the ranks' own."""
    run = python_module("railgauge", "run", python=python)
    return [*launcher, *run, *arguments, "--output", str(folder)]


def journal_bytes(folder: Path) -> int:
    """How long the journal of a run folder is, 0 where there is none: it grows as soon as a run begins."""
    try:
        return (folder / JOURNAL).stat().st_size
    except OSError:
        return 0


def measure(
    command: Sequence[str],
    folder: Path,
    timeout: float,
    read: Callable[[Path], StoredRun],
    again: str,
) -> tuple[int, RailgaugeError | None]:
    """Run one launch: its exit code as its folder has it, and the error where it does not count.

    What it printed is kept beside the folder, in a .txt. `again` is the command that goes on. Raises
    HangError after `timeout` seconds.
    """
    before = journal_bytes(folder)
    try:
        done = execute(command, os.environ, timeout)
    except OSError as missing:
        why = f"{command[0]} cannot be started: {missing.strerror or missing}"
        return EXIT_NOT_MEASURED, NotMeasuredError(f"{why}\n  next: --launcher 'srun -n 16'")
    said = done.stderr or done.stdout
    folder.with_suffix(".txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    code = done.returncode
    if journal_bytes(folder) > before:  # else its last word is of an earlier launch
        # launchers rewrite codes: the truth is in the folder
        try:
            code = judge(read(folder)).exit_code
        except NotMeasuredError as unreadable:
            said += f"\n{unreadable}"
            code = code or EXIT_NOT_MEASURED
    elif not code:
        code = EXIT_NOT_MEASURED
    if code in COUNT:
        return code, None
    error = failed_error(
        f"{folder.name} ended with {code}:\n{quoted(said)}\n  command: {' '.join(command)}\n"
        f"  next: that command, or {again}",
        code if code in OURS else EXIT_NOT_MEASURED,
    )
    return code, error
