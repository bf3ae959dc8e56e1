"""A found run as a run folder: what `railgauge report` and the others read.

A printed value is a sample (of nothing finer is anything known), so a row that was printed once has one,
and no interval. What the tool checked counts as it says; what it did not check does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge import __version__
from railgauge.errors import EXIT_INCONCLUSIVE, EXIT_PASS, EXIT_WRONG_DATA, UsageError
from railgauge.journal import PLAN, Folder
from railgauge.operations import entry_of
from railgauge.patterns import ISOLATED, circle
from railgauge.plan import Case, Plan
from railgauge.rank_lists import encode_ranks
from railgauge.records import (
    FORMAT,
    Block,
    End,
    Gap,
    GroupResult,
    Note,
    Overlap,
    Record,
    Result,
    Run,
    Wrong,
    encode_runs,
)
from railgauge.units import NANOSECONDS
from railgauge_reports.importing.found import FoundRun
from railgauge_reports.importing.rows import Series, What, itemsize

BACKEND = "imported"
UNKNOWN_HOST = "unknown"
#: Parts of a nanosecond that a sample is stored in where whole ones would lose digits (`Result.transfers`).
FINE = 10**6
_MOST_NS = 2**62
MOST_NOTES = 50


class Imported(NamedTuple):
    """Where a run came from: the file, its importer, and the warnings of the whole file."""

    file: Path
    importer: str
    warnings: tuple[str, ...] = ()


def write(run: FoundRun, folder: Path, origin: Imported, ranks: int | None = None) -> Path:
    """Write the run folder and return it; `ranks` is what the user says where the log does not.

    Raises UsageError where the folder holds something already or cannot be written.
    """
    if (folder / PLAN).exists():
        raise UsageError(f"--output {folder} holds a run already.\n  next: --output ANOTHER_FOLDER")
    n = run.ranks or ranks or 0
    if not run.ranks and ranks:
        run.note(f"ranks are not in the log: {ranks}, from --ranks")
    made = _Maker(run, n)
    plan = made.plan()
    target = Folder(folder)
    target.claim(plan, resume=False)
    try:
        results = list(made.results())
        target.append_samples(
            0, np.concatenate(made.samples) if made.samples else np.empty(0, np.int64)
        )
        target.write_environment(_environment(run, origin, made.hosts))
        target.extend(
            [_head(run, plan, origin, made), *_notes(run, origin), *results, _end(run, origin)]
        )
    finally:
        target.release()
    return folder


class _Read(NamedTuple):
    """A group of a round: its ranks, what was printed, and that in seconds."""

    ranks: tuple[int, ...]
    series: Series
    seconds: npt.NDArray[np.float64]


class _Maker:
    """Cases, rounds and samples of a found run with `n` ranks (0: unknown)."""

    def __init__(self, run: FoundRun, n: int) -> None:
        self.run, self.n = run, n
        self.hosts, self.nodes = _places(run, n)
        self.samples: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        self._offset = 0
        self._cases: dict[What, Case] = {}
        self._rounds: dict[tuple[int, int], list[tuple[tuple[int, ...], Series]]] = {}
        self._names: dict[tuple[int, int], str] = {}
        self._pairs = self._pair_rounds()
        settings = sorted({series.what.setting for series in run.series.values()}, key=_first)
        self._settings = {setting: index for index, setting in enumerate(settings)}
        for series in run.series.values():
            self._place(series)

    def plan(self) -> Plan:
        cases = tuple(self._cases.values())
        return Plan(
            ranks=max(1, self.n),
            operations=tuple(dict.fromkeys(case.operation for case in cases)),
            pattern=self.run.pattern,
            backend=BACKEND,
            sizes=tuple(sorted({case.nbytes for case in cases})),
            dtypes=tuple(dict.fromkeys(case.dtype for case in cases if case.dtype)),
            iterations=self.run.iterations,
            warmup=self.run.warmup,
            imported=cases,
        )

    def results(self) -> Iterator[Result | Gap]:
        """A result for every case and round, in order; their samples are kept in `samples`."""
        cases = list(self._cases.values())
        for (index, round_), groups in sorted(self._rounds.items(), key=lambda item: item[0]):
            case = cases[index]
            read = [_Read(ranks, series, series.seconds()) for ranks, series in groups]
            usable = [one for one in read if len(one.seconds)]
            if not usable:
                yield Gap(
                    case=case,
                    round=round_,
                    reason="printed as 0: too little for the digits of the tool",
                )
                continue
            yield self._result(case, round_, usable)

    def _place(self, series: Series) -> None:
        what = series.what
        n = what.ranks or self.n
        key = msgspec.structs.replace(what, members=(), setting="", ranks=what.ranks)
        case = self._cases.get(key)
        if case is None:
            case = self._cases[key] = _case(len(self._cases), what, n)
        members = what.members or tuple(range(n))
        round_ = self._pairs.get(members, 0) if len(members) == 2 and what.members else 0
        round_ = round_ or self._settings[what.setting]
        self._rounds.setdefault((case.index, round_), []).append((members, series))
        self._names[case.index, round_] = what.setting

    def _pair_rounds(self) -> dict[tuple[int, ...], int]:
        """Which round of the tournament two ranks meet in (`patterns.circle`)."""
        if self.run.pattern != "pairs":
            return {}
        return {pair: index for index, met in enumerate(circle(self.n)) for pair in met}

    def _result(self, case: Case, round_: int, usable: Sequence[_Read]) -> Result:
        iterations = min(len(one.seconds) for one in usable)
        transfers = _transfers(np.concatenate([one.seconds for one in usable]))
        rows = np.full((len(usable), iterations, 2), -1, np.int64)
        for row, one in zip(rows, usable, strict=True):
            row[:, 0] = np.rint(one.seconds[:iterations] / NANOSECONDS * transfers)
        block = Block(node=0, offset=self._offset, ranks="", columns=("duration", "rank"))
        self.samples.append(rows.reshape(-1))
        self._offset += rows.nbytes
        n = len(usable[0].ranks)
        return Result(
            case=case,
            round=round_,
            started=0.0,
            seconds=0.0,
            stopped=BACKEND,
            groups=tuple(_group(one, iterations, self.run.warmup) for one in usable),
            samples=(block,),
            transfers=transfers,
            bus_factor=case.bus_factor(n) if n else 0.0,
            name=self._names[case.index, round_],
        )


def _first(setting: str) -> tuple[bool, bool, str]:
    """Alone before beside something."""
    return setting != "", setting != ISOLATED, setting


def _case(index: int, what: What, n: int) -> Case:
    entry = entry_of(what.operation)
    nbytes = what.nbytes * n if what.per_block and n else what.nbytes
    blocks = entry.blocks(n) if n else 1
    return Case(
        index=index,
        operation=what.operation,
        call=what.call,
        timing=what.timing,  # type: ignore[arg-type]
        dtype=what.dtype,
        op=what.op,
        root=what.root,
        placement=what.placement,
        nbytes=nbytes,
        count=what.count or nbytes // (itemsize(what.dtype) * blocks),
        algorithm=what.variant,
    )


def _transfers(values: npt.NDArray[np.float64]) -> int:
    """1 where nanoseconds hold all digits, else FINE where that fits into the file's integers."""
    ns = values / NANOSECONDS
    exact = bool(np.all(np.abs(ns - np.rint(ns)) <= 1e-6 * ns))
    return 1 if exact or float(ns.max()) * FINE > _MOST_NS else FINE


