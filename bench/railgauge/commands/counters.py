"""Show the fabric's counters: of this host, live, or those in files of captured output."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from railgauge import captures, counting
from railgauge.capturing import capture
from railgauge.capturing.capture import Capture
from railgauge.capturing.text import change_text, place_text, problems_text, rows_text
from railgauge.counting import Change, Reading, Roots, Snapshot
from railgauge.errors import EXIT_PASS, UsageError
from railgauge.plan_options import names_of
from railgauge.units import NANOSECONDS


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE [FILE]]")
@click.option("--source", help="Sources, comma separated (railgauge list).  [default: all]")
@click.option(
    "--device", help="Devices, comma separated; a GPU's stand for its links too.  [default: all]"
)
@click.option("--all", "everything", is_flag=True, help="Counters that stand at 0, too.")
@click.option(
    "--watch", type=float, help="Seconds between two readings: show what rises, until ^C."
)
@click.option("--count", type=int, help="With --watch: end after so many.")
@click.option(
    "--json", "as_json", is_flag=True, help="JSON: one object, with --watch one a reading."
)
@click.option(
    "--tool", help="Which tool's output a FILE holds (railgauge list).  [default: find out]"
)
@click.option("--sysfs", type=click.Path(path_type=Path), default=Path("/sys"), hidden=True)
@click.option("--proc", type=click.Path(path_type=Path), default=Path("/proc/self"), hidden=True)
def command(
    files: tuple[Path, ...],
    source: str | None,
    device: str | None,
    everything: bool,
    watch: float | None,
    count: int | None,
    as_json: bool,
    tool: str | None,
    sysfs: Path,
    proc: Path,
) -> int:
    """Show counters of RDMA devices, network devices, drivers, GPUs, NVLink, PCIe and TCP on this host.

    Neither root nor a vendor's tool is needed. What cannot be read is shown as unknown, with why.

    With a FILE, what a tool printed elsewhere (perfquery, ethtool -S, rdma, mlnx_qos, ...): its counters,
    settings and topology. With two, before and after: what changed.
    """
    names = names_of(source) or counting.sources()
    for name in names:
        counting.source_named(name)
    if tool and not files:
        raise UsageError(
            "--tool says what a FILE holds.\n  next: railgauge counters --tool NAME FILE"
        )
    if files:
        if watch is not None or count is not None:
            raise UsageError("--watch reads this host; a FILE stands still.\n  next: leave one out")
        wanted = set(names) if source else None
        made = [_kept(captures.read(path, tool), wanted, device) for path in _two_at_most(files)]
        print(
            _one(made[0], everything, as_json)
            if len(made) == 1
            else _both(made[0], made[1], as_json)
        )
        return EXIT_PASS
    if watch is not None and not watch >= 0.01:
        raise UsageError(
            f"--watch {watch}: expected seconds, at least 0.01 (drivers keep values 10 ms)"
        )
    if count is not None and (watch is None or count < 1):
        raise UsageError(
            "--count is how many readings --watch shows.\n  next: --watch 1 --count 10"
        )
    roots = Roots(sysfs, proc)
    devices = names_of(device)
    first = counting.snapshot(roots, names)
    _check_devices(first, devices)
    first = _only(first, devices)
    if watch is None:
        print(msgspec.json.encode(first).decode() if as_json else _shown(first, everything))
        return EXIT_PASS
    number = 0
    with contextlib.suppress(KeyboardInterrupt):  # how watching ends
        while count is None or number < count:
            time.sleep(watch)
            now = _only(counting.snapshot(roots, names), devices)
            _tell(first, now, as_json)
            first, number = now, number + 1
    return EXIT_PASS


def _only(made: Snapshot, devices: Sequence[str] | None) -> Snapshot:
    """What there is of the devices asked for; one that has gone meanwhile lacks in it."""
    if not devices:
        return made
    kept = tuple(r for r in made.readings if not _goes_by(r).isdisjoint(devices))
    return msgspec.structs.replace(made, readings=kept)


def _goes_by(reading: Reading) -> set[str]:
    """`0000:10:00.0/link3` is a part of `0000:10:00.0`."""
    device = reading.place.device
    return {device, device.partition("/")[0]}


def _check_devices(made: Snapshot, devices: Sequence[str] | None) -> None:
    there: set[str] = set().union(*map(_goes_by, made.readings))
    if lacking := set(devices or ()) - there:
        raise UsageError(
            f"--device {', '.join(sorted(lacking))}: not on this host.\n"
            f"  there are: {', '.join(sorted(there)) or 'none'}"
        )


def _shown(made: Snapshot, everything: bool) -> str:
    lines = []
    for reading in made.readings:
        facts = ", ".join(f"{name} {text}" for name, text in reading.facts.items())
        lines.append(f"{place_text(reading.place)}{f' ({facts})' if facts else ''}")
        kind_of = counting.source_named(reading.place.source).kind
        for name, value in reading.values.items():
            kind = kind_of(name, reading.facts)
            if value or everything:
                full = kind.arithmetic == "saturate" and value >= 2**kind.bits - 1
                note = "  at its end: at least this" if full else ""
                scaled = f"{value * kind.scale} {kind.unit}".rstrip()
                lines.append(f"  {name:40} {scaled}{note}")
        hidden = sum(not value for value in reading.values.values())
        if hidden and not everything:
            lines.append(f"  ({hidden} at 0)")
        lines += [f"  {name:40} UNKNOWN: {why}" for name, why in reading.unknown.items()]
    lines += [f"{name}: UNKNOWN: {why}" for name, why in made.problems.items()]
    return "\n".join(lines) or "no counters on this host"


def _tell(before: Snapshot, after: Snapshot, as_json: bool) -> None:
    seconds = (after.nanoseconds - before.nanoseconds) * NANOSECONDS
    moved = [change for change in counting.changes(before, after) if _moved(change)]
    if as_json:
        rows = [_row(change, seconds) for change in moved]
        print(msgspec.json.encode({"seconds": seconds, "changes": rows}).decode(), flush=True)
        return
    print(f"{time.strftime('%H:%M:%S')}  {seconds:.2f} s", flush=True)
    places = max((len(place_text(change.place)) for change in moved), default=0)
    names = max((len(change.name) for change in moved), default=0)
    for change in moved:
        told = change.note or ("" if change.kind.counts else change.kind.arithmetic)
        where = f"{place_text(change.place):{places}} {change.name:{names}}"
        print(f"  {where} {_figures(change, seconds)} {told}".rstrip())


def _figures(change: Change, seconds: float) -> str:
    """How much and how fast; of a gauge or state the value that it has now."""
    if not change.kind.counts:
        now = None if change.after is None else change.after * change.kind.scale
        return f"{f'{_number(now)} {change.kind.unit}'.rstrip():>41}"
    rate = change.rate(seconds)
    each = "" if rate is None else f"{rate:,.1f} {change.kind.unit}/s"
    return f"{_number(change.delta):>18} {each:>22}"


def _moved(change: Change) -> bool:
    """Is there anything to show? Of a gauge and a state, another value."""
    return change.moved if change.kind.counts else change.before != change.after


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _row(change: Change, seconds: float | None) -> dict[str, object]:
    return {
        "source": change.place.source,
        "device": change.place.device,
        "port": change.place.port,
        "name": change.name,
        "canonical": change.kind.canonical,
        "priority": change.kind.priority,
        "unit": change.kind.unit,
        "before": change.before,
        "after": change.after,
        "delta": change.delta,
        "rate_per_second": None if seconds is None else change.rate(seconds),
        "note": change.note,
    }


# files of captured output ------------------------------------------------------------------------


def _two_at_most(files: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(files) > 2:
        raise UsageError(
            f"{len(files)} files: expected one, or two of the same tool, before and after.\n"
            f"  next: railgauge counters {files[0]} {files[-1]}"
        )
    return files


def _kept(made: Capture, sources: set[str] | None, device: str | None) -> Capture:
    """The readings of these sources and devices, and with a device its rows."""
    wanted = set(names_of(device) or ())
    readings = tuple(
        reading
        for reading in made.readings
        if (sources is None or reading.place.source in sources)
        and (not wanted or reading.place.device in wanted)
    )
    rows = [
        row
        for row in made.rows
        if not wanted or wanted & {str(row.get(key)) for key in ("device", "netdev", "pci", "node")}
    ]
    if wanted and not readings and not rows:
        there = ", ".join(sorted({r.place.device for r in made.readings})) or "none by name"
        raise UsageError(f"--device {device}: not in the file.\n  there are: {there}")
    return msgspec.structs.replace(made, readings=readings, rows=tuple(rows))


def _one(made: Capture, everything: bool, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(made).decode()
    lines = [made.format]
    if made.readings:
        lines.append(_shown(Snapshot(0, made.readings), everything))
    lines += [*rows_text(made.rows), *rows_text([made.facts] if made.facts else [])]
    return "\n".join([*lines, *problems_text(made)])


def _both(before: Capture, after: Capture, as_json: bool) -> str:
    """What counters did and which settings changed; seconds are not known, so there are no rates."""
    if before.format != after.format:
        raise UsageError(
            f"one is {before.format}, the other {after.format}.\n"
            "  expected: the same tool's output, before and after\n"
            "  next: railgauge counters FILE, one at a time, or --tool NAME where one is taken for another"
        )
    found = list(capture.changes(before, after))
    tell = [c for c in found if c.delta is None or _moved(c)]
    gone, new = capture.changed_rows(before, after)
    if as_json:
        told = {
            "format": before.format,
            "changes": [_row(change, None) for change in tell],
            "unchanged": len(found) - len(tell),
            "rows_before": gone,
            "rows_after": new,
            "problems": {"before": before.problems, "after": after.problems},
        }
        return msgspec.json.encode(told).decode()
    unknown = [change for change in tell if change.note == "unknown"]
    lines = [before.format, *(change_text(c) for c in tell if c.note != "unknown")]
    if found:
        lines.append(f"  ({len(found) - len(tell)} unchanged)")
    if unknown:
        some = ", ".join(change.name for change in unknown[:5])
        more = ", ..." if len(unknown) > 5 else ""
        lines.append(f"  ({len(unknown)} UNKNOWN in one of the two: {some}{more})")
    lines += [*rows_text(gone, "- "), *rows_text(new, "+ ")]
    if before.rows and not gone and not new:
        lines.append(f"  ({len(before.rows)} rows of settings, unchanged)")
    lines += [f"before, {told}" for told in problems_text(before)]
    return "\n".join([*lines, *(f"after, {told}" for told in problems_text(after))])
