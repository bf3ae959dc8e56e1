"""Nights read from their run folders: many at once, and what cannot be read is named and left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from railgauge.errors import NotMeasuredError
from railgauge.journal import JOURNAL
from railgauge.records import Result, Run
from railgauge_reports.frames import frame_of_runs
from railgauge_reports.history import CONFIRM_OTHER, CONFIRM_SAME
from railgauge_reports.history.facts import facts_of
from railgauge_reports.history.layout import (
    FACTS,
    Laid,
    Place,
    confirming,
    laid,
    readable,
    signature,
)
from railgauge_reports.history.measured import NOTHING, Measured, measured
from railgauge_reports.history.summary import Keys, NightSummary, RunSummary, Trouble
from railgauge_reports.stored import PARTITION, StoredRun, read_run
from railgauge_reports.verdict import judge

#: Groups of ranks that are held in one frame at most: some 100 MB.
_MOST_GROUPS = 200_000
#: A clock that goes back by less is being corrected.
_CLOCK_SECONDS = 1.0
_MOST_FACTS = 1 << 16
#: The first record names every host.
_MOST_LINE = 1 << 24
_FIRST = msgspec.json.Decoder(Run)


@dataclasses.dataclass
class _Read:
    """A run folder as far as it was read: `night` is an index, `part` "runs", "same" or "other"."""

    night: int
    part: str
    place: Place
    stored: StoredRun | None = None
    trouble: str = ""
    measured: Measured = NOTHING


def read_nights(nights: Sequence[Path], keys: Keys) -> list[NightSummary]:
    """The summaries of these folders, in their order; new series get numbers in `keys`."""
    plans = [_laid(night) for night in nights]
    reads = [
        _Read(number, part, place)
        for number, parts in enumerate(plans)
        for part, found in parts.items()
        for place in found.places
    ]
    for batch in _batches(reads):
        _measure(batch, keys)
    by_night: list[list[_Read]] = [[] for _ in nights]
    for read in reads:
        by_night[read.night].append(read)
    return [
        _summary(night, parts, own)
        for night, parts, own in zip(nights, plans, by_night, strict=True)
    ]


def _laid(night: Path) -> dict[str, Laid]:
    return {
        "runs": laid(night),
        "same": confirming(night, CONFIRM_SAME),
        "other": confirming(night, CONFIRM_OTHER),
    }


def _batches(reads: Sequence[_Read]) -> Iterator[list[_Read]]:
    """Runs that were read, as many at a time as fit into a frame."""
    batch: list[_Read] = []
    groups = 0
    for read in reads:
        try:
            read.stored = read_run(read.place.path)
        except NotMeasuredError as error:
            read.trouble = str(error).splitlines()[0]
            continue
        batch.append(read)
        groups += sum(len(made.result.groups) for made in read.stored.results)
        if groups > _MOST_GROUPS:
            yield batch
            batch, groups = [], 0
    if batch:
        yield batch


def _measure(batch: Sequence[_Read], keys: Keys) -> None:
    """The values of all of them out of one frame; where that fails, of each by itself."""
    try:
        frame = frame_of_runs([read.stored for read in batch if read.stored])
    except (
        Exception
    ) as error:  # whatever a damaged file makes of it: the run is named, the rest is used
        if len(batch) > 1:
            for read in batch:
                _measure([read], keys)
            return
        batch[0].trouble = str(error).splitlines()[0] if str(error) else type(error).__name__
        return
    for read, made in zip(batch, measured(frame, batch_facts(batch), keys), strict=True):
        read.measured = made


def batch_facts(batch: Sequence[_Read]) -> pd.DataFrame:
    """What a series' key has from the run itself, one row a run."""
    stored = [read.stored for read in batch if read.stored]
    return pd.DataFrame(
        {
            "cluster": [_cluster(run) for run in stored],
            "stage": [read.place.stage for read in batch],
        }
    )


