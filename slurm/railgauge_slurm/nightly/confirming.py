"""Looking again: what a night flags is measured once more on its nodes, then on others."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from railgauge.errors import EXIT_NOT_MEASURED, NotMeasuredError, RailgaugeError
from railgauge.launching.launchers import python_module
from railgauge_reports.acceptance.kept import read_kept
from railgauge_reports.history.answer import Gate
from railgauge_reports.history.confirm import confirm, plans
from railgauge_reports.history.gate import gate_of
from railgauge_slurm.nightly import nights
from railgauge_slurm.nightly.settings import Nightly
from railgauge_slurm.nightly.tonight import REPORT, confirming_on_others, outside, reporting
from railgauge_slurm.nodes import names_in, names_of

TIMEOUT_SECONDS = 3600.0
#: Nodes that a job could have, now or once others have ended, in sinfo's words.
USABLE = "idle,alloc,mix,comp,resv,planned"


def confirm_same(
    history: Path, folder: Path, settings: Nightly, tell: Callable[[str], None]
) -> None:
    """In the night's own allocation: measure what it flags once more; still slow, ask for other nodes.

    A night that could not measure at all, as where a launch failed, is tried once more first.
    """
    again(folder, tell)
    if list(plans(gate_of(history, folder.name), history, other=False)):
        confirm(history, folder.name, launcher_of(folder), False, TIMEOUT_SECONDS, tell)
    else:
        tell("nothing to confirm on the same nodes")
    gate = gate_of(history, folder.name)
    if list(plans(gate, history, other=True)):
        told = _ask_others(history, folder, settings, gate)
        tell(told)
        note(folder, told)


def again(folder: Path, tell: Callable[[str], None]) -> None:
    """Go on with an acceptance of which a run could not be measured: a launch failed, a node was busy."""
    kept = read_kept(folder)
    if not any(ran.exit_code == EXIT_NOT_MEASURED for ran in kept.ran):
        return
    tell("a run could not be measured: once more")
    words = python_module("railgauge", "accept", "--resume", "--output", str(folder))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, check=False)
    note(folder, f"a run could not be measured, and was tried once more: {done.returncode}")


def launcher_of(folder: Path) -> tuple[str, ...]:
    """What started the night's ranks; nothing of a modelled cluster."""
    return read_kept(folder).asked.launcher


def _ask_others(history: Path, folder: Path, settings: Nightly, gate: Gate) -> str:
    """Submit the run on other nodes and a report after it; what was done, or why there are none."""
    if gate.simulated:
        return "not confirmed on other nodes: a modelled cluster has none"
    hosts = gate.tonight.hosts
    others = other_nodes(settings, hosts)
    if len(others) < settings.nodes:
        have = f"{len(others)} of the {settings.nodes} that a night takes"
        return f"not confirmed on other nodes: the partition has {have} besides the night's own"
    minutes = settings.minutes
    with outside():
        other = confirming_on_others(history, settings, folder, ",".join(hosts), minutes)
        later = reporting(history, settings, folder / f"{REPORT}-2", f"afterany:{other}")
    night = nights.read_night(folder)
    if night is not None:
        nights.write_night(folder, msgspec.structs.replace(night, other=other, report=later))
    return f"job {other} confirms on other nodes, and job {later} reports then"


def other_nodes(settings: Nightly, hosts: tuple[str, ...]) -> list[str]:
    """Nodes of the partition that a job may have, without the night's own and those that are excluded."""
    with outside():
        usable = names_in(USABLE, settings.partition, "%n")
        return sorted(usable - {*hosts} - names_of(settings.exclude))


def confirm_other(history: Path, folder: Path, tell: Callable[[str], None]) -> None:
    """In an allocation of other nodes: measure what the night flags; raises what the measurement raises."""
    launcher = launcher_of(folder)
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
