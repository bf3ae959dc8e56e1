"""Ask every rule at every place, in order, and find which finding follows from which.

Link comes before configuration, that before congestion, that before transport. The first rule that
matches at a place is the cause there; later ones are its consequences, and so are findings anywhere that
the cause is known to explain. A rule that reads what is set is nobody's consequence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from types import ModuleType
from typing import Literal

from railgauge_reports.lossless import configuration, congestion, link, transport
from railgauge_reports.lossless.catalogue import STAGES, Rule, Severity, rules
from railgauge_reports.lossless.evidence import Evidence, MissingError, Port, Victim
from railgauge_reports.lossless.pause import Graph, graph
from railgauge_reports.lossless.rows import Row, Seen
from railgauge_reports.lossless.sight import Sight

State = Literal["FIRED", "CLEAR", "UNKNOWN"]
_MODULES: tuple[ModuleType, ...] = (link, configuration, congestion, transport)
_STAGES = dict(zip(STAGES, _MODULES, strict=True))
_RANK: dict[Severity, int] = {"F": 3, "W": 2, "I": 1, "P": 0}


@dataclasses.dataclass(frozen=True)
class Site:
    """Where something is: empty and None where it cannot be told, or is the fabric as a whole."""

    host: str = ""
    device: str = ""
    port: int = 0
    netdev: str = ""
    priority: int | None = None
    lane: int | None = None
    direction: str = ""

    @property
    def place(self) -> tuple[str, str, int]:
        return self.host, self.device, self.port

    def words(self) -> str:
        """`n3, mlx5_0/1 (eth0), priority 3, lane 2, host -> switch`."""
        port = f"{self.device}/{self.port}" if self.port else self.device
        if self.netdev not in ("", self.device):
            port = f"{port} ({self.netdev})"
        facts = [self.host or "the fabric", port]
        facts += [] if self.priority is None else [f"priority {self.priority}"]
        facts += [] if self.lane is None else [f"lane {self.lane}"]
        return ", ".join(filter(None, [*facts, self.direction]))


@dataclasses.dataclass(frozen=True)
class Finding:
    """A rule that fired: where, what was seen, with what evidence, what to do about it.

    `consequence_of` is the id of the rule whose finding accounts for it ("": it stands for itself).
    """

    rule: Rule
    severity: Severity
    site: Site
    words: str
    evidence: tuple[Row, ...]
    next: tuple[str, ...]
    consequence_of: str = ""
    expected: bool = False  # what it follows from is as it should be

    @property
    def counts(self) -> Severity:
        """What it does to the verdict: nothing where it follows from what is as it should be."""
        return "I" if self.expected else self.severity

    def sentence(self) -> str:
        """`S02 bad cable (F) at n1, mlx5_0/1 (eth0), lane 3: ...`."""
        after = f"; consequence of {self.consequence_of}" if self.consequence_of else ""
        head = f"{self.rule.id} {self.rule.name} ({self.severity}) at {self.site.words()}"
        return f"{head}: {self.words}{after}"


@dataclasses.dataclass(frozen=True)
class Status:
    """What came of a rule at a place; `missing` is why it is UNKNOWN."""

    rule: str
    site: Site
    state: State
    severity: Severity | None = None
    missing: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Judgement:
    """All statuses and findings under a profile, and who stops whom."""

    profile: str
    findings: tuple[Finding, ...]
    statuses: tuple[Status, ...]
    pauses: Graph

    @property
    def fails(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.counts == "F")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.counts == "W")


def judge(evidence: Evidence, profile: str) -> Judgement:
    """Ask all rules that the profile has."""
    findings: list[Finding] = []
    statuses: list[Status] = []
    for rule in rules():
        severity = rule.severity.get(profile)
        if severity is None or not _meant(rule, evidence):
            continue
        for see in _sights(rule, profile, evidence):
            site = _site(see)
            missing, seen = _ask(see)
            if missing:
                statuses.append(Status(rule.id, site, "UNKNOWN", missing=tuple(missing)))
            elif seen is None:
                statuses.append(Status(rule.id, site, "CLEAR"))
            else:
                made = _finding(rule, seen.severity or severity, site, see, seen)
                statuses.append(Status(rule.id, made.site, "FIRED", made.severity))
                findings.append(made)
    return Judgement(profile, _explained(findings), tuple(statuses), graph(evidence))


def _meant(rule: Rule, evidence: Evidence) -> bool:
    """Is the rule about what was sent? Where the pattern is unknown it may be."""
    pattern = evidence.traffic.pattern
    return not rule.patterns or pattern is None or pattern in rule.patterns


def _sights(rule: Rule, profile: str, evidence: Evidence) -> Iterator[Sight]:
    """The rule's view of every place that it is asked at."""
    if rule.scope == "fabric":
        if evidence.fabric:
            yield Sight(rule, profile, evidence)
        return
    if rule.scope == "victim":
        victims: tuple[Victim | None, ...] = evidence.traffic.victims or (None,)
        for victim in victims:
            yield Sight(rule, profile, evidence, victim=victim)
        return
    kind = rule.scope if rule.scope in ("sockets", "device") else "fabric"
    ports = [port for port in evidence.ports if port.kind == kind]
    if rule.scope == "host":
        first: dict[str, Port] = {}
        for port in ports:
            first.setdefault(port.host, port)
        ports = list(first.values())
    for port in ports:
        yield Sight(rule, profile, evidence, port)


