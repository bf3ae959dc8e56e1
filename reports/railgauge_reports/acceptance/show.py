"""An acceptance in words: a table for people, Markdown for a ticket, JSON; and what a dry run says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from railgauge.units import format_seconds, format_size
from railgauge_reports.acceptance.algebra import PASS, SKIP
from railgauge_reports.acceptance.answer import Checked, Finding, Result, StageResult
from railgauge_reports.acceptance.cost import Cost, total
from railgauge_reports.acceptance.planning import PlannedStage
from railgauge_reports.cells import NOTHING, align, escaped, pipes
from railgauge_reports.localise.suspects import REFUTED

SIMULATED = "SIMULATED: these numbers come from a model, nothing was measured"
#: Findings and suspects that a person is told of one by one in a table; JSON has all.
MOST = 20
MOST_OF_A_NAME = 4
_STAGE = ("stage", "verdict", "measured", "findings")
_COST = ("stage", "runs", "measurements", "time", "node-hours", "if suspected")


def text(result: Result) -> str:
    """Lines for a terminal: the verdict, the stages, what was found, what was not tested, what next."""
    lines = [
        *([SIMULATED] if result.simulated else []),
        f"{_word(result)}: profile {result.profile}, {result.cluster}",
        result.coverage.sentence(),
        "",
        *align(_STAGE, [_stage_row(stage) for stage in result.stages]),
        "",
        *_first(_finding_lines(result), "findings"),
        *_first([f"suspect: {_suspect(s)}" for s in _suspects(result)], "suspects"),
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
    found = [_finding_row(finding) for finding in result.findings]
    header = ("stage/finding/host", "verdict", "found", "evidence")
    sizes = [
        f"{name}: {format_size(low)} to {format_size(high)}"
        if low < high
        else f"{name}: {format_size(low)}"
        for name, (low, high) in result.coverage.sizes.items()
    ]
    parts = [
        f"# Acceptance: {_word(result)}",
        *([f"**{SIMULATED}.**"] if result.simulated else []),
        f"Profile {escaped(result.profile)} on {escaped(result.cluster)}. {escaped(result.about)}",
        *_bullets(result.reasons),
        "## Stages",
        stages,
        *_section("Findings", [pipes(header, found[:MOST])] if found else []),
        *([f"{len(found) - MOST} more are in the JSON."] if len(found) > MOST else []),
        *_section("Suspects", _bullets(_suspect(s) for s in _suspects(result)[:MOST])),
        *_section("Follow-ups", _bullets(_follow_ups(result))),
        *_section("Waivers", _bullets([*result.waived, *result.not_waived])),
        "## Coverage",
        f"{result.coverage.sentence()}.",
        *_bullets(sizes),
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


# the checklist --------------------------------------------------------------------------------------

_CHECKLIST = ("item", "what is asked", "answer", "stages", "test", "evidence")


def _checklist_rows(items: Iterable[Checked]) -> list[tuple[str, ...]]:
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
    return pipes(_CHECKLIST, _checklist_rows(items))


def checklist_text(items: Iterable[Checked]) -> str:
    """The checklist for a terminal: item by item, since its cells are long."""
    lines = []
    for item_id, asks, word, stages, test, evidence in _checklist_rows(items):
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
    more = " with waivers" if result.verdict == PASS and result.waived else ""
    return f"{result.verdict.word}{more} ({result.verdict.exit_code})"


def _counts(finding: Finding) -> bool:
    return not finding.waived and finding.verified != REFUTED and finding.verdict.word != SKIP.word


def _stage_row(stage: StageResult) -> tuple[str, ...]:
    optional = "" if stage.required else " (optional)"
    return (
        stage.name + optional,
        stage.verdict.word,
        f"{stage.measured}/{stage.planned}",
        str(sum(map(_counts, stage.findings))),
    )


def _finding_lines(result: Result) -> list[str]:
    """Those that count, a few of each name in each stage."""
    together: dict[tuple[str, str], list[Finding]] = {}
    for finding in filter(_counts, result.findings):
        together.setdefault((finding.stage, finding.name), []).append(finding)
    lines = []
    for (stage, name), found in together.items():
        lines += [f"{f.verdict.word}: {f.key}: {f.sentence}" for f in found[:MOST_OF_A_NAME]]
        if (left := len(found) - MOST_OF_A_NAME) > 0:
            lines.append(
                f"{found[0].verdict.word}: {stage}/{name}: {left} more places (--format json)"
            )
    return lines


def _finding_row(finding: Finding) -> tuple[str, ...]:
    word = finding.verdict.word
    if finding.waived:
        word = f"waived ({word})"
    elif finding.verified == REFUTED:
        word = "refuted"
    return (finding.key, word, finding.sentence, finding.evidence or NOTHING)


def _suspects(result: Result) -> list[tuple[str, str]]:
    return [(stage.name, s.sentence) for stage in result.stages for s in stage.suspects]


def _suspect(told: tuple[str, str]) -> str:
    return f"{told[0]}: {told[1]}"


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
