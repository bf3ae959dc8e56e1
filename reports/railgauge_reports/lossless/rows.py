"""What a rule found: a sentence with its place, and rows of evidence."""

from __future__ import annotations

import dataclasses

from railgauge_reports.lossless.catalogue import Severity
from railgauge_reports.lossless.evidence import Count, Port


@dataclasses.dataclass(frozen=True)
class Row:
    """One piece of evidence: a counter, a setting or a ratio, beside the limit that it was held to."""

    host: str
    device: str
    port: int
    counter: str
    event: str | None = None
    priority: int | None = None
    before: int | None = None
    after: int | None = None
    delta: int | None = None
    unit: str = ""
    per_second: float | None = None
    per_GB: float | None = None  # noqa: N815 (units as they are written)
    note: str = ""
    value: str = ""
    ratio: float | None = None
    limit: float | None = None
    limit_source: str = ""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a predicate found: in words, and where it is more exact than the port it was asked of.

    `severity` goes before the profile's.
    """

    words: str
    severity: Severity | None = None
    priority: int | None = None
    lane: int | None = None
    direction: str = ""


def counter_row(port: Port, event: str, count: Count, gigabytes: float | None) -> Row:
    """A counter as evidence."""
    known = count.delta if count.kind.arithmetic != "gauge" else None
    each = None if known is None or count.seconds <= 0 else known / count.seconds
    return Row(
        host=port.host,
        device=count.place.device,
        port=count.place.port,
        counter=count.name,
        event=event,
        priority=count.kind.priority,
        before=count.before,
        after=count.after,
        delta=count.delta,
        unit=count.kind.unit,
        per_second=each,
        per_GB=known / gigabytes if known is not None and gigabytes else None,
        note=count.note,
    )
