"""What the sampler of a node wrote: counters while cases ran, as a series for each.

A line that is cut short or that says nothing known is left out and counted; it spoils no other, since
values are absolute.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec

from railgauge.sampler import FORMAT, MOST_BYTES, Began, Line

Counter = tuple[str, str, int, str]  # source, device, port, name
_DECODER = msgspec.json.Decoder(Began | Line)
NANOSECONDS_OF_A_SECOND = 10**9


@dataclasses.dataclass(frozen=True)
class Point:
    """A value that a counter took, in its raw steps; `seconds` of the host's wall clock.

    `before` is the value at the reading before, `since` seconds earlier: None where there is none.
    """

    counter: Counter
    seconds: float
    value: int
    before: int | None
    since: float | None


@dataclasses.dataclass
class Samples:
    """A node's file; `bad_lines` could not be read, or spoke of counters that no line names."""

    points: list[Point]
    bad_lines: int = 0


def read_samples(path: Path) -> Samples:
    """All that the file says; nothing where it is not there."""
    made = Samples([])
    try:
        with path.open("rb") as file:
            data = file.read(2 * MOST_BYTES)
    except OSError:
        return made
    start: _Start | None = None
    for raw in data.split(b"\n"):
        if not raw:
            continue
        try:
            line = _DECODER.decode(raw)
            if isinstance(line, Began):
                start = _Start(line) if line.format <= FORMAT else None
            elif start is not None:
                made.points.extend(start.points(line))
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError):
            made.bad_lines += 1
        else:
            made.bad_lines += start is None
    return made


class _Start:
    """What is known of one start of a sampler so far."""

    def __init__(self, began: Began) -> None:
        self._offset_ns = began.wall_ns - began.monotonic_ns
        self._names: dict[int, Counter] = {}
        self._held: dict[int, int] = {}
        self._last_ns: int | None = None

    def points(self, line: Line) -> list[Point]:
        """Raises ValueError where the line speaks of a counter without a name, or of no value."""
        self._names |= {line.first + k: name for k, name in enumerate(line.names)}
        pairs = list(zip(line.changed[::2], line.changed[1::2], strict=True))
        for number, value in pairs:
            if number not in self._names or not -(2**63) <= value < 2**64:
                raise ValueError(f"{number}: {value}")
        found = list(self._made(line.monotonic_ns, pairs))
        self._held |= dict(pairs)
        for number in line.gone:
            self._held.pop(number, None)
        self._last_ns = line.monotonic_ns
        return found

    def _made(self, now_ns: int, pairs: list[tuple[int, int]]) -> Iterator[Point]:
        since = None
        if self._last_ns is not None and now_ns > self._last_ns:
            since = (now_ns - self._last_ns) / NANOSECONDS_OF_A_SECOND
        seconds = (now_ns + self._offset_ns) / NANOSECONDS_OF_A_SECOND
        for number, value in pairs:
            before = self._held.get(number)
            yield Point(self._names[number], seconds, value, before, since)