def _group(one: _Read, iterations: int, warmup: int | None) -> GroupResult:
    series = one.series
    wrong = Wrong(
        rank=-1,
        host=UNKNOWN_HOST,
        buffer="as the tool counted",
        index=-1,
        expected="",
        found="",
        elements=series.wrong,
        iteration=None,
    )
    return GroupResult(
        ranks=encode_ranks(sorted(one.ranks)),
        first_call_ns=0,
        warmup_iterations=warmup or 0,
        steady=False,
        iterations=iterations,
        checked_iterations=iterations if series.checked else 0,
        missed_windows=0,
        wrong=(wrong,) if series.wrong else (),
        overlap=Overlap(
            pure_seconds=series.overlap[0],
            compute_seconds=series.overlap[1],
            together_seconds=series.overlap[2],
        )
        if series.overlap
        else None,
    )


def _places(run: FoundRun, n: int) -> tuple[tuple[str, ...], list[int]]:
    """(hosts, the node of every rank); what the log does not say is one host `unknown`."""
    of_rank = [run.hosts.get(rank, UNKNOWN_HOST) for rank in range(n)] or list(run.hosts.values())
    hosts = tuple(dict.fromkeys(of_rank)) or (UNKNOWN_HOST,)
    number = {host: index for index, host in enumerate(hosts)}
    return hosts, [number[host] for host in of_rank[:n]]


