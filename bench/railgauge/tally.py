"""The fabric's counters around a case and in between, read by the first rank of every node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from railgauge import counting, sampler
from railgauge.counting import HERE, Change, Roots, Snapshot
from railgauge.rails import Rank
from railgauge.records import Counted, Moved
from railgauge.sampler import Order, Sampler
from railgauge.units import NANOSECONDS


class Tally:
    """`begin` and `end` stand just outside a measurement; only a node's first rank reads anything."""

    def __init__(
        self, node: int, reads: bool, names: Sequence[str] | None, roots: Roots = HERE
    ) -> None:
        self._node, self._roots = node, roots
        self._names = counting.sources() if names is None else names
        self._reads = reads and bool(self._names)
        self._before: Snapshot | None = None

    def begin(self) -> None:
        """Read all counters."""
        if self._reads:
            self._before = counting.snapshot(self._roots, self._names)

    def end(self) -> Counted | None:
        """Read them again: what moved since `begin`; None on ranks that read nothing."""
        if self._before is None:
            return None
        before, after = self._before, counting.snapshot(self._roots, self._names)
        self._before = None
        seconds = (after.nanoseconds - before.nanoseconds) * NANOSECONDS
        moved = map(_record, counting.changes(before, after, still=False))
        return Counted(node=self._node, seconds=seconds, moved=tuple(moved))

    def facts(self) -> dict[str, Any]:
        """For `environment.json`: the places that were read, what they are, and what is unknown."""
        if not self._reads:
            return {}
        made = counting.snapshot(self._roots, self._names)
        places = [
            msgspec.to_builtins(reading.place)
            | {"facts": reading.facts, "unknown": reading.unknown}
            for reading in made.readings
        ]
        return {"counters": {"places": places, "problems": made.problems}}

    def sampler(
        self, asked: float | None, folder: Path, ranks: Sequence[Rank]
    ) -> tuple[Sampler | None, dict[str, Any]]:
        """The process that reads in between, if there is one, and a fact of the node about it."""
        if not self._reads:
            return None, {"seconds": 0.0, "why": "no counters are read"}
        seconds, why = sampler.period(asked, [rank.cpus for rank in ranks])
        if not seconds:
            return None, {"seconds": 0.0, "why": why}
        order = Order(
            path=str(sampler.file_of(folder, self._node).absolute()),
            seconds=seconds,
            sources=tuple(self._names),
            taken=tuple(sorted({cpu for rank in ranks for cpu in rank.cpus})),
        )
        return Sampler(order), {"seconds": seconds, "why": ""}


def _record(change: Change) -> Moved:
    place = change.place
    return Moved(place.source, place.device, place.port, change.name, change.delta, change.note)
