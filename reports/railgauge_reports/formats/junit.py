"""JUnit XML for CI: a test case a planned case, a rule of the fabric, and one for the verdict.

Of an acceptance: a test case a stage, a limit, a suspect, an item of the checklist, and one for the
verdict; their names hold no figure that was measured. Nothing that was not measured passes: a gap and
what was not reached are errors; a rule that could not be judged is skipped, with why; so is what was left
out of an acceptance, or is waived. Suspects are failures of a suite of their own; warnings stand in the
output of the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator

from railgauge.errors import EXIT_FAIL, EXIT_PASS, EXIT_WRONG_DATA
from railgauge.plan import Case
from railgauge_reports.acceptance import algebra
from railgauge_reports.acceptance.answer import Finding, Result, StageResult, Suspect
from railgauge_reports.acceptance.faults import counts, faults_of
from railgauge_reports.history.answer import Gate
from railgauge_reports.history.junit import of_gate
from railgauge_reports.judged import judged_of
from railgauge_reports.junit_xml import Head, Outcome, Test, document
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.suspects import CONFIRMED
from railgauge_reports.lossless import told
from railgauge_reports.lossless.catalogue import rule_named
from railgauge_reports.stored import Measured, Missed, Pair
from railgauge_reports.verdict import planned_pairs, wrong_elements


def render(run: LoadedRun) -> str:
    """The document, UTF-8."""
    suites = {
        "measurements": list(_measurements(run)),
        "fabric": list(_rules(run)),
        "suspects": list(_suspects(run)),
        "verdict": [_verdict(run)],
    }
    stored = run.stored
    host = next(iter(stored.last.hosts), "")
    told_of = Head(stored.last.started, host, tuple(_facts(run)), run.warning)
    return document(told_of, suites)


def _facts(run: LoadedRun) -> list[tuple[str, str]]:
    stored = run.stored
    return [
        ("simulated", str(run.simulated).lower()),
        ("backend", stored.last.backend),
        ("library", stored.library),
        ("pattern", stored.plan.pattern),
        ("ranks", str(stored.last.ranks)),
        ("hosts", str(len(set(stored.last.hosts)))),
        ("version", stored.last.version),
        ("verdict", run.verdict.word),
        ("exit_code", str(run.verdict.exit_code)),
    ]


def _measurements(run: LoadedRun) -> Iterator[Test]:
    """One a planned case, over all of its rounds."""
    stored = run.stored
    wrong: dict[int, list[str]] = {}
    for found in wrong_elements(stored):
        wrong.setdefault(found.case.index, []).append(found.sentence())
    cases: dict[int, Case] = {}
    rounds: dict[int, list[Pair]] = {}
    for pair, case in planned_pairs(stored.plan, stored.starts[-1].topology(stored.plan)).items():
        cases[case.index] = case
        rounds.setdefault(case.index, []).append(pair)
    for index, case in cases.items():
        made = [stored.pairs.get(pair) for pair in rounds[index]]
        seconds = sum(m.result.seconds for m in made if isinstance(m, Measured))
        missing = _missing(rounds[index], made)
        outcome: Outcome = "failure" if index in wrong else "error" if missing else ""
        yield Test(case.describe(), seconds, outcome, (*wrong.get(index, ()), *missing))


def _missing(pairs: list[Pair], made: list[Measured | Missed | None]) -> list[str]:
    """Why rounds of a case have no result."""
    return [
        f"round {pair[1]} was not reached"
        if found is None
        else f"round {pair[1]}: {found.gap.reason}"
        for pair, found in zip(pairs, made, strict=True)
        if not isinstance(found, Measured)
    ]


def _rules(run: LoadedRun) -> Iterator[Test]:
    if run.fabric.silent:
        return
    judgement = run.fabric.judgement
    missing = dict(told.unknowns(judgement))
    for rule, state in told.by_rule(judgement).items():
        name = f"{rule} {rule_named(rule).name}"
        fired = [f for f in judgement.findings if f.rule.id == rule]
        fails = tuple(f.sentence() for f in fired if f.counts == "F")
        if fails:
            yield Test(name, 0.0, "failure", fails)
        elif state == "UNKNOWN":
            yield Test(name, 0.0, "skipped", (missing.get(name, "unknown"),))
        else:
            yield Test(name, 0.0, "", tuple(f.sentence() for f in fired))


def _suspects(run: LoadedRun) -> Iterator[Test]:
    """Who is at fault, under names that stay from night to night; skipped until it is verified."""
    for suspect in judged_of(run).suspects:
        said = f"{suspect.sentence()}; next: {suspect.next_test}"
        outcome: Outcome = "failure" if suspect.verified == CONFIRMED else "skipped"
        yield Test(f"{suspect.kind} {suspect.target}", 0.0, outcome, (said,))


def _verdict(run: LoadedRun) -> Test:
    verdict = run.verdict
    warnings = [f.sentence for f in judged_of(run).findings if f.severity == "warning"]
    if verdict.exit_code == EXIT_PASS:
        return Test("verdict", 0.0, "", (verdict.coverage.sentence(), *warnings))
    failed = verdict.exit_code in (EXIT_FAIL, EXIT_WRONG_DATA)
    head = f"{verdict.word} ({verdict.exit_code})"
    sentences = (head, *verdict.reasons, verdict.coverage.sentence(), *warnings)
    return Test("verdict", 0.0, "failure" if failed else "error", tuple(dict.fromkeys(sentences)))


# an acceptance ----------------------------------------------------------------------------------------

#: What a verdict is to CI; what was left out, or waived, is skipped.
_OUTCOMES: dict[str, Outcome] = {
    "PASS": "",
    "FAIL": "failure",
    "SKIP": "skipped",
    "INTERRUPTED": "skipped",
    "not asked": "skipped",
    "not measured here": "skipped",
}


def render_acceptance(result: Result) -> str:
    """An acceptance instead of a run."""
    suites = {
        "stages": [_stage(stage) for stage in result.stages],
        "limits": [test for stage in result.stages for test in _limits(stage)],
        "suspects": [_suspect(s, u) for s in result.stages for u in s.suspects],
        "checklist": [
            Test(f"{c.id}: {c.asks}", 0.0, _OUTCOMES.get(c.word, "error"), (c.word, c.instead or c.test))
            for c in result.checklist
        ],
        "verdict": [_accepted(result)],
    }  # fmt: skip
    facts = {
        "simulated": str(result.simulated).lower(),
        "profile": result.profile,
        "cluster": result.cluster,
        "nodes": str(result.coverage.nodes),
        "version": result.version,
        "verdict": result.verdict.word,
        "exit_code": str(result.verdict.exit_code),
        "node_hours": f"{result.node_hours:.6g}",
    }
    return document(Head(result.started, "", tuple(facts.items()), result.warning), suites)


def _judged(verdict: algebra.Verdict, findings: tuple[Finding, ...]) -> tuple[Outcome, list[str]]:
    """What it came to, and why: a PASS that rests on a waiver is none to CI, and says which."""
    waived = [f"waived: {f.waived}: {f.sentence}" for f in findings if f.waived]
    if verdict == algebra.PASS and waived:
        return "skipped", waived
    counted = [f"{f.key}: {f.sentence}" for f in findings if counts(f)]
    return _OUTCOMES.get(verdict.word, "error"), [*counted, *waived]


def _stage(stage: StageResult) -> Test:
    outcome, told_of = _judged(stage.verdict, stage.findings)
    sentences = told_of or list(stage.reasons) or [stage.verdict.word]
    return Test(stage.name, stage.all_seconds, outcome, tuple(sentences))


def _limits(stage: StageResult) -> Iterator[Test]:
    for limit in stage.limits:
        verdict = stage.verdict_by(limit)
        outcome, told_of = _judged(verdict, stage.found_by(limit))
        left_out = f"{verdict.word}: not every measurement of the stage was made"
        sentences = (*(told_of or ([left_out] if outcome else [])), f"source: {limit.source}")
        yield Test(f"{stage.name}: {limit.asks}, of each {limit.per}", 0.0, outcome, sentences)


def _suspect(stage: StageResult, suspect: Suspect) -> Test:
    """Skipped until it is verified, and where every finding of its hosts is waived."""
    own = [f for f in stage.findings if f.hosts and set(f.hosts) <= set(suspect.hosts)]
    waived = [f"waived: {f.waived}" for f in own if f.waived]
    is_waived = bool(waived) and not any(map(counts, own))
    outcome: Outcome = "failure" if suspect.verified == CONFIRMED and not is_waived else "skipped"
    said = (*(waived if is_waived else ()), suspect.sentence, f"next: {suspect.next_test}")
    return Test(f"{stage.name}: {suspect.kind} {suspect.target}", 0.0, outcome, said)


def _accepted(result: Result) -> Test:
    verdict, coverage = result.verdict, result.coverage.sentence()
    told_of = (*(fault.brief() for fault in faults_of(result)), *result.reasons)
    if verdict.exit_code == EXIT_PASS:
        return Test("verdict", 0.0, "", (result.word, coverage, *result.waived))
    failed = verdict.exit_code in (EXIT_FAIL, EXIT_WRONG_DATA)
    sentences = (f"{verdict.word} ({verdict.exit_code})", *told_of, coverage)
    return Test("verdict", 0.0, "failure" if failed else "error", tuple(dict.fromkeys(sentences)))


def render_gate(gate: Gate) -> str:
    """What the gate says of a night."""
    return of_gate(gate)
