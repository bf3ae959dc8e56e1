"""The verdict of one stage, from its runs, its limits and the follow-ups that looked again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from railgauge.auditing.records import FILE, Report
from railgauge.cluster import Cluster
from railgauge.errors import EXIT_HANG, EXIT_INTERRUPTED, EXIT_WRONG_DATA
from railgauge_reports.acceptance import algebra, local
from railgauge_reports.acceptance.answer import Finding, FollowUp, StageResult
from railgauge_reports.acceptance.kept import Followed, Ran
from railgauge_reports.acceptance.limits import held, judged
from railgauge_reports.acceptance.planning import PlannedRun, PlannedStage
from railgauge_reports.acceptance.rows import Rows, rows_of
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.suspects import REFUTED, Localisation
from railgauge_reports.verdict import Verdict, wrong_elements
from railgauge_reports.verdict import judge as judge_run


@dataclasses.dataclass(frozen=True)
class StageView:
    """What there is of one stage. `skipped` says why it was left out while the acceptance ran."""

    folder: Path
    stage: PlannedStage
    ran: Mapping[str, Ran]
    runs: Mapping[str, LoadedRun]
    unreadable: Mapping[str, str]
    followed: tuple[Followed, ...]
    skipped: str
    cluster: Cluster | None
    reason: str

    @property
    def name(self) -> str:
        return self.stage.stage.name

    def followed_by(self, kind: str) -> Followed | None:
        """The follow-up of that kind that was measured."""
        return next((f for f in self.followed if f.kind == kind and f.folder in self.runs), None)

    def rows(self, runs: tuple[tuple[str, LoadedRun], ...]) -> Rows:
        frames = [(folder, run.stored.plan, run.rows) for folder, run in runs]
        return rows_of(frames, self.cluster, self.reason)

    @property
    def instead(self) -> Followed | None:
        """The stage once more, without who hangs."""
        return self.followed_by("without")

    @property
    def loaded(self) -> tuple[tuple[str, LoadedRun], ...]:
        """(folder, run) of what the stage itself measured; without who hangs, where that was found out."""
        folders = [run.folder for run in self.stage.runs]
        folders += [self.instead.folder] if self.instead else []
        return tuple((folder, self.runs[folder]) for folder in folders if folder in self.runs)


def judge_stage(view: StageView) -> StageResult:
    """The stage's verdict: the worst of its findings; SKIP or INTERRUPTED where it is not there."""
    stage = view.stage
    if reason := view.skipped or stage.skip:
        verdict = algebra.NOTHING_TO_TEST if stage.nothing else algebra.SKIP
        return _made(view, [_whole(view, "skip", verdict, reason)], verdict)
    findings = list(_audited(view)) if stage.audits else []
    for run in stage.runs:
        findings += _of_run(view, run)
    if any(finding.verdict == algebra.INTERRUPTED for finding in findings):
        return _made(view, findings, algebra.INTERRUPTED)
    found = located(view)
    findings += limited(view, found)
    if found is not None:
        findings += local.suspected(found, view.name, stage.stage.limits, findings)
    findings = list({(f.key, f.sentence): f for f in reversed(findings)}.values())[::-1]
    left = [f.verdict for f in findings if f.verified != REFUTED]
    return _made(view, findings, algebra.worst(left), found)


def located(view: StageView) -> Localisation | None:
    """Who is at fault in a stage of pairs, with what verification says; None where nothing tells."""
    if not view.stage.pairwise or not view.loaded:
        return None
    found = local.localised(view.loaded[-1][1])
    followed = view.followed_by("verify")
    if found is None or followed is None:
        return found
    return local.confirmed(found, followed, view.runs[followed.folder])


def limited(view: StageView, found: Localisation | None = None) -> list[Finding]:
    """What misses the stage's limits, looked at again where follow-ups did; `found`: who is at fault."""
    paths = (
        frozenset(" ".join(sorted(s.leaves)) for s in found.suspects if s.leaves)
        if found
        else frozenset()
    )
    rows = view.rows(view.loaded)
    again, quiet = view.followed_by("verify"), view.followed_by("quiet")
    made = []
    for limit in view.stage.stage.limits:
        own = judged(limit, view.name, rows, paths)
        alone = view.rows(((quiet.folder, view.runs[quiet.folder]),)) if quiet else None
        if again is not None:
            second = view.rows(((again.folder, view.runs[again.folder]),))
            own = local.SecondLook(again, rows, second, alone).judged(limit, own)
        if alone is not None:
            own = [local.fleet_alone(limit, finding, alone) for finding in own]
        made += own
    return made


# single runs ------------------------------------------------------------------------------------------


def _of_run(view: StageView, run: PlannedRun) -> Iterator[Finding]:
    """What a run says of itself: wrong data, a hang, gaps, faults of the fabric; nothing if all is well."""
    ran = view.ran.get(run.folder)
    if run.folder in view.unreadable:
        yield _at(view, run, "unreadable", algebra.ERROR, view.unreadable[run.folder])
        return
    if run.folder not in view.runs:
        yield _missing(view, run, ran)
        return
    loaded = view.runs[run.folder]
    verdict = judge_run(loaded.stored)
    if verdict.exit_code == EXIT_HANG and view.instead is not None:
        yield _at(view, run, "hang", algebra.HANG, _first(verdict), hosts=view.instead.targets)
    elif verdict.exit_code != algebra.PASS.exit_code:
        yield from _ended(view, run, loaded, verdict)
    for finding in loaded.fabric.judgement.fails:
        host = finding.site.host
        yield Finding(
            stage=view.name,
            name=f"fabric-{finding.rule.id}",
            verdict=algebra.FAIL,
            sentence=finding.sentence(),
            hosts=(host,) if host else (),
            place=":".join(filter(None, (host, finding.site.device))),
            evidence=run.folder,
            next=finding.next[0] if finding.next else "",
        )


