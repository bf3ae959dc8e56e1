"""The verdict of a run folder: a word, the exit code it stands for, and what was not tested.

It is judged from the facts of the whole folder, not only from the last line of the journal: a
resumed run that ended in order does not undo the wrong data of its first start.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from railgauge import patterns
from railgauge.errors import (
    EXIT_FAIL,
    EXIT_HANG,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    EXIT_WRONG_DATA,
)
from railgauge.plan import Case, Plan, cases
from railgauge.records import Wrong
from railgauge.repeating import repetitions
from railgauge.topology import Topology
from railgauge_reports.group_table import table_of
from railgauge_reports.stored import Measured, Pair, StoredRun

#: Ranks with wrong data that a report for people names.
MOST_WRONG = 30


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How much of the plan was measured, in pairs of case and round.

    A pair counts as measured when every group of the round has samples of the planned case;
    `not_reached` has neither a result nor a gap; `unchecked` moved data that nobody verified, though
    it could be. Of all `iterations`, warm-up and first calls included, the buffers of `checked` were
    verified.
    """

    planned: int
    measured: int
    gaps: int
    not_reached: int
    unchecked: int
    iterations: int
    checked: int
    imported: bool = False

    @property
    def complete(self) -> bool:
        return self.measured == self.planned and not self.unchecked

    def sentence(self) -> str:
        """`12 of 14 planned measurements made, 1 gap, 1 not reached; ...`."""
        facts = [f"{self.measured} of {self.planned} planned measurements made"]
        if self.gaps:
            facts.append(f"{self.gaps} gap{'s' * (self.gaps > 1)}")
        if self.not_reached:
            facts.append(f"{self.not_reached} not reached")
        if self.unchecked:
            facts.append(f"{self.unchecked} not checked")
        if self.imported:
            return f"{', '.join(facts)}; what was checked was by the tool that measured"
        return (
            f"{', '.join(facts)}; the buffers of {self.checked} of {self.iterations} iterations"
            " (warm-up included) were checked"
        )


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The word and its exit code, why (one sentence each), and the next commands to type."""

    word: str
    exit_code: int
    reasons: tuple[str, ...]
    coverage: Coverage
    next_commands: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class WrongElement:
    """One rank's first wrong element, with the case it happened in."""

    case: Case
    round: int
    wrong: Wrong

    @property
    def counted_alone(self) -> bool:
        """A tool whose results were imported counted elements, and did not say which."""
        return self.wrong.index < 0

    def sentence(self) -> str:
        """`rank 3 on n1: receive 0[17] is 0x..., expected 0x... (...)`."""
        w = self.wrong
        if self.counted_alone:
            return f"{w.elements} wrong elements ({self.case.describe()}, round {self.round}), {w.buffer}"
        return (
            f"rank {w.rank} on {w.host}: {w.buffer}, element {w.index} is {w.found},"
            f" expected {w.expected}"
            f" ({w.elements} wrong; {self.case.describe()}, round {self.round})"
        )


def with_faults(verdict: Verdict, faults: Sequence[str], commands: Sequence[str]) -> Verdict:
    """The verdict of a run on a fabric with these faults: FAIL, but where worse is known already."""
    if not faults:
        return verdict
    reasons = (*faults, *verdict.reasons)
    if verdict.exit_code not in (EXIT_PASS, EXIT_INCONCLUSIVE):
        return dataclasses.replace(verdict, reasons=(*verdict.reasons, *faults))
    return Verdict(
        "FAIL", EXIT_FAIL, reasons, verdict.coverage, (*commands, *verdict.next_commands)
    )


def planned_pairs(plan: Plan, where: Topology, times: int = 1) -> dict[Pair, Case]:
    """All pairs of case and round that a plan stands for where its ranks were, with the case.

    `times` is how often the rounds of a plan with a duration were repeated.
    """
    rounds = range(patterns.round_count(plan.schedule, where) * times)
    return {(case.index, index): case for case in cases(plan) for index in rounds}


def wrong_elements(run: StoredRun) -> list[WrongElement]:
    """The evidence of wrong data, in the order of the plan."""
    return [
        WrongElement(made.result.case, made.result.round, wrong)
        for made in run.results
        if (groups := table_of(made.result.groups)).any("wrong")
        for found in groups.values("wrong")
        for wrong in found
    ]


def _whole(made: Measured, planned: dict[Pair, Case]) -> bool:
    result = made.result
    samples = bool(result.groups) and table_of(result.groups).least("iterations") > 0
    return samples and planned.get((result.case.index, result.round)) == result.case


def _unchecked(made: Measured) -> bool:
    entry = made.result.case.entry
    verifiable = entry.sized and not entry.external
    return verifiable and not table_of(made.result.groups).least("checked_iterations")


