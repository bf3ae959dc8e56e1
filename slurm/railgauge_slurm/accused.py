"""Who a run or an acceptance accuses so surely that a node may be taken out of work, and who not and why."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from railgauge.errors import UsageError
from railgauge.journal import JOURNAL
from railgauge.topology import some
from railgauge_reports.acceptance import KEPT, is_acceptance
from railgauge_reports.localise.suspects import CONFIRMED, REFUTED, certainty
from railgauge_slurm.accusation import Accusation, Accused, PassedOver

if TYPE_CHECKING:
    from railgauge_reports.acceptance.faults import Fault
    from railgauge_reports.loaded import LoadedRun
    from railgauge_reports.stored import StoredRun

#: The posterior chance from which a suspect that nobody verified may be drained.
SURE = 0.99
#: Kinds of suspects that are a node or a part of one; the others lie between nodes.
OF_A_NODE = ("node", "nic")


class Suspected(Protocol):
    """What suspects of a run and of an acceptance have in common."""

    @property
    def kind(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def hosts(self) -> tuple[str, ...]: ...
    @property
    def rail(self) -> int | None: ...
    @property
    def effect(self) -> float: ...
    @property
    def confidence(self) -> float: ...
    @property
    def verified(self) -> str: ...
    @property
    def alternatives(self) -> tuple[str, ...]: ...


def read(folder: Path) -> Accusation:
    """What a run, an acceptance, or a night that holds one says; raises UsageError, NotMeasuredError."""
    place = _inside(folder)
    return _of_acceptance(place) if is_acceptance(place) else _of_run(place)


def _inside(folder: Path) -> Path:
    """The folder itself, or the one run or acceptance in it."""
    if is_acceptance(folder) or (folder / JOURNAL).exists():
        return folder
    found = sorted({path.parent for name in (KEPT, JOURNAL) for path in folder.glob(f"*/{name}")})
    if len(found) == 1:
        return found[0]
    newest = f"{found[-1]}" if found else "FOLDER"
    what = f"{len(found)} runs ({some([path.name for path in found])})" if found else "no run"
    raise UsageError(
        f"{folder}: {what}.\n  expected: the folder of one run or of one acceptance\n"
        f"  next: railgauge slurm drain {newest}"
    )


def _of_acceptance(folder: Path) -> Accusation:
    from railgauge_reports.acceptance.faults import faults_of
    from railgauge_reports.acceptance.judge import judge, read_acceptance

    accepted = read_acceptance(folder)
    result = judge(accepted)
    accused: list[Accused] = []
    passed: list[PassedOver] = []
    named: set[str] = set()
    for fault in faults_of(result):
        named |= set(fault.hosts)
        _take(_sorted_out(fault), accused, passed)
    stored = [run.stored for run in accepted.runs.values()]
    hosts = {host for run in stored for start in run.starts for host in start.run.hosts}
    whole = all(stage.verdict.word in ("PASS", "FAIL", "SKIP") for stage in result.stages)
    return Accusation(
        folder=folder,
        measured=result.finished or result.started,
        warning=result.warning,
        partition=_partition(stored),
        accused=_ranked(accused),
        passed=tuple(passed),
        good=frozenset(hosts - named) if whole else frozenset(),
    )


def _of_run(folder: Path) -> Accusation:
    from railgauge_reports.loaded import load
    from railgauge_reports.localise.localiser import localise_run

    run = load(folder)
    found = localise_run(run.stored, run.rows)
    accused: list[Accused] = []
    passed: list[PassedOver] = []
    if found is None:
        passed.append(
            PassedOver(run.stored.called.name, "no pairs were measured: nobody is accused")
        )
    else:
        _take((_weighed(s) for s in (*found.suspects, *found.classes)), accused, passed)
        passed += [PassedOver(s.target, "refuted: as fast as good partners") for s in found.refuted]
    return Accusation(
        folder=folder,
        measured=_ended(run),
        warning=run.warning,
        partition=_partition([run.stored]),
        accused=_ranked(accused),
        passed=tuple(passed),
        good=frozenset(found.cleared)
        if found is not None and not run.verdict.exit_code
        else frozenset(),
    )


def _ended(run: LoadedRun) -> float:
    return run.stored.end.finished if run.stored.end else run.stored.last.started


def _partition(runs: Iterable[StoredRun]) -> str:
    """Where Slurm ran it."""
    from railgauge_reports.stored import PARTITION

    return next(filter(None, (run.variable(PARTITION) for run in runs)), "")


def _take(
    sorted_out: Iterable[Accused | PassedOver], accused: list[Accused], passed: list[PassedOver]
) -> None:
    for entry in sorted_out:
        if isinstance(entry, PassedOver):
            passed.append(entry)
        elif entry.host not in {known.host for known in accused}:
            accused.append(entry)


def _ranked(accused: Iterable[Accused]) -> tuple[Accused, ...]:
    """Whoever was confirmed first, of those who lose most."""
    return tuple(sorted(accused, key=lambda a: (not a.confirmed, -a.effect, a.host)))


# who --------------------------------------------------------------------------------------------------


def _sorted_out(fault: Fault) -> list[Accused | PassedOver]:
    """Suspects as they are; of findings that no suspect explains those that were confirmed."""
    made = [_weighed(suspect) for _, suspect in fault.suspects]
    for finding in () if fault.suspects else fault.findings:
        if len(finding.hosts) != 1:
            made.append(PassedOver(finding.key, f"{_many(finding.hosts)}, and not a node"))
        elif finding.verified == CONFIRMED:
            made.append(Accused(finding.hosts[0], finding.name, finding.sentence, True))
        else:
            made.append(
                PassedOver(
                    finding.key, "found once and not verified; next: railgauge accept --adaptive"
                )
            )
    return made


def _weighed(suspect: Suspected) -> Accused | PassedOver:
    who, sure = suspect.target, suspect.verified == CONFIRMED
    if suspect.verified == REFUTED:
        return PassedOver(who, "refuted: as fast as good partners")
    if suspect.kind not in OF_A_NODE or len(suspect.hosts) != 1:
        what = "one of several that the data cannot tell apart" if suspect.kind == "class" else ""
        return PassedOver(
            who, f"{what or f'a {suspect.kind}: {_many(suspect.hosts)}'}, and not a node"
        )
    if not sure and suspect.alternatives:
        return PassedOver(who, f"not verified, and as well it may be {some(suspect.alternatives)}")
    if not sure and suspect.confidence < SURE:
        return PassedOver(
            who, f"not verified, and {certainty(suspect.confidence)} sure: less than {SURE:.0%}"
        )
    words = f"{suspect.effect:.1%} slower than the fleet, " + (
        "confirmed against good partners" if sure else f"{certainty(suspect.confidence)} sure"
    )
    rail = f"_rail{suspect.rail}" if suspect.kind == "nic" and suspect.rail is not None else ""
    return Accused(
        suspect.hosts[0], f"slow_{suspect.kind}{rail}", f"{who}: {words}", sure, suspect.effect
    )


def _many(hosts: tuple[str, ...]) -> str:
    return f"what {some(hosts)} have in common" if hosts else "what lies between nodes"


def age_in_words(measured: float) -> str:
    """`2 h ago`, `9 days ago`."""
    hours = max(0.0, time.time() - measured) / 3600
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
