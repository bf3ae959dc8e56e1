"""The fabric's counters around a case and in between, read by the first rank of every node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from railgauge import counting, sampler
from railgauge.counting import HERE, Change, Kind, Reading, Roots, Snapshot
from railgauge.hardware.rails import Rank
from railgauge.records import Counted, Moved
from railgauge.sampler import Order, Sampler
from railgauge.units import NANOSECONDS

#: Drivers renew some of their counters once a second.
IDLE_SECONDS = 1.0


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
        """For `environment.json`: the places that were read, what they are, and what is unknown.

        Of each place: `names`, an index into the list of sets of names below (which counters of known
        events there are: one that did not move is 0, one that is not there is unknown), and `full`,
        which of them stand at their end already and tell nothing. `idle` is what moved before the
        first case, where there are RDMA ports (traffic that is not this run's).
        """
        if not self._reads:
            return {}
        made = counting.snapshot(self._roots, self._names)
        sets: dict[tuple[str, ...], int] = {}
        places: list[dict[str, Any]] = []
        for reading in made.readings:
            known = _known(reading)
            place: dict[str, Any] = {"facts": reading.facts, "unknown": reading.unknown}
            place["names"] = sets.setdefault(tuple(known), len(sets))
            if full := [name for name, kind in known.items() if _full(kind, reading.values[name])]:
                place["full"] = full
            places.append(msgspec.to_builtins(reading.place) | place)
        told: dict[str, Any] = {"places": places, "names": [list(names) for names in sets]}
        told["problems"] = made.problems
        if any(reading.place.source == "rdma" and reading.place.port for reading in made.readings):
            told["idle"] = msgspec.to_builtins(self._idle(made))
        return {"counters": told}

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

    def _idle(self, before: Snapshot) -> Counted:
        """What known events were counted in IDLE_SECONDS in which this run sends nothing."""
        time.sleep(IDLE_SECONDS)
        after = counting.snapshot(self._roots, self._names)
        seconds = (after.nanoseconds - before.nanoseconds) * NANOSECONDS
        moved = (
            _record(change)
            for change in counting.changes(before, after)
            if change.delta and change.kind.canonical
        )
        return Counted(node=self._node, seconds=seconds, moved=tuple(moved))


def _known(reading: Reading) -> dict[str, Kind]:
    """The counters of a place that count an event which has a name of its own, in order."""
    kind_of = counting.source_named(reading.place.source).kind
    kinds = {name: kind_of(name, reading.facts) for name in sorted(reading.values)}
    return {name: kind for name, kind in kinds.items() if kind.canonical}


def _full(kind: Kind, value: int) -> bool:
    return kind.arithmetic == "saturate" and value >= 2**kind.bits - 1


def _record(change: Change) -> Moved:
    place = change.place
    return Moved(place.source, place.device, place.port, change.name, change.delta, change.note)
