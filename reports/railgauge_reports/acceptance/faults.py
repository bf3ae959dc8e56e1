"""What an acceptance found, by who is at fault: a node with twelve findings is one thing to repair.

Whoever was confirmed against good partners stands first, with the findings of its place below it; then what
limits and rules found, place by place; then what is only suspected. Nothing is lost: every finding that
counts is in exactly one fault.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from railgauge.topology import some
from railgauge_reports.acceptance import algebra
from railgauge_reports.acceptance.answer import Finding, Result, Suspect
from railgauge_reports.judged import Severity
from railgauge_reports.localise.suspects import CONFIRMED, REFUTED

#: Places that have the same findings are told of one by one, up to so many of them.
MOST_ALIKE = 4
MOST_BRIEF = 3
#: Nobody repairs a NIC while data is wrong or a node hangs.
GRAVE = (algebra.WRONG, algebra.HANG)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A place (`who`: a node, a path, a limit that no place missed) and everything that is said of it.

    `suspects` are (stage, suspect), each target once; `findings` those that count, the worst first.
    """

    who: str
    hosts: tuple[str, ...]
    suspects: tuple[tuple[str, Suspect], ...]
    findings: tuple[Finding, ...]

    @property
    def confirmed(self) -> bool:
        return any(suspect.verified == CONFIRMED for _, suspect in self.suspects)

    @property
    def verdict(self) -> algebra.Verdict:
        """The worst of its findings; of a mere suspicion there is none to fail by."""
        worst = algebra.worst(finding.verdict for finding in self.findings)
        return worst if self.findings else algebra.INCONCLUSIVE

    @property
    def severity(self) -> Severity:
        return "fail" if self.verdict.word in ("FAIL", "ERROR") else "warning"

    @property
    def next(self) -> tuple[str, ...]:
        """What to do next about it, the suspects' own test first."""
        told = [f"{s.target}: {s.next_test}" for _, s in self.suspects if s.next_test]
        return tuple(dict.fromkeys([*told, *(f.next for f in self.findings if f.next)]))

    def head(self) -> str:
        """`node0058: 5 findings in local, pairs`."""
        count = len(self.findings)
        if not count:
            return f"{self.who}: no limit of its stage is missed"
        stages = ", ".join(dict.fromkeys(finding.stage for finding in self.findings))
        return f"{self.who}: {count} finding{'s' * (count > 1)} in {stages}"

    def accused(self) -> list[str]:
        """What the localisation says, a sentence a suspect."""
        return [suspect.sentence for _, suspect in self.suspects]

    def brief(self) -> str:
        """For a first look: who is slow by how much, is that sure, and what it explains."""
        if not self.suspects:
            return self.sentence()
        told = [f"{s.target}: {s.effect:.1%} slower than the fleet" for _, s in self.suspects]
        left = len(told) - MOST_BRIEF
        told = told[:MOST_BRIEF] + ([f"{left} more suspects"] if left > 0 else [])
        told.append("confirmed against good partners" if self.confirmed else "not verified")
        names = some(list(dict.fromkeys(finding.name for finding in self.findings)))
        return "; ".join([*told, self.head().partition(": ")[2] + (f": {names}" if names else "")])

    def sentence(self) -> str:
        """One line: who, how many findings that is, and the first thing that is said of it."""
        if not self.suspects and len(self.findings) == 1:
            (only,) = self.findings
            return f"{only.key}: {only.sentence}"
        first = self.accused() or [self.findings[0].sentence]
        also = [suspect.target for _, suspect in self.suspects[1:]]
        more = f"; also {some(also)}" if also else ""
        return f"{self.head()}: {first[0]}{more}"


def counts(finding: Finding) -> bool:
    """Is it one that somebody has to act on?"""
    return not finding.waived and finding.verified != REFUTED and finding.verdict.word != "SKIP"


def faults_of(result: Result) -> tuple[Fault, ...]:
    """Every finding that counts and every suspect, by place, in the order in which to act."""
    suspects = _suspects(result)
    made: dict[str, list[Finding]] = {place: [] for place in suspects}
    who = {place: _called(place, own[0][1]) for place, own in suspects.items()}
    explained = _Explained(suspects)
    settled: set[str] = set()
    for finding in result.findings:
        place = explained.place(finding)
        if counts(finding):
            made.setdefault(place, []).append(finding)
            who.setdefault(place, finding.hosts[0] if len(finding.hosts) == 1 else place)
        elif finding.waived:
            settled.add(place)
    faults = [
        Fault(who[place], _hosts(suspects.get(place, ()), found), tuple(suspects.get(place, ())),
              tuple(sorted(found, key=lambda f: algebra.ORDER.index(f.verdict))))
        for place, found in made.items()
        if found or place not in settled  # a suspect whose findings are all waived is no news
    ]  # fmt: skip
    return tuple(sorted(_alike(faults), key=_order))


