"""What the rules may look at: one immutable structure, made from a run folder or by hand.

None and absent mean unknown, everywhere: a counter that is not among a port's counters does not exist
or was not read, one that stood still is there with a delta of 0.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from railgauge.counting import Kind, Note, Place
from railgauge_reports.nodes import Setting

Configuration = Mapping[str, Mapping[str, Setting]]
PortKind = Literal["fabric", "device", "sockets"]
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*Gb/sec")


class MissingError(Exception):
    """Something that a rule needs is not known; the text says what."""


@dataclasses.dataclass(frozen=True, slots=True)  # a large run has a million of them
class Count:
    """What a counter did in a window of `seconds`: `delta` in `kind.unit`, of a gauge the most.

    `delta` None: not known, as `note` says. With the note `at least` it is a lower bound. `peak` is
    the largest rate (units a second) of any single measurement in the window.
    """

    place: Place
    name: str
    kind: Kind
    delta: int | None
    seconds: float
    note: Note = ""
    before: int | None = None
    after: int | None = None
    peak: float | None = None

    @property
    def certain(self) -> bool:
        return self.delta is not None and not self.note

    @property
    def rate(self) -> float | None:
        """Units a second, the largest that was seen; None of a gauge and of what is not known."""
        if self.kind.arithmetic == "gauge" or self.delta is None or self.seconds <= 0:
            return self.peak
        return max(self.delta / self.seconds, self.peak or 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Port:
    """Where rules are asked: a port of the fabric, a plain network device, or a host's sockets.

    A port of the fabric is an RDMA port with its network device and driver's statistics, or a network
    device that counts pauses. `unknown` maps counters that could not be read to the reason.
    """

    host: str
    device: str
    number: int = 0
    netdev: str = ""
    kind: PortKind = "fabric"
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    counts: tuple[Count, ...] = ()
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str, int]:
        return self.host, self.device, self.number

    @property
    def name(self) -> str:
        """`mlx5_0/1 (eth0)`."""
        port = f"{self.device}/{self.number}" if self.number else self.device
        return f"{port} ({self.netdev})" if self.netdev not in ("", self.device) else port

    @cached_property
    def by_event(self) -> Mapping[str, tuple[Count, ...]]:
        """Event -> the counters that count it, as they stand."""
        found: dict[str, list[Count]] = {}
        for count in self.counts:
            for event in count.kind.canonical:
                found.setdefault(event, []).append(count)
        return {event: tuple(counts) for event, counts in found.items()}

    @property
    def rate_Gbps(self) -> float | None:  # noqa: N802 (units as they are written)
        """The line's rate: of `400 Gb/sec (4X NDR)`, else of the network device's Mb/s."""
        if found := _RATE.match(self.facts.get("rate", "")):
            return float(found[1]) or None
        speed = self.facts.get("speed", "")
        return int(speed) / 1000 if speed.isdigit() and int(speed) else None

    @cached_property
    def kin(self) -> tuple[str, str]:
        """Ports of the same type: board and rate."""
        return self.facts.get("board_id", ""), self.facts.get("rate", self.facts.get("speed", ""))


@dataclasses.dataclass(frozen=True)
class Flow:
    """A directed flow between two hosts and the rate it reached (10^9 bytes a second)."""

    source: str
    destination: str
    GBps: float | None = None


@dataclasses.dataclass(frozen=True)
class Victim:
    """A flow that shares no end with a congestion, alone and beside it."""

    host: str
    isolated_GBps: float  # noqa: N815 (units as they are written)
    loaded_GBps: float  # noqa: N815


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What was sent: None is unknown.

    `ideal_GBps` is a flow's fair share, `fairness` Jain's index of the flows' rates, `line_share` the
    best bandwidth over the line rate, `stable` whether its times scatter little, `symmetric` whether
    all hosts send the same over all their rails. `outliers` are seconds of single slow iterations. Of
    pairs `met` takes the place of flows: `n0 n1`, once of every two hosts that sent to each other.
    """

    pattern: str | None = None
    flows: tuple[Flow, ...] | None = None
    ideal_GBps: float | None = None  # noqa: N815
    fairness: float | None = None
    victims: tuple[Victim, ...] | None = None
    line_share: float | None = None
    stable: bool | None = None
    symmetric: bool | None = None
    outliers: tuple[float, ...] | None = None
    met: Iterable[str] | None = None  # half a million of a tournament of 1,024 nodes

    def receivers(self, host: str) -> tuple[str, ...] | None:
        """The hosts that this one sends to; None where the flows are unknown."""
        if self.flows is None and self.met is None:
            return None
        return self._receivers.get(host, ())

    @cached_property
    def _receivers(self) -> Mapping[str, tuple[str, ...]]:
        """Host -> those that it sends to, each once."""
        found: dict[str, dict[str, None]] = {}
        for flow in self.flows or ():
            found.setdefault(flow.source, {})[flow.destination] = None
        for names in self.met or ():
            one, other = names.split()
            found.setdefault(one, {})[other] = None
            found.setdefault(other, {})[one] = None
        return {source: tuple(to) for source, to in found.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the rules are asked about.

    `configuration` maps a host to check -> value as `railgauge audit` writes them; `CHECK:DEVICE` goes
    before `CHECK`. `idle` maps the place of a port to what it counted before the first case,
    `baseline` a place to its usual xmit_wait steps a second, `sampled` a place to GB/s sent, second by
    second. `gigabytes` is what the slowest group's ranks moved each. `folder` and `again` are words of
    commands to type: the run folder, and what runs its plan once more.
    """

    ports: tuple[Port, ...]
    configuration: Configuration = dataclasses.field(default_factory=dict)
    traffic: Traffic = Traffic()
    idle: Mapping[tuple[str, str, int], tuple[Count, ...]] | None = None
    baseline: Mapping[tuple[str, str, int], float] = dataclasses.field(default_factory=dict)
    sampled: Mapping[tuple[str, str, int], tuple[float, ...]] = dataclasses.field(
        default_factory=dict
    )
    gigabytes: float | None = None
    folder: str = "RUN"
    again: str = "railgauge run"

    @cached_property
    def fabric(self) -> tuple[Port, ...]:
        return tuple(port for port in self.ports if port.kind == "fabric")

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(port.host for port in self.ports))

    @cached_property
    def by_host(self) -> Mapping[str, tuple[Port, ...]]:
        """Host -> its ports of the fabric."""
        found: dict[str, list[Port]] = {}
        for port in self.fabric:
            found.setdefault(port.host, []).append(port)
        return {host: tuple(ports) for host, ports in found.items()}

    @cached_property
    def sums(self) -> Mapping[str, int]:
        """Event -> what is known of it over the ports of the fabric."""
        found: dict[str, int] = {}
        for port in self.fabric:
            for event, counts in port.by_event.items():
                found[event] = found.get(event, 0) + sum(count.delta or 0 for count in counts)
        return found

    @cached_property
    def answers(self) -> dict[tuple[str, int], tuple[str, ...]]:
        """(rule, `knows` of a port) -> what the rule lacks there; `Sight.needed` fills it."""
        return {}

    @cached_property
    def _knowledge(self) -> dict[object, int]:
        """What ports know, numbered; a number by place of each port that was asked about."""
        return {}

    def knows(self, port: Port) -> int:
        """The same number for ports of which the same things are known, whatever their values are."""
        asked = ("port", id(port))
        if asked not in self._knowledge:
            here = self.configuration.get(port.host, {})
            idle = (self.idle or {}).get(port.place, ())
            known = (
                frozenset(port.by_event),
                frozenset(event for count in idle for event in count.kind.canonical),
                port.rate_Gbps is not None,
                tuple(sorted(port.unknown.items())),
                frozenset(
                    name.partition(":")[0]
                    for name, value in here.items()
                    if value is not None
                    and name.partition(":")[2] in ("", port.device, port.netdev)
                ),
            )
            self._knowledge[asked] = self._knowledge.setdefault(known, len(self._knowledge))
        return self._knowledge[asked]

    def on(self, hosts: Iterable[str]) -> list[Port]:
        """The ports of the fabric on these hosts."""
        return [port for host in hosts for port in self.by_host.get(host, ())]

    def setting(self, port: Port, check: str) -> Setting:
        """What the audit found for the port's devices or its host; None: nothing."""
        found = self.configuration.get(port.host, {})
        names = (f"{check}:{port.device}", f"{check}:{port.netdev}", check)
        return next((found[name] for name in names if found.get(name) is not None), None)


# settings -------------------------------------------------------------------------------------------


def priorities(value: Setting) -> frozenset[int] | None:
    """Of `3,4`, `none`, 3 or (3, 4); None of what is none of these."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return None
    if isinstance(value, int):
        found = {value}
    elif isinstance(value, str):
        words = [] if value.strip() in ("", "none", "off") else re.split(r"[,\s]+", value.strip())
        if not all(word.isdigit() for word in words):
            return None
        found = set(map(int, words))
    else:
        found = set(value)
    return frozenset(found) if all(0 <= priority <= 7 for priority in found) else None


def number(value: Setting) -> float | None:
    """The number at the beginning of `16`, `x16`, `32.0 GT/s PCIe` or 16."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = re.match(r"\s*x?(\d+(?:\.\d+)?)", value) if isinstance(value, str) else None
    return float(found[1]) if found else None


def switch(value: Setting) -> bool | None:
    """True of on, yes, true, 1; False of off, no, false, 0; None of anything else."""
    word = str(value).strip().lower()
    return {"on": True, "yes": True, "true": True, "1": True}.get(
        word, False if word in ("off", "no", "false", "0") else None
    )
