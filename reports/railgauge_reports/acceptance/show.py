"""An acceptance in words: a table for people, Markdown for a ticket, JSON; and what a dry run says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from railgauge.units import format_seconds, format_size
from railgauge_reports.acceptance.answer import Checked, Finding, Result, StageResult
from railgauge_reports.acceptance.cost import Cost, total
from railgauge_reports.acceptance.faults import Fault, counts, faults_of
from railgauge_reports.acceptance.planning import PlannedStage
from railgauge_reports.cells import NOTHING, align, escaped, pipes
from railgauge_reports.localise.suspects import REFUTED

#: Faults, and other things, that a person is told of one by one in a table; JSON has all.
MOST = 20
#: Findings of one name that stand below a fault.
MOST_OF_A_NAME = 4
FINDINGS = ("stage/finding/host", "verdict", "found", "evidence")
_STAGE = ("stage", "verdict", "measured", "findings")
_COST = ("stage", "runs", "measurements", "time", "node-hours", "if suspected")


def text(result: Result) -> str:
    """Lines for a terminal: the verdict, the stages, who is at fault, what was not tested, what next."""
    faults = faults_of(result)
    lines = [
        *([result.warning] if result.simulated else []),
        f"{_word(result)}: profile {result.profile}, {result.cluster}",
        result.coverage.sentence(),
        "",
        *align(_STAGE, [_stage_row(stage) for stage in result.stages]),
        "",
        *(line for fault in faults[:MOST] for line in _fault_lines(fault)),
        *([f"{len(faults) - MOST} more faults: --format json"] if len(faults) > MOST else []),
        *[f"follow-up: {line}" for line in _follow_ups(result)],
        *[f"waived: {waiver}" for waiver in result.waived],
        *[f"waiver {waiver}" for waiver in result.not_waived],
        *_first([f"not tested: {what}" for what in result.coverage.untested], "not tested"),
        *[f"next: {command}" for command in result.next_commands],
    ]
    return "\n".join(lines) + "\n"


def markdown(result: Result) -> str:
    """CommonMark with pipe tables."""
    stages = pipes(
        (*_STAGE, "finds", "does not find"),
        [(*_stage_row(stage), stage.finds, stage.blind) for stage in result.stages],
    )
    faults = faults_of(result)
    parts = [
        f"# Acceptance: {_word(result)}",
        *([f"**{result.warning}.**"] if result.simulated else []),
        f"Profile {escaped(result.profile)} on {escaped(result.cluster)}. {escaped(result.about)}",
        *_bullets(result.reasons),
        "## Stages",
        stages,
        *_section("Findings", [part for fault in faults[:MOST] for part in _fault_parts(fault)]),
        *([f"{len(faults) - MOST} more are in the JSON."] if len(faults) > MOST else []),
        *_section("Waived and refuted", _findings_table(_settled(result))),
        *_section("Follow-ups", _bullets(_follow_ups(result))),
        *_section("Waivers", _bullets([*result.waived, *result.not_waived])),
        "## Coverage",
        f"{result.coverage.sentence()}.",
        *_bullets(sizes(result)),
        *_section("Not tested", _bullets(result.coverage.untested)),
        "## Checklist",
        checklist_markdown(result.checklist),
        *_section("Next", [f"```\n{chr(10).join(result.next_commands)}\n```"]),
    ]
    return "\n\n".join(parts) + "\n"


def json(result: Result) -> str:
    """The result as one JSON object, indented."""
    whole = msgspec.to_builtins(result)
    whole["exit_code"] = result.verdict.exit_code
    whole["verdict"] = result.verdict.word
    whole["coverage"]["sentence"] = result.coverage.sentence()
    for stage, made in zip(result.stages, whole["stages"], strict=True):
        for finding, own in zip(stage.findings, made["findings"], strict=True):
            own["key"] = finding.key
    return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"


def sizes(result: Result) -> list[str]:
    """`all_reduce: 1M to 1G`: what was measured of each operation."""
    return [
        f"{name}: {format_size(low)}" + (f" to {format_size(high)}" if low < high else "")
        for name, (low, high) in result.coverage.sizes.items()
    ]


# the checklist --------------------------------------------------------------------------------------

CHECKLIST = ("item", "what is asked", "answer", "stages", "test", "evidence")


def checklist_rows(items: Iterable[Checked]) -> list[tuple[str, ...]]:
    return [
        (
            item.id,
            item.asks,
            item.word,
            ", ".join(item.stages) or NOTHING,
            item.test or item.instead,
            item.evidence or NOTHING,
        )
        for item in items
    ]


def checklist_markdown(items: Iterable[Checked]) -> str:
    """The checklist as a pipe table."""
    return pipes(CHECKLIST, checklist_rows(items))


def checklist_text(items: Iterable[Checked]) -> str:
    """The checklist for a terminal: item by item, since its cells are long."""
    lines = []
    for item_id, asks, word, stages, test, evidence in checklist_rows(items):
        lines += [f"{word:18} {item_id}: {asks}", f"{'':18} {stages}: {test}"]
        lines += [f"{'':18} evidence: {evidence}"] if evidence != NOTHING else []
    return "\n".join(lines) + "\n"


# before anything runs -----------------------------------------------------------------------------------


def dry_run(
    name: str, about: str, nodes: int, stages: Sequence[PlannedStage], costs: list[Cost]
) -> str:
    """What would be run, and what it costs."""
    everything = total(costs)
    rows = [_cost_row(cost) for cost in (*costs, everything)]
    told = []
    for stage in stages:
        if stage.skip:
            told.append(f"{stage.stage.name} is left out: {stage.skip}")
        else:
            told.append(f"{stage.stage.name} finds {stage.stage.about or stage.kind.finds}")
            told.append(f"  and not {stage.kind.blind}")
    lines = [
        f"profile {name}: {about}",
        f"{nodes} nodes",
        "",
        *align(_COST, rows),
        "",
        "time: exact of a modelled cluster, else what the plans' budgets allow at most; audits take seconds",
        "if suspected: what --adaptive adds a stage where somebody is to be verified",
        "",
        *told,
    ]
    return "\n".join(lines) + "\n"


def dry_run_json(name: str, nodes: int, stages: Sequence[PlannedStage], costs: list[Cost]) -> str:
    """The same as one JSON object, with the plan of every run."""
    plans = {run.folder: msgspec.to_builtins(run.plan) for stage in stages for run in stage.runs}
    whole = {
        "profile": name,
        "nodes": nodes,
        "stages": costs,
        "total": total(costs),
        "plans": plans,
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"


def _cost_row(cost: Cost) -> tuple[str, ...]:
    more = cost.follow_up_seconds
    hours = (
        ""
        if cost.follow_up_node_hours is None
        else f" ({cost.follow_up_node_hours:.3g} node-hours)"
    )
    return (
        cost.stage,
        str(cost.runs),
        str(cost.measurements),
        NOTHING if cost.seconds is None else _time(cost.seconds),
        NOTHING if cost.node_hours is None else f"{cost.node_hours:.3g}",
        f"+ {_time(more)}{hours}" if more else "",
    )


def _time(seconds: float) -> str:
    return format_seconds(seconds) if seconds < 120 else f"{seconds / 60:.1f} min"


# rows and lines -------------------------------------------------------------------------------------------


def _word(result: Result) -> str:
    return f"{result.word} ({result.verdict.exit_code})"


def _stage_row(stage: StageResult) -> tuple[str, ...]:
    optional = "" if stage.required else " (optional)"
    return (
        stage.name + optional,
        stage.verdict.word,
        f"{stage.measured}/{stage.planned}",
        str(sum(map(counts, stage.findings))),
    )


def _fault_lines(fault: Fault) -> list[str]:
    """Who is at fault, what is said of it, and the findings that are its."""
    if not fault.suspects and len(fault.findings) == 1:
        return [f"{fault.verdict.word}: {fault.sentence()}"]
    word = "at fault" if fault.confirmed else "suspected" if fault.suspects else fault.verdict.word
    shown, left = by_name(fault.findings)
    return [
        f"{word}: {fault.head()}",
        *(f"  {sentence}" for sentence in fault.accused()),
        *(f"  {f.verdict.word}: {f.key}: {f.sentence}" for f in shown),
        *(f"  {name}: {more} more (--format json)" for name, more in left.items()),
    ]


def by_name(findings: Iterable[Finding]) -> tuple[list[Finding], dict[str, int]]:
    """A few findings of each stage and name, of each key one, and how many more there are of which."""
    shown: dict[str, Finding] = {}
    kept: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for finding in findings:
        name = f"{finding.stage}/{finding.name}"
        if finding.key in shown or kept[name] >= MOST_OF_A_NAME:
            left[name] += 1
        else:
            shown[finding.key] = finding
            kept[name] += 1
    return list(shown.values()), left


def _fault_parts(fault: Fault) -> list[str]:
    """A heading, what the localisation says, and the findings as a table."""
    shown, left = by_name(fault.findings)
    more = [f"{name}: {count} more in the JSON" for name, count in left.items()]
    head = f"### {escaped(fault.head())}{', confirmed' if fault.confirmed else ''}"
    return [head, *_bullets(fault.accused()), *_findings_table(shown), *_bullets(more)]


def _findings_table(found: Sequence[Finding]) -> list[str]:
    rows = [finding_row(finding) for finding in found[:MOST]]
    left = len(found) - len(rows)
    return [pipes(FINDINGS, rows), *([f"{left} more."] if left else [])] if rows else []


def _settled(result: Result) -> list[Finding]:
    return [f for f in result.findings if f.waived or f.verified == REFUTED]


def finding_row(finding: Finding) -> tuple[str, ...]:
    """Of FINDINGS."""
    word = finding.verdict.word
    if finding.waived:
        word = f"waived ({word})"
    elif finding.verified == REFUTED:
        word = "refuted"
    return (finding.key, word, finding.sentence, finding.evidence or NOTHING)


def _follow_ups(result: Result) -> list[str]:
    return [
        f"{f.folder}: {f.reason}"
        + (f" ({f.cost})" if f.cost else "")
        + (f": {f.outcome}" if f.outcome else "")
        for stage in result.stages
        for f in stage.follow_ups
    ]


def _first(lines: list[str], what: str) -> list[str]:
    left = len(lines) - MOST
    return lines[:MOST] + ([f"{left} more {what}: --format json"] if left > 0 else [])


def _section(title: str, parts: list[str]) -> list[str]:
    return [f"## {title}", *parts] if parts else []


def _bullets(sentences: Iterable[str]) -> list[str]:
    told = "\n".join(f"- {escaped(sentence)}" for sentence in sentences)
    return [told] if told else []