# what stands around the results -----------------------------------------------------------------------


def _head(run: FoundRun, plan: Plan, origin: Imported, made: _Maker) -> Run:
    return Run(
        format=FORMAT,
        version=__version__,
        plan_sha256=plan.sha256(),
        started=origin.file.stat().st_mtime,
        ranks=made.n,
        hosts=made.hosts,
        nodes=encode_runs(made.nodes),
        backend=BACKEND,
        library=run.tool,
        thread_level="",
        init_seconds=0.0,
        communicator_seconds=0.0,
        stamp_nanoseconds=0.0,
        clock_uncertainty_ns=None,
        todo=len(plan.imported or ()),
    )


def _environment(run: FoundRun, origin: Imported, hosts: Sequence[str]) -> dict[str, Any]:
    devices = [run.devices[rank] for rank in sorted(run.devices)]
    return {
        "nodes": [{"host": host} for host in hosts if host != UNKNOWN_HOST],
        "ranks": [],
        "imported": {
            "file": str(origin.file.resolve()),
            "importer": origin.importer,
            "tool": run.tool,
            "run": run.number,
            "line": run.line,
            "rows": run.rows,
            "partial_rows": run.partial_rows,
            "complete": run.complete,
            "devices": list(dict.fromkeys(devices)),
            "facts": run.facts,
        },
    }


def _notes(run: FoundRun, origin: Imported) -> list[Record]:
    told = f"{run.tool} measured this, from {origin.file.name}, line {run.line}: a time is"
    first = f"{told} {run.told or 'what it printed'}; of single iterations nothing is known but what is here"
    texts = [first, *run.notes, *origin.warnings]
    return [Note(text=text) for text in dict.fromkeys(texts[:MOST_NOTES])]


def _end(run: FoundRun, origin: Imported) -> End:
    """Judged by what the tool itself says; of what it did not check, the report says that it is unchecked."""
    wrong = sum(series.wrong for series in run.series.values())
    if wrong or run.out_of_bounds:
        what = f"{wrong} wrong elements" if wrong else f"{run.out_of_bounds} checks that failed"
        verdict, code, message = "FAIL", EXIT_WRONG_DATA, f"{run.tool} counted {what}"
    else:
        doubts = [] if run.complete else ["the end of the tool was not seen: rows may be missing"]
        if run.partial_rows:
            doubts.append(f"{run.partial_rows} rows are not whole")
        if run.thinned:
            doubts.append(f"{run.thinned} values were not kept")
        verdict, code = ("INCONCLUSIVE", EXIT_INCONCLUSIVE) if doubts else ("PASS", EXIT_PASS)
        message = "; ".join(doubts)
    return End(
        verdict=verdict, exit_code=code, finished=origin.file.stat().st_mtime, message=message
    )