def _ask(see: Sight) -> tuple[list[str], Seen | None]:
    """(what is missing, what was seen); both empty: the rule is clear."""
    missing = see.needed()
    if see.rule.patterns and see.traffic.pattern is None:
        missing.append("traffic:pattern")
    if missing:
        return missing, None
    predicate = getattr(_STAGES[see.rule.stage], see.rule.predicate)
    try:
        seen: Seen | None = predicate(see)
    except MissingError as error:
        return [str(error)], None
    return ([] if seen else see.doubts), seen


def _site(see: Sight) -> Site:
    if see.rule.scope in ("fabric", "victim"):
        return Site(host=see.victim.host) if see.has_victim else Site()
    port = see.port
    if see.rule.scope in ("host", "sockets"):
        return Site(host=port.host)
    return Site(port.host, port.device, port.number, port.netdev)


def _finding(rule: Rule, severity: Severity, site: Site, see: Sight, seen: Seen) -> Finding:
    exact = dataclasses.replace(
        site, priority=seen.priority, lane=seen.lane, direction=seen.direction
    )
    at_least = " (at least: a counter stands at its end or was reset)" if see.doubts else ""
    words = seen.words + at_least
    facts = _facts(exact, see)
    commands = tuple(_filled(command, facts) for command in rule.next)
    return Finding(rule, severity, exact, words, see.evidence_rows(), commands)


def _facts(site: Site, see: Sight) -> dict[str, str]:
    """What a command may name; empty where this place does not tell."""
    wanted, evidence = site.priority, see.evidence
    pfc = "" if wanted is None else ",".join(str(int(number == wanted)) for number in range(8))
    return {
        "host": site.host,
        "device": site.device,
        "port": str(site.port or 1) if site.device else "",
        "netdev": site.netdev or site.device,
        "priority": "" if wanted is None else str(wanted),
        "pfc": pfc,
        "run": evidence.folder,
        "again": evidence.again,
        "profile": see.profile,
    }


def _filled(command: str, facts: dict[str, str]) -> str:
    """A command for this place; what the place does not tell stays a word in capitals."""
    for name, value in facts.items():
        command = command.replace(f"{{{name}}}", value or name.upper())
    return command


def _explained(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings with what each is a consequence of; in the order in which they were made."""
    causes: dict[tuple[str, str, int], Finding] = {}
    explains: dict[str, Finding] = {}
    told = []
    for finding in findings:
        site, cause = finding.site, None
        if not finding.rule.setting:
            here = causes.get(site.place) if site.device else None
            known = explains.get(finding.rule.id)
            cause = known if known is not None and known.rule.id != finding.rule.id else here
        if cause is None:
            told.append(finding)
            if site.device and _RANK[finding.severity] >= _RANK["W"]:
                causes.setdefault(site.place, finding)
        else:
            expected = cause.severity == "P"
            made = dataclasses.replace(finding, consequence_of=cause.rule.id, expected=expected)
            told.append(made)
        if cause is None or finding.rule.explains:
            for name in finding.rule.explains:
                explains.setdefault(name, cause or finding)
    return tuple(told)
