"""What the page of an acceptance says, as text and tables: the template only arranges it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from railgauge.units import format_seconds
from railgauge_reports.acceptance import cost, show
from railgauge_reports.acceptance.answer import HeldLimit, Result, StageResult, Suspect
from railgauge_reports.acceptance.faults import Fault, counts, faults_of
from railgauge_reports.cells import NOTHING, cut
from railgauge_reports.judged import Finding, Severity
from railgauge_reports.localise.suspects import CONFIRMED, REFUTED
from railgauge_reports.page.chart import Grid
from railgauge_reports.page.content import SIGNS, WORST, Fact, FirstScreen
from railgauge_reports.page.stages import Drawn, drawn_of

#: Faults, suspects and other entries that are told of one by one; characters of their sentences.
MOST_FAULTS, MOST_ENTRIES, MOST_WORDS = 30, 40, 600
MOST_FINDINGS = 12  # of a fault
MOST_SAID = 3


@dataclasses.dataclass(frozen=True)
class ToldFault:
    """A fault below a heading of its own."""

    who: str
    head: str
    said: tuple[str, ...]
    grid: Grid


@dataclasses.dataclass(frozen=True)
class ToldSuspect:
    """A suspect with what fits as well; `word` is in its badge."""

    word: str
    severity: Severity
    sentence: str
    alternatives: tuple[str, ...]
    next_test: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceptancePage(FirstScreen):
    """Everything of the page of an acceptance; empty tuples and None are sections that are left out."""

    stages: Grid
    stages_say: str
    faults: tuple[ToldFault, ...]
    faults_left: int
    suspects: tuple[ToldSuspect, ...]
    notes: tuple[str, ...]
    follow_ups: Grid | None
    waivers: tuple[str, ...]
    settled: Grid | None
    drawn: tuple[Drawn, ...]
    limits: Grid
    sizes: tuple[str, ...]
    untested: tuple[str, ...]
    checklist: Grid


def acceptance_page(result: Result) -> AcceptancePage:
    """The page of an acceptance; reads the runs in its folder once more, stage by stage, for their charts."""
    faults = faults_of(result)
    word = result.verdict.word
    notes = [f"{stage.name}: {note}" for stage in result.stages for note in stage.notes]
    return AcceptancePage(
        warning=result.warning,
        word=word,
        besides=result.word.removeprefix(word).strip(),
        subtitle=f"acceptance, profile {result.profile}, {result.cluster}",
        seconds=result.started,
        coverage=f"{result.coverage.sentence()}.",
        measured=result.coverage.measured,
        planned=result.coverage.planned,
        facts=_facts(result, faults),
        worst=tuple(
            Finding(cut(fault.brief(), MOST_WORDS), fault.severity, fault.hosts)
            for fault in faults[:WORST]
        ),
        commands=tuple(c for c in result.next_commands if "--format html" not in c),
        advice=frozenset(c for c in result.next_commands if _is_advice(c, result)),
        stages=_stages(result),
        stages_say=_first_reason(result),
        faults=tuple(map(_told, faults[:MOST_FAULTS])),
        faults_left=max(0, len(faults) - MOST_FAULTS),
        suspects=tuple(_suspects(result)),
        notes=_some(notes),
        follow_ups=_follow_ups(result),
        waivers=_some([f"counts: {told}" for told in result.waived] + list(result.not_waived)),
        settled=_settled(result),
        drawn=drawn_of(Path(result.folder), result.stages),
        limits=_limits(result.stages),
        sizes=tuple(show.sizes(result)),
        untested=_some(result.coverage.untested),
        checklist=Grid(
            "What a buyer asks, and what answers it",
            show.CHECKLIST,
            show.checklist_rows(result.checklist),
            left=6,
        ),
    )


def _facts(result: Result, faults: Sequence[Fault]) -> tuple[Fact, ...]:
    covered = result.coverage
    confirmed = sum(fault.confirmed for fault in faults)
    found = sum(len(fault.findings) for fault in faults)
    seconds = sum(stage.all_seconds for stage in result.stages)
    clock = "by the clock of the model" if result.simulated else "follow-ups included"
    pairs = f"{covered.pairs_tested:,} of {covered.pairs:,} pairs of nodes"
    return (
        Fact("nodes tested", f"{covered.nodes_tested:,} of {covered.nodes:,}", pairs),
        Fact(
            "NICs tested",
            f"{covered.nics_tested:,} of {covered.nics:,}" if covered.nics else NOTHING,
            "rails of nodes",
        ),
        Fact("faults", f"{len(faults):,}", f"{found:,} findings; {confirmed:,} confirmed"),
        Fact("cost", f"{result.node_hours:.3g} node-hours", f"{_time(seconds)}, {clock}"),
    )


def _is_advice(command: str, result: Result) -> bool:
    """`rail 3 of node0017: swap the cable ...` begins with its target."""
    targets = (f"{s.target}: " for stage in result.stages for s in stage.suspects)
    return command.startswith(tuple(targets))


def _first_reason(result: Result) -> str:
    return (
        cut("; ".join(result.reasons), 2 * MOST_WORDS) if result.reasons else "Every stage passed."
    )


def _stages(result: Result) -> Grid:
    rows = [
        (
            stage.name + ("" if stage.required else " (optional)"),
            f"{SIGNS.get(stage.verdict.word, '!')} {stage.verdict.word}",
            stage.finds,
            stage.blind,
            f"{stage.measured:,}/{stage.planned:,}",
            f"{sum(map(counts, stage.findings)):,}",
            _time(stage.all_seconds) if stage.all_seconds else NOTHING,
            f"{cost.node_hours(stage.all_seconds, result.coverage.nodes):.3g}",
        )
        for stage in result.stages
    ]
    header = ("stage", "verdict", "finds", "does not find")
    more = ("measured", "findings", "time", "node-hours")
    return Grid("The stages, follow-ups included", (*header, *more), rows, left=4)


def _time(seconds: float) -> str:
    return format_seconds(seconds) if seconds < 120 else f"{seconds / 60:.1f} min"


def _told(fault: Fault) -> ToldFault:
    shown, _ = show.by_name(fault.findings)
    rows = [show.finding_row(finding) for finding in shown[:MOST_FINDINGS]]
    missing = len(fault.findings) - len(rows)
    caption = f"Findings of {fault.who}" + (f"; {missing} more in the JSON" if missing else "")
    said = fault.accused() or [f.sentence for f in shown[:1]]
    confirmed = ", confirmed" if fault.confirmed else ""
    return ToldFault(
        who=fault.who,
        head=f"{fault.head()}{confirmed}",
        said=tuple(cut(sentence, MOST_WORDS).rstrip(".") for sentence in said[:MOST_SAID]),
        grid=Grid(caption, show.FINDINGS, rows, left=4),
    )


def _suspects(result: Result) -> Iterable[ToldSuspect]:
    """The surest first, as the stages have them; those that are confirmed before all others."""
    every = [(stage.name, suspect) for stage in result.stages for suspect in stage.suspects]
    every.sort(key=lambda entry: entry[1].verified != CONFIRMED)
    for stage, suspect in every[:MOST_ENTRIES]:
        sure = suspect.verified == CONFIRMED
        yield ToldSuspect(
            word="✕ confirmed" if sure else "? suspected",
            severity="fail" if sure else "warning",
            sentence=cut(f"{stage}: {_without_alternatives(suspect)}", MOST_WORDS),
            alternatives=tuple(cut(told, MOST_WORDS) for told in suspect.alternatives[:8]),
            next_test=cut(suspect.next_test, MOST_WORDS),
        )


def _without_alternatives(suspect: Suspect) -> str:
    """Its sentence ends with them, and here they have a line of their own."""
    return suspect.sentence.partition(". Fits as well: ")[0]


def _follow_ups(result: Result) -> Grid | None:
    rows = [
        (f.folder, f.reason, f.outcome or NOTHING, f.cost or NOTHING)
        for stage in result.stages
        for f in stage.follow_ups
    ]
    header = ("run", "why", "what came of it", "cost, told before it ran")
    caption = "Runs that looked closer"
    if len(rows) > MOST_ENTRIES:
        caption += f"; {len(rows) - MOST_ENTRIES} more are in the JSON"
    return Grid(caption, header, rows[:MOST_ENTRIES], left=4) if rows else None


def _settled(result: Result) -> Grid | None:
    found = [f for f in result.findings if f.waived or f.verified == REFUTED]
    rows = [show.finding_row(finding) for finding in found[:MOST_ENTRIES]]
    caption = f"{len(rows)} of {len(found)} findings that are waived, or were refuted"
    return Grid(caption, show.FINDINGS, rows, left=4) if rows else None


def _limits(stages: Sequence[StageResult]) -> Grid:
    rows = [(stage.name, *_limit(stage, limit)) for stage in stages for limit in stage.limits]
    header = ("stage", "what is asked", "of each", "came to", "source")
    return Grid("What was held against what, and who says so", header, rows, left=5)


def _limit(stage: StageResult, limit: HeldLimit) -> tuple[str, ...]:
    found = [finding for finding in stage.found_by(limit) if counts(finding)]
    word = stage.verdict_by(limit).word
    many = f" ({len(found)})" if found else ""
    return (limit.asks, limit.per, f"{SIGNS.get(word, '!')} {word}{many}", limit.source)


def _some(sentences: Sequence[str]) -> tuple[str, ...]:
    told = [cut(sentence, MOST_WORDS) for sentence in sentences[:MOST_ENTRIES]]
    left = len(sentences) - len(told)
    return (*told, *([f"{left} more are in the JSON report"] if left else []))
