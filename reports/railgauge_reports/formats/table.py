"""A table for people: verdict, coverage, one line per case and group, and what to know."""

from __future__ import annotations

from railgauge_reports.acceptance import show
from railgauge_reports.acceptance.answer import Result
from railgauge_reports.cells import align, some, table
from railgauge_reports.findings import MOST_LATE, doubts, slow_arrivals
from railgauge_reports.history import show as history_show
from railgauge_reports.history.answer import Gate
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.lossless import told
from railgauge_reports.suspected import suspected
from railgauge_reports.verdict import MOST_WRONG, wrong_elements


def render(run: LoadedRun) -> str:
    """Lines of text without colour; time units adapt to the value."""
    stored, verdict = run.stored, run.verdict
    made = table(run.rows)
    lines = [
        *([run.warning] if run.warning else []),
        f"{verdict.word} ({verdict.exit_code}): {verdict.coverage.sentence()}",
        f"{stored.last.backend}, {stored.library}, {stored.where}, pattern {stored.plan.pattern}",
        ", ".join(made.common),
        "",
        *(align(made.header, made.body) if made.body else ["nothing was measured"]),
        *made.more(stored.called),
    ]
    evidence = [f"wrong data: {wrong.sentence()}" for wrong in wrong_elements(stored)]
    evidence = some(evidence, MOST_WRONG, "ranks had wrong data (--format json names them)")
    notes = [f"note: {note}" for note in (*stored.notes, *doubts(run))]
    late = [f"late: {sentence}" for sentence in slow_arrivals(run, MOST_LATE)]
    warned = [f"warning: {sentence}" for sentence in told.warnings(run.fabric)]
    accused = suspected(run)
    sentences = [*verdict.reasons, *evidence, *accused.sentences(), *late, *warned]
    sentences.append(f"fabric: {told.summary(run.fabric)}")
    sentences += notes
    commands = [f"next: {command}" for command in (*accused.next_tests, *verdict.next_commands)]
    return "\n".join([*lines, "", *sentences, *commands]).replace("\n\n\n", "\n\n") + "\n"


def render_acceptance(result: Result) -> str:
    """An acceptance instead of a run."""
    return show.text(result)


def render_gate(gate: Gate) -> str:
    """What the gate says of a history."""
    return history_show.text(gate)
