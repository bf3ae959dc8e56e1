"""A report for a ticket or a wiki: verdict, coverage, evidence, tables, machine, what next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from railgauge.patterns import PAIRWISE
from railgauge.units import format_seconds
from railgauge_reports.acceptance import show
from railgauge_reports.acceptance.answer import Result
from railgauge_reports.cells import NOTHING, table
from railgauge_reports.cells import escaped as _escaped
from railgauge_reports.cells import pipes as _pipes
from railgauge_reports.counters import counter_frame, events
from railgauge_reports.findings import MOST_LATE, doubts, slow_arrivals
from railgauge_reports.flows import flow_frame
from railgauge_reports.history import morning
from railgauge_reports.history.answer import Gate
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.lossless import told
from railgauge_reports.lossless.run import Fabric
from railgauge_reports.machine import machine_facts
from railgauge_reports.stored import StoredRun
from railgauge_reports.suspected import suspected
from railgauge_reports.verdict import MOST_WRONG, wrong_elements

MOST_COUNTERS = MOST_FLOWS = 30
MOST_BYES = 5


def render(run: LoadedRun) -> str:
    """CommonMark with pipe tables."""
    stored, verdict = run.stored, run.verdict
    accused = suspected(run)
    parts = [
        f"# railgauge: {verdict.word}",
        *([f"**{run.warning}.**"] if run.warning else []),
        f"{verdict.coverage.sentence()}.",
        *_bullets(verdict.reasons),
        *_section("Wrong data", _wrong(stored)),
        *_section("Suspects", _bullets([*accused.sentences(), *accused.next_tests])),
        *_section("Late arrivals", _bullets(slow_arrivals(run, MOST_LATE))),
        *_section("Results", _results(run)),
        *_section("Flows", _flows(stored)),
        *_section("Lossless fabric", _fabric(run.fabric)),
        *_section("Counters", _counters(stored)),
        *_section("Notes", _bullets([*stored.notes, *_byes(stored), *doubts(run)])),
        *_section("Machine", [_pipes(("fact", "value"), machine_facts(stored))]),
        *_section("Next", [f"```\n{chr(10).join(verdict.next_commands)}\n```"]),
    ]
    return "\n\n".join(parts) + "\n"


def render_acceptance(result: Result) -> str:
    """An acceptance instead of a run."""
    return show.markdown(result)


def render_gate(gate: Gate) -> str:
    """What the gate says of a night."""
    return morning.markdown(gate)


def _section(title: str, parts: Sequence[str]) -> list[str]:
    return [f"## {title}", *parts] if parts else []


def _bullets(sentences: Iterable[str]) -> list[str]:
    text = "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)
    return [text] if text else []


def _results(run: LoadedRun) -> list[str]:
    parts = []
    for operation, rows in run.rows.groupby("operation", sort=False):
        made = table(rows)
        heading = ": ".join(filter(None, (str(operation), ", ".join(made.common))))
        body = [row[1:] for row in made.body]
        parts += [f"### {heading}", _pipes(made.header[1:], body, right=True)]
        parts += made.more(run.stored.called)
    return parts or ["Nothing was measured."]


def _flows(stored: StoredRun) -> list[str]:
    """The slowest flows by their share of the mean of their group."""
    found = flow_frame(stored)
    if found.empty:
        return []
    shown = found.nsmallest(MOST_FLOWS, "share", keep="first")
    rows: list[dict[str, Any]] = shown.to_dict("records")  # type: ignore[assignment]
    header = (
        *("nbytes", "round", "setting", "from", "to", "median", "p99", "GB/s", "of the mean"),
        "samples",
    )
    body = [
        (
            *(_or_nothing(row[name]) for name in ("nbytes", "round", "setting")),
            f"{row['source']} ({row['source_host']})",
            f"{row['target']} ({row['target_host']})",
            *(
                NOTHING if pd.isna(row[name]) else format_seconds(row[name])
                for name in ("median_seconds", "p99_seconds")
            ),
            _or_nothing(row["GBps"], ".4g"),
            _or_nothing(row["share"], ".0%"),
            _or_nothing(row["samples"]),
        )
        for row in rows
    ]
    left = len(found) - len(shown)
    more = [f"{left} faster ones are in the run folder."] if left else []
    return [_pipes(header, body), *more]


def _byes(stored: StoredRun) -> list[str]:
    """Who sat rounds out, which a reader takes for a gap otherwise."""
    if stored.plan.pattern not in PAIRWISE or stored.plan.quiet:
        return []  # others leave ranks out by design
    idle: dict[str, list[str]] = {}
    for made in stored.results:
        if made.result.idle and made.result.case.index == stored.results[0].result.case.index:
            idle.setdefault(made.result.idle, []).append(str(made.result.round))
    told = [
        f"ranks {ranks} sat out round{'s' * (len(rounds) > 1)} {', '.join(rounds)}"
        for ranks, rounds in idle.items()
    ]
    more = len(told) - MOST_BYES
    return told[:MOST_BYES] + ([f"others sat out {more} more rounds"] if more > 0 else [])


def _counters(stored: StoredRun) -> list[str]:
    """The largest changes of known events, and what happened to counters otherwise."""
    found = events(counter_frame(stored))
    if found.empty:
        return []
    shown = found.sort_values("delta", ascending=False, na_position="first").head(MOST_COUNTERS)
    rows: list[dict[str, Any]] = shown.sort_index().to_dict("records")  # type: ignore[assignment]
    header = (
        *("operation", "nbytes", "round", "host", "device", "counter", "event", "delta"),
        *("a second", "a GB", "note"),
    )
    body = [
        (
            *(str(row[name]) for name in ("operation", "nbytes", "round", "host")),
            f"{row['device']}/{row['port']}" if row["port"] else row["device"],
            *(_or_nothing(row[name]) for name in ("counter", "event", "delta")),
            *(_or_nothing(row[name], ".4g") for name in ("per_second", "per_GB")),
            _or_nothing(row["note"]),
        )
        for row in rows
    ]
    left = len(found) - len(shown)
    more = [f"{left} smaller ones are in the journal."] if left else []
    return [_pipes(header, body), *more]


def _fabric(fabric: Fabric) -> list[str]:
    """What the rules say: the profile, every finding with its evidence, and what is unknown."""
    judgement = fabric.judgement
    parts = [told.summary(fabric)]
    if sentence := judgement.pauses.sentence():
        parts.append(f"{sentence}.")
    for finding in told.shown(judgement):
        rule = finding.rule
        after = f"; consequence of {finding.consequence_of}" if finding.consequence_of else ""
        parts += [
            f"### {rule.id} {rule.name}: {told.WORDS[finding.severity]}{after}",
            f"{_escaped(finding.site.words())}: {_escaped(finding.words)}.",
            *_bullets(
                (
                    rule.diagnosis,
                    f"At fault: {rule.blame}.",
                    f"Remedy: {rule.remedy}",
                    f"Source: {rule.source}.",
                )
            ),
            _pipes(told.HEADER, (told.cells(row, NOTHING) for row in finding.evidence)),
        ]
        if finding.next:
            parts.append(f"```\n{chr(10).join(finding.next)}\n```")
    parts += _bullets(told.left_out(judgement))
    unknown = [] if fabric.silent else told.unknowns(judgement)
    if unknown:
        parts += ["UNKNOWN, for want of:", _pipes(("rule", "missing"), unknown)]
    return parts


def _or_nothing(value: Any, form: str = "") -> str:
    return NOTHING if pd.isna(value) else format(value, form)


def _wrong(stored: StoredRun) -> list[str]:
    header = (
        "case", "round", "rank", "host", "buffer", "index", "expected", "found", "elements",
        "iteration",
    )  # fmt: skip
    found = wrong_elements(stored)
    body = [
        (
            w.case.describe(),
            str(w.round),
            *(
                (NOTHING, NOTHING, w.wrong.buffer, NOTHING, NOTHING, NOTHING)
                if w.counted_alone
                else (
                    str(w.wrong.rank),
                    w.wrong.host,
                    w.wrong.buffer,
                    str(w.wrong.index),
                    f"`{w.wrong.expected}`",
                    f"`{w.wrong.found}`",
                )
            ),
            str(w.wrong.elements),
            NOTHING if w.wrong.iteration is None else str(w.wrong.iteration),
        )
        for w in found[:MOST_WRONG]
    ]
    left = len(found) - len(body)
    more = [f"{left} more ranks had wrong data: `--format json` names them."] if left else []
    return [_pipes(header, body), *more] if body else []
