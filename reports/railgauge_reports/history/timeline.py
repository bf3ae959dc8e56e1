"""The nights of a history in the order of time: which of them count, and which are missing."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from railgauge.errors import UsageError
from railgauge_reports.history.settings import Settings
from railgauge_reports.history.summary import NightSummary

#: Gaps of more nights than that are one entry.
MOST_GAPS = 62
#: A night so much later than the schedule (as a share of it) is late; from then on one is missing.
_LATE = 0.5
#: Missing nights in a row that alarm.
ALARM = 2
#: Seconds that a clock may be ahead of this one's.
_AHEAD_SECONDS = 300.0


@dataclasses.dataclass(frozen=True)
class Entry:
    """A night, or a gap (`summary` None) of `nights` missing ones; `row`: of the judged nights which."""

    name: str
    at: float
    summary: NightSummary | None = None
    row: int | None = None
    nights: int = 1
    copy_of: str = ""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """`entries` in the order of time; `rows` are the summaries that have values, by row.

    `tonight` is the index of the entry that is judged; `missing` how many nights are missing before or,
    where the history ends there, after it. `told` are sentences about clocks.
    """

    entries: tuple[Entry, ...]
    rows: tuple[NightSummary, ...]
    tonight: int
    missing: int
    silent: bool
    told: tuple[str, ...]


def timeline(
    nights: Sequence[NightSummary],
    settings: Settings,
    night: str | None,
    since: str | None,
    now: float,
) -> Timeline:
    """The nights until `night` (None: the last one) from `since` on; raises UsageError for none of that name.

    `now` is the present; it counts only where the last night is judged.
    """
    ordered = sorted(nights, key=lambda summary: (summary.at, summary.folder))
    names = _names(ordered, settings)
    first = 0 if since is None else _first(since, ordered, names, settings)
    last = len(ordered) - 1 if night is None else _last(night, ordered, names, settings)
    ordered, names = ordered[first : last + 1], names[first : last + 1]
    if not ordered:
        raise UsageError(f"--night {night}: before --since {since}.\n  next: leave --since out")
    copies = _copies(ordered)
    entries: list[Entry] = []
    rows: list[NightSummary] = []
    for summary, name in zip(ordered, names, strict=True):
        if entries:
            entries += _gap(entries[-1].at, summary.at, settings)
        copied = copies.get(summary.folder, "")
        row = None if copied or not summary.runs else len(rows)
        rows += [] if row is None else [summary]
        entries.append(Entry(name, summary.at, summary, row, copy_of=copied))
    tonight = len(entries) - 1
    after = list(_gap(entries[-1].at, now, settings)) if night is None else []
    silent = sum(entry.nights for entry in after)
    return Timeline(
        entries=(*entries, *after),
        rows=tuple(rows),
        tonight=tonight,
        missing=silent or _gaps_before(entries, tonight),
        silent=silent > 0,
        told=(*_clocks(ordered, names, now), *_together(ordered, copies)),
    )


def _gaps_before(entries: Sequence[Entry], tonight: int) -> int:
    """Missing nights directly before."""
    total = 0
    for entry in reversed(entries[:tonight]):
        if entry.summary is not None:
            break
        total += entry.nights
    return total


def _gap(before: float, after: float, settings: Settings) -> Iterator[Entry]:
    """The nights that the schedule has between two."""
    every = settings.interval
    if every is None or after - before <= (1 + _LATE) * every:
        return
    count = max(1, round((after - before) / every) - 1)
    if count > MOST_GAPS:
        first = settings.date(before + every).isoformat()
        yield Entry(f"{count} nights from {first}", before + every, nights=count)
        return
    for k in range(1, count + 1):
        at = before + k * every
        yield Entry(settings.date(at).isoformat(), at)


# names and times ----------------------------------------------------------------------------------------


def _names(nights: Sequence[NightSummary], settings: Settings) -> list[str]:
    """Dates; with the time where there are several on one, and the folder where that does not do."""
    moments = [settings.moment(summary.at) for summary in nights]
    made = [moment.strftime("%Y-%m-%d") for moment in moments]
    for more in ([m.strftime("%H:%M:%S") for m in moments], [n.folder for n in nights]):
        times = Counter(made)
        made = [f"{n} {m}" if times[n] > 1 else n for n, m in zip(made, more, strict=True)]
    return made


def _last(
    wanted: str, nights: Sequence[NightSummary], names: Sequence[str], settings: Settings
) -> int:
    """The last night of that folder, name or date."""
    found = [
        k
        for k, (summary, name) in enumerate(zip(nights, names, strict=True))
        if wanted.rstrip("/") in (summary.folder, name, _date_of(summary, settings))
    ]
    if not found:
        raise _no_such("--night", wanted, names)
    return found[-1]


def _first(
    wanted: str, nights: Sequence[NightSummary], names: Sequence[str], settings: Settings
) -> int:
    """The first night from that date, or that folder, on."""
    for k, summary in enumerate(nights):
        if summary.folder == wanted.rstrip("/") or names[k] == wanted:
            return k
    try:
        datetime.date.fromisoformat(wanted)
    except ValueError:
        raise _no_such("--since", wanted, names) from None
    found = [k for k, n in enumerate(nights) if _date_of(n, settings) >= wanted]
    if not found:
        raise _no_such("--since", wanted, names)
    return found[0]


def _no_such(option: str, wanted: str, names: Sequence[str]) -> UsageError:
    return UsageError(
        f"{option} {wanted}: no such night.\n"
        f"  expected: a date or a folder; the last ones are {', '.join(names[-6:])}\n"
        f"  next: {option} {shlex.quote(names[-1])}"
    )


def _date_of(summary: NightSummary, settings: Settings) -> str:
    return settings.date(summary.at).isoformat()


def _copies(nights: Sequence[NightSummary]) -> dict[str, str]:
    """Folder -> the one before with the same runs: one night counts once."""
    first: dict[tuple[tuple[float, bytes, bytes], ...], str] = {}
    made = {}
    for summary in nights:
        own = tuple((run.started, run.series, run.values) for run in summary.runs)
        before = first.setdefault(own, summary.folder)
        if own and before != summary.folder:
            made[summary.folder] = before
    return made


def _clocks(nights: Sequence[NightSummary], names: Sequence[str], now: float) -> Iterator[str]:
    for summary, name in zip(nights, names, strict=True):
        for run in summary.runs:
            if run.clock:
                yield f"night {name}, {run.path or summary.folder}: {run.clock}"
        if summary.is_absurd:
            told = "a time that no clock has: taken as its files say"
            yield f"{summary.folder} records {told}, {name}"
    ahead = [name for s, name in zip(nights, names, strict=True) if s.at > now + _AHEAD_SECONDS]
    if ahead:
        more = f", and {len(ahead) - 1} more" if len(ahead) > 1 else ""
        yield f"by this host's clock night {ahead[0]}{more} began in the future"


def _together(nights: Sequence[NightSummary], copies: Mapping[str, str]) -> Iterator[str]:
    """Nights of the same time: which of them was earlier nobody knows."""
    for one, other in itertools.pairwise(nights):
        if one.at == other.at:
            why = "taken in the order of their names"
            if other.folder in copies:
                why = f"{other.folder} is a copy, and left out"
            yield f"{one.folder} and {other.folder} began at the same time: {why}"
