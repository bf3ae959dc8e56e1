"""What a predicate sees: the evidence at one place, and a note of everything that it looked at.

`needed` says what of a rule's needs is not there; a predicate is asked only when all is. What it reads
becomes the evidence rows of the finding, and what could not be told (a counter that was reset, that
stands at its end) makes a rule that does not fire UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from railgauge_reports.lossless import pause
from railgauge_reports.lossless.catalogue import Limit, Rule, alternatives
from railgauge_reports.lossless.evidence import (
    Count,
    Evidence,
    MissingError,
    Port,
    Traffic,
    Victim,
    number,
    priorities,
    switch,
)
from railgauge_reports.lossless.pause import Ratio
from railgauge_reports.lossless.rows import Row, counter_row
from railgauge_reports.nodes import Setting

MOST_ROWS = 12  # of one finding
MOST_NAMES = 3  # of ports in a sentence


class Sight:
    """A rule's view of one place; `port` None: of the whole fabric."""

    def __init__(
        self,
        rule: Rule,
        profile: str,
        evidence: Evidence,
        port: Port | None = None,
        victim: Victim | None = None,
    ) -> None:
        self.rule, self.profile, self.evidence = rule, profile, evidence
        self._port, self._victim = port, victim
        self._rows: dict[object, Row] = {}
        # by id; of ten thousand ports only a few become rows
        self._looked: dict[int, tuple[Port, str, Count]] = {}
        self._zeros: set[int] = set()  # counters that had to stand still
        self._doubts: dict[str, None] = {}

    # where ------------------------------------------------------------------------------------------

    @property
    def port(self) -> Port:
        assert self._port is not None, self.rule.id
        return self._port

    @property
    def victim(self) -> Victim:
        assert self._victim is not None, self.rule.id
        return self._victim

    @property
    def has_victim(self) -> bool:
        return self._victim is not None

    @property
    def traffic(self) -> Traffic:
        return self.evidence.traffic

    @property
    def ports(self) -> Sequence[Port]:
        """The ports that the rule is about: one, the victim's or host's, or all of the fabric."""
        if self._victim is not None:
            return self.evidence.on([self._victim.host])
        return self.evidence.fabric if self._port is None else (self._port,)

    # is it known? -----------------------------------------------------------------------------------

    def needed(self) -> list[str]:
        """What the rule needs and cannot have, in words; worked out once for ports that know the same."""
        if self._port is None:
            return self._needed()
        answers, key = self.evidence.answers, (self.rule.id, self.evidence.knows(self._port))
        if key not in answers:
            answers[key] = tuple(self._needed())
        return list(answers[key])

    def _needed(self) -> list[str]:
        return [text for need in self.rule.needs if (text := self._lacking(need))]

    def _lacking(self, need: str) -> str:
        names = alternatives(need)
        if names[0].startswith("traffic:"):
            field = names[0].removeprefix("traffic:")
            return "" if getattr(self.traffic, field) is not None else f"traffic:{field}"
        lacking = [p for p in self.ports if not any(self._has(p, name) for name in names)]
        if not lacking and self.ports:
            return ""
        why = next((text for port in lacking if (text := _reason(port, names))), "")
        shown = " or ".join(names[:2]) + (" or the like" if len(names) > 2 else "")
        return f"{shown}{f' ({why})' if why else ''}{_where(lacking, self._port)}"

    def _has(self, port: Port, name: str) -> bool:
        what, _, key = name.partition(":")
        if what == "configuration":
            return self.evidence.setting(port, key) is not None
        if what == "idle":
            counts = (self.evidence.idle or {}).get(port.place, ())
            return any(key in count.kind.canonical for count in counts)
        return port.rate_Gbps is not None if name == "rate" else name in port.by_event

    # counters ---------------------------------------------------------------------------------------

    def counts(self, *events: str, priority: int | None = None) -> list[Count]:
        """The counters of these events at the rule's ports; what cannot be told becomes a doubt."""
        found = []
        for port in self.ports:
            for event in events:
                for count in port.by_event.get(event, ()):
                    if priority is not None and count.kind.priority != priority:
                        continue
                    found.append(count)
                    self._note(port, event, count)
        return found

    def total(self, *events: str, priority: int | None = None) -> int:
        """The sum of what is known of them: at least so much happened."""
        return sum(count.delta or 0 for count in self.counts(*events, priority=priority))

    def exactly(self, *events: str, priority: int | None = None) -> int:
        """The same where all of it must be known; raises MissingError where a counter cannot be told."""
        found = self.counts(*events, priority=priority)
        self._zeros |= {id(count) for count in found}
        for count in found:
            if count.delta is None or (count.note and not count.delta):
                raise MissingError(
                    f"{count.name} of {count.place.device}: {count.note or 'unknown'}"
                )
        return sum(count.delta or 0 for count in found)

    def optional(self, *events: str) -> int:
        """The sum of what is there, 0 where nothing is: for words, never for a judgement."""
        return sum(c.delta or 0 for p in self.ports for e in events for c in p.by_event.get(e, ()))

    def _note(self, port: Port, event: str, count: Count) -> None:
        if not count.certain:
            why = count.note or "unknown"
            self._doubts[f"{count.name} of {count.place.device} on {port.host}: {why}"] = None
        self._looked[id(count)] = (port, event, count)

    # pauses -----------------------------------------------------------------------------------------

    def paused(self, direction: pause.Direction | None = None, port: Port | None = None) -> Ratio:
        """The worst pause ratio of a port, or of all that the rule is about; raises MissingError.

        What could not be told leaves a doubt, as with counters.
        """
        found = []
        for at in self.ports if port is None else (port,):
            if ratio := pause.worst(at, direction):
                found.append((ratio, at))
            for event in pause.EVENTS:
                for count in at.by_event.get(event, ()):
                    if not count.certain:
                        self._note(at, event, count)
        if not found:
            raise MissingError(
                "a pause ratio (no microseconds are counted, and the line rate is unknown)"
            )
        ratio, at = max(found, key=lambda pair: pair[0].value)
        self._ratio(at, ratio)
        for event in pause.EVENTS:
            glob, way, _ = event.partition(f"pause_{ratio.direction}")
            for count in at.by_event.get(event, ()) if way else ():
                if count.kind.priority == ratio.priority and bool(glob) == (ratio.priority is None):
                    self._note(at, event, count)
        return ratio

    def _ratio(self, port: Port, ratio: Ratio) -> None:
        name = f"pause ratio {ratio.direction}{' (at most)' if ratio.bound else ''}"
        self.measured(name, ratio.value, self.rule.limits.get("paused"), port, ratio.priority)

    # settings ---------------------------------------------------------------------------------------

    def setting(self, check: str) -> Setting:
        """What the audit found at this port; raises MissingError."""
        found = self.evidence.setting(self.port, check)
        if found is None:
            raise MissingError(f"configuration:{check}{_where([self.port], None)}")
        port = self.port
        self._rows[port.place, check] = Row(
            port.host, port.device, port.number, check, value=str(found)
        )
        return found

    def number_of(self, check: str) -> float:
        made = number(value := self.setting(check))
        if made is None:
            raise MissingError(f"configuration:{check} is no number: {value!r}")
        return made

    def priorities_of(self, check: str) -> frozenset[int]:
        made = priorities(value := self.setting(check))
        if made is None:
            raise MissingError(f"configuration:{check} names no priorities: {value!r}")
        return made

    def switched(self, check: str) -> bool:
        made = switch(value := self.setting(check))
        if made is None:
            raise MissingError(f"configuration:{check} is neither on nor off: {value!r}")
        return made

    def lossless_priority(self) -> int:
        """The priority that RDMA is meant to use."""
        found = self.priorities_of("lossless_priority")
        if not found:
            raise MissingError("configuration:lossless_priority names no priority")
        return min(found)

    # limits -----------------------------------------------------------------------------------------

    def limit(self, name: str) -> float:
        return self.rule.limits[name].value

    def measured(
        self,
        what: str,
        value: float,
        limit: str | Limit | None = None,
        port: Port | None = None,
        priority: int | None = None,
    ) -> float:
        """Keep a computed value as evidence, beside the limit that it is held to."""
        held = self.rule.limits[limit] if isinstance(limit, str) else limit
        at = port or self._port
        self._rows[at.place if at else None, what] = Row(
            host=at.host if at else "",
            device=at.device if at else "",
            port=at.number if at else 0,
            counter=what,
            priority=priority,
            ratio=value,
            limit=held.value if held else None,
            limit_source=held.source if held else "",
        )
        return value

    @property
    def doubts(self) -> list[str]:
        """Counters that were looked at and cannot be told."""
        return list(self._doubts)

    def evidence_rows(self) -> tuple[Row, ...]:
        """The rows that a finding shows: ratios and settings, then what moved most, then zeros."""
        told = [
            looked for key, looked in self._looked.items() if _tells(looked[2], key in self._zeros)
        ]
        moved = sorted(told, key=lambda looked: -abs(looked[2].delta or 0))
        kept = list(self._rows.values())[:MOST_ROWS]
        for port, event, count in moved[: MOST_ROWS - len(kept)]:
            kept.append(counter_row(port, event, count, self.evidence.gigabytes))
        return tuple(kept)


def _tells(count: Count, had_to_stand_still: bool) -> bool:
    return bool(count.delta) or not count.certain or had_to_stand_still


def _reason(port: Port, names: Iterable[str]) -> str:
    """Why the port has none of them, where that was recorded."""
    told = (port.unknown[name] for name in (*names, "*") if name in port.unknown)
    return next(told, "")


def _where(ports: Sequence[Port], asked: Port | None) -> str:
    if not ports or asked is not None:
        return ""
    named = ", ".join(f"{port.name} on {port.host}" for port in ports[:MOST_NAMES])
    more = len(ports) - MOST_NAMES
    return f" of {named}{f' and {more} more' if more > 0 else ''}"
