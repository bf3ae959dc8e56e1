"""JUnit XML for CI: a test case a planned case, a rule of the fabric, and one for the verdict.

Valid under the schema of Ant's JUnitReport as under that of Jenkins' xunit plug-in. Nothing that was
not measured passes: a gap and what was not reached are errors; a rule that could not be judged is
skipped, with why. Suspects are failures of a suite of their own; warnings stand in the output of the
verdict.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator
from typing import Literal
from xml.etree import ElementTree

from railgauge.errors import EXIT_FAIL, EXIT_PASS, EXIT_WRONG_DATA
from railgauge.plan import Case
from railgauge_reports.judged import judged_of
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.suspects import CONFIRMED
from railgauge_reports.lossless import told
from railgauge_reports.lossless.catalogue import rule_named
from railgauge_reports.stored import Measured, Missed, Pair
from railgauge_reports.verdict import planned_pairs, wrong_elements

Outcome = Literal["", "failure", "error", "skipped"]
#: What XML 1.0 has no way to write.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Sentences of one test case.
MOST_SENTENCES = 20


@dataclasses.dataclass(frozen=True)
class Test:
    """A test case: what it came to, a line that says why, the rest of it."""

    name: str
    seconds: float = 0.0
    outcome: Outcome = ""
    sentences: tuple[str, ...] = ()


def render(run: LoadedRun) -> str:
    """The document, UTF-8."""
    suites = {
        "measurements": list(_measurements(run)),
        "fabric": list(_rules(run)),
        "suspects": list(_suspects(run)),
        "verdict": [_verdict(run)],
    }
    root = ElementTree.Element("testsuites")
    for number, (name, tests) in enumerate(suites.items()):
        root.append(_suite(run, number, name, tests))
    ElementTree.indent(root, " ")
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


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


# XML --------------------------------------------------------------------------------------------------


def _suite(run: LoadedRun, number: int, name: str, tests: list[Test]) -> ElementTree.Element:
    started = datetime.datetime.fromtimestamp(run.stored.last.started, datetime.timezone.utc)
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": f"railgauge.{name}",
            "package": "railgauge",
            "id": str(number),
            "timestamp": started.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": _line(next(iter(run.stored.last.hosts), "")) or "localhost",
            "tests": str(len(tests)),
            "failures": str(sum(test.outcome == "failure" for test in tests)),
            "errors": str(sum(test.outcome == "error" for test in tests)),
            "skipped": str(sum(test.outcome == "skipped" for test in tests)),
            "time": _seconds(sum(test.seconds for test in tests)),
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in _facts(run):
        ElementTree.SubElement(properties, "property", {"name": key, "value": _line(value)})
    for test in tests:
        suite.append(_case(name, test))
    out = ElementTree.SubElement(suite, "system-out")
    out.text = _text("\n".join(_said(run, tests)))
    ElementTree.SubElement(suite, "system-err").text = ""
    return suite


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


def _said(run: LoadedRun, tests: Iterable[Test]) -> Iterator[str]:
    """What test cases that passed have to say: XML has no other place for it that all readers know."""
    if run.warning:
        yield run.warning
    for test in tests:
        if not test.outcome:
            yield from (f"{test.name}: {sentence}" for sentence in test.sentences)


def _case(suite: str, test: Test) -> ElementTree.Element:
    made = ElementTree.Element(
        "testcase",
        {
            "classname": f"railgauge.{suite}",
            "name": _line(test.name) or "-",
            "time": _seconds(test.seconds),
        },
    )
    if test.outcome == "skipped":
        ElementTree.SubElement(made, "skipped", {"message": _line("; ".join(test.sentences))})
    elif test.outcome:
        told_of = test.sentences[:MOST_SENTENCES]
        left = len(test.sentences) - len(told_of)
        more = [f"and {left} more"] if left else []
        why = ElementTree.SubElement(
            made, test.outcome, {"type": test.outcome, "message": _line(told_of[0])}
        )
        why.text = _text("\n".join([*told_of, *more]))
    return made


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _text(value: str) -> str:
    return _FORBIDDEN.sub("\ufffd", value)


def _line(value: str) -> str:
    """A token of XML Schema: no blank at the ends, none twice, no line break."""
    return " ".join(_text(value).split())
