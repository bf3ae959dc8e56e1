"""The result of an acceptance: what every format shows. Frozen, and JSON as it stands."""

from __future__ import annotations

import msgspec

from railgauge_reports.acceptance.algebra import INCONCLUSIVE, PASS, WRONG, Verdict, worst
from railgauge_reports.stored import SIMULATED


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found in a stage; `key` is how waivers call it.

    `value` and `limit` are shares of what `of` says (None: it is no figure), `measured` the value itself in
    `unit`. `verified` is "confirmed" or "refuted" (then it counts for nothing), "" where nobody looked
    again; `alone` is "hardware" or "congestion" where it was measured
    with nothing beside it; `waived` is by whom and why it is accepted. `evidence` is a run folder.
    """

    stage: str
    name: str
    verdict: Verdict
    sentence: str
    hosts: tuple[str, ...] = ()
    rail: int | None = None
    place: str = ""
    value: float | None = None
    limit: float | None = None
    of: str = ""
    measured: float | None = None
    unit: str = ""
    source: str = ""
    evidence: str = ""
    next: str = ""
    verified: str = ""
    alone: str = ""
    waived: str = ""

    @property
    def key(self) -> str:
        """`stage/finding/host`; of a rail `.../node0003:rail2`, of what has no host `.../all`."""
        where = self.place or " ".join(self.hosts) or "all"
        return f"{self.stage}/{self.name}/{where.replace('/', '_')}"


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """Who the localisation thinks is at fault, in words; see `railgauge_reports.localise.suspects`."""

    kind: str
    target: str
    sentence: str
    hosts: tuple[str, ...]
    rail: int | None
    leaves: tuple[str, ...]
    effect: float
    confidence: float
    verified: str
    next_test: str
    alternatives: tuple[str, ...] = ()


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """A run that looked closer: why, at which cost before it ran, and what came of it."""

    kind: str
    folder: str
    reason: str
    cost: str
    outcome: str
    seconds: float = 0.0


class HeldLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that a stage was held against: `name` as findings call it, what is asked, and who says so."""

    name: str
    asks: str
    per: str
    source: str


class StageResult(msgspec.Struct, frozen=True, kw_only=True):
    """One stage: `reasons` say why it has its verdict; `planned` and `measured` count (case, round).

    `seconds` are what its own runs took, of a modelled cluster by its own clock.
    """

    name: str
    kind: str
    required: bool
    finds: str
    blind: str
    verdict: Verdict
    reasons: tuple[str, ...]
    folders: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[HeldLimit, ...] = ()
    planned: int = 0
    measured: int = 0
    seconds: float = 0.0

    def found_by(self, limit: HeldLimit) -> tuple[Finding, ...]:
        """The findings of one of its limits: who misses it, and what stands in the way of telling."""
        names = (limit.name, f"{limit.name}-scatter", f"{limit.name}-more")
        return tuple(f for f in self.findings if f.name in names and f.source in ("", limit.source))

    def verdict_by(self, limit: HeldLimit) -> Verdict:
        """What one of its limits came to. What was not measured whole passes none."""
        if self.verdict.word in ("SKIP", "INTERRUPTED"):
            return self.verdict
        counted = [f for f in self.found_by(limit) if not f.waived and f.verified != "refuted"]
        found = worst(finding.verdict for finding in counted)
        whole = self.planned > 0 and self.measured >= self.planned
        spoilt = self.verdict.word == "ERROR" or self.verdict == WRONG or not whole
        return INCONCLUSIVE if found == PASS and spoilt else found

    @property
    def all_seconds(self) -> float:
        """Its follow-ups included."""
        return self.seconds + sum(followed.seconds for followed in self.follow_ups)

    @property
    def open_findings(self) -> tuple[Finding, ...]:
        """Those that count: neither refuted nor waived."""
        return tuple(f for f in self.findings if not f.waived and f.verified != "refuted")


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What was tested and what not, counted over all stages; `untested` are sentences.

    A NIC is a rail of a node; pairs are of nodes, leaf pairs of two different leaves (0 of 0: unknown).
    """

    nodes: int
    nodes_tested: int
    nics: int
    nics_tested: int
    pairs: int
    pairs_tested: int
    leaf_pairs: int
    leaf_pairs_tested: int
    sizes: dict[str, tuple[int, int]]
    planned: int
    measured: int
    untested: tuple[str, ...]

    def sentence(self) -> str:
        """`64 of 64 nodes, 512 of 512 NICs, 96 of 2016 pairs of nodes, ...`."""
        counted = [(self.nodes_tested, self.nodes, "nodes")]
        counted.append((self.nics_tested, self.nics, "NICs (rails of nodes)"))
        counted.append((self.pairs_tested, self.pairs, "pairs of nodes"))
        counted.append((self.leaf_pairs_tested, self.leaf_pairs, "pairs of leaves"))
        told = [f"{got} of {of} {what}" for got, of, what in counted if of]
        told.append(f"{self.measured} of {self.planned} planned measurements")
        return ", ".join(told)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a buyer's checklist: `word` is a verdict's, or `not asked`, `not measured here`."""

    id: str
    asks: str
    word: str
    stages: tuple[str, ...]
    test: str
    evidence: str
    instead: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """An acceptance as a whole. `next_commands` are what to type next."""

    format: int
    version: str
    folder: str
    profile: str
    about: str
    simulated: bool
    cluster: str
    started: float
    finished: float | None
    verdict: Verdict
    reasons: tuple[str, ...]
    stages: tuple[StageResult, ...]
    coverage: Coverage
    waived: tuple[str, ...]
    not_waived: tuple[str, ...]
    checklist: tuple[Checked, ...]
    next_commands: tuple[str, ...]

    @property
    def warning(self) -> str:
        """What has to be said ahead of everything else; "" of a cluster that was measured."""
        return SIMULATED * self.simulated

    @property
    def word(self) -> str:
        """The verdict for people: a PASS that rests on waivers says so."""
        is_waived = self.verdict == PASS and self.waived
        return self.verdict.word + (" with waivers" if is_waived else "")

    @property
    def node_hours(self) -> float:
        """What the runs took, all nodes together."""
        return sum(stage.all_seconds for stage in self.stages) * self.coverage.nodes / 3600

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for stage in self.stages for finding in stage.findings)
