"""The gate over a history: nights in order, one walk over all series, and what follows for one night."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from railgauge import __version__
from railgauge_reports.acceptance.algebra import Verdict
from railgauge_reports.history import advice, sentences, verdicts
from railgauge_reports.history.answer import FORMAT, Acknowledged, Gate, SeriesResult, Told
from railgauge_reports.history.decided import Decided
from railgauge_reports.history.epochs import epochs_of, numbers
from railgauge_reports.history.history import History, read_history
from railgauge_reports.history.matrix import matrix_of
from railgauge_reports.history.naming import name_of
from railgauge_reports.history.results import epochs, nights, operations, series
from railgauge_reports.history.rule import discoveries
from railgauge_reports.history.timeline import Timeline, timeline
from railgauge_reports.history.troubles import troubles
from railgauge_reports.history.walk import Ack as Accepting
from railgauge_reports.history.walk import walk


def gate_of(
    folder: Path, night: str | None = None, since: str | None = None, now: float | None = None
) -> Gate:
    """Read a history and judge a night; see `read_history` and `gate`."""
    return gate(read_history(folder), night, since, now)


def gate(
    history: History, night: str | None = None, since: str | None = None, now: float | None = None
) -> Gate:
    """The answer for a night (None: the last one), as of then: what came after it is not looked at.

    `since`: nights before are left out. `now` is the present, for nights that should have been since
    (None: this host's clock). Raises UsageError for a night that is not there.
    """
    now = time.time() if now is None else now
    when = timeline(history.nights, history.settings, night, since, now)
    judged = decide(history, when)
    told = troubles(judged)
    found = series(judged)
    verdict, reasons = _verdict(judged, found, told)
    made = Gate(
        format=FORMAT,
        version=__version__,
        folder=str(history.folder),
        simulated=any(run.simulated for run in judged.runs),
        verdict=verdict,
        reasons=tuple(reasons),
        judged_at=now,
        price=history.settings.price,
        night=when.tonight,
        nights=nights(judged),
        epochs=epochs(judged),
        operations=operations(found),
        series=found,
        acks=_acks(judged),
        told=told,
        coverage=sentences.coverage(found),
        next_commands=(),
    )
    return advice.with_commands(made, judged)


def decide(history: History, when: Timeline) -> Decided:
    """Walk through all nights."""
    matrix = matrix_of(when.rows, history.keys, history.settings.cluster)
    names = tuple(map(name_of, matrix.keys))
    opened = epochs_of(when.rows)
    walked = walk(
        matrix.values,
        matrix.larger,
        epochs=numbers(len(when.rows), opened),
        same=matrix.same,
        other=matrix.other,
        acks=_accepting(history, when, names),
        rule=history.settings.decision,
    )
    row = when.entries[when.tonight].row
    counts = np.zeros(len(names), np.bool_)
    if row is not None:
        counts = discoveries(walked.p[row], history.settings.decision.rate)
    return Decided(history, when, matrix, names, tuple(opened), walked, row, counts)


# acknowledgements ---------------------------------------------------------------------------------------


def _accepting(history: History, when: Timeline, names: Sequence[str]) -> list[Accepting]:
    """What the walk is told of each acknowledgement; of one whose night is not there, that it covers none."""
    made = []
    dates = [history.settings.date(summary.at) for summary in when.rows]
    for ack in history.acks:
        first = _row_of(ack.night, history, when)
        covered = np.array([ack.covers(name) for name in names], np.bool_)
        last = None
        if ack.expires is not None and first is not None:
            within = [row for row, date in enumerate(dates) if date <= ack.expires]
            last = max(within, default=-1)
            covered &= last >= first
        if first is None:
            covered[:] = False
        made.append(Accepting(-1 if first is None else first, covered, last))
    return made


def _row_of(night: str, history: History, when: Timeline) -> int | None:
    """The row of a night by its folder or date."""
    found = [
        row
        for row, summary in enumerate(when.rows)
        if night in (summary.folder, history.settings.date(summary.at).isoformat())
    ]
    return found[-1] if found else None


def _acks(judged: Decided) -> tuple[Acknowledged, ...]:
    """Every acknowledgement with what it does on the night that is judged."""
    settings, when = judged.history.settings, judged.when
    today = settings.date(when.entries[-1].at)
    made = []
    for number, ack in enumerate(judged.history.acks):
        covered = (judged.walked.acked == number).any(axis=0)
        expired = ack.expires is not None and ack.expires < today
        state = "expired" if expired else "holds" if covered.any() else "covers nothing"
        made.append(
            Acknowledged(
                series=ack.series,
                author=ack.author,
                reason=ack.reason,
                night=ack.night,
                expires="" if ack.expires is None else ack.expires.isoformat(),
                state=state,  # type: ignore[arg-type]
                covers=int(covered.sum()),
                sentence=f"{ack.sentence()} ({state})",
            )
        )
    return tuple(made)


#: What is told and alarms -> the verdict; of every other kind INCONCLUSIVE.
_OF_KIND = {"wrong data": verdicts.WRONG, "hang": verdicts.HANG}


# the verdict --------------------------------------------------------------------------------------------


def _verdict(
    judged: Decided, found: Sequence[SeriesResult], told: Sequence[Told]
) -> tuple[Verdict, list[str]]:
    """The verdict of the night, and why: what decides first."""
    made = sentences.of_series(judged, found)
    made += [
        (_OF_KIND.get(one.kind, verdicts.INCONCLUSIVE), one.sentence) for one in told if one.alarms
    ]
    made.sort(key=lambda pair: verdicts.ORDER.index(pair[0]))
    if not made:
        return verdicts.PASS, [sentences.passed(found)]
    return made[0][0], [why for _, why in made]
