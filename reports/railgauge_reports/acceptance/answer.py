"""The result of an acceptance: what every format shows. Frozen, and JSON as it stands."""

from __future__ import annotations

import msgspec

from railgauge_reports.acceptance.algebra import Verdict


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


class FollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """A run that looked closer: why, at which cost, and what came of it."""

    kind: str
    folder: str
    reason: str
    cost: str
    outcome: str


class StageResult(msgspec.Struct, frozen=True, kw_only=True):
    """One stage: `reasons` say why it has its verdict; `planned` and `measured` count (case, round)."""

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
    planned: int = 0
    measured: int = 0
    seconds: float = 0.0

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
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for stage in self.stages for finding in stage.findings)
