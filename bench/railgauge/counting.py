"""Counters of a fabric: what a reading is, how two of them are subtracted, and what cannot be known.

Three arithmetics exist, and a plain difference is wrong for two of them: error counters of the IB
performance management agent *saturate* (all ones means "at least"), queue counters of mlx5 *wrap*
at 32 bits, the rest runs freely in 64. A gauge (power) is never subtracted, nor is a state (the width of
a link), which is told only where it changes. What is absent or unreadable is unknown, with the reason,
and never 0.
"""

from __future__ import annotations

import functools
import importlib
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from railgauge import plugins
from railgauge.errors import unknown
from railgauge.linux.sysfs import FLAGS, MOST_BYTES, entries, open_folder

#: Stands in `Reading.unknown` for counters that cannot even be named.
ALL = "*"
Arithmetic = Literal["free", "wrap", "saturate", "gauge", "state"]


class Kind(NamedTuple):
    """How a counter counts. `scale` turns its steps into `unit`; `canonical`: what it is elsewhere.

    `priority` is the IEEE 802.1Q priority that it belongs to.
    """

    unit: str = ""
    bits: int = 64
    arithmetic: Arithmetic = "free"
    scale: int = 1
    canonical: tuple[str, ...] = ()
    priority: int | None = None

    @property
    def counts(self) -> bool:
        """Do its values add up? Those of gauges and states do not."""
        return self.arithmetic not in ("gauge", "state")


class Place(msgspec.Struct, frozen=True, order=True):
    """Whose counters: a source (a file of `railgauge.counters`), a device of it, a port (0: none).

    The device `host` is the host as a whole; `A/B` is the part B of the device A.
    """

    source: str
    device: str
    port: int = 0


class Reading(msgspec.Struct, frozen=True):
    """The counters of one place, those that could not be read with why, and facts beside them."""

    place: Place
    values: dict[str, int]
    unknown: dict[str, str] = {}
    facts: dict[str, str] = {}


class Snapshot(msgspec.Struct, frozen=True):
    """All readings of one moment; `problems` are sources that gave nothing at all, with why."""

    nanoseconds: int
    readings: tuple[Reading, ...]
    problems: dict[str, str] = {}


class Roots(NamedTuple):
    """Where the kernel's files are: a process's own, or a tree that a test has made."""

    sysfs: Path = Path("/sys")
    proc: Path = Path("/proc/self")


HERE = Roots()
Note = Literal["", "at least", "saturated", "reset", "vanished", "appeared", "unknown"]
#: What happens to a counter besides counting.
EVENTS = ("at least", "reset", "vanished", "appeared")


class Change(msgspec.Struct, frozen=True):
    """What a counter did between two snapshots, in `unit`; `delta` None: not known, see `note`.

    `at least`: the counter stands at its end, so more may have happened. Of a gauge `delta` is the
    larger of its two values, of a state the later one.
    """

    place: Place
    name: str
    kind: Kind
    before: int | None
    after: int | None
    delta: int | None
    note: Note = ""

    @property
    def moved(self) -> bool:
        """Is there anything to tell? Of a gauge: does it stand above 0? Of a state: is it another?"""
        if self.kind.arithmetic == "state" and self.delta is not None:
            return self.before != self.after
        return bool(self.delta) or self.note in EVENTS

    def rate(self, seconds: float) -> float | None:
        """Units a second; None of what does not count, and of what is not known."""
        if self.delta is None or not self.kind.counts:
            return None
        return self.delta / seconds


def difference(kind: Kind, before: int, after: int) -> tuple[int | None, Note]:
    """(steps * scale, note) from one value to a later one."""
    end = 2**kind.bits - 1
    if kind.arithmetic == "state":
        return after * kind.scale, ""
    if kind.arithmetic == "gauge":
        return max(before, after) * kind.scale, ""
    if kind.arithmetic == "wrap":
        return (after - before) % (end + 1) * kind.scale, ""
    if kind.arithmetic == "saturate" and before >= end:
        return (None, "reset") if after < before else (None, "saturated")
    if after < before:
        return None, "reset"
    note: Note = "at least" if kind.arithmetic == "saturate" and after >= end else ""
    return (after - before) * kind.scale, note