def _ended(
    view: StageView, run: PlannedRun, loaded: LoadedRun, verdict: Verdict
) -> Iterator[Finding]:
    if verdict.exit_code == EXIT_WRONG_DATA:
        hosts = tuple(dict.fromkeys(w.wrong.host for w in wrong_elements(loaded.stored)))
        first = next(iter(wrong_elements(loaded.stored)), None)
        words = first.sentence() if first else _first(verdict)
        yield _at(view, run, "wrong-data", algebra.WRONG, words, hosts=hosts)
        return
    names = {EXIT_HANG: "hang", EXIT_INTERRUPTED: "interrupted"}
    name = names.get(verdict.exit_code, verdict.word.lower())
    yield _at(view, run, name, algebra.of_code(verdict.exit_code), _first(verdict))


def _missing(view: StageView, run: PlannedRun, ran: Ran | None) -> Finding:
    if ran is None:
        return _at(view, run, "interrupted", algebra.INTERRUPTED, "not measured yet")
    verdict = algebra.of_code(ran.exit_code)
    if verdict in (algebra.PASS, algebra.FAIL, algebra.INCONCLUSIVE):  # without a folder
        verdict = algebra.ERROR
    return _at(view, run, "error", verdict, ran.message or "its folder is gone")


def _first(verdict: Verdict) -> str:
    """Its first reason in one line."""
    return (verdict.reasons[0] if verdict.reasons else verdict.coverage.sentence()).splitlines()[0]


def _at(
    view: StageView,
    run: PlannedRun,
    name: str,
    verdict: algebra.Verdict,
    sentence: str,
    hosts: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        stage=view.name,
        name=name,
        verdict=verdict,
        sentence=f"{run.name}: {sentence}" if run.name else sentence,
        hosts=hosts,
        place="" if hosts else run.name,
        evidence=run.folder,
    )


def _whole(view: StageView, name: str, verdict: algebra.Verdict, sentence: str) -> Finding:
    return Finding(stage=view.name, name=name, verdict=verdict, sentence=sentence)


# the audit ------------------------------------------------------------------------------------------------


def _audited(view: StageView) -> Iterator[Finding]:
    """What the audit of the configuration found."""
    ran, file = view.ran.get(view.stage.folder), view.folder / view.stage.folder / FILE
    if ran is None:
        yield _whole(view, "interrupted", algebra.INTERRUPTED, "not measured yet")
        return
    try:
        report = msgspec.json.decode(file.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        why = ran.message or str(error)
        yield _whole(view, "error", algebra.ERROR, f"the audit left no answer: {why}")
        return
    for found in report.findings:
        if found.status == "FAIL":
            words = ", ".join(filter(None, (found.where, found.found)))
            for host in found.hosts or ("",):
                yield Finding(
                    stage=view.name,
                    name=found.check,
                    verdict=algebra.FAIL,
                    sentence=f"{found.title} on {host}: {words}; expected {found.expected}",
                    hosts=(host,) if host else (),
                    evidence=view.stage.folder,
                    next=found.remedy,
                )
    if report.verdict == "INCONCLUSIVE":
        yield _whole(view, "unknown", algebra.INCONCLUSIVE, report.because)


# together -------------------------------------------------------------------------------------------------


def _made(
    view: StageView,
    findings: list[Finding],
    verdict: algebra.Verdict,
    found: Localisation | None = None,
) -> StageResult:
    stage, kind = view.stage, view.stage.kind
    ranked = sorted(findings, key=lambda f: (f.verified == REFUTED, algebra.ORDER.index(f.verdict)))
    covered = [judge_run(run.stored).coverage for _, run in view.loaded]
    counted = [finding.sentence for finding in ranked if finding.verified != REFUTED]
    folders = [run.folder for run in stage.runs] or [stage.folder] * stage.audits
    return StageResult(
        name=view.name,
        kind=stage.stage.kind,
        required=stage.stage.required,
        finds=stage.stage.about or kind.finds,
        blind=kind.blind,
        verdict=verdict,
        reasons=tuple(counted),
        folders=tuple(folder for folder in folders if (view.folder / folder).exists()),
        findings=tuple(ranked),
        suspects=local.suspects_of(found) if found else (),
        follow_ups=tuple(
            FollowUp(
                kind=f.kind,
                folder=f.folder,
                reason=f.reason,
                cost=f.cost,
                outcome=f.outcome,
                seconds=_spent(view, f.folder),
            )
            for f in view.followed
        ),
        notes=tuple(local.notes_of(found)) if found else (),
        planned=sum(one.planned for one in covered),
        measured=sum(one.measured for one in covered),
        limits=tuple(map(held, stage.stage.limits)),
        seconds=sum(_spent(view, folder) for folder in folders),
    )


def _spent(view: StageView, folder: str) -> float:
    """Seconds that a run took: a modelled one by the clock of its model, 0 where it did not end."""
    run = view.runs.get(folder)
    if run is not None and run.simulated:
        end = run.stored.end
        return 0.0 if end is None else max(0.0, end.finished - run.stored.starts[0].run.started)
    return view.ran[folder].seconds if folder in view.ran else 0.0