def _cluster(run: StoredRun) -> str:
    """The partition that the job ran in, or what is modelled."""
    return "simulated" if run.simulated else run.variable(PARTITION)


# a night ----------------------------------------------------------------------------------------------


def _summary(night: Path, parts: dict[str, Laid], reads: Sequence[_Read]) -> NightSummary:
    made: dict[str, list[RunSummary]] = {part: [] for part in parts}
    trouble = [_plain(one) for found in parts.values() for one in found.trouble]
    for read in reads:
        path = readable(str(read.place.path.relative_to(night)).removeprefix("."))
        if read.trouble or read.stored is None:
            trouble.append(Trouble(path=path, kind="corrupt", why=readable(read.trouble)))
        else:
            made[read.part].append(_run_summary(path, read, read.stored))
    facts, why = _extra_facts(night)
    trouble += [Trouble(path=FACTS, kind="incomplete", why=why)] if why else []
    began = [run.started for run in made["runs"]]
    began += [t for t in map(_began, reads) if t is not None] if not began else []
    began += [] if parts["runs"].started is None else [parts["runs"].started]
    return NightSummary(
        folder=readable(night.name),
        started=min(began, default=None),
        touched=min((ns for _, ns, _ in signature(night)), default=0) / 1e9,
        runs=tuple(made["runs"]),
        same=tuple(made["same"]),
        other=tuple(made["other"]),
        trouble=tuple(trouble),
        facts=facts,
    )


def _plain(one: Trouble) -> Trouble:
    return Trouble(path=readable(one.path), kind=one.kind, why=readable(one.why))


def _began(read: _Read) -> float | None:
    """When a run began of which the rest cannot be read: its first record, where that is whole."""
    if read.part != "runs":
        return None
    if read.stored is not None:
        return read.stored.starts[0].run.started
    try:
        with (read.place.path / JOURNAL).open("rb") as file:
            return _FIRST.decode(file.readline(_MOST_LINE)).started
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return None


def _run_summary(path: str, read: _Read, stored: StoredRun) -> RunSummary:
    verdict = judge(stored)
    return RunSummary(
        path=path,
        stage=read.place.stage,
        started=stored.starts[0].run.started,
        finished=stored.end.finished if stored.end else None,
        hosts=tuple(dict.fromkeys(stored.last.hosts)),
        ranks=stored.last.ranks,
        verdict=verdict.word,
        exit_code=verdict.exit_code,
        reasons=verdict.reasons[:3],
        simulated=stored.simulated,
        facts=facts_of(stored, read.place.stage),
        clock=_clock(stored),
        series=read.measured.series,
        values=read.measured.values,
        chosen=read.measured.chosen,
        places=read.measured.places,
    )


def _clock(stored: StoredRun) -> str:
    """Where the clock of rank 0's host went back while it wrote the journal; "" it did not."""
    results = [made.result for made in stored.results]
    times = [start.run.started for start in stored.starts]
    times += _in_order(results)
    times += [stored.end.finished] if stored.end else []
    latest = times[0]
    for time in times:
        if time < latest - _CLOCK_SECONDS and not stored.imported and not stored.simulated:
            return f"the clock of {stored.last.hosts[0]} went back by {latest - time:.0f} s"
        latest = max(latest, time)
    return ""


def _in_order(results: Sequence[Result]) -> list[float]:
    """Starts of the measurements of the last start alone: those of a resumed run lie between others."""
    return sorted(result.started for result in results)[-1:]


def _extra_facts(night: Path) -> tuple[dict[str, str], str]:
    """What a site says of the night besides (`switch OS = "..."`), and why that cannot be read."""
    path = night / FACTS
    if not path.exists():
        return {}, ""
    try:
        told: dict[str, Any] = msgspec.toml.decode(path.read_bytes()[:_MOST_FACTS])
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        return {}, f"not a table of facts ({getattr(error, 'strerror', None) or error})"
    return {name: str(value) for name, value in told.items() if not isinstance(value, dict)}, ""
