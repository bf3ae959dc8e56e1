"""The evidence that a run folder holds: totals over its measurements, places, settings, traffic.

Counters are summed over all cases and rounds; `Count.peak` is the largest rate of any single one that
lasted long enough to have a rate. What was recorded without a name for what exists (older runs) gives
only counters that moved, so that rules say UNKNOWN and never PASS.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

from railgauge.counting import Kind, Note, Place, known_source
from railgauge.records import Moved
from railgauge_reports.counters import gigabytes
from railgauge_reports.lossless.evidence import (
    Configuration,
    Count,
    Port,
    PortKind,
    priorities,
)
from railgauge_reports.lossless.pause import EVENTS
from railgauge_reports.nodes import RecordedNode, RecordedPlace, Setting, setting_of
from railgauge_reports.stored import StoredRun

#: Drivers keep values for 10 ms; a shorter window has no rate of its own.
SHORTEST_SECONDS = 0.1
ACTIVE = "ACTIVE"
#: A driver that counts the pauses of a priority only while PFC is on for it (mlx5 counters.rst).
COUNTS_ENABLED_PRIORITIES = "mlx5_core"


# counters ---------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Total:
    """What became of one counter over the run."""

    delta: int = 0
    most: int = 0
    peak: float | None = None
    note: Note = ""

    def add(self, moved: Moved, seconds: float) -> None:
        if moved.delta is None:
            self.note = moved.note or "unknown"  # type: ignore[assignment]
            return
        self.delta += moved.delta
        self.most = max(self.most, moved.delta)
        if moved.note == "at least" and not self.note:
            self.note = "at least"
        if seconds >= SHORTEST_SECONDS:
            self.peak = max(self.peak or 0.0, moved.delta / seconds)

    def count(self, place: Place, name: str, kind: Kind, seconds: float) -> Count:
        if kind.arithmetic == "gauge":
            return Count(place, name, kind, self.most, seconds, self.note)
        if self.note and not self.delta:
            return Count(place, name, kind, None, seconds, self.note)
        note: Note = "at least" if self.note else ""
        return Count(place, name, kind, self.delta, seconds, note, peak=self.peak)


Totals = dict[tuple[str, Place], dict[str, _Total]]


def totals_of(stored: StoredRun) -> tuple[Totals, dict[str, float]]:
    """((host, place) -> name -> total, host -> seconds of all windows)."""
    totals: Totals = {}
    seconds: dict[str, float] = {}
    for made in stored.results:
        for counted in made.result.counted:
            host = made.start.run.hosts[counted.node]
            seconds[host] = seconds.get(host, 0.0) + counted.seconds
            for moved in counted.moved:
                here = totals.setdefault((host, Place(moved.source, moved.device, moved.port)), {})
                here.setdefault(moved.name, _Total()).add(moved, counted.seconds)
    return totals, seconds


def _counts(
    node: RecordedNode,
    at: RecordedPlace,
    totals: Totals,
    seconds: float,
    wanted: frozenset[str] | None = None,
) -> Iterator[Count]:
    """The counters of a place that count a known event, or one that is `wanted`."""
    moved = totals.get((node.host, at.place), {})
    existing = node.counters.existing(at) if node.counters else ()
    for name, kind in _kinds(at.source, tuple(at.facts.items()), (*existing, *moved)):
        if wanted is None or not wanted.isdisjoint(kind.canonical):
            total = moved.get(name) or _Total(note="saturated" if name in at.full else "")
            yield total.count(at.place, name, kind, seconds)


@functools.lru_cache(1 << 12)
def _kinds(
    source: str, facts: tuple[tuple[str, str], ...], names: tuple[str, ...]
) -> tuple[tuple[str, Kind], ...]:
    """How those of these counters count that count a known event; most places are like another."""
    known = known_source(source)
    kinds = {name: known.kind(name, dict(facts)) for name in sorted(set(names))} if known else {}
    return tuple((name, kind) for name, kind in kinds.items() if kind.canonical)


def idle_of(node: RecordedNode) -> dict[tuple[str, str, int], tuple[Count, ...]]:
    """What every RDMA port of a node counted before the first case."""
    counters = node.counters
    if counters is None or counters.idle is None:
        return {}
    totals: Totals = {}
    for moved in counters.idle.moved:
        here = totals.setdefault((node.host, Place(moved.source, moved.device, moved.port)), {})
        here.setdefault(moved.name, _Total()).add(moved, counters.idle.seconds)
    return {
        (node.host, at.device, at.port): tuple(_counts(node, at, totals, counters.idle.seconds))
        for at in counters.places
        if at.source == "rdma"
    }


# ports ------------------------------------------------------------------------------------------------


def ports_of(
    node: RecordedNode,
    totals: Totals,
    seconds: float,
    several: bool,
    wanted: frozenset[str] | None = None,
) -> Iterator[Port]:
    """The ports of a node: RDMA ports that are up, else network devices that count pauses.

    With what counts the `wanted` events (None: all that are known). Sockets and plain devices only
    where the run has `several` hosts, whose data may go over them.
    """
    places = node.counters.places if node.counters else ()
    made = tuple((at, tuple(_counts(node, at, totals, seconds, wanted))) for at in places)
    fabric = list(_rdma_ports(node.host, made)) or list(_pausing(node.host, made))
    yield from fabric
    if not several:
        return
    for at, counts in made:
        if at.source == "tcp":
            yield _port(node.host, at, counts, "sockets")
        elif at.source == "netdev" and not fabric:
            yield _port(node.host, at, counts, "device", at.device)


def _port(
    host: str, at: RecordedPlace, counts: tuple[Count, ...], kind: PortKind, netdev: str = ""
) -> Port:
    return Port(host, at.device, at.port, netdev, kind, at.facts, counts, at.unknown)


Made = Sequence[tuple[RecordedPlace, tuple[Count, ...]]]


def _rdma_ports(host: str, made: Made) -> Iterator[Port]:
    """Every active RDMA port with the counters of its device, network devices and drivers."""
    rdma = [at for at, _ in made if at.source == "rdma"]
    for at, own in made:
        if at.source != "rdma" or not at.port or ACTIVE not in at.facts.get("state", ACTIVE):
            continue
        siblings = [other for other in rdma if other.device == at.device and other.port]
        netdevs = at.facts.get("netdev", "").split()
        if len(netdevs) == len(siblings):
            netdevs = [netdevs[siblings.index(at)]]
        beside = [
            (other, counts)
            for other, counts in made
            if (other.device in netdevs and other.source in ("ethtool", "netdev"))
            or (other.source == "rdma" and other.device == at.device and not other.port)
        ]
        yield _joined(host, (at, own), beside, netdevs[0] if netdevs else "")


def _joined(
    host: str, first: tuple[RecordedPlace, tuple[Count, ...]], beside: Made, netdev: str
) -> Port:
    """One port of several places; where facts differ the first place's go before."""
    at, counts = first
    facts, unknown = dict(at.facts), dict(at.unknown)
    for other, more in beside:
        facts, unknown = other.facts | facts, other.unknown | unknown
        counts = (*counts, *more)
    return Port(host, at.device, at.port, netdev, "fabric", facts, counts, unknown)


