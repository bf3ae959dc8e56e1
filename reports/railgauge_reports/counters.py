"""What the fabric counted beside each measurement, as rows: one for each case, round, node and counter."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from railgauge.counting import Kind, difference, known_source
from railgauge.records import Moved, Result
from railgauge.sampler import file_of
from railgauge.units import GIGA
from railgauge_reports.frame_parts import Cells, Parts
from railgauge_reports.group_table import table_of
from railgauge_reports.sampled import Point, read_samples
from railgauge_reports.sharing import Sharing
from railgauge_reports.stored import Measured, StoredRun

#: Column -> pandas type.
COLUMNS = {
    "operation": "string",
    "case": "Int64",
    "round": "Int64",
    "nbytes": "Int64",
    "host": "string",
    "groups": "string",  # numbers of those of the round that share the place: `0-2,5`
    "source": "string",
    "device": "string",
    "port": "Int64",
    "counter": "string",
    "event": "string",  # what the counter counts, whatever its driver calls it
    "priority": "Int64",  # IEEE 802.1Q
    "unit": "string",
    "delta": "Int64",  # NA: reset, vanished or appeared (see `note`)
    "seconds": "Float64",  # between the two readings
    "per_second": "Float64",
    "per_GB": "Float64",  # of data that the slowest group's ranks moved each, warm-up included
    "note": "string",
}
#: Of `sampled_frame`: a row for each value that a counter took while the run went on.
SAMPLED = {
    "host": "string",
    "source": "string",
    "device": "string",
    "port": "Int64",
    "counter": "string",
    "event": "string",
    "unit": "string",
    "seconds": "Float64",  # since the run began, by the host's wall clock
    "value": "Float64",  # in its unit
    "per_second": "Float64",  # since the reading before; NA of gauges, of a first value and of resets
}
PLACE = ["host", "source", "device", "port", "counter"]


#: Events that are traffic and no trouble.
TRAFFIC = frozenset(
    (
        *("data_tx", "data_rx", "packets_tx", "rdma_bytes_tx", "priority_bytes_tx"),
        *("phy_bits_rx", "phy_bytes_rx", "tcp_segments_out"),
    )
)


def counter_frame(stored: StoredRun, wanted: Collection[str] | None = None) -> pd.DataFrame:
    """Every counter that moved, in the order of the journal; host-wide ones count all that went on.

    `wanted`: of these events only.
    """
    sharing = Sharing(stored)
    events_wanted = None if wanted is None else frozenset(wanted)
    parts = Parts(COLUMNS)
    for made in stored.results:
        moved = _moved(sharing, made, events_wanted)
        parts.add(len(moved["host"]), _case(made.result) | moved)
    return parts.frame()


def gigabytes(result: Result) -> float | None:
    """GB of data that each rank of the slowest group moved, warm-up included.

    None of an external program, of whose messages a sample stands for more than it counts.
    """
    if result.case.entry.external:
        return None
    groups = table_of(result.groups)
    iterations = groups.numbers("iterations") + groups.numbers("warmup_iterations")
    least = int(iterations.min()) if len(groups) else 0
    return result.case.nbytes * least / GIGA


def _kind(sharing: Sharing, host: str, moved: Moved) -> Kind:
    """How it counts; of a source that is not known here (another version's), nothing is said."""
    source = known_source(moved.source)
    kind: Kind = source.kind(moved.name, sharing.facts(host, moved)) if source else Kind()
    return kind


def _case(result: Result) -> dict[str, Cells]:
    """The columns that are the same for all counters of a result."""
    return {
        "operation": result.case.operation,
        "case": result.case.index,
        "round": result.round,
        "nbytes": result.case.nbytes,
    }


def _moved(sharing: Sharing, made: Measured, wanted: frozenset[str] | None) -> dict[str, list[Any]]:
    """The other columns, a value for each counter of each node that moved."""
    result, hosts = made.result, made.start.run.hosts
    size = gigabytes(result)
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS if name not in _case(result)}
    for counted in result.counted:
        host = hosts[counted.node]
        for moved in counted.moved:
            kind = _kind(sharing, host, moved)
            if wanted is not None and wanted.isdisjoint(kind.canonical):
                continue
            rises = moved.delta is not None and kind.counts
            cells = {
                "host": host,
                "groups": sharing.groups(made.start, result, host, moved),
                "source": moved.source,
                "device": moved.device,
                "port": moved.port,
                "counter": moved.name,
                "event": " ".join(kind.canonical) or None,
                "priority": kind.priority,
                "unit": kind.unit or None,
                "delta": moved.delta,
                "seconds": counted.seconds,
                "per_second": moved.delta / counted.seconds if rises and moved.delta else None,
                "per_GB": moved.delta / size if rises and moved.delta and size else None,
                "note": moved.note or None,
            }
            for name, column in columns.items():
                column.append(cells[name])
    return columns


def events(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that tell of the fabric: known events, and counters that were reset or came and went."""
    told = frame["event"].notna() & ~frame["event"].isin(TRAFFIC)
    return frame[told | frame["note"].notna()]


def sampled_frame(stored: StoredRun) -> pd.DataFrame:
    """What the samplers of all nodes saw, by host and time; a value stands until the next of its series.

    `attrs["bad_lines"]` is how many lines of each host could not be read.
    """
    sharing = Sharing(stored)
    bad: dict[str, int] = {}
    columns: dict[str, list[Any]] = {name: [] for name in SAMPLED}
    for node, host in enumerate(stored.last.hosts):
        made = read_samples(file_of(stored.folder, node))
        bad |= {host: made.bad_lines} if made.bad_lines else {}
        for point in made.points:
            for name, cell in _cells(sharing, host, point, stored.starts[0].run.started).items():
                columns[name].append(cell)
    frame = pd.DataFrame(columns).astype(SAMPLED)
    frame.attrs["bad_lines"] = bad
    return frame


def _cells(sharing: Sharing, host: str, point: Point, began: float) -> dict[str, Any]:
    source, device, port, name = point.counter
    kind = _kind(sharing, host, Moved(source, device, port, name, None))
    delta = None
    if kind.counts and point.before is not None and point.since is not None:
        delta, _ = difference(kind, point.before, point.value)
    return {
        "host": host,
        "source": source,
        "device": device,
        "port": port,
        "counter": name,
        "event": " ".join(kind.canonical) or None,
        "unit": kind.unit or None,
        "seconds": point.seconds - began,
        "value": point.value * kind.scale,
        "per_second": None if delta is None or point.since is None else delta / point.since,
    }


def window(stored: StoredRun, made: Measured) -> tuple[float, float]:
    """When a case ran: from and to, in `seconds` of the sampled frame."""
    begin = made.result.started - stored.starts[0].run.started
    return begin, begin + made.result.seconds


def largest(sampled: pd.DataFrame, begin: float, end: float) -> pd.DataFrame:
    """The largest value and rate of every series between two times, both in seconds.

    A value counts from when it was seen until the next, so the one that stood at `begin` counts too.
    """
    seen = sampled[sampled["seconds"] <= end]
    within = seen["seconds"] > begin
    standing = seen[~within].drop_duplicates(PLACE, keep="last").assign(per_second=None)
    both = pd.concat([standing.astype(SAMPLED), seen[within]])
    return both.groupby(PLACE, sort=False, as_index=False)[["value", "per_second"]].max()
