"""What a person sees while a run goes on: one table on stdout, one progress bar on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from railgauge.backends import offers_of
from railgauge.rank_lists import decode_ranks
from railgauge.records import End, Gap, Note, Record, Result, Run
from railgauge.samples import bandwidths, compute_slowdown, overlap_share
from railgauge.statistics import Summary

if TYPE_CHECKING:
    from rich.progress import Progress

#: Set by a launching parent: the width of its terminal, for ranks that write to a pipe.
TERMINAL = "RAILGAUGE_TERMINAL"
MOST_RANKS = 20  # characters
_MICRO = 1e6
_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("operation", "", -23),
    ("ranks", "", -7),
    ("nbytes", "(B)", 11),
    ("median", "(us)", 10),
    ("95 % interval", "(us)", 21),
    ("min", "(us)", 10),
    ("p99", "(us)", 10),
    ("algbw", "(GB/s)", 8),
    ("busbw", "(GB/s)", 8),
    ("wrong", "", 6),
    ("samples", "", 8),
    ("", "", 0),
)


def micro(seconds: float | None) -> str:
    """Microseconds with at most six characters, empty where there is no value."""
    if seconds is None:
        return ""
    value = seconds * _MICRO
    return f"{value:.3f}" if value < 100 else f"{value:.1f}" if value < 10_000 else f"{value:.0f}"


def result_row(result: Result, summaries: Sequence[Summary], functional: bool = False) -> list[str]:
    """The cells of a result: its slowest group, and how many groups it stands for.

    Where ranks shared a GPU (`functional`) there is no bandwidth.
    """
    wrong = sum(w.elements for group in result.groups for w in group.wrong)
    worst = max(range(len(summaries)), key=lambda k: summaries[k].median or 0)
    summary, group = summaries[worst], result.groups[worst]
    case = result.case
    name = case.operation if case.op in (None, "sum") else f"{case.operation}:{case.op}"
    rate = (
        None if wrong or functional else bandwidths(case.nbytes, summary.median, result.bus_factor)
    )
    marks = [] if summary.stable else [f"not stable ({result.stopped})"]
    marks += [case.dtype] if case.dtype not in ("float32",) and case.entry.sized else []
    marks += [case.call] if case.call not in (case.entry.calls[0], "stream") else []
    marks += [f"root {case.root}"] if case.root else []
    marks += ["in place"] if case.placement == "in" and "out" in case.entry.placements else []
    if (hidden := overlap_share(group.overlap)) is not None:
        marks.append(f"overlap {hidden:.0%}")
    if (slower := compute_slowdown(group.overlap)) is not None:
        marks.append(f"compute x{slower:.2f}")
    if group.choice:
        told = (group.choice.algorithm, group.choice.protocol, group.choice.transport)
        marks += [" ".join(filter(None, told))] if any(told) else []
    marks += [result.name] if result.name else []
    marks += [summary.remark] if summary.remark else []
    if len(result.groups) > 1:
        marks.append(f"slowest of {len(result.groups)} groups, round {result.round}")
    interval = f"{micro(summary.low)} - {micro(summary.high)}" if summary.low is not None else ""
    return [
        name,
        _called(group.ranks),
        str(case.nbytes),
        micro(summary.median),
        interval,
        micro(summary.minimum),
        micro(summary.p99),
        f"{rate[0]:.3f}" if rate else "",
        f"{rate[1]:.3f}" if rate else "",
        str(wrong) if group.checked_iterations or wrong else "",
        str(summary.samples),
        ", ".join(marks),
    ]


def _called(ranks: str) -> str:
    """Ranks of a group, in a few characters where there are many ranges of them."""
    if len(ranks) <= MOST_RANKS:
        return ranks
    first, *_, last = ranks.split(",")
    return f"{first},..{last} ({len(decode_ranks(ranks))})"


def line(cells: Sequence[str]) -> str:
    """Cells in the widths of the table's columns."""
    made = [
        f"{cell:{'<' if width < 0 else '>'}{abs(width)}}" if width else cell
        for cell, (_, _, width) in zip(cells, _COLUMNS, strict=True)
    ]
    return " ".join(made).rstrip()


class Printer:
    """Hears every record of a run on rank 0; `table` says whether rows go to stdout."""

    def __init__(self, table: bool, say: Callable[[str], None]) -> None:
        self.table, self.say = table, say
        self._progress: Progress | None = None
        self._headed = self._functional = False

    def tell(self, record: Record, summaries: Sequence[Summary] = ()) -> None:
        """Print what a record means to a person."""
        if isinstance(record, Run):
            self._functional = record.functional
            self._progress = _progress_bar(record.todo)
            if offers_of(record.backend).alone:
                self.say(f"{record.backend}: {record.library}, {record.ranks} ranks")
                return
            self.say(
                f"{record.library}, thread level {record.thread_level}, {record.ranks} ranks on"
                f" {len(record.hosts)} host(s); MPI_Init {record.init_seconds:.3f} s,"
                f" MPI_Comm_dup {record.communicator_seconds * _MICRO:.0f} us,"
                f" clock reading {record.stamp_nanoseconds:.0f} ns"
            )
            if record.functional:
                self.say(
                    "functional: ranks share a GPU, so results are checked and speeds mean nothing"
                )
        elif isinstance(record, Note):
            self.say(f"note: {record.text}")
        elif isinstance(record, Gap):
            self.say(f"not measured: {record.case.describe()}: {record.reason}")
            self._advance()
        elif isinstance(record, Result):
            self._row(record, summaries)
            self._advance()
        elif isinstance(record, End) and self._progress:
            self._progress.stop()

    def _row(self, result: Result, summaries: Sequence[Summary]) -> None:
        if self.table:
            if not self._headed:
                self._print(line([title for title, _, _ in _COLUMNS]))
                self._print(line([unit for _, unit, _ in _COLUMNS]))
                self._headed = True
            self._print(line(result_row(result, summaries, self._functional)))
        for group in result.groups:
            for wrong in group.wrong:
                self.say(
                    f"WRONG DATA: {result.case.describe()}: rank {wrong.rank} on {wrong.host},"
                    f" {wrong.buffer} buffer, element {wrong.index}: expected {wrong.expected}, found"
                    f" {wrong.found} ({wrong.elements} wrong elements seen)"
                )

    def _print(self, text: str) -> None:
        if self._progress:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
        print(text, flush=True)

    def _advance(self) -> None:
        if self._progress:
            self._progress.advance(self._progress.task_ids[0])
            self._progress.refresh()


def _progress_bar(measurements: int) -> Progress | None:
    width = os.environ.get(TERMINAL)
    if not (width or sys.stderr.isatty()) or not measurements:
        return None
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, force_terminal=True, width=int(width) if width else None)
    progress = Progress(
        "measuring",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )
    progress.add_task("measurements", total=measurements)
    progress.start()
    return progress