def changes(before: Snapshot, after: Snapshot, still: bool = True) -> Iterator[Change]:
    """Every counter of either snapshot, in order of place and name; not `still`: those that moved."""
    first = {reading.place: reading for reading in before.readings}
    last = {reading.place: reading for reading in after.readings}
    for place in sorted({*first, *last}):
        kind_of = source_named(place.source).kind
        old = first.get(place) or Reading(place, {})
        new = last.get(place) or Reading(place, {})
        facts = new.facts or old.facts
        for name in sorted({*old.values, *new.values, *old.unknown, *new.unknown}):
            kind = kind_of(name, facts)
            a, b = old.values.get(name), new.values.get(name)
            if not still and a is not None and a == b and not (a and kind.arithmetic == "gauge"):
                continue  # most of some thousands
            change = _change(place, name, kind, a, b, name in old.unknown, name in new.unknown)
            if still or change.moved:
                yield change


def _change(
    place: Place, name: str, kind: Kind, a: int | None, b: int | None, *refused: bool
) -> Change:
    """`refused`: the counter was there and could not be read, in the first and in the last reading."""
    if a is not None and b is not None:
        delta, note = difference(kind, a, b)
        return Change(place, name, kind, a, b, delta, note)
    told: Note = "unknown"
    if a is not None and not refused[1]:
        told = "vanished"
    if b is not None and not refused[0]:
        told = "appeared"
    return Change(place, name, kind, a, b, None, told)


def sources() -> list[str]:
    """Names of the sources: the files of `railgauge.counters`."""
    return plugins.names(plugins.COUNTERS)


class Source:
    """A file of `railgauge.counters`: `read(roots)` gives readings, `kind(name, facts)` their kinds."""

    def __init__(self, name: str) -> None:
        module = importlib.import_module(f"{plugins.COUNTERS}.{name}")
        self.summary: str = (module.__doc__ or "").splitlines()[0].rstrip(".")
        self.read = module.read
        self.kind = module.kind


_loaded: dict[str, Source] = {}


def source_named(name: str) -> Source:
    """The source of that name; raises UsageError with the closest one."""
    if name not in _loaded:
        if name not in sources():
            raise unknown("counter source", name, sources(), "railgauge list")
        _loaded[name] = Source(name)
    return _loaded[name]


@functools.cache
def known_source(name: str) -> Source | None:
    """The source of that name; None of one that another version of railgauge read."""
    return source_named(name) if name in sources() else None


def snapshot(roots: Roots = HERE, names: Sequence[str] | None = None) -> Snapshot:
    """Read all counters of this host, or of the sources named; starts no process, needs no root."""
    readings: list[Reading] = []
    problems: dict[str, str] = {}
    for name in sources() if names is None else names:
        source = source_named(name)
        try:
            found = sorted(source.read(roots), key=lambda reading: reading.place)
        except OSError as error:
            problems[name] = f"{error.filename or name}: {error.strerror or error}"
            continue
        readings += found
    return Snapshot(time.monotonic_ns(), tuple(readings), problems)


# files ----------------------------------------------------------------------------------------------


def read_counters(
    folder: Path,
    names: Iterable[str] | None,
    values: dict[str, int],
    why: dict[str, str],
    settings: Collection[str] = (),
) -> None:
    """One file a counter: into `values`, or into `why` with what was wrong.

    Names None: all that the folder has but `settings`; a folder that is not there has none.
    """
    try:
        at = open_folder(folder)
    except OSError as error:
        absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        lost = names or (() if absent else (ALL,))
        why.update(dict.fromkeys(lost, error.strerror or str(error)))
        return
    try:
        for name in entries(at) if names is None else names:
            if name in settings:
                continue
            try:  # what `raw` does, of which a host has a thousand
                file = os.open(name, FLAGS, dir_fd=at)
                try:
                    word = os.read(file, MOST_BYTES)
                finally:
                    os.close(file)
            except OSError as error:
                why[name] = error.strerror or str(error)
                continue
            made = number(word)
            if made is None:
                why[name] = f"not a number: {word[:40].decode(errors='replace').strip()!r}"
            else:
                values[name] = made
    finally:
        os.close(at)


def number(word: bytes) -> int | None:
    """A whole number that fits 64 bits, else None."""
    try:
        made = int(word) if b"_" not in word else 2**64  # Python reads 1_0 as 10
    except ValueError:
        return None
    return made if -(2**63) <= made < 2**64 else None
