"""What to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import msgspec

from railgauge_reports.history.answer import Gate
from railgauge_reports.history.decided import Decided

_MOST = 6


def with_commands(gate: Gate, decided: Decided) -> Gate:
    """The answer with the commands that follow from it."""
    return msgspec.structs.replace(gate, next_commands=tuple(_commands(gate, decided))[:_MOST])


def _commands(gate: Gate, decided: Decided) -> Iterator[str]:
    here = f"railgauge gate {shlex.quote(gate.folder)}"
    night = gate.tonight
    at = (
        ""
        if decided.when.entries[-1] is decided.when.entries[gate.night]
        else f" --night {shlex.quote(night.folder)}"
    )
    open_ = gate.of_state("unconfirmed", "changed")
    least = decided.history.settings.decision.confirm
    if any(one.same_looks < (1 if one.state == "changed" else least) for one in open_):
        yield f"{here}{at} --confirm{_launcher(decided, same=True)}"
    slow = gate.of_state("regression")
    if any(one.confirm_other is None for one in slow) and not gate.simulated:
        yield f"{here}{at} --confirm-other{_launcher(decided, same=False)}"
    if slow or gate.of_state("changed"):
        which = "all" if len({*slow, *gate.of_state("changed")}) > 1 else (slow or open_)[0].name
        yield f"{here}{at} --ack {shlex.quote(which)} --reason 'WHY THIS IS THE NEW NORMAL'"
    if slow:
        run = decided.tonight.runs[0] if decided.tonight.runs else None
        path = f"{gate.folder}/{night.folder}/{run.path}" if run else gate.folder
        yield f"railgauge report {shlex.quote(path.rstrip('/'))}"
    for one in gate.told:
        if one.alarms and one.kind in ("corrupt", "incomplete", "wrong data", "hang"):
            yield f"railgauge report {shlex.quote(f'{gate.folder}/{night.folder}')}"
            break
    if gate.verdict.word == "PASS":
        yield f"{here} --json"


def _launcher(decided: Decided, same: bool) -> str:
    """The launcher that puts ranks where they have to be, where one is needed."""
    runs = decided.tonight.runs
    if not runs or (same and (runs[0].simulated or len(runs[0].hosts) == 1)):
        return ""
    ranks = max(run.ranks for run in runs)
    where = "--nodelist={hosts}" if same else "--exclude={hosts}"
    return f" --launcher 'srun -n {ranks} {where}'"
