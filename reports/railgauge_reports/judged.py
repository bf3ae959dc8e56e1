"""What is wrong with a run, who did it, what it should have been: one shape for every format.

The formats read `Judged` and nothing else of this kind.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from railgauge.errors import UsageError
from railgauge.units import format_size
from railgauge_reports.cells import significant
from railgauge_reports.expected.machine import Machine, machine_of
from railgauge_reports.expected.planned import question_of_plan
from railgauge_reports.expected.question import Question, curve
from railgauge_reports.findings import doubts, slow_arrivals
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.suspects import CONFIRMED, Suspect
from railgauge_reports.lossless import told
from railgauge_reports.pairs import Pairs, pairs_of
from railgauge_reports.series import series_frame
from railgauge_reports.suspected import suspected
from railgauge_reports.verdict import WrongElement, wrong_elements

Severity = Literal["fail", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("fail", "warning", "note")
#: Slow pairs that are told of one by one.
MOST_PAIRS = 5
#: Ranks with wrong data that are told of one by one.
MOST_WRONG = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence for a person, how bad it is, whose hosts it names, and a command to type next."""

    sentence: str
    severity: Severity
    hosts: tuple[str, ...] = ()
    next: str = ""


@dataclasses.dataclass(frozen=True)
class Band:
    """What busbw should be at a size: between low and high; `bound_GBps` is what nothing exceeds."""

    low_GBps: float
    high_GBps: float
    bound_GBps: float | None = None


@dataclasses.dataclass(frozen=True)
class Shortfall:
    """The share of a bandwidth that is missing, of what, and against what that is said."""

    share: float
    of: str
    against: str


@dataclasses.dataclass(frozen=True)
class Judged:
    """Findings with the worst first; `expected` by (operation, nbytes), empty where nothing says what
    should be, as `unexpected` tells.
    """

    findings: tuple[Finding, ...]
    suspects: tuple[Suspect, ...] = ()
    expected: Mapping[tuple[str, int], Band] = dataclasses.field(default_factory=dict)
    unexpected: str = ""
    shortfall: Shortfall | None = None
    pairs: Pairs | None = None

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def suspect_hosts(self) -> frozenset[str]:
        return frozenset(host for suspect in self.suspects for host in suspect.hosts)


def judged_of(run: LoadedRun) -> Judged:
    """Everything that is known to be wrong, from the verdict, the rules, arrivals and slow pairs.

    Slow pairs are told of where nobody is suspected of them.
    """
    pairs = pairs_of(run)
    accused = suspected(run)
    suspects = accused.suspects
    found = [*_wrong(run), *map(_suspected, suspects), *_reasons(run), *_fabric(run)]
    found += [*([] if suspects else _slow_pairs(run, pairs)), *_late(run)]
    found += [Finding(note, "note") for note in (*run.stored.notes, *doubts(run), *accused.notes)]
    once: dict[str, Finding] = {}
    for finding in found:
        once.setdefault(finding.sentence, finding)
    ranked = sorted(once.values(), key=lambda finding: SEVERITIES.index(finding.severity))
    expected, unexpected = expected_of(run)
    short = _below(run, expected) if expected else _behind(pairs)
    return Judged(tuple(ranked), suspects, expected, unexpected, short, pairs)


def expected_of(run: LoadedRun) -> tuple[Mapping[tuple[str, int], Band], str]:
    """What busbw should be, by (operation, nbytes), or why nothing says so."""
    machine = machine_of(run.stored)
    if machine.cluster is None:
        return {}, f"no expectation: {machine.reason}"
    told_of = run.rows.loc[run.rows["busbw_GBps"].notna(), ["operation", "nbytes"]]
    sizes = told_of.groupby("operation")["nbytes"].unique()
    bands: dict[tuple[str, int], Band] = {}
    reasons = []
    for operation, asked in sizes.items():
        try:
            question = question_of_plan(
                run.stored.plan, machine.cluster, str(operation), *_asked(run, machine)
            )
        except UsageError as error:
            reasons.append(str(error).splitlines()[0])
            continue
        if question.reason:
            reasons.append(question.reason)
            continue
        bands |= _bands(question, sorted(int(size) for size in asked if size))
    return bands, "" if bands else f"no expectation: {'; '.join(dict.fromkeys(reasons))}"


def _asked(run: LoadedRun, machine: Machine) -> tuple[int, int]:
    """(nodes, ranks) of a group."""
    plan = run.stored.plan
    if plan.pattern != "nodes":
        return machine.nodes, machine.ranks
    each = plan.ranks_per_node or machine.ranks // machine.nodes
    return plan.group_nodes, plan.group_nodes * each


def _bands(question: Question, sizes: Sequence[int]) -> dict[tuple[str, int], Band]:
    if not sizes:
        return {}
    made = curve(question, sizes)
    low, high = made.busbw_GBps(made.seconds_high), made.busbw_GBps(made.seconds_low)
    rows = zip(sizes, low.tolist(), high.tolist(), made.bound_GBps.tolist(), strict=True)
    return {
        (question.operation, size): Band(least, most, bound)
        for size, least, most, bound in rows
        if math.isfinite(least) and math.isfinite(most)
    }


