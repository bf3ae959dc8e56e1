"""`railgauge gate --ack`: what is flagged on a night is accepted, where there is anything to accept."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec

from railgauge.errors import UsageError
from railgauge_reports.history.acks import Ack, add_ack
from railgauge_reports.history.answer import Gate
from railgauge_reports.history.gate import gate_of

#: States that can be accepted.
OPEN = ("regression", "changed", "unconfirmed", "improved")


def acknowledge(
    history: Path, series: str, author: str, reason: str, expires: str | None, night: str | None
) -> Ack:
    """Keep an acknowledgement of the night (None: the last one).

    Raises UsageError where nothing of it is flagged, or an argument cannot be kept.
    """
    gate = gate_of(history, night)
    day = _day(expires)
    try:
        ack = msgspec.convert(
            {
                "series": series,
                "night": gate.tonight.folder,
                "author": author,
                "reason": reason,
                "expires": day,
            },
            Ack,
        )
    except msgspec.ValidationError as error:
        raise UsageError(f"--ack: {error}.\n  next: railgauge gate --help") from None
    _check(gate, ack)
    add_ack(history, ack)
    return ack


def _day(text: str | None) -> datetime.date | None:
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--expires {text}: no date.\n  expected: 2027-01-31") from None


def _check(gate: Gate, ack: Ack) -> None:
    open_ = [one.name for one in gate.series if one.state in OPEN]
    if not any(ack.covers(name) for name in open_):
        close = "\n".join(f"    {name}" for name in open_[:6]) or "    nothing is flagged"
        raise UsageError(
            f"--ack {ack.series}: covers nothing that is flagged on night {gate.tonight.name}.\n"
            f"  flagged:\n{close}\n  next: --ack all, or a name from there (* stands for anything)"
        )
    if ack.expires is not None and ack.expires.isoformat() < gate.tonight.name[:10]:
        raise UsageError(
            f"--expires {ack.expires}: before the night that it is about, {gate.tonight.name}."
        )
