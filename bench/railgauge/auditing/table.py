"""An audit as a person reads it: failures with evidence and remedy first, then the rest, by subject."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from railgauge.auditing.records import Finding, Report

WIDTH, INDENT = 80, 4
NAMED = 6  # hosts or devices of a finding, so many are named


def table(report: Report, everything: bool = False, width: int = WIDTH) -> str:
    """The whole text; INFO and PASS findings one by one only where `everything` is asked for."""
    blocks = [_head(report, width)]
    blocks += [_section(report, status, _troubled, width) for status in ("FAIL", "WARN")]
    blocks.append(_section(report, "UNKNOWN", _unknown, width))
    if everything:
        blocks.append(_section(report, "INFO", _plain, width))
        blocks.append(_section(report, "PASS", _plain, width))
    blocks.append(_outside(report, width))
    blocks.append(_foot(report, everything, width))
    return "\n\n".join(filter(None, blocks))


def _head(report: Report, width: int) -> str:
    several = len(report.hosts) > 1
    nodes = (
        f"{len(report.hosts)} nodes" if several else report.hosts[0] if report.hosts else "no node"
    )
    ranks = f"{report.ranks} rank{'s' * (report.ranks > 1)}"
    text = f"{nodes}, {ranks}; profile {report.profile} ({report.profile_because})"
    if report.profile == "roce-lossless":
        text += f", lossless priority {', '.join(map(str, report.priorities))}"
    return textwrap.fill(text, width)


def _of(report: Report, status: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.status == status]


def _section(
    report: Report, status: str, body: Callable[[Sequence[Finding], int], list[str]], width: int
) -> str:
    """Findings of a status under the names of their subjects, those of one check together."""
    found = _of(report, status)
    if not found:
        return ""
    lines = [f"{status} ({_checks(len({f.check for f in found}))})"]
    subjects = dict.fromkeys(f.subject for f in found)
    for subject in subjects:
        lines.append(f"  {subject}")
        checks = dict.fromkeys(f.check for f in found if f.subject == subject)
        for check in checks:
            lines += body([f for f in found if f.check == check], width)
    return "\n".join(lines)


def _filled(text: str, width: int, first: str, indent: int = INDENT + 4) -> list[str]:
    """Words in lines; a command is never broken inside a word."""
    return textwrap.wrap(
        " ".join(text.split()),
        width,
        initial_indent=" " * indent + first,
        subsequent_indent=" " * (indent + len(first)),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _title(finding: Finding, width: int) -> list[str]:
    return _filled(f"{finding.check}: {finding.title}", width, "", INDENT)


def _troubled(findings: Sequence[Finding], width: int) -> list[str]:
    plain = [f for f in findings if not f.agreement]
    lines = _title((plain or findings)[0], width)
    for group in _alike(plain):
        lines += _filled(f"{_where(group)}: {group[0].found}", width, "")
    for finding in findings:
        if finding.agreement:
            inside = f"{finding.where}: " if finding.where else ""
            lines += _filled(inside + finding.found, width, "")
    expected = next((f.expected for f in plain if f.expected), "")
    if expected:
        lines += _filled(expected, width, "expected: ")
    remedies = dict.fromkeys(f.remedy for f in plain or findings if f.remedy)
    first = next(iter(remedies), "")
    if first:
        lines += _filled(first, width, "next: ")
    return lines


def _unknown(findings: Sequence[Finding], width: int) -> list[str]:
    lines = _title(findings[0], width)
    first, rest = findings[0], len(findings) - 1
    text = f"{_where([first])}: {first.reason}" + (f" (and {rest} more)" if rest else "")
    lines += _filled(text, width, "")
    if first.root_command:
        lines += _filled(first.root_command, width, "to see it: ")
    return lines


def _plain(findings: Sequence[Finding], width: int) -> list[str]:
    lines = _title(findings[0], width)
    for group in _alike(findings):
        where = "" if group[0].agreement else f"{_where(group)}: "
        lines += _filled(where + group[0].found, width, "")
    return lines


def _alike(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings that say the same of several things."""
    made: dict[tuple[str, str, bool], list[Finding]] = {}
    for finding in findings:
        made.setdefault((finding.found, finding.expected, finding.agreement), []).append(finding)
    return list(made.values())


def _where(findings: Sequence[Finding]) -> str:
    """`node07 mlx5_0 port 1, mlx5_1 port 1`, or `4 nodes` where many say it."""
    hosts = list(dict.fromkeys(host for finding in findings for host in finding.hosts))
    things = list(dict.fromkeys(finding.where for finding in findings if finding.where))
    ranks = ",".join(dict.fromkeys(finding.ranks for finding in findings if finding.ranks))
    named = _listed(hosts) + (f" rank {ranks}" if ranks and len(hosts) <= NAMED else "")
    return f"{named} {_listed(things)}".strip()


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _outside(report: Report, width: int) -> str:
    reasons: dict[str, list[str]] = {}
    for finding in _of(report, "NOT APPLICABLE"):
        named = reasons.setdefault(finding.reason, [])
        if finding.check not in named:
            named.append(finding.check)
    if not reasons:
        return ""
    checks = {check for named in reasons.values() for check in named}
    lines = [f"NOT APPLICABLE ({_checks(len(checks))})"]
    for reason, named in reasons.items():
        lines += _filled(f"{reason}: {', '.join(named)}", width, "", 2)
    return "\n".join(lines)


def _foot(report: Report, everything: bool, width: int) -> str:
    counts = report.counts()
    words = ("PASS", "FAIL", "WARN", "UNKNOWN", "INFO", "NOT APPLICABLE")
    said = ", ".join(f"{counts[word]} {word}" for word in words if counts.get(word))
    text = f"{said or 'nothing was read'}."
    if not everything and counts.get("INFO"):
        text += " railgauge audit --all shows what passed and the facts, too."
    lines = textwrap.wrap(text, width)
    return "\n".join([*lines, *textwrap.wrap(f"{report.verdict}: {report.because}", width)])


def _checks(count: int) -> str:
    return f"{count} check{'s' * (count != 1)}"
