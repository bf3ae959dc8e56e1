"""A capture: what a file with a tool's output says, and how its text becomes that.

Counters become readings of the sources that read them live, under the names sysfs has for them, so
that widths, arithmetic and rules are the same. Settings, topology and tables become rows: plain dicts
whose keys mean the same in every format:

`device`, `port` (RDMA), `netdev`, `pci` (bus id), `guid`, `state`, `physical_state`, `link_layer`,
`rate_Gbps`, `mtu` (bytes), `driver`, `firmware`; `pfc` (8 booleans, by priority), `trust` (dscp or pcp),
`dscp_to_priority` {dscp: priority}, `priority_to_tc` (8 integers), `traffic_classes` (dicts with `tc`,
`tsa`, `bandwidth_percent`), `priority_to_buffer`, `buffer_nbytes`, `traffic_class` (the byte of the IP
header, DSCP * 4), `cnp_dscp`, `ecn_np` and `ecn_rp` (8 booleans), `gid`, `index`, `ipv4`, `version`.

What a tool did not print has no key; what it printed and cannot be read is None, and a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from railgauge import counting
from railgauge.counting import Change, Place, Reading, Snapshot, number
from railgauge.errors import UsageError

#: More problems than these in one file are counted, not kept.
MOST_PROBLEMS = 50
#: No tool prints longer lines (`rdma statistic` 2 KiB, /proc/net/netstat 4 KiB).
MOST_LINE = 16 << 10
#: The device of a capture that does not say which one it is of.
UNNAMED = "unnamed"
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?")
Row = dict[str, Any]


class Problem(msgspec.Struct, frozen=True):
    """What was odd, and in which line of the file (0: the file as a whole)."""

    line: int
    what: str


class Capture(msgspec.Struct, frozen=True):
    """What stands in one file; `cut`: it ends inside a line, so more may have followed."""

    format: str = ""
    readings: tuple[Reading, ...] = ()
    rows: tuple[Row, ...] = ()
    facts: Row = {}
    problems: tuple[Problem, ...] = ()
    cut: bool = False


class Line(NamedTuple):
    """A line without its end; `number` counts from 1."""

    number: int
    text: str


class _Counters(NamedTuple):
    values: dict[str, int]
    unknown: dict[str, str]
    facts: dict[str, str]


class Draft:
    """A capture in the making: whole lines to read, and what was found so far.

    A file that ends inside a line may have lost digits there: that line is not read, and said to be
    a problem, unless it matches `whole`, a pattern which only a complete line can match.
    """

    def __init__(self, text: str, whole: str | None = None) -> None:
        self.rows: list[Row] = []
        self.facts: Row = {}
        self._kept: set[int] = set()
        self._problems: list[Problem] = []
        self._left_off = 0
        self.places: dict[Place, _Counters] = {}
        texts = text.split("\n")
        last = texts.pop()
        self.lines = [
            Line(n, line.rstrip("\r")) for n, line in enumerate(texts, 1) if self._fits(n, line)
        ]
        self.cut = bool(last.strip()) and not (whole and re.fullmatch(whole, last))
        if self.cut:
            self.odd(len(texts) + 1, "the file ends inside this line: not read")
        elif last.strip():
            self.lines.append(Line(len(texts) + 1, last))

    def _fits(self, line: int, text: str) -> bool:
        if len(text) > MOST_LINE:
            self.odd(line, f"a line of {len(text)} characters: not read")
        return len(text) <= MOST_LINE

    def odd(self, line: int, what: str) -> None:
        """Note a problem."""
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(line, what))
        else:
            self._left_off += 1

    def strange(self, line: int, text: str) -> None:
        """Note a line that nobody understood; a blank one, a comment and a prompt are none."""
        if text.strip() and not text.startswith(("#", "$")):
            self.odd(line, f"not understood: {text.strip()[:40]!r}")

    def keep(self, row: Row) -> None:
        """Put a row that goes on growing among the rows, once."""
        if id(row) not in self._kept:
            self._kept.add(id(row))
            self.rows.append(row)

    def place(self, place: Place, **facts: str) -> Place:
        """A place whose counters follow."""
        kept = self.places.setdefault(place, _Counters({}, {}, {}))
        kept.facts.update({name: told for name, told in facts.items() if told})
        return place

    def counter(self, place: Place, name: str, text: str, line: int) -> None:
        """One value; of a name that stands twice the first is kept."""
        kept = self.places.setdefault(place, _Counters({}, {}, {}))
        value = count(text)
        before = kept.values.get(name)
        if value is None:
            if before is None:
                kept.unknown[name] = f"not a number: {text[:40]!r}"
            self.odd(line, f"{name}: not a count: {text[:40]!r}")
        elif before is None:
            kept.values[name] = value
            kept.unknown.pop(name, None)
        elif before != value:
            self.odd(line, f"{name} stands here again, as {value}: {before}, the first, is kept")

    def unknown(self, place: Place, name: str, why: str) -> None:
        """A counter that the file names but that cannot be known from it."""
        self.places.setdefault(place, _Counters({}, {}, {})).unknown[name] = why

    def done(self, readings: tuple[Reading, ...] = ()) -> Capture:
        """The capture, `readings` made elsewhere ahead of its own."""
        if self._left_off:
            self._problems.append(Problem(0, f"{self._left_off} more problems"))
            self._left_off = 0
        own = (
            Reading(place, kept.values, kept.unknown, kept.facts)
            for place, kept in sorted(self.places.items())
        )
        return Capture(
            readings=(*readings, *own),
            rows=tuple(self.rows),
            facts=self.facts,
            problems=tuple(self._problems),
            cut=self.cut,
        )


def count(text: str) -> int | None:
    """What a counter can be: a whole number from 0 to 64 bits, in ASCII digits, else None."""
    made = whole(text)
    return made if made is not None and made >= 0 else None


def whole(text: str) -> int | None:
    """A whole number in ASCII digits that fits 64 bits, else None."""
    text = text.strip()
    return number(text.encode()) if _WHOLE.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """A number in ASCII digits, else None; never infinite."""
    text = text.strip()
    if not _DECIMAL.fullmatch(text):
        return None
    made = float(text)
    return made if abs(made) < float("inf") else None


def as_json(text: str) -> Any:
    """The JSON in `text`, below lines of comment and a prompt; raises UsageError where it is none."""
    start = re.search(r"^[ \t]*[\[{]", text, re.MULTILINE)
    body = text[start.start() :] if start else text
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise UsageError(
            f"the JSON cannot be read: {error or type(error).__name__}\n"
            "  expected: the whole output of one command; a part of it cannot be told from a wrong one"
        ) from None


def looks_like_json(text: str) -> bool:
    """Is the first line that is neither blank, comment nor prompt the start of an array or object?"""
    first = next(meaningful(text), "")
    return first.lstrip()[:1] in ("[", "{")


def meaningful(text: str, most: int = 40) -> Iterator[str]:
    """The first lines that are neither blank nor comment nor a command behind a `$`."""
    found = 0
    for line in text[: 1 << 16].split("\n"):
        if line.strip() and not line.lstrip().startswith(("#", "$ ")):
            yield line
            found += 1
            if found >= most:
                return


def flags(cells: list[str]) -> list[bool] | None:
    """Eight booleans of `0`/`1`, `on`/`off` or `yes`/`no`; None where they are others or not eight."""
    meaning = {"0": False, "off": False, "no": False, "1": True, "on": True, "yes": True}
    made = [meaning.get(cell.strip().lower()) for cell in cells]
    if len(made) != 8:
        return None
    known = [value for value in made if value is not None]
    return known if len(known) == 8 else None


def mapping(text: str) -> dict[int, str]:
    """`0:ets 1:strict` -> {0: "ets", 1: "strict"}; what is not so is left out."""
    pairs = (cell.partition(":") for cell in text.split())
    keyed = ((whole(key), value) for key, _, value in pairs if value)
    return {key: value for key, value in keyed if key is not None}


def eight(by_key: dict[int, str]) -> list[int] | None:
    """The integers under keys 0 to 7; None where one lacks or is none."""
    made = [whole(by_key.get(key, "")) for key in range(8)]
    known = [value for value in made if value is not None]
    return known if len(known) == 8 else None


def changes(before: Capture, after: Capture) -> Iterator[Change]:
    """What counters did from one capture to a later one of the same tool.

    Of a capture that is cut, what is not there has not vanished: it is unknown. A device that one of
    two captures does not name is the one that the other names.
    """
    first, last = _same_device(before.readings, after.readings)
    for change in counting.changes(Snapshot(0, first), Snapshot(0, last)):
        lost = after.cut if change.note == "vanished" else change.note == "appeared" and before.cut
        yield msgspec.structs.replace(change, note="unknown") if lost else change


Readings = tuple[Reading, ...]


def _same_device(before: Readings, after: Readings) -> tuple[Readings, Readings]:
    if len(before) == len(after) == 1 and before[0].place.source == after[0].place.source:
        places = before[0].place, after[0].place
        if UNNAMED in (places[0].device, places[1].device):
            place = max(places, key=lambda place: place.device != UNNAMED)
            return _at(before[0], place), _at(after[0], place)
    return before, after


def _at(reading: Reading, place: Place) -> Readings:
    return (msgspec.structs.replace(reading, place=place),)


def changed_rows(before: Capture, after: Capture) -> tuple[list[Row], list[Row]]:
    """Rows that stand only before, and only after."""
    first, last = ({msgspec.json.encode(row): row for row in c.rows} for c in (before, after))
    return (
        [row for key, row in first.items() if key not in last],
        [row for key, row in last.items() if key not in first],
    )
