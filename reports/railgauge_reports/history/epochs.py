"""Environments of nights: where a fact changed, another epoch begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from railgauge_reports.history.answer import Changed
from railgauge_reports.history.facts import RECORDED, VARIABLE
from railgauge_reports.history.summary import NightSummary


@dataclasses.dataclass(frozen=True)
class Opened:
    """An epoch: the index of its first night among those that were measured, and what changed."""

    night: int
    changes: tuple[Changed, ...]


def epochs_of(nights: Sequence[NightSummary]) -> list[Opened]:
    """The epochs of nights in the order of time; the first one changes nothing.

    A fact that a night does not know is as it was known last. Variables are recorded all together, so one
    that is not among them is not set.
    """
    made: list[Opened] = []
    known: dict[str, str] = {}
    for index, night in enumerate(nights):
        facts = night_facts(night)
        changes = _changes(known, facts) if made else []
        if changes or not made:
            made.append(Opened(index, tuple(changes)))
        if RECORDED in facts:
            known = {name: v for name, v in known.items() if not name.startswith(VARIABLE)}
        known |= facts
    return made


def night_facts(night: NightSummary) -> dict[str, str]:
    """What its runs say, of one that several say differently the first; and what the site says."""
    made: dict[str, str] = {}
    for run in night.runs:
        made = {**run.facts, **made}
    return made | night.facts


def numbers(nights: int, epochs: Sequence[Opened]) -> list[int]:
    """The number of the epoch of every night."""
    opened = {epoch.night for epoch in epochs}
    made: list[int] = []
    for night in range(nights):
        made.append(made[-1] + (night in opened) if made else 0)
    return made


def _changes(known: dict[str, str], facts: dict[str, str]) -> list[Changed]:
    both = RECORDED in known and RECORDED in facts
    names = [name for name in facts if name in known or (both and name.startswith(VARIABLE))]
    names += [n for n in known if both and n.startswith(VARIABLE) and n not in facts]
    return [
        Changed(what=name, old=known.get(name, ""), new=facts.get(name, ""))
        for name in names
        if known.get(name, "") != facts.get(name, "")
    ]