def _suspects(result: Result) -> dict[str, list[tuple[str, Suspect]]]:
    """Place -> (stage, suspect), each target once: of two stages the one that confirmed it."""
    told: dict[str, tuple[str, Suspect]] = {}
    for stage in result.stages:
        for suspect in stage.suspects:
            known = told.get(suspect.target)
            if known is None or (suspect.verified and not known[1].verified):
                told[suspect.target] = (stage.name, suspect)
    made: dict[str, list[tuple[str, Suspect]]] = {}
    for entry in sorted(told.values(), key=lambda entry: -entry[1].effect):
        made.setdefault(_place(entry[1]), []).append(entry)
    return made


def _place(suspect: Suspect) -> str:
    """What its findings are known by: one host, or two leaves; else its own name."""
    if len(suspect.hosts) == 1:
        return suspect.hosts[0]
    if suspect.leaves and not suspect.hosts:
        return " ".join(sorted(suspect.leaves))
    return suspect.target


def _called(place: str, suspect: Suspect) -> str:
    return place if len(suspect.hosts) == 1 else suspect.target


class _Explained:
    """Which place a finding belongs to: tables, so that many findings meet many suspects in no time."""

    def __init__(self, suspects: dict[str, list[tuple[str, Suspect]]]) -> None:
        self._places = set(suspects)
        self._targets = {s.target: place for place, own in suspects.items() for _, s in own}
        self._under: dict[str, str] = {}  # host -> a leaf or class that it is of
        self._rails: dict[int, str] = {}
        self._on: dict[str, set[int | None]] = {}  # place -> rails of its suspects, None: all
        for place, own in suspects.items():
            for _, suspect in own:
                self._on.setdefault(place, set()).add(suspect.rail)
                if len(suspect.hosts) > 1:
                    self._under |= dict.fromkeys(suspect.hosts, place)
                if suspect.kind == "rail" and suspect.rail is not None:
                    self._rails[suspect.rail] = place

    def place(self, finding: Finding) -> str:
        if finding.name == "suspect" and finding.place in self._targets:
            return self._targets[finding.place]
        if not finding.hosts:
            is_known = finding.place in self._places
            return finding.place if is_known else f"{finding.stage}/{finding.name}"
        if len(finding.hosts) > 1:
            return f"{finding.stage}/{finding.name}/{' '.join(finding.hosts)}"
        (host,) = finding.hosts
        by_rail = None if finding.rail is None else self._rails.get(finding.rail)
        if host in self._places and not (by_rail and self._elsewhere(host, finding.rail)):
            return host
        return by_rail or self._under.get(host) or host

    def _elsewhere(self, host: str, rail: int | None) -> bool:
        """Are the host's own suspects all other rails of it?"""
        return self._on.get(host, {rail}).isdisjoint({None, rail})


def _hosts(suspects: Iterable[tuple[str, Suspect]], found: Iterable[Finding]) -> tuple[str, ...]:
    named = [host for _, suspect in suspects for host in suspect.hosts]
    return tuple(dict.fromkeys([*named, *(host for finding in found for host in finding.hosts)]))


def _alike(faults: list[Fault]) -> list[Fault]:
    """Many places with findings of the same names, and nobody suspected of them, are one fault."""
    together: dict[tuple[str, ...], list[Fault]] = {}
    left = []
    for fault in faults:
        names = sorted({f"{f.stage}/{f.name}" for f in fault.findings})
        if fault.suspects or len(fault.hosts) != 1:
            left.append(fault)
        else:
            together.setdefault(tuple(names), []).append(fault)
    for own in together.values():
        if len(own) <= MOST_ALIKE:
            left += own
            continue
        hosts = tuple(fault.who for fault in own)
        found = tuple(finding for fault in own for finding in fault.findings)
        left.append(Fault(f"{len(hosts)} nodes ({some(hosts)})", hosts, (), found))
    return left


def _order(fault: Fault) -> tuple[object, ...]:
    fails = fault.verdict == algebra.FAIL
    ranks = (
        fault.verdict in GRAVE and bool(fault.findings),
        fault.confirmed and fails,
        fault.confirmed,
        fails and bool(fault.hosts),
        fails,
    )
    first = ranks.index(True) if True in ranks else len(ranks)
    effect = max((suspect.effect for _, suspect in fault.suspects), default=0.0)
    return (first, algebra.ORDER.index(fault.verdict), -effect, -len(fault.findings), fault.who)
