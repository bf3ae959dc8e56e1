"""One JSON object: run, verdict, exit_code, coverage, notes, suspects, fabric, rows; null: missing."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from railgauge_reports.acceptance import show
from railgauge_reports.acceptance.answer import Result
from railgauge_reports.findings import doubts, slow_arrivals
from railgauge_reports.frame_parts import records
from railgauge_reports.history import show as history_show
from railgauge_reports.history.answer import Gate
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.lossless import told
from railgauge_reports.suspected import suspected
from railgauge_reports.verdict import wrong_elements


def head(run: LoadedRun) -> dict[str, Any]:
    """Everything but the rows, as JSON's own types."""
    verdict, stored, accused = run.verdict, run.stored, suspected(run)
    covered = msgspec.to_builtins(verdict.coverage)
    started = msgspec.to_builtins(stored.last)
    del started["record"]  # the journal's tag
    return {
        "run": {
            "folder": str(stored.called),
            **started,
            "plan": msgspec.to_builtins(stored.plan),
            "starts": len(stored.starts),
            "environment": stored.environment,
        },
        "simulated": run.simulated,
        "verdict": verdict.word,
        "exit_code": verdict.exit_code,
        "coverage": {**covered, "sentence": verdict.coverage.sentence()},
        "reasons": list(verdict.reasons),
        "notes": [*stored.notes, *doubts(run), *accused.notes],
        "suspects": [
            {**dataclasses.asdict(suspect), "sentence": suspect.sentence()}
            for suspect in accused.suspects
        ],
        "slow_arrivals": slow_arrivals(run),
        "fabric": told.as_data(run.fabric),
        "wrong": [
            {"case": w.case.index, "round": w.round, **msgspec.to_builtins(w.wrong)}
            for w in wrong_elements(stored)
        ],
        "next": list(verdict.next_commands),
    }


def render(run: LoadedRun) -> str:
    """The object, indented, with a newline at its end."""
    names = list(run.rows.columns)
    rows = [dict(zip(names, values, strict=True)) for values in records(run.rows)]
    encoded = msgspec.json.encode({**head(run), "rows": rows})
    return msgspec.json.format(encoded, indent=1).decode() + "\n"


def render_acceptance(result: Result) -> str:
    """An acceptance instead of a run."""
    return show.json(result)


def render_gate(gate: Gate) -> str:
    """What the gate says of a history."""
    return history_show.json(gate)
