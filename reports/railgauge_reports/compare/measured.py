"""The launches of a side, read from their run folders: one median for each case, round and group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from railgauge.backends import offers_of
from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import JOURNAL
from railgauge.records import decode_ranks
from railgauge.samples import bandwidths, seconds
from railgauge.statistics import summarise
from railgauge.units import format_size
from railgauge_reports.compare.effects import within
from railgauge_reports.frames import GroupFacts, group_facts, group_text, wrong_count
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
    is no payload, or where ranks shared a GPU.
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
    times: Mapping[Key, Time]
    pairs: Mapping[Key, Pair]


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
    return [read_launch(child, called / child.name) for child in found]


def read_launch(folder: Path, called: Path | None = None) -> Launch:
    """Read one run folder; NotMeasuredError where that is not possible."""
    stored = read_run(folder, called)
    times: dict[Key, Time] = {}
    pairs: dict[Key, Pair] = {}
    for facts in group_facts(stored):
        key = _key(stored, facts)
        times[key], pairs[key] = _time(facts), (facts.case.index, facts.round)
    return Launch(stored, times, pairs)


def _key(stored: StoredRun, facts: GroupFacts) -> Key:
    case = facts.case
    return Key(
        operation=case.operation,
        backend=facts.start.run.backend,
        dtype=case.dtype,
        op=case.op,
        placement=case.placement,
        call=case.call,
        selected=case.algorithm or None,
        timing=case.timing,
        root=case.root,
        pattern=stored.plan.pattern,
        round=facts.round,
        group=group_text(facts.ranks),
        ranks=len(decode_ranks(facts.ranks)),
        nbytes=case.nbytes,
    )


def _time(facts: GroupFacts) -> Time:
    hosts = " ".join(facts.start.hosts(decode_ranks(facts.ranks)))
    if facts.samples is None or facts.measured is None:
        return Time(None, float("inf"), None, 0, hosts, facts.reason or "not measured")
    result = facts.measured.result
    summary = summarise(seconds(facts.samples, result))
    wrong = wrong_count(facts.samples.group) or 0
    if not summary.median:
        why = "no samples" if summary.median is None else "the clock shows 0 s"
        return Time(None, float("inf"), None, wrong, hosts, why)
    rates = bandwidths(result.case.nbytes, summary.median, result.bus_factor)
    functional = facts.start.run.functional
    return Time(
        median=summary.median,
        within=within(summary.low, summary.high),
        busbw_GBps=None if functional or rates is None else rates[1],
        wrong=wrong,
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
    if len({offers_of(launch.stored.last.backend).alone for launch in (*a, *b)}) > 1:
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
    return Matched(
        keys=tuple(key for key in first if key in set(second)),
        only_a=tuple(key for key in first if key not in set(second)),
        only_b=tuple(key for key in second if key not in set(first)),
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
