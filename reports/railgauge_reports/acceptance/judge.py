"""An acceptance judged from its folder: stage by stage, then as a whole. Pure: nothing is run or written."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.cluster import Cluster
from railgauge.errors import EXIT_INTERRUPTED, EXIT_PASS, NotMeasuredError
from railgauge_reports.acceptance import algebra, checklist
from railgauge_reports.acceptance.answer import (
    Checked,
    Finding,
    Result,
    StageResult,
)
from railgauge_reports.acceptance.coverage import coverage_of
from railgauge_reports.acceptance.faults import faults_of
from railgauge_reports.acceptance.kept import FORMAT, Kept, read_kept
from railgauge_reports.acceptance.planning import PlannedStage, planned
from railgauge_reports.acceptance.profile import Profile
from railgauge_reports.acceptance.stages import StageView, judge_stage
from railgauge_reports.acceptance.waivers import Waiver
from railgauge_reports.loaded import LoadedRun, load

MOST_NEXT = 8
WITHOUT_CLUSTER = "what the cluster is built of is not said, and no run tells"


@dataclasses.dataclass(frozen=True)
class Accepted:
    """An acceptance as read back: what was kept, its stages as planned, and its loaded runs by folder."""

    folder: Path
    kept: Kept
    stages: tuple[PlannedStage, ...]
    runs: dict[str, LoadedRun]
    unreadable: dict[str, str]

    @property
    def cluster(self) -> tuple[Cluster | None, str]:
        """What expected values are derived from: as asked, else what the first run tells."""
        if self.kept.asked.cluster is not None:
            return self.kept.asked.cluster, ""
        from railgauge_reports.expected.machine import machine_of

        reason = WITHOUT_CLUSTER
        for run in self.runs.values():
            machine = machine_of(run.stored)
            if machine.cluster is not None:
                return machine.cluster, ""
            reason = machine.reason
        return None, reason


def read_acceptance(folder: Path, only: str | None = None, *, follow_ups: bool = True) -> Accepted:
    """Everything of an acceptance, or of one stage, and that without its follow-ups where asked.

    Raises NotMeasuredError where it cannot be read.
    """
    kept = read_kept(folder)
    profile = kept.parsed()
    stages = planned(profile, kept.asked)
    runs: dict[str, LoadedRun] = {}
    unreadable: dict[str, str] = {}
    wanted = [run.folder for stage in stages for run in stage.runs if _asked(stage, only)]
    ended = {ran.folder for ran in kept.ran if ran.exit_code != EXIT_INTERRUPTED}
    wanted += [
        followed.folder
        for followed in kept.followed
        if follow_ups and followed.folder in ended and (only is None or followed.stage == only)
    ]
    for name in wanted:
        if not (folder / name).exists():
            continue
        try:
            runs[name] = load(folder / name, profile.fabric)
        except NotMeasuredError as error:
            unreadable[name] = str(error).splitlines()[0]
    return Accepted(folder, kept, stages, runs, unreadable)


def _asked(stage: PlannedStage, only: str | None) -> bool:
    return only is None or stage.stage.name == only


def judge(accepted: Accepted) -> Result:
    """The verdict with everything that it rests on."""
    kept = accepted.kept
    day = _day(kept)
    holding = [waiver for waiver in kept.waivers if waiver.holds(day)]
    stages = tuple(
        _waived(judge_stage(view_of(accepted, stage)), holding) for stage in accepted.stages
    )
    verdict = algebra.whole((stage.verdict, stage.required) for stage in stages)
    stored = [run.stored for run in accepted.runs.values()]
    used = {waiver for waiver in holding for f in _findings(stages) if waiver.covers(f.key)}
    cluster, _ = accepted.cluster
    result = Result(
        format=FORMAT,
        version=kept.version,
        folder=str(accepted.folder),
        profile=kept.profile,
        about=kept.parsed().about,
        simulated=kept.asked.modelled,
        cluster=cluster.describe() if cluster else f"{kept.asked.nodes} nodes",
        started=kept.started,
        finished=kept.finished,
        verdict=verdict,
        reasons=tuple(_reasons(stages)),
        stages=stages,
        coverage=coverage_of(kept.asked, stages, stored),
        waived=tuple(waiver.sentence() for waiver in holding if waiver in used),
        not_waived=tuple(_idle(kept.waivers, used, day)),
        checklist=tuple(_checklist(accepted.stages, stages)),
        next_commands=(),
    )
    return msgspec.structs.replace(result, next_commands=tuple(_next(accepted, result)))


def view_of(accepted: Accepted, stage: PlannedStage) -> StageView:
    """What there is of one stage."""
    kept, name = accepted.kept, stage.stage.name
    followed = tuple(f for f in kept.followed if f.stage == name)
    cluster, reason = accepted.cluster
    return StageView(
        folder=accepted.folder,
        stage=stage,
        ran={r.folder: r for r in kept.ran},
        runs=accepted.runs,
        unreadable=accepted.unreadable,
        followed=followed,
        skipped=kept.skipped.get(name, ""),
        cluster=cluster,
        reason=reason,
    )


def _day(kept: Kept) -> datetime.date:
    """The day that waivers are held against: of the end, so that later readings agree; else today."""
    if kept.finished is None:
        return datetime.datetime.now(datetime.timezone.utc).date()
    return datetime.datetime.fromtimestamp(kept.finished, datetime.timezone.utc).date()


def _findings(stages: Sequence[StageResult]) -> list[Finding]:
    return [finding for stage in stages for finding in stage.findings]


def _waived(stage: StageResult, holding: Sequence[Waiver]) -> StageResult:
    """The stage with its findings under waivers, and the verdict that is left."""
    if not holding or not stage.findings:
        return stage
    findings = []
    for finding in stage.findings:
        waiver = next((w for w in holding if w.covers(finding.key)), None)
        if waiver is not None and finding.verdict in algebra.WAIVED:
            finding = msgspec.structs.replace(finding, waived=waiver.sentence())
        findings.append(finding)
    made = msgspec.structs.replace(stage, findings=tuple(findings))
    if not any(finding.waived for finding in findings):
        return stage
    left = algebra.worst(f.verdict for f in made.open_findings)
    skipped = [
        algebra.WAIVED[f.verdict] for f in findings if f.waived and f.verdict == algebra.SKIP
    ]
    verdict = algebra.worst([left, *skipped])
    waived = [f"waived: {f.sentence} ({f.waived})" for f in findings if f.waived]
    reasons = (*(f.sentence for f in made.open_findings), *waived)
    return msgspec.structs.replace(made, verdict=verdict, reasons=reasons)


def _idle(waivers: Sequence[Waiver], used: set[Waiver], day: datetime.date) -> list[str]:
    """Waivers that did nothing, and why."""
    told = []
    for waiver in waivers:
        if not waiver.holds(day):
            told.append(f"expired, does not count: {waiver.sentence()}")
        elif waiver not in used:
            told.append(f"matches no finding: {waiver.sentence()}")
    return told


def _reasons(stages: Sequence[StageResult]) -> list[str]:
    """Why the whole has its verdict: one sentence a stage that lowers it."""
    told = []
    for stage in stages:
        counted = algebra.COUNTS_AS[stage.verdict][not stage.required]
        if counted not in (algebra.PASS, algebra.NOTHING_TO_TEST):
            more = len(stage.reasons) - 1
            first = stage.reasons[0] if stage.reasons else stage.verdict.word
            told.append(f"{stage.name}: {first}" + (f" (and {more} more)" if more > 0 else ""))
    if not any(stage.verdict == algebra.PASS for stage in stages):
        told.append("no stage passed: there is nothing that could be accepted")
    return told


def _checklist(planned_: Sequence[PlannedStage], stages: Sequence[StageResult]) -> list[Checked]:
    made = []
    for item in checklist.items().values():
        own = [
            result
            for stage, result in zip(planned_, stages, strict=True)
            if result.kind in item.kinds or item.id in stage.stage.checklist
        ]
        word = "not measured here" if not item.kinds else "not asked"
        if own:
            word = algebra.worst(_of_item(item, stage) for stage in own).word
        made.append(
            Checked(
                id=item.id,
                asks=item.asks,
                word=word,
                stages=tuple(stage.name for stage in own),
                test=item.test,
                evidence=item.evidence,
                instead=item.instead,
            )
        )
    return made


def asked_of(profile: Profile) -> tuple[Checked, ...]:
    """The checklist with the stages of a profile that would answer it."""
    made = []
    for item in checklist.items().values():
        names = tuple(
            stage.name
            for stage in profile.stages
            if stage.kind in item.kinds or item.id in stage.checklist
        )
        word = "not measured here" if not item.kinds else "asked" if names else "not asked"
        made.append(
            Checked(
                id=item.id,
                asks=item.asks,
                word=word,
                stages=names,
                test=item.test,
                evidence=item.evidence,
                instead=item.instead,
            )
        )
    return tuple(made)


def _of_item(item: checklist.Item, stage: StageResult) -> algebra.Verdict:
    """The verdict of a stage as far as it is about an item: a stage that has none passes no item."""
    if not item.finding or stage.verdict.word in ("SKIP", "INTERRUPTED", "ERROR"):
        return stage.verdict
    own = [f.verdict for f in stage.open_findings if f.name.startswith(item.finding)]
    return algebra.worst(own)


def _next(accepted: Accepted, result: Result) -> list[str]:
    """A few things to type or do, first about what is at fault for certain."""
    here = shlex.quote(str(accepted.folder))
    if result.verdict.exit_code == EXIT_INTERRUPTED:
        return [f"railgauge accept --resume --output {here}"]
    told = [list(fault.next) for fault in faults_of(result)]
    found = [step for turn in itertools.zip_longest(*told) for step in turn if step]
    if any(stage.suspects for stage in result.stages) and not accepted.kept.adaptive:
        found.insert(0, f"railgauge accept --resume --adaptive --output {here}")
    found = list(dict.fromkeys(found))[: MOST_NEXT - 1]
    if result.verdict.exit_code != EXIT_PASS or not found:
        found.append(f"railgauge report {here} --format html --output report.html")
    return found
