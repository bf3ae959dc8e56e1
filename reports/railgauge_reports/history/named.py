"""Who is at fault by the localisation of the nights themselves: tonight's, and the first slow night's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from railgauge.errors import RailgaugeError
from railgauge.journal import JOURNAL
from railgauge_reports.acceptance import is_acceptance
from railgauge_reports.history.answer import Gate
from railgauge_reports.localise.suspects import CONFIRMED, REFUTED

#: Suspects that are told of.
MOST_NAMED = 20


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A node, NIC, rail or path that pairs of a night accuse. `nights` are names of those that do, of the
    two that were asked; `folder` holds the evidence; `verified` is "confirmed", or "" where nobody looked.
    """

    kind: str
    target: str
    words: str
    hosts: tuple[str, ...]
    effect: float
    confidence: float
    verified: str
    nights: tuple[str, ...]
    folder: str
    next: str = ""


def named_by(gate: Gate) -> tuple[Named, ...]:
    """The suspects of tonight, then those of the first night of the oldest slow streak, the surest first.

    A night without pairs, or that cannot be read, names nobody.
    """
    begun = [
        s.since
        for s in gate.of_state("regression", "unconfirmed", "changed")
        if s.since is not None
    ]
    asked = dict.fromkeys((gate.night, *([min(begun)] if begun else [])))
    found: dict[str, Named] = {}
    for index in asked:
        night = gate.nights[index]
        if night.state in ("missing", "corrupt", "left out"):
            continue
        for suspect in _suspects(Path(gate.folder) / night.folder, night.name):
            known = found.get(suspect.target)
            nights = (*known.nights, night.name) if known else (night.name,)
            found[suspect.target] = msgspec.structs.replace(known or suspect, nights=nights)
    ranked = sorted(
        found.values(),
        key=lambda n: (n.verified != CONFIRMED, -len(n.nights), -n.confidence, -n.effect),
    )
    return tuple(ranked[:MOST_NAMED])  # fmt: skip


def _suspects(folder: Path, night: str) -> Iterator[Named]:
    try:
        if is_acceptance(folder):
            yield from _of_acceptance(folder, night)
        elif (folder / JOURNAL).exists():
            yield from _of_run(folder, night)
        else:
            for run in sorted(path.parent for path in folder.glob(f"*/{JOURNAL}")):
                yield from _of_run(run, night)
    except (RailgaugeError, OSError):
        return  # the gate itself says what cannot be read


def _of_acceptance(folder: Path, night: str) -> Iterator[Named]:
    from railgauge_reports.acceptance.judge import judge, read_acceptance

    for stage in judge(read_acceptance(folder)).stages:
        for suspect in stage.suspects:
            if suspect.verified != REFUTED:
                yield Named(
                    kind=suspect.kind,
                    target=suspect.target,
                    words=suspect.sentence.partition(". That is ")[0],
                    hosts=suspect.hosts,
                    effect=suspect.effect,
                    confidence=suspect.confidence,
                    verified=suspect.verified,
                    nights=(night,),
                    folder=str(folder / stage.folders[-1]) if stage.folders else str(folder),
                    next=suspect.next_test,
                )


def _of_run(folder: Path, night: str) -> Iterator[Named]:
    from railgauge_reports.loaded import load
    from railgauge_reports.suspected import suspected

    for suspect in suspected(load(folder)).suspects:
        if suspect.verified != REFUTED:
            yield Named(
                kind=suspect.kind,
                target=suspect.target,
                words=suspect.sentence().partition(". That is ")[0],
                hosts=suspect.hosts,
                effect=suspect.effect,
                confidence=suspect.confidence,
                verified=suspect.verified,
                nights=(night,),
                folder=str(folder),
                next=suspect.next_test,
            )
