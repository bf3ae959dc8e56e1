"""The launches of a side, read from their run folders: one median for each case, round and group."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import JOURNAL
from railgauge.units import format_size
from railgauge_reports.compare.effects import within
from railgauge_reports.frame_parts import records
from railgauge_reports.frames import frame_of_runs
from railgauge_reports.stored import Pair, StoredRun, read_run


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What must be alike in A and B for two times to be compared; None: it is what is compared."""

    operation: str
    backend: str | None
    dtype: str | None
    op: str | None
    placement: str | None
    call: str | None
    selected: str | None
    timing: str | None
    root: int | None
    pattern: str
    round: int
    group: str
    ranks: int
    nbytes: int

    def describe(self) -> str:
        """`all_reduce float32 sum out blocking barrier`: everything but size and group."""
        facts = (self.operation, self.dtype, self.op, self.placement, self.call, self.selected)
        words = [str(fact) for fact in (*facts, self.timing) if fact]
        words += [f"root {self.root}"] if self.root else []
        return " ".join(words)

    def where(self) -> str:
        """`2 ranks`, or which group of which round."""
        if self.pattern == "world":
            return f"{self.ranks} ranks"
        return f"{self.pattern} round {self.round}, ranks {self.group}"


#: Where a field has one value on side A and another one on side B, it is what the user compares.
COMPARED = ("backend", "dtype", "op", "placement", "call", "selected", "timing", "root")


@dataclasses.dataclass(frozen=True)
class Time:
    """The median of one launch in one case (None: not measured, see `reason`), and its error.

    `within` is the standard error of log(median) inside the launch. `busbw_GBps` is None where there
    is no payload, with wrong data, or where ranks shared a GPU.
    """

    median: float | None
    within: float
    busbw_GBps: float | None  # noqa: N815 (a unit)
    wrong: int
    hosts: str
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Launch:
    """A run folder as it was read, with its times, and the case and round that each belongs to."""

    stored: StoredRun
    times: dict[Key, Time]
    pairs: dict[Key, Pair]


def launches_of(path: Path, called: Path | None = None) -> list[Launch]:
    """The run at `path`, or the runs in it, by name; NotMeasuredError where there is none.

    `called` is what a person calls the folder (None: its path).
    """
    called = called or path
    if (path / JOURNAL).exists():
        return [read_launch(path, called)]
    try:
        found = sorted(child for child in path.iterdir() if (child / JOURNAL).exists())
    except OSError as error:
        raise NotMeasuredError(
            f"{path}: {error.strerror or error}.\n"
            "  expected: a run folder, or a folder of run folders\n  next: railgauge run --output DIR"
        ) from None
    if not found:
        raise NotMeasuredError(
            f"{path}: no {JOURNAL} here, and none in a folder below.\n"
            "  expected: a run folder, or a folder of run folders\n  next: railgauge run --output DIR"
        )
    return _launches([read_run(child, called / child.name) for child in found])


def read_launch(folder: Path, called: Path | None = None) -> Launch:
    """Read one run folder; NotMeasuredError where that is not possible."""
    (launch,) = _launches([read_run(folder, called)])
    return launch


def _launches(runs: Sequence[StoredRun]) -> list[Launch]:
    """The times of all runs, out of one frame."""
    made = [Launch(stored, {}, {}) for stored in runs]
    frame = frame_of_runs(runs)
    fields = ("run", "case", *Key.__struct_fields__)
    for (run, case, *facts), (gap, *said) in zip(
        records(frame, *fields), records(frame, "gap", *_SAID), strict=True
    ):
        launch = made[run]
        key = Key(**dict(zip(Key.__struct_fields__, facts, strict=True)))
        time = _time(gap, *said)
        # of a printed value nothing is known inside the launch: the spread between launches has to do
        alone = launch.stored.imported and time.median and math.isinf(time.within)
        launch.times[key] = dataclasses.replace(time, within=0.0) if alone else time
        launch.pairs[key] = (case, key.round)
    return made


_SAID = (
    *("median_seconds", "median_low_seconds", "median_high_seconds", "busbw_GBps", "wrong"),
    *("hosts", "functional", "reason"),
)


def _time(
    gap: bool,
    median: float | None,
    low: float | None,
    high: float | None,
    busbw_GBps: float | None,  # noqa: N803 (a unit)
    wrong: int | None,
    hosts: str,
    functional: bool,
    reason: str | None,
) -> Time:
    """What a row of a case frame says."""
    if not median:
        unknown = "no samples" if median is None else "the clock shows 0 s"
        why = (reason or "not measured") if gap else unknown
        return Time(None, float("inf"), None, wrong or 0, hosts, why)
    return Time(
        median=median,
        within=within(low, high),
        busbw_GBps=busbw_GBps,
        wrong=wrong or 0,
        hosts=hosts,
        reason="ranks shared a GPU: its time says nothing of speed" if functional else "",
    )


# what belongs together ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Matched:
    """Keys of both sides, in A's order, and those of one alone; `compared` says which fields differ.

    `of` maps a key as it was read to what both sides call it.
    """

    keys: tuple[Key, ...]
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]
    compared: Mapping[str, tuple[str, str]]

    def of(self, key: Key) -> Key:
        """The key without the fields that are compared."""
        return msgspec.structs.replace(key, **dict.fromkeys(self.compared))

    def times(self, launch: Launch) -> dict[Key, Time]:
        """The times of a launch by common key."""
        return {self.of(key): time for key, time in launch.times.items()}


def match(a: Sequence[Launch], b: Sequence[Launch]) -> Matched:
    """Which cases of two sides are alike but for what is compared.

    Raises UsageError where one was measured and the other came out of a model.
    """
    if len({launch.stored.simulated for launch in (*a, *b)}) > 1:
        raise UsageError(
            "a simulated run and a measured one have nothing to tell of each other.\n"
            "  expected: two measured runs, or two simulated ones"
        )
    first, second = _keys(a), _keys(b)
    compared: dict[str, tuple[str, str]] = {}
    for field in COMPARED:
        one, other = ({getattr(key, field) for key in keys} for keys in (first, second))
        if len(one) == len(other) == 1 and one != other:
            compared[field] = (str(*one), str(*other))
    made = Matched((), (), (), compared)
    first, second = ([made.of(key) for key in keys] for keys in (first, second))
    of_first, of_second = set(first), set(second)
    return Matched(
        keys=tuple(key for key in first if key in of_second),
        only_a=tuple(key for key in first if key not in of_second),
        only_b=tuple(key for key in second if key not in of_first),
        compared=compared,
    )


def _keys(launches: Iterable[Launch]) -> list[Key]:
    return list(dict.fromkeys(key for launch in launches for key in launch.times))


def alone(side: str, keys: Sequence[Key]) -> list[str]:
    """Sentences about cases that one side has alone, sizes of a kind together."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        kinds.setdefault((key.describe(), key.where()), []).append(format_size(key.nbytes))
    return [
        f"only in {side}: {what}, {where}: {', '.join(dict.fromkeys(sizes))}"
        for (what, where), sizes in kinds.items()
    ]
