"""What else is to be told of a history: missing and unreadable nights, clocks, other nodes, lost series."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from railgauge.errors import EXIT_FAIL, EXIT_HANG, EXIT_PASS, EXIT_WRONG_DATA
from railgauge.topology import some
from railgauge.units import format_size
from railgauge_reports.history.answer import Told
from railgauge_reports.history.decided import Decided
from railgauge_reports.history.timeline import ALARM

_WORD = {EXIT_WRONG_DATA: "wrong data", EXIT_HANG: "hang"}
#: Nights of a kind that a sentence lists.
_MOST = 6


def troubles(decided: Decided) -> tuple[Told, ...]:
    """All of them, what alarms first."""
    found = [
        *_runs(decided),
        *_missing(decided),
        *_corrupt(decided),
        *(Told(kind="clock", sentence=sentence) for sentence in decided.when.told),
        *_confirming(decided),
        *_nodes(decided),
        *_lost(decided),
        *_chosen(decided),
    ]
    return tuple(sorted(found, key=lambda one: not one.alarms))


def _runs(decided: Decided) -> Iterator[Told]:
    """Runs of the night that were wrong, hung, or did not measure what they should have."""
    at = decided.when.tonight
    for run in decided.runs:
        if run.exit_code in (EXIT_PASS, EXIT_FAIL):
            continue
        why = f": {run.reasons[0]}" if run.reasons else ""
        where = run.path or decided.tonight.folder
        yield Told(
            kind=_WORD.get(run.exit_code, "incomplete"),
            sentence=f"{where} ended {run.verdict} ({run.exit_code}){why}",
            alarms=True,
            night=at,
        )
    if decided.tonight.is_absurd:
        sentence = (
            f"{decided.tonight.folder} records a time that no clock has: is it the last night?"
        )
        yield Told(kind="clock", sentence=sentence, alarms=True, night=at)
    for one in decided.tonight.trouble:
        where = one.path or decided.tonight.folder
        word = "cannot be read" if one.kind == "corrupt" else "is incomplete"
        sentence = f"{where} {word}: {one.why}"
        yield Told(kind=one.kind, sentence=sentence, alarms=True, night=at)


def _missing(decided: Decided) -> Iterator[Told]:
    when = decided.when
    gaps = [(k, entry) for k, entry in enumerate(when.entries) if entry.summary is None]
    if when.missing:
        last = when.entries[when.tonight].name
        if when.silent:
            told = f"{_nights(when.missing)} missing since {last}, the last one there is"
        else:
            told = f"{_nights(when.missing)} missing before {last}"
        yield Told(kind="missing", sentence=told, alarms=when.missing >= ALARM)
    total = sum(entry.nights for _, entry in gaps)
    if total > when.missing:
        names = [entry.name for _, entry in gaps]
        told = f"{_nights(total)} missing in all: {_listed(names)}"
        yield Told(kind="missing", sentence=told)


def _nights(count: int) -> str:
    return f"{count} night{'s are' if count > 1 else ' is'}"


def _corrupt(decided: Decided) -> Iterator[Told]:
    """Nights before of which something could not be read."""
    for index, entry in enumerate(decided.when.entries):
        summary = entry.summary
        if summary is None or index == decided.when.tonight:
            continue
        for one in summary.trouble:
            if one.kind == "corrupt":
                where = "/".join(filter(None, (summary.folder, one.path)))
                sentence = f"{where} cannot be read, and is left out: {one.why}"
                yield Told(kind="corrupt", sentence=sentence, night=index)


def _confirming(decided: Decided) -> Iterator[Told]:
    index = decided.index_of_row
    for row, why in decided.matrix.not_counted:
        sentence = f"night {decided.name_of_row(row)}: {why}"
        yield Told(kind="confirming", sentence=sentence, night=index[row])


def _nodes(decided: Decided) -> Iterator[Told]:
    """Other nodes than on the night before: no change of the environment, but worth knowing."""
    row = decided.row
    if not row:
        return
    now, before = (set(decided.when.rows[k].hosts) for k in (row, row - 1))
    new, gone = sorted(now - before), sorted(before - now)
    if new or gone:
        told = [f"new {some(new)}"] if new else []
        told += [f"gone {some(gone)}"] if gone else []
        yield Told(kind="nodes", sentence=f"other nodes than the night before: {', '.join(told)}")


def _lost(decided: Decided) -> Iterator[Told]:
    """Series of the night before that were not measured on this one."""
    row = decided.row
    if not row:
        return
    values = decided.matrix.values
    lost = np.flatnonzero(np.isnan(values[row]) & ~np.isnan(values[row - 1]))
    if lost.size:
        names = [decided.names[column] for column in lost]
        told = f"{lost.size} series of the night before were not measured: {_listed(names, 2)}"
        yield Told(kind="series", sentence=told)


def _chosen(decided: Decided) -> Iterator[Told]:
    """Another algorithm or protocol than the night before, as the library's log says."""
    row = decided.row
    if not row:
        return
    before, now = (
        {number: words for run in decided.when.rows[k].runs for number, words in run.chosen.items()}
        for k in (row - 1, row)
    )
    other: dict[tuple[str, str], list[str]] = {}
    for number, words in now.items():
        old = before.get(number, words)
        if old != words:
            key = decided.history.keys.list[number]
            other.setdefault((old, words), []).append(f"{key.operation} {format_size(key.nbytes)}")
    for (old, words), cases in other.items():
        told = f"the library chose {words} and no more {old}: {_listed(cases)}"
        yield Told(kind="algorithm", sentence=told)


def _listed(names: list[str], most: int = _MOST) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[-most:]) + more
