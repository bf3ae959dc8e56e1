"""The fabric's counters around a case, read by the first rank of every node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from railgauge import counting
from railgauge.counting import HERE, Change, Roots, Snapshot
from railgauge.records import Counted, Moved
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


def _record(change: Change) -> Moved:
    place = change.place
    return Moved(place.source, place.device, place.port, change.name, change.delta, change.note)
