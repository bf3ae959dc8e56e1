"""What the gate says of a night as JUnit XML.

A test case an operation, metric and number of nodes, one that the night was measured, one a suspect and an
acknowledgement, and one for the verdict. What is learning is skipped, what changed with its environment or
was slow once is an error: neither passes.
"""

from __future__ import annotations

from collections.abc import Iterator

from railgauge.errors import EXIT_FAIL, EXIT_PASS, EXIT_WRONG_DATA
from railgauge_reports.history import morning
from railgauge_reports.history.answer import Gate, SeriesResult
from railgauge_reports.history.named import named_by
from railgauge_reports.junit_xml import Head, Outcome, Test, document
from railgauge_reports.localise.suspects import CONFIRMED

#: Groups of series that have a test case of their own; the others are one together.
MOST_GROUPS = 60
#: What a series of that state is to CI, the worst first.
_STATES: dict[str, Outcome] = {
    "regression": "failure",
    "unconfirmed": "error",
    "changed": "error",
    "missing": "error",
    "learning": "skipped",
    "acknowledged": "skipped",
    "outlier": "",
    "improved": "",
    "accepted": "",
}


def of_gate(gate: Gate) -> str:
    """The document, UTF-8."""
    suites = {
        "series": list(_groups(gate)),
        "night": [_night(gate)],
        "suspects": [_named(n.target, n.verified, n.words) for n in named_by(gate)],
        "acknowledgements": [
            Test(
                f"acknowledged {a.series}",
                0.0,
                "" if a.state == "holds" else "skipped",
                (a.sentence,),
            )
            for a in gate.acks[:MOST_GROUPS]
        ],
        "verdict": [_gated(gate)],
    }
    facts = {
        "simulated": str(gate.simulated).lower(),
        "history": gate.folder,
        "night": gate.tonight.name,
        "nights": str(len(gate.nights)),
        "version": gate.version,
        "verdict": gate.verdict.word,
        "exit_code": str(gate.verdict.exit_code),
    }
    began = gate.tonight.started or gate.judged_at
    host = next(iter(gate.tonight.hosts), "")
    return document(Head(began, host, tuple(facts.items()), gate.warning), suites)


def _groups(gate: Gate) -> Iterator[Test]:
    """One an operation, metric and number of nodes, under names that stay from night to night."""
    by_name: dict[str, list[SeriesResult]] = {}
    for series in gate.series:
        key = series.key
        stage = f"{key.stage}: " if key.stage else ""
        name = f"{stage}{key.operation} {key.metric}, {key.nodes} nodes"
        by_name.setdefault(name, []).append(series)
    names = sorted(by_name)
    rest = [series for name in names[MOST_GROUPS:] for series in by_name[name]]
    for name in names[:MOST_GROUPS]:
        yield _group(gate, name, by_name[name])
    if rest:
        yield _group(gate, "all other series", rest)


def _group(gate: Gate, name: str, group: list[SeriesResult]) -> Test:
    worst = min(group, key=lambda series: list(_STATES).index(series.state)).state
    outcome = _STATES[worst]
    if not outcome:
        return Test(name, 0.0, "", (f"{len(group)} series within their baselines",))
    told_of = [morning.from_to(gate, s) for s in group if _STATES[s.state] == outcome]
    return Test(name, 0.0, outcome, tuple(told_of))


def _night(gate: Gate) -> Test:
    night = gate.tonight
    lost = [told_.sentence for told_ in gate.told if told_.kind in ("missing", "corrupt")]
    bad = night.state in ("missing", "corrupt", "left out")
    sentences = (f"night {night.name} is {night.state}", *night.why) if bad else ()
    return Test("measured", 0.0, "error" if bad else "", (*sentences, *lost))


def _named(target: str, verified: str, words: str) -> Test:
    return Test(
        f"suspect {target}", 0.0, "failure" if verified == CONFIRMED else "skipped", (words,)
    )


def _gated(gate: Gate) -> Test:
    if gate.verdict.exit_code == EXIT_PASS:
        return Test("verdict", 0.0, "", (gate.verdict.word, gate.coverage))
    failed = gate.verdict.exit_code in (EXIT_FAIL, EXIT_WRONG_DATA)
    head = f"{gate.verdict.word} ({gate.verdict.exit_code})"
    sentences = (head, *gate.reasons, *morning.changes(gate), gate.coverage)
    return Test("verdict", 0.0, "failure" if failed else "error", tuple(dict.fromkeys(sentences)))
