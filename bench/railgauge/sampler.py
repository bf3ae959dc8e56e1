"""A process beside the ranks of a node that reads the fabric's counters once a second.

What a case did stands on its journal line; how a gauge went meanwhile, and when a counter moved, only
somebody who looks during the case can say. It must not disturb what is measured: it runs on a CPU that
no rank is bound to where there is one, gives way to everybody (nice 19), and where each CPU has a rank
it is not started unless asked for. It ends when its standard input is closed: with the rank that
started it, however that ends.

It appends to `counters/node{K}.jsonl` in the run folder: a `Began`, then a `Line` each time, with what is
not as it was. Values are absolute, so that a line that is lost spoils no other.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from railgauge import counting
from railgauge.counting import HERE, Roots, Snapshot

FOLDER = "counters"
FORMAT = 1
PERIOD_SECONDS = 1.0
#: Of a node's file. When half of what is left is written the period doubles: the file never gets there.
MOST_BYTES = 64 << 20
_PATIENCE_SECONDS = 5.0  # with a sampler that is in the middle of a reading
_NICE = 19


class Began(msgspec.Struct, tag="began", tag_field="record", frozen=True, kw_only=True):
    """The first line of every start: two clocks at one moment, and where the sampler runs.

    Numbers of counters in the lines that follow are of this start. `cpus` are those that it may use.
    """

    format: int
    wall_ns: int  # CLOCK_REALTIME
    monotonic_ns: int  # CLOCK_MONOTONIC, as in the lines and in the samples of the ranks
    seconds: float
    sources: tuple[str, ...]
    cpus: tuple[int, ...]


class Line(msgspec.Struct, tag="line", tag_field="record", frozen=True, omit_defaults=True):
    """One reading. `names` are counters seen for the first time: (source, device, port, name), of
    which the first has the number `first`; `changed` is number, value, number, value, ...: raw steps,
    as the counter stands. `gone` are those that can no longer be read."""

    monotonic_ns: int
    first: int = 0
    names: tuple[tuple[str, str, int, str], ...] = ()
    changed: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a sampler is to do: `taken` are CPUs that ranks are bound to."""

    path: str
    seconds: float
    sources: tuple[str, ...]
    taken: tuple[int, ...]
    most_bytes: int = MOST_BYTES
    sysfs: str = str(HERE.sysfs)
    proc: str = str(HERE.proc)


def file_of(folder: Path, node: int) -> Path:
    return folder / FOLDER / f"node{node}.jsonl"


# the rank's side --------------------------------------------------------------------------------


def period(asked: float | None, cpus: Sequence[Collection[int]]) -> tuple[float, str]:
    """(seconds between two readings, or 0 with why there is no sampler) for ranks bound to `cpus`.

    Unasked it is started only where a CPU is left: beside spinning ranks on all of them even a
    process that gives way costs one of them some milliseconds now and then.
    """
    if asked is not None:
        return asked, "" if asked else "not asked for"
    taken = {cpu for one in cpus for cpu in one}
    if len(taken) > len(cpus) or (os.cpu_count() or 1) > len(taken):
        return PERIOD_SECONDS, ""
    return 0.0, "every CPU has a rank; --sample-counters 1 starts it all the same"


class Sampler:
    """The running process; `close` ends it."""

    def __init__(self, order: Order) -> None:
        from railgauge.launching.launchers import (
            python_module,  # the sampler itself starts without it
        )

        argv = [*python_module("railgauge.sampler"), msgspec.json.encode(order).decode()]
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=null, stderr=null)

    def close(self) -> None:
        """Let it write what it has read, and wait for its end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


# the sampler's side -----------------------------------------------------------------------------


class Numbered:
    """Turns snapshots into lines: counters get numbers, and what stands still is left out."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, int, str], int] = {}
        self._held: dict[int, int] = {}

    def line(self, made: Snapshot) -> Line:
        names: list[tuple[str, str, int, str]] = []
        changed: list[int] = []
        first, seen = len(self._numbers), set()
        for reading in made.readings:
            place = reading.place
            for name, value in reading.values.items():
                key = (place.source, place.device, place.port, name)
                number = self._numbers.setdefault(key, len(self._numbers))
                if number == first + len(names):
                    names.append(key)
                seen.add(number)
                if self._held.get(number) != value:
                    self._held[number] = value
                    changed += [number, value]
        gone = self._held.keys() - seen
        for number in gone:
            del self._held[number]
        return Line(made.nanoseconds, first, tuple(names), tuple(changed), tuple(sorted(gone)))


def settle(taken: Collection[int]) -> tuple[int, ...]:
    """Give way to everybody and leave the ranks' CPUs where there are others; those left to us."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(
            0, range(os.cpu_count() or 1)
        )  # the kernel leaves what a cgroup allows
    if spare := os.sched_getaffinity(0) - set(taken):
        os.sched_setaffinity(0, spare)
    return tuple(sorted(os.sched_getaffinity(0)))


def sample(order: Order, cpus: tuple[int, ...], told: int) -> None:
    """Read until `told` (a descriptor) is closed at its other end; raises OSError of the file."""
    path, roots = Path(order.path), Roots(Path(order.sysfs), Path(order.proc))
    path.parent.mkdir(exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    written = os.fstat(file).st_size
    if written and os.pread(file, 1, written - 1) != b"\n":  # of a start that was killed
        written += os.write(file, b"\n")
    began = Began(
        format=FORMAT,
        wall_ns=time.time_ns(),
        monotonic_ns=time.monotonic_ns(),
        seconds=order.seconds,
        sources=order.sources,
        cpus=cpus,
    )
    written += os.write(file, msgspec.json.encode(began) + b"\n")
    numbered, seconds = Numbered(), order.seconds
    left = order.most_bytes
    while True:
        due = time.monotonic() + seconds
        line = msgspec.json.encode(numbered.line(counting.snapshot(roots, order.sources))) + b"\n"
        if written + len(line) > order.most_bytes:
            return
        written += os.write(file, line)
        if order.most_bytes - written < left / 2:
            left, seconds = order.most_bytes - written, seconds * 2
        if select.select([told], [], [], max(0.0, due - time.monotonic()))[0]:
            return


def main() -> None:
    """Obey the order in the first argument; signals are the ranks' affair, which end us by their end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    order = msgspec.json.decode(sys.argv[1], type=Order)
    with contextlib.suppress(OSError):  # a full disk, a folder that went: the run goes on
        sample(order, settle(order.taken), sys.stdin.fileno())


if __name__ == "__main__":
    main()