def coverage(run: StoredRun) -> Coverage:
    """What of the plan was measured; pure function of the folder.

    Of an import, what stands in the log: what was planned beyond that nobody knows.
    """
    if run.imported:
        known = cases(run.plan)
        planned = {pair: known[pair[0]] for pair in run.pairs}
    else:
        where = run.starts[-1].topology(run.plan)
        times = repetitions(run.plan, where, (index for _, index in run.pairs))
        planned = planned_pairs(run.plan, where, times)
    tables = [table_of(made.result.groups) for made in run.results]
    timed = sum(
        len(table) + table.total("warmup_iterations") + table.total("iterations")
        for table in tables
    )
    return Coverage(
        planned=len(planned),
        measured=sum(_whole(made, planned) for made in run.results),
        gaps=len(run.gaps),
        not_reached=len(planned.keys() - run.pairs.keys()),
        unchecked=0 if run.simulated else sum(_unchecked(made) for made in run.results),
        iterations=timed,
        checked=sum(table.total("checked_iterations") for table in tables),
        imported=run.imported,
    )


def judge(run: StoredRun) -> Verdict:
    """The verdict of the folder, failing closed: what is missing never passes."""
    covered = coverage(run)
    word, code, reasons = _decide(run, covered)
    return Verdict(word, code, reasons, covered, _next_commands(run, code))


def _decide(run: StoredRun, covered: Coverage) -> tuple[str, int, tuple[str, ...]]:
    wrong = wrong_elements(run)
    claimed = run.end.exit_code if run.end else EXIT_NOT_MEASURED
    if wrong or claimed == EXIT_WRONG_DATA:
        rows = len({(w.case.index, w.round) for w in wrong})
        reason = f"wrong data in {rows} measurements, on {len({w.wrong.rank for w in wrong})} ranks"
        told = () if run.imported else (reason,)  # of which ranks, its tool does not say
        return "FAIL", EXIT_WRONG_DATA, (*told, *_claimed_reasons(run))
    if run.end is None:
        return "ERROR", EXIT_NOT_MEASURED, _claimed_reasons(run)
    if claimed != EXIT_PASS:
        return run.end.verdict, claimed, _claimed_reasons(run)
    if run.gaps or not covered.complete:
        return "INCONCLUSIVE", EXIT_INCONCLUSIVE, (*_gap_reasons(run), covered.sentence())
    return "PASS", EXIT_PASS, ()


def _claimed_reasons(run: StoredRun) -> tuple[str, ...]:
    """What the run itself says of its end, and of what it left out."""
    if run.end is None:
        word = "the run ended without a word (killed, or its host died): what it finished is here,"
        return (f"{word} --resume measures the rest",)
    words = {
        EXIT_HANG: "a rank hung, died or did not arrive in time",
        EXIT_INTERRUPTED: "the run was interrupted; --resume measures the rest",
        EXIT_NOT_MEASURED: "the run could not measure",
    }
    said = run.end.message or words.get(run.end.exit_code, "")
    return tuple(filter(None, (said, *_gap_reasons(run))))


def _gap_reasons(run: StoredRun) -> list[str]:
    """One sentence a reason, with how many measurements it cost and the first of them."""
    by_reason: dict[str, list[str]] = {}
    for gap in run.gaps:
        by_reason.setdefault(gap.reason, []).append(gap.case.describe())
    return [
        f"not measured: {lost[0]}{f' and {len(lost) - 1} more' if lost[1:] else ''}: {reason}"
        for reason, lost in by_reason.items()
    ]


def _next_commands(run: StoredRun, code: int) -> tuple[str, ...]:
    here = shlex.quote(str(run.called))
    same = run.again
    if run.imported:
        return (f"railgauge report {here} --format csv", f"(it was made by {same})")
    wrong = wrong_elements(run)
    if code == EXIT_WRONG_DATA and wrong:
        case = wrong[0].case
        again = f"{same} --operation {case.operation} --dtype {case.dtype} --sizes {case.nbytes}"
        again += f" --placement {case.placement} --call {case.call}"
        again += f" --op {case.op}" if case.op else ""
        again += f" --algorithm {case.algorithm}" if case.algorithm else ""
        again += "" if case.root is None else f" --root {case.root}"
        return (again, "(and once more without the host that is named above)")
    if code == EXIT_INCONCLUSIVE:
        return (f"{same} --sizes SMALLER_SIZES", "(or the same plan on hosts with more memory)")
    if code != EXIT_PASS:
        return (f"{same} --output {here} --resume",)
    return (f"railgauge report {here} --format csv",)
