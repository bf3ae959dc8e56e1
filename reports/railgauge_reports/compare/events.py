"""What the fabric counted on either side, by GB moved: a small gain may have cost many pauses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Container, Iterator, Sequence

import msgspec
import numpy as np
import pandas as pd

from railgauge_reports.compare import signed_rank
from railgauge_reports.compare.effects import ALPHA
from railgauge_reports.compare.measured import Key, Launch, Matched
from railgauge_reports.counters import counter_frame, events, gigabytes
from railgauge_reports.stored import Pair

#: An event is worth a sentence where one side has this many times the other's.
NOTEWORTHY = 2.0


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event on both sides, over all cases that both measured; None: not known, never 0.

    `difference_low` and `difference_high` bound the 95 % interval of the difference by GB over pairs of
    launches (None: fewer than six pairs, or none).
    """

    event: str
    unit: str | None
    a: int | None
    b: int | None
    a_per_GB: float | None  # noqa: N815 (a unit)
    b_per_GB: float | None  # noqa: N815
    difference_per_GB: float | None = None  # noqa: N815
    difference_low: float | None = None
    difference_high: float | None = None

    @property
    def times(self) -> float | None:
        """b over a; infinite where only B counted any, None where that is not known."""
        if self.a_per_GB is None or self.b_per_GB is None:
            return None
        return self.b_per_GB / self.a_per_GB if self.a_per_GB else math.inf

    @property
    def noteworthy(self) -> bool:
        """Does one side have many times the other's, or is it shown that they differ?"""
        if self.difference_low is not None and self.difference_high is not None:
            return self.difference_low > 0 or self.difference_high < 0
        return self.times is not None and not 1 / NOTEWORTHY < self.times < NOTEWORTHY


@dataclasses.dataclass(frozen=True)
class _Event:
    name: str
    unit: str | None
    source: str


@dataclasses.dataclass(frozen=True)
class Counts:
    """Events of one launch in the cases that count; `sources` are those that were read."""

    gigabytes: float
    events: dict[_Event, int]
    sources: frozenset[str]

    def of(self, event: _Event) -> int | None:
        """0 where its source was read and the event did not move; None where it was not read."""
        return self.events.get(event, 0 if event.source in self.sources else None)


def counts_of(launch: Launch, matched: Matched) -> Counts:
    """What a launch counted while it measured what both sides did."""
    stored = launch.stored
    wanted = set(_pairs(launch, matched, set(matched.keys)))
    moved = sum(
        gigabytes(made.result) or 0.0
        for made in stored.results
        if (made.result.case.index, made.result.round) in wanted
    )
    nodes = stored.environment.get("nodes") or []
    places = (place for node in nodes for place in (node.get("counters") or {}).get("places", []))
    sources = frozenset(str(place["source"]) for place in places)
    counted = any(made.result.counted for made in stored.results)
    found: dict[_Event, int] = {}
    for row in events(counter_frame(stored)).to_dict("records"):
        if pd.isna(row["event"]) or pd.isna(row["delta"]):
            continue
        if (row["case"], row["round"]) not in wanted:
            continue
        if pd.isna(row["per_second"]):
            continue  # a gauge
        name = (
            row["event"] if pd.isna(row["priority"]) else f"{row['event']} prio {row['priority']}"
        )
        event = _Event(name, None if pd.isna(row["unit"]) else row["unit"], row["source"])
        found[event] = found.get(event, 0) + int(row["delta"])
    return Counts(moved, found, sources if counted else frozenset())


def _pairs(launch: Launch, matched: Matched, keys: Container[Key]) -> Iterator[Pair]:
    """(case, round) of a launch's measurements that have one of the keys."""
    for key, pair in launch.pairs.items():
        if matched.of(key) in keys:
            yield pair


def event_rows(a: Sequence[Counts], b: Sequence[Counts], are_pairs: bool) -> list[EventRow]:
    """All events that either side counted, the largest change first."""
    events = dict.fromkeys(event for counts in (*a, *b) for event in counts.events)
    rows = [_row(event, a, b, are_pairs) for event in events]
    return sorted(rows, key=lambda row: -abs(math.log(row.times)) if row.times else -math.inf)


def _row(event: _Event, a: Sequence[Counts], b: Sequence[Counts], are_pairs: bool) -> EventRow:
    first, second = _total(event, a), _total(event, b)
    rates = [None if side is None or not side[1] else side[0] / side[1] for side in (first, second)]
    row = EventRow(
        event=event.name,
        unit=event.unit,
        a=None if first is None else first[0],
        b=None if second is None else second[0],
        a_per_GB=rates[0],
        b_per_GB=rates[1],
    )
    if row.a_per_GB is None or row.b_per_GB is None:
        return row
    row = msgspec.structs.replace(row, difference_per_GB=row.b_per_GB - row.a_per_GB)
    if not are_pairs:
        return row
    each = [_rate(event, two) - _rate(event, one) for one, two in zip(a, b, strict=True)]
    low, high = signed_rank.interval(np.array(each), ALPHA)
    if not math.isfinite(low):
        return row
    return msgspec.structs.replace(row, difference_low=low, difference_high=high)


def _total(event: _Event, side: Sequence[Counts]) -> tuple[int, float] | None:
    """(count, GB) over a side's launches; None where one of them cannot say."""
    counts = [launch.of(event) for launch in side]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    return sum(known), sum(launch.gigabytes for launch in side)


def _rate(event: _Event, counts: Counts) -> float:
    return (counts.of(event) or 0) / counts.gigabytes if counts.gigabytes else 0.0
