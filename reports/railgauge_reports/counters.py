"""What the fabric counted beside each measurement, as rows: one for each case, round, node and counter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from railgauge.counting import Kind, source_named
from railgauge.records import Counted, Moved, Result
from railgauge.units import GIGA
from railgauge_reports.stored import StoredRun

#: Column -> pandas type.
COLUMNS = {
    "operation": "string",
    "case": "Int64",
    "round": "Int64",
    "nbytes": "Int64",
    "host": "string",
    "source": "string",
    "device": "string",
    "port": "Int64",
    "counter": "string",
    "event": "string",  # what the counter counts, whatever its driver calls it
    "priority": "Int64",  # IEEE 802.1Q
    "unit": "string",
    "delta": "Int64",  # NA: reset, vanished or appeared (see `note`)
    "per_second": "Float64",
    "per_GB": "Float64",  # of data that the slowest group's ranks moved each, warm-up included
    "note": "string",
}


def counter_frame(stored: StoredRun) -> pd.DataFrame:
    """Every counter that moved, in the order of the journal; host-wide ones count all that went on."""
    kinds = _Kinds(stored)
    rows = [
        row
        for made in stored.results
        for counted in made.result.counted
        for row in _rows(stored, kinds, made.result, counted)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def gigabytes(result: Result) -> float:
    """GB of data that each rank of the slowest group moved, warm-up included."""
    iterations = [group.iterations + group.warmup_iterations for group in result.groups]
    return result.case.nbytes * min(iterations, default=0) / GIGA


class _Kinds:
    """How the counters of a run count: by source, name, and what the run recorded of their place."""

    def __init__(self, stored: StoredRun) -> None:
        self._facts: dict[tuple[str, str, str, int], dict[str, str]] = {}
        for node in stored.environment.get("nodes") or []:
            for place in (node.get("counters") or {}).get("places", []):
                key = (node["host"], place["source"], place["device"], place["port"])
                self._facts[key] = place["facts"]

    def of(self, host: str, moved: Moved) -> Kind:
        facts = self._facts.get((host, moved.source, moved.device, moved.port), {})
        kind: Kind = source_named(moved.source).kind(moved.name, facts)
        return kind


def _rows(
    stored: StoredRun, kinds: _Kinds, result: Result, counted: Counted
) -> Iterator[dict[str, Any]]:
    host = stored.last.hosts[counted.node]
    size = gigabytes(result)
    for moved in counted.moved:
        kind = kinds.of(host, moved)
        rises = moved.delta is not None and kind.arithmetic != "gauge"
        yield {
            "operation": result.case.operation,
            "case": result.case.index,
            "round": result.round,
            "nbytes": result.case.nbytes,
            "host": host,
            "source": moved.source,
            "device": moved.device,
            "port": moved.port,
            "counter": moved.name,
            "event": " ".join(kind.canonical) or None,
            "priority": kind.priority,
            "unit": kind.unit or None,
            "delta": moved.delta,
            "per_second": moved.delta / counted.seconds if rises and moved.delta else None,
            "per_GB": moved.delta / size if rises and moved.delta and size else None,
            "note": moved.note or None,
        }


def events(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that tell of the fabric: known events, and counters that were reset or came and went."""
    return frame[frame["event"].notna() | frame["note"].notna()]
