"""The parts of the answer, from what was decided: series, operations, nights, epochs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, cast

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge_reports.cells import percent
from railgauge_reports.history import sentences
from railgauge_reports.history.answer import (
    Epoch,
    Night,
    NightState,
    OperationResult,
    SeriesResult,
    SeriesState,
)
from railgauge_reports.history.decided import Decided
from railgauge_reports.history.matrix import matrix_of
from railgauge_reports.history.metrics import METRICS
from railgauge_reports.history.naming import words_of
from railgauge_reports.history.rule import Floats
from railgauge_reports.history.summary import NightSummary
from railgauge_reports.history.timeline import Entry
from railgauge_reports.history.walk import Scope, State

_WORDS: dict[int, SeriesState] = {
    state.value: cast("SeriesState", state.name.lower()) for state in State
}
_SCOPES: dict[int, Literal["", "nodes", "fleet"]] = {
    Scope.UNKNOWN.value: "",
    Scope.NODES.value: "nodes",
    Scope.FLEET.value: "fleet",
}
#: What is shown first; within a state, what is worst.
_ORDER: tuple[SeriesState, ...] = (
    *("regression", "changed", "unconfirmed", "outlier", "acknowledged", "improved"),
    *("learning", "accepted", "missing"),
)


def series(decided: Decided) -> tuple[SeriesResult, ...]:
    """Those that were measured on the night that is judged, the worst first."""
    row = decided.row
    if row is None:
        return ()
    measured = np.flatnonzero(~np.isnan(decided.matrix.values[row]))
    repeats = _repeats(decided)
    shared = Counter(words_of(decided.matrix.keys[column]) for column in measured)
    columns = _Columns(decided)
    made = []
    for column in measured:
        key = decided.matrix.keys[column]
        words = words_of(key)
        words += f", {key.variant}" if shared[words] > 1 else ""
        result = columns.result(int(column), words, repeats.get(int(column), ()))
        made.append(
            msgspec.structs.replace(result, sentence=sentences.of_one(result, decided.when))
        )
    rank = {state: k for k, state in enumerate(_ORDER)}
    return tuple(sorted(made, key=lambda s: (rank[s.state], -_or(s.worse, 0.0), s.name)))


class _Columns:
    """Series of the walk as results."""

    def __init__(self, decided: Decided) -> None:
        self._decided = decided
        assert decided.row is not None
        self._row: int = decided.row
        index = decided.index_of_row
        self._places = [index[row] for row in range(len(decided.when.rows))]
        self._nights = len(decided.when.entries)

    def result(self, column: int, words: str, repeats: tuple[float, ...]) -> SeriesResult:
        decided, walked, row = self._decided, self._decided.walked, self._row
        key, state = decided.matrix.keys[column], State(int(walked.state[row, column]))
        value = _number(decided.matrix.values[row, column])
        learned = state not in (State.LEARNING, State.MISSING)
        baseline = _number(walked.median[row, column]) if learned else None
        acked = int(walked.acked[row, column])
        since = int(walked.since[row, column])
        metric, smallest = METRICS[key.metric], walked.smallest[:, column]
        return SeriesResult(
            key=key,
            name=decided.names[column],
            words=words,
            unit=metric.unit,
            larger_is_better=metric.larger_is_better,
            state=_WORDS[state],
            value=value,
            repeats=repeats,
            baseline=baseline,
            mad=_number(walked.mad[row, column]) if learned else None,
            nights=int(walked.nights[row, column]),
            effect=value / baseline - 1 if value is not None and baseline else None,
            worse=_number(walked.worse[row, column]),
            mads=_number(walked.mads[row, column]),
            p=_number(walked.p[row, column]),
            counts=bool(decided.counts[column]),
            smallest_effect=_number(walked.smallest[row, column]),
            since=self._places[since] if since >= 0 else None,
            scope=_SCOPES[int(walked.scope[row, column])],
            confirm_same=_number(decided.matrix.same[row, column]),
            confirm_other=_number(decided.matrix.other[row, column]),
            same_looks=int(decided.matrix.looks[row, column]),
            sentence="",
            hosts=self._hosts(key.stage),
            place=self._place(column),
            acknowledged=decided.history.acks[acked].sentence() if acked >= 0 else "",
            values=self._of_nights(decided.matrix.values[:, column]),
            states=self._states(column),
            medians=self._of_nights(
                np.where(np.isfinite(smallest), walked.median[:, column], np.nan)
            ),
            smallest=self._of_nights(smallest),
        )

    def _of_nights(self, values: Floats) -> tuple[float | None, ...]:
        """One a night of the answer, of one a row."""
        made: list[float | None] = [None] * self._nights
        for place, value in zip(self._places, values.tolist(), strict=True):
            made[place] = _number(value)
        return tuple(made)

    def _states(self, column: int) -> tuple[SeriesState, ...]:
        made: list[SeriesState] = ["missing"] * self._nights
        for place, state in zip(self._places, self._decided.walked.state[:, column], strict=True):
            made[place] = _WORDS[int(state)]
        return tuple(made)

    def _place(self, column: int) -> str:
        """Which place a worst place was, in the run where it was worst."""
        history, key = self._decided.history, self._decided.matrix.keys[column]
        if not METRICS[key.metric].of_places:
            return ""
        bare = msgspec.structs.replace(key, cluster="")
        found = [
            (float(run.measured[run.numbers == number][0]), place)
            for run in self._decided.runs
            for number, place in run.places.items()
            if msgspec.structs.replace(history.keys.list[number], cluster="") == bare
        ]
        return min(found, default=(0.0, ""))[1]

    def _hosts(self, stage: str) -> tuple[str, ...]:
        runs = [run for run in self._decided.runs if run.stage == stage]
        return tuple(dict.fromkeys(host for run in runs for host in run.hosts))


def _repeats(decided: Decided) -> dict[int, tuple[float, ...]]:
    """Column -> what each run of the night measured."""
    history = decided.history
    column_of = {key: column for column, key in enumerate(decided.matrix.keys)}
    each: dict[int, list[float]] = {}
    for run in decided.runs:
        alone = msgspec.structs.replace(decided.tonight, runs=(run,), same=(), other=())
        own = matrix_of([alone], history.keys, history.settings.cluster)
        for key, value in zip(own.keys, own.values[0].tolist(), strict=True):
            if not math.isnan(value):
                each.setdefault(column_of[key], []).append(value)
    return {column: tuple(values) for column, values in each.items()}


def operations(found: Sequence[SeriesResult]) -> tuple[OperationResult, ...]:
    """The series by operation, the one with most that are no chance first."""
    by_name: dict[str, list[SeriesResult]] = {}
    for one in found:
        by_name.setdefault(one.key.operation, []).append(one)
    made = []
    for name, own in by_name.items():
        states = Counter(one.state for one in own)
        worse = [
            one.worse
            for one in own
            if one.state in ("regression", "changed", "unconfirmed") and one.worse is not None
        ]
        middle = float(np.median(worse)) if worse else None
        told = ", ".join(f"{count} {state}" for state, count in states.most_common())
        sentence = f"{name}: {told} of {len(own)} series"
        sentence += f", in the middle {percent(middle)} worse" if middle is not None else ""
        made.append(
            OperationResult(
                operation=name,
                series=len(own),
                states={str(state): count for state, count in states.items()},
                counts=sum(one.counts and one.state == "regression" for one in own),
                median_worse=middle,
                sentence=sentence,
            )
        )
    return tuple(sorted(made, key=lambda one: (-one.counts, -(one.median_worse or 0.0))))


# nights -------------------------------------------------------------------------------------------------


def nights(decided: Decided) -> tuple[Night, ...]:
    """All entries of the time line."""
    return tuple(_night(decided, entry) for entry in decided.when.entries)


def _night(decided: Decided, entry: Entry) -> Night:
    summary = entry.summary
    if summary is None:
        several = (f"{entry.nights} nights",) * (entry.nights > 1)
        return Night(name=entry.name, folder="", started=entry.at, state="missing", why=several)
    states: Counter[SeriesState] = Counter()
    epoch = None
    if entry.row is not None:
        numbers, times = np.unique(decided.walked.state[entry.row], return_counts=True)
        states.update({_WORDS[int(n)]: int(k) for n, k in zip(numbers, times, strict=True)})
        del states["missing"]
        epoch = decided.epoch_of_row[entry.row]
    state, why = _state_of(entry, summary, states)
    return Night(
        name=entry.name,
        folder=summary.folder,
        started=summary.started,
        state=state,
        why=why,
        epoch=epoch,
        hosts=summary.hosts,
        runs=len(summary.runs),
        series=sum(states.values()),
        flagged={str(name): count for name, count in states.items()},
        exit_code=max((run.exit_code for run in summary.runs), default=None),
        confirmed_same=bool(summary.same),
        confirmed_other=bool(summary.other),
    )


def _state_of(
    entry: Entry, summary: NightSummary, states: Counter[SeriesState]
) -> tuple[NightState, tuple[str, ...]]:
    """The state of a night, and why."""
    trouble = tuple(f"{one.path or summary.folder}: {one.why}" for one in summary.trouble)
    if entry.copy_of:
        return "left out", (f"a copy of {entry.copy_of}",)
    if entry.row is None:
        return "corrupt", trouble
    if states["regression"] or states["unconfirmed"]:
        return "flagged", trouble
    if states["changed"]:
        return "changed", trouble
    if 2 * states["learning"] > sum(states.values()):
        return "learning", trouble
    return "accepted", trouble


def epochs(decided: Decided) -> tuple[Epoch, ...]:
    """The environments, with what is slow since they began and who accepted that."""
    numbers = np.array(decided.epoch_of_row, np.int64)
    made = []
    for number, opened in enumerate(decided.epochs):
        rows = np.flatnonzero(numbers == number)
        slow = _slow_from_the_first(decided, rows) if number else np.zeros(0, np.intp)
        by = {int(n) for n in np.unique(decided.walked.acked[np.ix_(rows, slow)]) if n >= 0}
        authors = "; ".join(decided.history.acks[n].sentence() for n in sorted(by))
        made.append(
            Epoch(
                number=number,
                since=decided.when.rows[opened.night].at,
                night=decided.index_of_row[opened.night],
                nights=len(rows),
                changes=opened.changes,
                is_new=number > 0 and len(rows) < decided.history.settings.decision.epoch,
                slow=tuple(decided.names[column] for column in slow),
                acknowledged=authors,
            )
        )
    return tuple(made)


def _slow_from_the_first(decided: Decided, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Columns that were slow as soon as they were measured in these nights, accidents left out."""
    state, worse = decided.walked.state[rows], decided.walked.worse[rows]
    counted = (state != State.MISSING) & (state != State.OUTLIER)
    first = counted.argmax(axis=0), np.arange(state.shape[1])
    slow = (state[first] == State.CHANGED) | (
        (state[first] == State.ACKNOWLEDGED) & (worse[first] > 0)
    )
    return np.flatnonzero(slow & counted.any(axis=0))


def _number(value: float) -> float | None:
    """A Python number; None of NaN and infinity, which JSON has not."""
    return float(value) if math.isfinite(value) else None


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
