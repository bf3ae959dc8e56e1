"""The gate's answer for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from railgauge_reports.cells import align, percent
from railgauge_reports.history.answer import Gate, Night, SeriesResult
from railgauge_reports.history.naming import told

#: Series, and other things, that a person is told of one by one; JSON has all.
MOST = 20
#: Nights that are shown: the last ones.
_NIGHTS = 14
_HEADER = ("series", "state", "tonight", "accepted", "change", "MADs", "sees", "again", "others")


def text(gate: Gate) -> str:
    """Lines for a terminal: the verdict and why, what is flagged, the nights, what next."""
    night = gate.tonight
    flagged = [one for one in gate.series if one.state not in ("accepted", "learning")]
    lines = [
        *([gate.warning] if gate.simulated else []),
        f"{gate.verdict.word} ({gate.verdict.exit_code}): night {night.name} of {gate.folder}",
        *gate.reasons,
        gate.coverage,
        "",
        *(align(_HEADER, [_row(one) for one in flagged[:MOST]]) if flagged else []),
        *_more(len(flagged) - MOST, "series: --format json"),
        *_scopes(flagged),
        "",
        *[f"operation {one.sentence}" for one in gate.operations[:MOST] if _is_hit(one.states)],
        *_epochs(gate),
        *[f"acknowledged: {ack.sentence}" for ack in gate.acks if ack.state == "holds"],
        *[f"acknowledgement {a.sentence}" for a in gate.acks if a.state != "holds"],
        *[f"{'alarm' if one.alarms else 'note'}: {one.sentence}" for one in gate.told[:MOST]],
        *_more(len(gate.told) - MOST, "notes: --format json"),
        "",
        *_nights(gate),
        *[f"next: {command}" for command in gate.next_commands],
    ]
    return _squeezed(lines)


def json(gate: Gate) -> str:
    """The answer as one JSON object, indented; the verdict as a word, its exit code beside it."""
    whole = msgspec.to_builtins(gate)
    whole["verdict"] = gate.verdict.word
    whole["exit_code"] = gate.verdict.exit_code
    return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode() + "\n"


# lines --------------------------------------------------------------------------------------------------


def _row(one: SeriesResult) -> tuple[str, ...]:
    """Of _HEADER."""
    effect = "-" if one.effect is None else f"{one.effect:+.2%}"
    return (
        one.words,
        one.state + (f" ({one.scope})" if one.scope else ""),
        told(one.key, one.value),
        told(one.key, one.baseline),
        effect,
        "-" if one.mads is None else f"{abs(one.mads):.1f}",
        "-" if one.smallest_effect is None else percent(one.smallest_effect),
        told(one.key, one.confirm_same),
        told(one.key, one.confirm_other),
    )


def _scopes(flagged: Iterable[SeriesResult]) -> list[str]:
    """Which nodes are slow and others are not."""
    hosts = {one.hosts for one in flagged if one.scope == "nodes"}
    return [f"slow on these nodes and not on others: {' '.join(own)}" for own in sorted(hosts)]


def _epochs(gate: Gate) -> list[str]:
    made = []
    for epoch in gate.epochs[1:]:
        name = gate.nights[epoch.night].name
        changes = [change.sentence() for change in epoch.changes]
        more = f"; {len(changes) - 4} more" if len(changes) > 4 else ""
        line = f"environment {epoch.number} since {name}: {'; '.join(changes[:4])}{more}"
        if epoch.slow:
            line += f"; {len(epoch.slow)} series slower since"
            line += f", acknowledged: {epoch.acknowledged}" if epoch.acknowledged else ""
        made.append(line)
    return made[-MOST:]


def _nights(gate: Gate) -> list[str]:
    """The last nights, a line each."""
    shown = gate.nights[-_NIGHTS:]
    hidden = len(gate.nights) - len(shown)
    rows = [_night(one) for one in shown]
    head = [f"{hidden} nights before"] if hidden else []
    return [*head, *align(("night", "folder", "state", "series", "flagged"), rows)]


def _night(night: Night) -> tuple[str, ...]:
    counted = {k: v for k, v in night.flagged.items() if k not in ("accepted", "learning")}
    return (
        night.name,
        night.folder or "-",
        night.state + (f": {night.why[0]}" if night.why else ""),
        str(night.series),
        ", ".join(f"{count} {state}" for state, count in counted.items()) or "-",
    )


def _is_hit(states: dict[str, int]) -> bool:
    return any(state in states for state in ("regression", "changed", "unconfirmed", "improved"))


def _more(left: int, what: str) -> list[str]:
    return [f"{left} more {what}"] if left > 0 else []


def _squeezed(lines: Iterable[str]) -> str:
    """Without empty lines beside each other."""
    made: list[str] = []
    for line in lines:
        if line or (made and made[-1]):
            made.append(line)
    return "\n".join(made).rstrip("\n") + "\n"
