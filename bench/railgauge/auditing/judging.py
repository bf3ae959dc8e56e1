"""An audit judged: what every node (and rank) has read, under a profile and compared over nodes.

Pure functions of what was read, so that a stored audit can be judged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from railgauge.auditing.agreement import Vote, majority
from railgauge.auditing.checks import (
    Asked,
    Check,
    Judged,
    all_checks,
    attempt,
    checks_named,
)
from railgauge.auditing.machine import Unknown
from railgauge.auditing.manifest import EMPTY, Manifest
from railgauge.auditing.profiles import asked_for
from railgauge.auditing.records import FORMAT, Finding, Read, Report, Taken
from railgauge.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS
from railgauge.rank_lists import encode_ranks

FABRIC = ("devices", "link")  # subjects that need an RDMA device


def judge(
    taken: Sequence[Taken],
    profile: str = "auto",
    priorities: tuple[int, ...] = (),
    manifest: Manifest = EMPTY,
    checks: Iterable[str] | None = None,
) -> Report:
    """All findings about what the ranks read; `checks` are those that were asked for."""
    asked, because = asked_for(taken, profile, priorities, manifest)
    names = {check.name for check in checks_named(checks)}
    findings: list[Finding] = []
    for check in all_checks().values():
        if check.name in names:
            findings += _values(check, taken, asked)
            findings += _agreements(check, taken, asked)
    code, verdict, why = _verdict(findings, asked)
    return Report(
        format=FORMAT,
        profile=asked.profile,
        profile_because=because,
        priorities=asked.priorities,
        hosts=tuple(dict.fromkeys(t.host for t in taken)),
        ranks=len(taken),
        verdict=verdict,
        because=why,
        exit_code=code,
        findings=tuple(findings),
        taken=tuple(taken),
    )


def _values(check: Check, taken: Sequence[Taken], asked: Asked) -> list[Finding]:
    """One finding for each thing and value; what several hosts or ranks have alike is said once."""
    same: dict[bytes, tuple[Read, list[Taken]]] = {}
    for by in taken:
        for read in by.reads:
            if read.check == check.name:
                key = msgspec.json.encode(msgspec.structs.replace(read, group="", vote=None))
                same.setdefault(key, (read, []))[1].append(by)
    return [_finding(check, read, by, asked) for read, by in same.values()]


def _finding(check: Check, read: Read, by: Sequence[Taken], asked: Asked) -> Finding:
    status, expected, found = _judged(check, read, asked)
    reason = read.unknown or read.inapplicable
    if status == "UNKNOWN" and not reason:
        reason, found = found, ""
    if status == "NOT APPLICABLE" and not reason:
        reason, expected = expected, ""
    troubled = status in ("FAIL", "WARN")
    return Finding(
        check=check.name,
        subject=check.subject,
        title=check.title,
        status=status,
        hosts=tuple(dict.fromkeys(t.host for t in by)),
        where=read.where,
        ranks=encode_ranks(sorted(t.rank for t in by)) if check.each_rank else "",
        value=read.value,
        found=found,
        expected=expected,
        reason=reason,
        remedy=_filled(check.remedy, read.where, asked) if troubled else "",
        root_command=read.root_command,
        source=check.source,
    )


def _judged(check: Check, read: Read, asked: Asked) -> Judged:
    if read.unknown:
        return Judged("UNKNOWN")
    if read.inapplicable:
        return Judged("NOT APPLICABLE")
    made = attempt(check.judge, read.value, asked)
    if isinstance(made, Unknown):  # a value that no judge foresaw
        return Judged("UNKNOWN", "", made.reason)
    status, expected, found = made
    return Judged(status, expected, found or _shown(read.value))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _filled(remedy: str, where: str, asked: Asked) -> str:
    """`{where}`, `{priority}` and `{pfc}` of a remedy."""
    bits = ",".join("1" if p in asked.priorities else "0" for p in range(8))
    first = str(asked.priorities[0]) if asked.priorities else "3"
    made = remedy.replace("{pfc}", bits).replace("{priority}", first)
    return made.replace("{where}", where.partition(" port ")[0] or "DEVICE")


def _agreements(check: Check, taken: Sequence[Taken], asked: Asked) -> list[Finding]:
    if check.alike is None:
        return []
    groups: dict[str, list[Vote]] = {}
    for by in taken:
        for read in by.reads:
            if read.check == check.name and not read.unknown and not read.inapplicable:
                value = msgspec.json.encode(read.vote).decode()
                shown = _judged(check, read, asked).found or value
                vote = Vote(by.host, read.where, by.rank, value, shown)
                groups.setdefault(read.group, []).append(vote)
    made = []
    for group, votes in groups.items():
        found = majority(votes, check.each_rank)
        if found is None:
            continue
        severity = check.alike
        if severity == "FAIL" and check.subject == "dcb" and not asked.lossless:
            severity = "WARN"
        made.append(
            Finding(
                check=check.name,
                subject=check.subject,
                title=f"{check.title}: alike" + (f" ({group})" if group else ""),
                status="PASS" if found.alike else severity,
                hosts=found.hosts,
                where=group,
                ranks=found.ranks,
                found=found.words,
                expected=found.expected,
                remedy="" if found.alike else _filled(check.remedy, "", asked),
                source=check.source,
                agreement=True,
            )
        )
    return made


def _verdict(findings: Sequence[Finding], asked: Asked) -> tuple[int, str, str]:
    """FAIL wins; what could have failed and is unknown leaves the audit open, and so does nothing at all.

    What only root can read does not: it is listed with its command.
    """
    failed = [f for f in findings if f.status == "FAIL"]
    if failed:
        names = ", ".join(dict.fromkeys(f.check for f in failed))
        return EXIT_FAIL, "FAIL", f"{len(failed)} findings: {names}"
    every = all_checks()
    decisive = [
        f for f in findings if every[f.check].worst == "FAIL" and not every[f.check].needs_root
    ]
    unknown = list(dict.fromkeys(f.check for f in decisive if f.status == "UNKNOWN"))
    if unknown:
        return EXIT_INCONCLUSIVE, "INCONCLUSIVE", f"unknown: {', '.join(unknown)}"
    judged = [f for f in decisive if f.status in ("PASS", "WARN", "INFO")]
    fabric = {f.check for f in decisive if every[f.check].subject in FABRIC}
    if decisive and not judged:
        return EXIT_INCONCLUSIVE, "INCONCLUSIVE", "no check that decides had anything to judge"
    if not asked.rdma and fabric:
        return EXIT_INCONCLUSIVE, "INCONCLUSIVE", "no RDMA device here: nothing is said of a fabric"
    return EXIT_PASS, "PASS", "nothing failed" + ("" if judged else ", nothing decides")
