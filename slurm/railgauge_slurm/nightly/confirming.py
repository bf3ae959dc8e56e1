"""Looking again: what a night flags is measured once more on its nodes, then on others."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec
from railgauge_reports.history.confirm import confirm
from railgauge_reports.history.gate import gate_of

from railgauge.errors import NotMeasuredError, RailgaugeError
from railgauge_reports.acceptance.kept import read_kept
from railgauge_reports.history.answer import Gate
from railgauge_slurm.nightly import nights
from railgauge_slurm.nightly.settings import Nightly
from railgauge_slurm.nightly.tonight import REPORT, confirming_on_others, outside, reporting
from railgauge_slurm.programs import ask

#: States of a series that another look may change.
OPEN = ("unconfirmed", "regression", "changed")
TIMEOUT_SECONDS = 3600.0
#: Nodes that a job could have, now or once others have ended, in sinfo's words.
USABLE = "idle,alloc,mix,comp,resv,planned"


def confirm_same(
    history: Path, folder: Path, settings: Nightly, tell: Callable[[str], None]
) -> None:
    """In the night's own allocation: measure what it flags once more; where it is slow again, ask for others.

    Whatever fails here is a note of the night: the night itself is measured already.
    """
    gate = gate_of(history, night=folder.name)
    flagged = gate.of_state(*OPEN)
    if not flagged:
        tell("nothing to confirm")
        return
    tell(f"{len(flagged)} series to confirm on the same nodes")
    launcher = read_kept(folder).asked.launcher
    confirm(history, folder.name, launcher, False, TIMEOUT_SECONDS, tell)
    gate = gate_of(history, night=folder.name)
    still = gate.of_state(*OPEN)
    if not still:
        tell("fine when measured again: an outlier")
        return
    note(folder, *_ask_others(history, folder, settings, gate))


def _ask_others(history: Path, folder: Path, settings: Nightly, gate: Gate) -> tuple[str, ...]:
    """Submit the run on other nodes and a report after it; why not, where there are no such nodes."""
    hosts = gate.tonight.hosts
    others = other_nodes(settings, hosts)
    if len(others) < settings.nodes:
        have = f"{len(others)} of the {settings.nodes} that a night takes"
        return (f"not confirmed on other nodes: the partition has {have} besides the night's own",)
    minutes = settings.minutes
    with outside():
        other = confirming_on_others(history, settings, folder, ",".join(hosts), minutes)
        again = reporting(history, settings, folder / f"{REPORT}-2", f"afterany:{other}")
    night = nights.read_night(folder)
    if night is not None:
        nights.write_night(folder, msgspec.structs.replace(night, other=other, report=again))
    return (f"job {other} confirms on other nodes, and job {again} reports then",)


def other_nodes(settings: Nightly, hosts: tuple[str, ...]) -> list[str]:
    """Nodes of the partition that a job may have, without the night's own and those that are excluded."""
    argv = ["sinfo", "--noheader", "--Node", f"--states={USABLE}", "--format=%n"]
    argv += [f"--partition={settings.partition}"] if settings.partition else []
    with outside():
        said = ask(argv, "sinfo --Node")
    without = {*hosts}
    if settings.exclude:
        with outside():
            without |= set(
                ask(["scontrol", "show", "hostnames", settings.exclude], "sinfo").split()
            )
    return sorted(set(said.split()) - without)


def confirm_other(history: Path, folder: Path, tell: Callable[[str], None]) -> None:
    """In an allocation of other nodes: measure what the night flags; raises what the measurement raises."""
    launcher = read_kept(folder).asked.launcher
    tell(f"confirming {folder.name} on other nodes: {shlex.join(launcher)}")
    confirm(history, folder.name, launcher, True, TIMEOUT_SECONDS, tell)


def note(folder: Path, *sentences: str) -> None:
    """Add notes to the record of a night, where it has one."""
    night = nights.read_night(folder)
    if night is not None and sentences:
        nights.write_night(folder, night.noted(*sentences))


def tried(folder: Path, what: Callable[[], None], tell: Callable[[str], None]) -> int:
    """Do it; an error is told, noted, and its exit code returned."""
    try:
        what()
    except RailgaugeError as error:
        first = str(error).splitlines()[0]
        tell(f"not confirmed: {error}")
        try:
            note(folder, f"not confirmed: {first}")
        except NotMeasuredError as unwritten:
            tell(str(unwritten))
        return error.exit_code
    return 0
