"""What the rules say of a run, in words and as plain data: for Markdown, tables and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from railgauge_reports.lossless.catalogue import rule_named
from railgauge_reports.lossless.judge import Finding, Judgement, Status
from railgauge_reports.lossless.pause import band
from railgauge_reports.lossless.rows import Row
from railgauge_reports.lossless.run import Fabric

#: Findings of one rule that are shown in full; the rest are counted.
MOST_FINDINGS = 4
#: Reasons for UNKNOWN that are shown of a rule.
MOST_REASONS = 2
WORDS = {"F": "FAIL", "W": "warning", "I": "to know", "P": "as it should be"}


def summary(fabric: Fabric) -> str:
    """One line: the profile, why it, and how many rules came to what; or why none did."""
    if fabric.silent:
        return f"No rule of a lossless fabric could be judged: {fabric.silent}."
    states = Counter(by_rule(fabric.judgement).values())
    counted = ", ".join(f"{states[state]} {word}" for state, word in _STATES.items())
    return f"Profile {fabric.profile} ({fabric.why}): {counted}."


_STATES = {"FIRED": "rules fired", "CLEAR": "clear", "UNKNOWN": "unknown"}


def by_rule(judgement: Judgement) -> dict[str, str]:
    """Rule -> FIRED where it fired anywhere, else UNKNOWN where it is so anywhere, else CLEAR."""
    order = ("CLEAR", "UNKNOWN", "FIRED")
    found: dict[str, str] = {}
    for status in judgement.statuses:
        before = found.get(status.rule, "CLEAR")
        found[status.rule] = max(before, status.state, key=order.index)
    return found


def shown(judgement: Judgement) -> list[Finding]:
    """The findings to show: causes first, then consequences, the worst first, a few of each rule."""
    ranked = sorted(
        judgement.findings,
        key=lambda finding: (bool(finding.consequence_of), "FWIP".index(finding.counts)),
    )
    seen: Counter[str] = Counter()
    kept = []
    for finding in ranked:
        seen[finding.rule.id] += 1
        if seen[finding.rule.id] <= MOST_FINDINGS:
            kept.append(finding)
    return kept


def left_out(judgement: Judgement) -> list[str]:
    """A sentence for every rule that fired at more places than are shown."""
    seen = Counter(finding.rule.id for finding in judgement.findings)
    return [
        f"{rule} {rule_named(rule).name} fired at {count - MOST_FINDINGS} more places"
        for rule, count in seen.items()
        if count > MOST_FINDINGS
    ]


def reasons(fabric: Fabric) -> list[str]:
    """Why the verdict is FAIL: one sentence for each cause that fails, or each if all follow."""
    fails = fabric.judgement.fails
    causes = [finding for finding in fails if not finding.consequence_of] or list(fails)
    rules = dict.fromkeys(finding.rule.id for finding in causes)
    told = []
    for rule in rules:
        first, *more = (finding for finding in causes if finding.rule.id == rule)
        told.append(first.sentence() + (f" (and at {len(more)} more places)" if more else ""))
    return told


def next_commands(fabric: Fabric) -> list[str]:
    """What to type for the causes that fail."""
    fails = fabric.judgement.fails
    causes = [finding for finding in fails if not finding.consequence_of] or list(fails)
    return list(dict.fromkeys(finding.next[0] for finding in causes if finding.next))


def warnings(fabric: Fabric) -> list[str]:
    """One sentence for each rule that warns."""
    found: dict[str, Finding] = {}
    for finding in fabric.judgement.warnings:
        found.setdefault(finding.rule.id, finding)
    return [finding.sentence() for finding in found.values()]


def unknowns(judgement: Judgement) -> list[tuple[str, str]]:
    """(rule, what is missing) of every rule that is UNKNOWN somewhere and fired nowhere."""
    states = by_rule(judgement)
    found: dict[str, dict[str, None]] = {}
    for status in judgement.statuses:
        if status.state == "UNKNOWN" and states[status.rule] == "UNKNOWN":
            found.setdefault(status.rule, {}).update(dict.fromkeys(status.missing))
    return [(f"{rule} {rule_named(rule).name}", _first(missing)) for rule, missing in found.items()]


def _first(missing: Iterable[str]) -> str:
    texts = list(missing)
    more = len(texts) - MOST_REASONS
    return "; ".join(texts[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


# evidence ---------------------------------------------------------------------------------------------

HEADER = (
    *("host", "device", "counter", "event", "before", "after", "delta", "a second", "a GB"),
    *("value", "limit", "note"),
)


def cells(row: Row, nothing: str) -> tuple[str, ...]:
    """An evidence row for people, under HEADER."""
    limit = "" if row.limit is None else f"{row.limit:g} ({row.limit_source})"
    ratio = "" if row.ratio is None else f"{row.ratio:.4g}"
    if row.ratio is not None and row.counter.startswith("pause ratio"):
        ratio = f"{row.ratio:.2%}: {band(row.ratio)}"
    priority = "" if row.priority is None else f", priority {row.priority}"
    moved = "" if row.delta is None else f"{row.delta:,} {row.unit}".rstrip()
    told = (
        row.host,
        f"{row.device}/{row.port}" if row.port else row.device,
        row.counter,
        f"{row.event or ''}{priority}".strip(", "),
        _whole(row.before),
        _whole(row.after),
        moved,
        "" if row.per_second is None else f"{row.per_second:.4g}",
        "" if row.per_GB is None else f"{row.per_GB:.4g}",
        ratio or row.value,
        limit,
        row.note,
    )
    return tuple(cell or nothing for cell in told)


def _whole(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


# plain data -------------------------------------------------------------------------------------------


def as_data(fabric: Fabric) -> dict[str, Any]:
    """Everything as JSON's own types; places are told apart only where a rule is not clear."""
    judgement = fabric.judgement
    return {
        "profile": fabric.profile,
        "why": fabric.why,
        "judged": not fabric.silent,
        "sentence": summary(fabric),
        "pauses": judgement.pauses.sentence(),
        "findings": [_finding(finding) for finding in judgement.findings],
        "rules": [
            {"id": rule, "name": rule_named(rule).name, "state": state, **_places(judgement, rule)}
            for rule, state in by_rule(judgement).items()
        ],
    }


def _places(judgement: Judgement, rule: str) -> dict[str, Any]:
    mine = [status for status in judgement.statuses if status.rule == rule]
    counted = Counter(status.state for status in mine)
    missing = dict.fromkeys(text for status in mine for text in status.missing)
    return {
        "fired": counted["FIRED"],
        "clear": counted["CLEAR"],
        "unknown": counted["UNKNOWN"],
        "unknown_at": [_where(status) for status in mine if status.state == "UNKNOWN"],
        "missing": list(missing),
    }


def _where(status: Status) -> str:
    return status.site.words()


def _finding(finding: Finding) -> dict[str, Any]:
    rule = finding.rule
    return {
        "rule": rule.id,
        "name": rule.name,
        "stage": rule.stage,
        "severity": finding.severity,
        "counts": finding.counts,
        "consequence_of": finding.consequence_of or None,
        "site": msgspec.to_builtins(finding.site),
        "words": finding.words,
        "diagnosis": rule.diagnosis,
        "blame": rule.blame,
        "remedy": rule.remedy,
        "next": list(finding.next),
        "source": rule.source,
        "evidence": [msgspec.to_builtins(row) for row in finding.evidence],
    }