def _suspected(suspect: Suspect) -> Finding:
    """A fault where it was verified with partners known to be good, else a warning."""
    severity: Severity = "fail" if suspect.verified == CONFIRMED else "warning"
    return Finding(suspect.sentence(), severity, suspect.hosts, suspect.next_test)


def _reasons(run: LoadedRun) -> list[Finding]:
    """The verdict's own, but those that a rule of the fabric gave: they come with more to say."""
    rules = set(told.reasons(run.fabric))
    severity: Severity = "fail" if run.verdict.word in ("FAIL", "ERROR") else "warning"
    following = run.verdict.next_commands[:1]
    return [
        Finding(reason, severity, next="".join(following))
        for reason in run.verdict.reasons
        if reason not in rules
    ]


def _wrong(run: LoadedRun) -> list[Finding]:
    by_rank: dict[int, list[WrongElement]] = {}
    for found in wrong_elements(run.stored):
        by_rank.setdefault(found.wrong.rank, []).append(found)
    told_of = [
        Finding(
            f"wrong data: {first.sentence()}"
            + (f", and in {len(more)} more measurements" if more else ""),
            "fail",
            (first.wrong.host,),
            "".join(run.verdict.next_commands[:1]),
        )
        for first, *more in by_rank.values()
    ]
    left = len(told_of) - MOST_WRONG
    more = [Finding(f"wrong data on {left} more ranks", "fail")] if left > 0 else []
    return told_of[:MOST_WRONG] + more


def _fabric(run: LoadedRun) -> list[Finding]:
    words: Mapping[str, Severity] = {"F": "fail", "W": "warning"}
    return [
        Finding(
            finding.sentence(),
            words[finding.counts],
            (finding.site.host,) if finding.site.host else (),
            finding.next[0] if finding.next else "",
        )
        for finding in told.shown(run.fabric.judgement)
        if finding.counts in words
    ]


def _late(run: LoadedRun) -> list[Finding]:
    named = run.rows["slowest_host"].dropna().unique().tolist()
    return [
        Finding(sentence, "warning", tuple(h for h in named if f" on {h} " in sentence))
        for sentence in slow_arrivals(run)
    ]


def _slow_pairs(run: LoadedRun, pairs: Pairs | None) -> list[Finding]:
    """Pairs far below the median of all that accuse nobody."""
    if pairs is None:
        return []
    size = f"{pairs.operation} of {format_size(pairs.nbytes)}"
    median = f"the median of {len(pairs.frame):,} pairs ({significant(pairs.median_GBps)} GB/s)"
    shown = pairs.slow.head(MOST_PAIRS)
    made = [
        Finding(
            f"{pairs.words(one, other, rail)}: {significant(rate)} GB/s in {size},"
            f" {1 - rate / pairs.median_GBps:.0%} below {median}",
            "warning",
            _names(pairs, (one, other)),
            run.stored.again,
        )
        for one, other, rail, rate in shown[["one", "other", "rail", "busbw_GBps"]].itertuples(
            index=False, name=None
        )
    ]
    left = len(pairs.slow) - len(shown)
    if left > 0:
        made.append(Finding(f"{left:,} more pairs are as far below the median", "warning"))
    return made


def _names(pairs: Pairs, places: Sequence[int]) -> tuple[str, ...]:
    if pairs.players.noun != "host":
        return ()
    return tuple(pairs.players.names[place] for place in places)


def _below(run: LoadedRun, expected: Mapping[tuple[str, int], Band]) -> Shortfall | None:
    """The operation that lacks most of what is expected at its largest size; None within the band."""
    series = series_frame(run.rows)
    told_of = series[series["busbw_GBps"].notna()].sort_values("nbytes", kind="stable")
    worst: Shortfall | None = None
    for _, row in told_of.drop_duplicates("label", keep="last").iterrows():
        band = expected.get((str(row["operation"]), int(row["nbytes"])))
        rate = float(row["busbw_GBps"])
        if band is None or rate >= band.low_GBps:
            continue
        middle = (band.low_GBps + band.high_GBps) / 2
        share = 1 - rate / middle
        if worst is None or share > worst.share:
            of = f"{row['label']} of {format_size(int(row['nbytes']))}, {significant(rate)} GB/s"
            worst = Shortfall(share, of, f"the {significant(middle)} GB/s that are expected")
    return worst


def _behind(pairs: Pairs | None) -> Shortfall | None:
    """What the slowest pair lacks: a collective over all of them goes at its pace."""
    if pairs is None or pairs.slow.empty:
        return None
    slowest = pairs.slow.iloc[0]
    one, other, rail = (int(slowest[name]) for name in ("one", "other", "rail"))
    return Shortfall(
        1 - pairs.share(float(slowest["busbw_GBps"])),
        f"the slowest pair, {pairs.words(one, other, rail)} (a collective over all of them goes at its pace)",
        f"the median of {len(pairs.frame):,} pairs of this run",
    )
