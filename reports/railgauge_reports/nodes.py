"""What `environment.json` says of the nodes of a run, typed; what is damaged is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from railgauge.counting import Place
from railgauge.records import Counted

#: What a check of the audit can have found.
Setting = str | int | float | bool | tuple[int, ...] | None


class RecordedPlace(msgspec.Struct, frozen=True):
    """A place of `environment.json`, see `railgauge.tally`."""

    source: str
    device: str
    port: int = 0
    facts: dict[str, str] = {}
    unknown: dict[str, str] = {}
    names: int | None = None
    full: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        return Place(self.source, self.device, self.port)


class RecordedCounters(msgspec.Struct, frozen=True):
    """What a node says of its counters."""

    places: tuple[RecordedPlace, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()
    problems: dict[str, str] = {}
    idle: Counted | None = None

    def existing(self, place: RecordedPlace) -> tuple[str, ...]:
        """The counters of known events that there are; none where it was not recorded."""
        index = place.names
        return self.names[index] if index is not None and 0 <= index < len(self.names) else ()


class RecordedNode(msgspec.Struct, frozen=True):
    """A node: its counters, what `railgauge audit` found, and its variables."""

    host: str
    counters: RecordedCounters | None = None
    configuration: dict[str, Any] = {}
    variables: dict[str, str] = {}


def setting_of(value: Any) -> Setting:
    """The value of a check where it is of a kind that a rule can read, else None."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    return None


def nodes_of(environment: Mapping[str, Any]) -> tuple[RecordedNode, ...]:
    """The nodes of `environment.json`; one whose entry is damaged is left out."""
    found = []
    nodes = environment.get("nodes")
    for node in nodes if isinstance(nodes, list) else []:
        try:
            found.append(msgspec.convert(node, RecordedNode, strict=False))
        except msgspec.ValidationError:
            continue
    return tuple(found)