def _pausing(host: str, made: Made) -> Iterator[Port]:
    """Network devices whose drivers count pauses, of a host without RDMA."""
    for at, counts in made:
        events = {event for count in counts for event in count.kind.canonical}
        if at.source == "ethtool" and events & set(EVENTS):
            beside = [
                (other, more)
                for other, more in made
                if other.source == "netdev" and other.device == at.device
            ]
            yield _joined(host, (at, counts), beside, at.device)


# settings ---------------------------------------------------------------------------------------------


def configuration_of(
    nodes: tuple[RecordedNode, ...], ports: tuple[Port, ...], backend: str
) -> Configuration:
    """What the audit found, and what counters and variables say where it found nothing.

    mlx5 counts pauses of a priority only while PFC is on for it; NCCL lets adaptive routing reorder
    by default on InfiniBand and not on RoCE (NCCL_IB_ADAPTIVE_ROUTING).
    """
    made: dict[str, dict[str, Setting]] = {
        node.host: {check: setting_of(value) for check, value in node.configuration.items()}
        for node in nodes
    }
    variables = {node.host: node.variables for node in nodes}
    for port in ports:
        if port.kind == "fabric":
            here = made.setdefault(port.host, {})
            _add_pfc(here, port)
            _add_routing(here, port, variables.get(port.host, {}), backend)
    _share_priority(made)
    return made


def _share_priority(made: dict[str, dict[str, Setting]]) -> None:
    """The one lossless priority of all hosts that tell is the others' too: PFC may be off there."""
    told = {here["lossless_priority"] for here in made.values() if "lossless_priority" in here}
    if len(told) == 1:
        (priority,) = told
        for here in made.values():
            here.setdefault("lossless_priority", priority)


def _add_pfc(here: dict[str, Setting], port: Port) -> None:
    names = (f"pfc:{port.device}", f"pfc:{port.netdev}", "pfc")
    enabled = next((here[name] for name in names if here.get(name) is not None), _enabled(port))
    if enabled is None:
        return
    here.setdefault(names[1], enabled)
    found = priorities(enabled)
    if found and len(found) == 1:
        here.setdefault("lossless_priority", min(found))


def _add_routing(
    here: dict[str, Setting], port: Port, variables: Mapping[str, str], backend: str
) -> None:
    named = variables.get("NCCL_IB_ADAPTIVE_ROUTING")
    if named is None and backend == "nccl" and (layer := port.facts.get("link_layer")):
        named = "1" if layer == "InfiniBand" else "0"
    if named is not None:
        here.setdefault("adaptive_routing", named)


def _enabled(port: Port) -> str | None:
    """The priorities that PFC is on for, as the driver's counters show it; None: they do not."""
    known = [count for count in port.counts if count.place.source == "ethtool"]
    if not known or not port.facts.get("driver", "").startswith(COUNTS_ENABLED_PRIORITIES):
        return None
    found = {count.kind.priority for count in port.by_event.get("pause_rx", ())}
    return (
        ",".join(str(priority) for priority in sorted(p for p in found if p is not None)) or "none"
    )


def gigabytes_of(stored: StoredRun) -> float | None:
    """What the slowest group's ranks moved each, warm-up included, in 10^9 bytes."""
    return sum(gigabytes(made.result) or 0.0 for made in stored.results) or None
