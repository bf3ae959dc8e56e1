"""Answers of the gate, decided by `walk` on series of known content."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from railgauge_reports.history.answer import (
    Acknowledged,
    Changed,
    Epoch,
    Gate,
    Night,
    OperationResult,
    SeriesKey,
    SeriesResult,
    Told,
)
from railgauge_reports.history.verdicts import PASS, REGRESSION
from railgauge_reports.history.walk import Ack, Scope, State, walk

BEGAN = datetime.datetime(2026, 10, 1, 3, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
SCOPES = {Scope.UNKNOWN: "", Scope.NODES: "nodes", Scope.FLEET: "fleet"}
FLAGGED = ("regression", "changed", "unconfirmed", "outlier", "improved", "acknowledged")


@dataclasses.dataclass(frozen=True)
class Story:
    """What happens to `series` series (GB/s about 40, 80, ...) on `nights` nights; nights are indices.

    From `slow[1]` on the series `slow[0]` lose the share `slow[2]`; on `epoch` the library changes; on
    `acked` somebody acknowledges what series `shifted` has lost since.
    """

    nights: int = 30
    series: int = 6
    slow: tuple[tuple[int, ...], int, float] | None = ((0, 1), 17, 0.16)
    epoch: int | None = 9
    missing: tuple[int, ...] = (23,)
    corrupt: tuple[int, ...] = (20,)
    shifted: tuple[int, int, float] | None = (3, 25, 0.05)
    acked: int | None = 27
    hosts: tuple[str, ...] = ("node0000", "node0001")
    names: tuple[str, ...] = ()
    seed: int = 5

    def values(self) -> np.ndarray:
        """[nights, series], NaN: not measured."""
        random = np.random.default_rng(self.seed)
        made = (
            40.0
            * (1 + np.arange(self.series))
            * random.normal(1, 0.004, (self.nights, self.series))
        )
        if self.slow:
            which, first, share = self.slow
            made[first:, list(which)] *= 1 - share
        if self.shifted:
            one, first, share = self.shifted
            made[first:, one] *= 1 - share
        made[list(self.missing + self.corrupt)] = np.nan
        return made


OPERATIONS = ("all_reduce", "all_gather", "sendrecv")


def key_of(number: int) -> SeriesKey:
    return SeriesKey(
        cluster="test",
        stage="sweep",
        pattern="world",
        operation=OPERATIONS[number % 3],
        nbytes=1 << (20 + number % 10),
        variant=f"variant {number // 30}",
        nodes=8,
        ranks=16,
        metric="busbw",
    )


def gate_of(story: Story) -> Gate:
    """The answer on the last night."""
    values = story.values()
    last = story.nights - 1
    epochs = np.zeros(story.nights, int)
    if story.epoch is not None:
        epochs[story.epoch :] = 1
    acks = []
    if story.acked is not None and story.shifted:
        acks = [Ack(story.acked, np.arange(story.series) == story.shifted[0])]
    noise = np.random.default_rng(story.seed + 1).normal(1, 0.004, values.shape)
    made = walk(
        values, np.ones(story.series, bool), epochs=epochs, same=values * noise, other=None, acks=acks
    )  # fmt: skip
    nights = tuple(_night(story, made, index) for index in range(story.nights))
    series = [_series(story, made, values, number) for number in range(story.series)]
    order = {
        state: place for place, state in enumerate((*FLAGGED, "learning", "accepted", "missing"))
    }
    series.sort(key=lambda s: (order[s.state], s.effect or 0.0))
    slow = [s for s in series if s.state == "regression"]
    return Gate(
        format=1,
        version="0.1.0",
        folder="nightly",
        simulated=True,
        verdict=REGRESSION if slow else PASS,
        reasons=tuple(s.sentence for s in slow),
        judged_at=(BEGAN + last * DAY).timestamp() + 3600,
        night=last,
        nights=nights,
        epochs=_epochs(story),
        operations=tuple(_operations(series)),
        series=tuple(series),
        acks=_acks(story, series),
        told=tuple(_told(story)),
        coverage=f"{story.series} series of the night, {len(slow)} slow",
        next_commands=("railgauge report nightly/20261030 --format html --output night.html",),
    )


def _name(index: int) -> str:
    return f"{BEGAN + index * DAY:%Y%m%d}"


def _night(story: Story, made: Any, index: int) -> Night:
    lost = index in story.missing
    corrupt = index in story.corrupt
    states = [State(state).name.lower() for state in made.state[index]]
    flagged = {state: states.count(state) for state in dict.fromkeys(states) if state in FLAGGED}
    plain = "learning" if "learning" in states else "accepted"
    why = (
        ("no folder for this night",) if lost else ("journal.jsonl: is no text",) if corrupt else ()
    )
    return Night(
        name=_name(index),
        folder="" if lost else _name(index),
        started=(BEGAN + index * DAY).timestamp(),
        state="missing" if lost else "corrupt" if corrupt else "flagged" if flagged else plain,
        why=why,
        epoch=int(story.epoch is not None and index >= story.epoch),
        hosts=story.hosts,
        runs=0 if lost else 3,
        series=0 if lost or corrupt else story.series,
        flagged=flagged,
        exit_code=None if lost else 3 if corrupt else 0,
        confirmed_same="regression" in flagged,
    )


def _series(story: Story, made: Any, values: np.ndarray, number: int) -> SeriesResult:
    last = story.nights - 1
    key = key_of(number)
    words = (
        story.names[number] if number < len(story.names) else f"{key.operation} {number}, 8 nodes"
    )
    state = State(made.state[last, number]).name.lower()
    value, median = values[last, number], made.median[last, number]
    since = int(made.since[last, number])
    return SeriesResult(
        key=key,
        name=f"sweep/{key.operation}/{number}",
        words=words,
        unit="GB/s",
        larger_is_better=True,
        state=state,  # type: ignore[arg-type]
        value=_plain(value),
        repeats=(_plain(value) or 0.0,),
        baseline=_plain(median),
        mad=_plain(made.mad[last, number]),
        nights=int(made.nights[last, number]),
        effect=_plain(value / median - 1),
        worse=_plain(made.worse[last, number]),
        mads=_plain(made.mads[last, number]),
        p=_plain(made.p[last, number]),
        counts=state == "regression",
        smallest_effect=_plain(made.smallest[last, number]),
        since=None if since < 0 else since,
        scope=SCOPES[int(made.scope[last, number])],
        confirm_same=_plain(value) if state == "regression" else None,
        confirm_other=None,
        sentence=f"{words} is {state}",
        hosts=story.hosts,
        values=tuple(map(_plain, values[:, number])),
        states=tuple(State(s).name.lower() for s in made.state[:, number]),
        medians=tuple(map(_plain, made.median[:, number])),
        smallest=tuple(map(_plain, made.smallest[:, number])),
    )  # fmt: skip


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _epochs(story: Story) -> tuple[Epoch, ...]:
    ends = [0, story.nights] if story.epoch is None else [0, story.epoch, story.nights]
    changes = ((), (Changed(what="nvidia-nccl-cu13", old="2.28.9", new="2.29.2"),))
    return tuple(
        Epoch(
            number=number,
            since=(BEGAN + first * DAY).timestamp(),
            night=first,
            nights=ends[number + 1] - first,
            changes=changes[number],
            is_new=False,
        )
        for number, first in enumerate(ends[:-1])
    )


def _operations(series: Sequence[SeriesResult]) -> list[OperationResult]:
    names = dict.fromkeys(s.key.operation for s in series)
    groups = {name: [s for s in series if s.key.operation == name] for name in names}
    return [
        OperationResult(
            operation=name,
            series=len(group),
            states={s.state: sum(o.state == s.state for o in group) for s in group},
            counts=sum(s.counts for s in group),
            median_worse=None,
            sentence=name,
        )
        for name, group in groups.items()
    ]


def _acks(story: Story, series: Sequence[SeriesResult]) -> tuple[Acknowledged, ...]:
    if story.acked is None or not story.shifted:
        return ()
    name = next(s.name for s in series if s.name.endswith(f"/{story.shifted[0]}"))
    return (
        Acknowledged(
            series=name,
            author="A. Operator",
            reason="switch buffers are smaller on purpose, ticket 4711",
            night=_name(story.acked),
            expires="2026-12-31",
            state="holds",
            covers=1,
            sentence=f"{name}, by A. Operator until 2026-12-31: ticket 4711",
        ),
    )


def _told(story: Story) -> list[Told]:
    kinds = [("missing", n) for n in story.missing] + [("corrupt", n) for n in story.corrupt]
    return [
        Told(kind=kind, sentence=f"night {_name(n)} is {kind}", alarms=True, night=n)
        for kind, n in kinds
    ]


@pytest.fixture(scope="session")
def eventful() -> Gate:
    """Thirty nights: another library on the 10th, slow from the 18th, one missing, corrupt, acknowledged."""
    return gate_of(Story())


@pytest.fixture(scope="session")
def told_of() -> Callable[..., Gate]:
    """`told_of(nights=..., series=..., slow=..., ...)`, see Story."""
    return lambda **story: gate_of(Story(**story))
