"""The OSU micro-benchmarks (osu_allreduce, osu_latency, osu_mbw_mr and the like)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.launched import ranks_in
from railgauge_reports.importing.osu_table import cells_of, columns_of, row_of
from railgauge_reports.importing.rows import (
    MEGA,
    MICRO,
    MILLI,
    What,
    dtype_of,
    may_be_row,
    number,
    whole,
)
from railgauge_reports.importing.source import HINT, NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import TROUBLED, lines_of

MARKS = (b"# OSU ",)
_TITLE = re.compile(r"#\s*OSU (.+?) Test(?:\s+v([\d.]+\w*))?\s*$")
_HINT = re.compile(r"\bosu_\w+|This test requires at least two processes")
_DATATYPE = re.compile(r"#\s*Datatype: (\w+)")
_PAIRS = re.compile(r"#\s*\[ pairs: (\d+) \] \[ window size: (\w+) \]")
_WINDOWS = re.compile(r"#(?:\s+\d+){2,}\s*$")
_PROFILE = re.compile(r"#\s*(Uni-directional Bandwidth|Message Rate Profile)")
_PROCESSES = re.compile(r"This is a test with (\d+) processes")
_INIT = re.compile(r"nprocs: (\d+), min: ([\d.]+) ms, max: ([\d.]+) ms, avg: ([\d.]+) ms")
_FAILED = re.compile(r"DATA VALIDATION ERROR")
#: Words of titles, the more special first: our operation, and whether a size is that of one block.
_OPERATIONS = (
    (r"put.*latency", "put_latency", False),
    (r"get.*latency", "get_latency", False),
    (r"put.*bi-?directional|bi-?directional.*put", "put_bidirectional_bandwidth", False),
    (r"put.*bandwidth", "put_bandwidth", False),
    (r"get.*bandwidth", "get_bandwidth", False),
    (r"accumulate|fetch|compare", "", False),
    (r"neighbor", "", False),
    (r"all-?gatherv", "allgatherv", False),
    (r"all-?gather", "all_gather", True),
    (r"all-?reduce", "all_reduce", False),
    (r"all-?to-?all[vw]", "", False),
    (r"all-?to-?all", "alltoall", True),
    (r"reduce[_-]scatter", "reduce_scatter", False),
    (r"reduce", "reduce", False),
    (r"broadcast|bcast", "broadcast", False),
    (r"gatherv|scatterv", "", False),
    (r"gather", "gather", True),
    (r"scatter", "scatter", True),
    (r"barrier", "barrier", False),
    (r"multiple bandwidth", "message_rate", False),
    (r"bi-?directional bandwidth", "bidirectional_bandwidth", False),
    (r"bandwidth", "bandwidth", False),
    (r"latency", "latency", False),
)
_REDUCING = ("all_reduce", "reduce", "reduce_scatter")
_ROOTED = ("broadcast", "reduce", "gather", "scatter")
_BACK_TO_BACK = ("latency", "bandwidth", "bidirectional_bandwidth", "barrier")
_LARGEST = {"collective": 1 << 20, "pair": 1 << 22}  # of a sweep, unless -m says otherwise
_PAIR = ("latency", "bandwidth", "bidirectional_bandwidth", "message_rate")


def looks_like(text: str) -> int:
    if any(_TITLE.match(line.strip()) for line in text.splitlines() if "OSU" in line):
        return TABLE
    return HINT if _HINT.search(text) else NOTHING


class _Benchmark(NamedTuple):
    """What a title says."""

    operation: str
    per_block: bool
    call: str
    pair: bool  # of two ranks


def benchmark_of(title: str) -> _Benchmark:
    """`MPI Non-blocking Allreduce Latency` -> all_reduce, not blocking; foreign ones by their own words."""
    low = title.lower()
    call = "blocking"
    if "non-blocking" in low or re.search(r"\bi(?:all|bcast|reduce|gather|scatter|barrier)", low):
        call = "nonblocking"
    if "persistent" in low:
        call = "persistent"
    own = re.sub(
        r"[^a-z0-9]+", "_", re.sub(r"^(?:mpi|nccl|rccl)[-_ ]\w*|latency|test", "", low)
    ).strip("_")
    for pattern, operation, per_block in _OPERATIONS:
        if re.search(pattern, low):
            name = operation or own
            pair = (name in _PAIR[:3] and "multi" not in low) or name.endswith(
                ("_latency", "_bandwidth")
            )
            return _Benchmark(name, per_block, call, pair)
    return _Benchmark(own or "unknown", False, call, False)


def read(source: Source, found: Found) -> None:
    """Every title begins a run, unless nothing was measured since the one before."""
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text.strip(), line)
    reader.close(source.lines.whole)
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.benchmark: _Benchmark | None = None
        self.columns: list[str] | None = None
        self.dtype: str | None = None
        self.windows: list[str] = []
        self.profile = ""
        self.ranks: int | None = None
        self.last = 0  # size of the last row
        self.followed = self.failed = False

    def line(self, text: str, line: int) -> None:
        if self.columns is not None and not text.startswith("#") and self._row(text, line):
            return
        if self.windows and not text.startswith("#") and self._windowed(text, line):
            return
        if found := _TITLE.match(text):
            self._title(found[1], found[2] or "", line)
        elif text.startswith("#") and (columns := columns_of(text)):
            self.columns, self.windows = columns, []
        elif found := _DATATYPE.match(text):
            self.dtype = dtype_of(found[1])
        else:
            self._other(text, line)

    def _other(self, text: str, line: int) -> None:
        run = self.found.run
        self.followed = self.followed or bool(run and run.rows)
        if found := _PAIRS.match(text):
            if run is not None:
                run.ranks = 2 * int(found[1])
                run.facts["window"] = found[2]
        elif found := _PROFILE.match(text):
            self.profile, self.columns = found[1], None
        elif self.profile and _WINDOWS.match(text):
            self.windows = text[1:].split()
        elif found := _PROCESSES.match(text):
            if run is not None:
                run.ranks, run.complete = int(found[1]), True
        elif found := _INIT.match(text):
            self._init(found, line)
        elif _FAILED.search(text):
            self.failed = True
        elif "requires at least" in text:
            self.found.warn(line, text)
        elif TROUBLED.search(text):
            self.failed = self.failed or "exited with" in text
        elif "osu_" in text:
            self.ranks = ranks_in(text) or self.ranks

    def _title(self, title: str, version: str, line: int) -> None:
        run = self.found.run
        if run is None or run.rows or run.complete:
            self.close(whole=True, followed=True)
            run = self.found.begin("OSU micro-benchmarks" + f" {version}" * bool(version), line)
        self.benchmark, self.columns, self.dtype = benchmark_of(title), None, None
        self.windows, self.profile, self.followed, self.failed = [], "", False, False
        run.note(f"OSU {title} test")
        if self.benchmark.pair:
            run.ranks = 2

    def close(self, whole: bool, followed: bool = False) -> None:
        """OSU prints no end: a table is complete that reached its largest size, or that something follows."""
        run = self.found.run
        if run is None or self.benchmark is None:
            return
        if run.ranks is None and self.ranks is not None:
            run.ranks = self.ranks
            run.note(
                f"OSU does not print its ranks: {self.ranks}, from the command line in the log"
            )
        self.ranks = None
        run.told = (
            "the mean over ranks of each rank's mean"
            if not self.benchmark.pair
            else "rank 0's mean"
        )
        if not run.rows or self.failed or not whole:
            return
        kind = "pair" if self.benchmark.operation in _PAIR else "collective"
        reached = self.last >= _LARGEST[kind] or self.benchmark.operation == "barrier"
        run.complete = run.complete or reached or followed or self.followed
        if not run.complete:
            self.found.warn(
                run.line,
                f"OSU prints no end, and nothing follows the row of {self.last} B: it may be cut off",
            )

    # rows -----------------------------------------------------------------------------------------

    def _row(self, text: str, line: int) -> bool:
        """Take a row in; False where the line is something else."""
        columns = self.columns or []
        row = row_of(text, columns)
        if row is None:
            return self._damaged(text, columns, line)
        size = whole(row.get("size", "0"))
        printed = number(row.get("pure", row.get("average", "")))
        if size is None or printed is None:
            return self._damaged(text, columns, line)
        self._put(row, size, printed, line)
        return True

    def _damaged(self, text: str, columns: Sequence[str], line: int) -> bool:
        """Whether it is a row all the same: cut short, a NaN, torn by what another process printed."""
        cells = cells_of(text, len(columns))
        alone = cells and len(" ".join(cells)) == len(" ".join(text.split()))
        if alone and whole(cells[0]) is not None and len(cells) < len(columns):
            self.found.partial(line, f"{len(cells)} of {len(columns)} cells")
        elif "size" in columns and may_be_row(text):
            self.found.partial(line, f"not a row of numbers: {text!r}")
        else:
            return False
        return True

    def _put(self, row: Mapping[str, str], size: int, printed: float, line: int) -> None:
        run = self.found.current("OSU micro-benchmarks", line)
        benchmark = self.benchmark or _Benchmark("unknown", False, "blocking", False)
        run.rows += 1
        self.last, self.followed = size, False
        what = self._what(benchmark, size)
        is_rate = benchmark.operation.endswith("bandwidth") or benchmark.operation == "message_rate"
        series = run.put(what, printed, line, MEGA if is_rate else MICRO, rate=is_rate)
        if "validation" in row:
            series.check(0 if row["validation"] == "Pass" else 1)
        overlap = [number(row.get(name, "")) for name in ("pure", "compute", "together")]
        if None not in overlap:
            series.overlap = tuple(value * MICRO for value in overlap if value is not None)
        if run.iterations is None and "iterations" in row:
            run.iterations = whole(row["iterations"])

    def _what(self, benchmark: _Benchmark, size: int, variant: str = "") -> What:
        operation = benchmark.operation
        default = "float32" if operation in _REDUCING else "int8"
        return What(
            operation=operation,
            nbytes=size,
            dtype=self.dtype or default,
            op="sum" if operation in _REDUCING else None,
            root=0 if operation in _ROOTED else None,
            call=benchmark.call,
            timing="back_to_back" if operation in _BACK_TO_BACK else "barrier",
            variant=variant,
            per_block=benchmark.per_block,
        )

    def _windowed(self, text: str, line: int) -> bool:
        """A row of `-V`: a rate for each size of the window; the profile of rates says the same again."""
        cells = cells_of(text, len(self.windows) + 1)
        size = whole(cells[0]) if cells else None
        if size is None or len(cells) < 2:
            return False
        if len(cells) != len(self.windows) + 1:
            self.found.partial(line, f"{len(cells)} of {len(self.windows) + 1} cells")
            return True
        run = self.found.current("OSU micro-benchmarks", line)
        run.rows += 1
        self.last, self.followed = size, False
        benchmark = self.benchmark or _Benchmark("message_rate", False, "blocking", False)
        if self.profile.startswith("Uni"):
            for window, cell in zip(self.windows, cells[1:], strict=True):
                what = self._what(benchmark, size, f"window {window}")
                run.put(what, float(cell), line, MEGA, rate=True)
        return True

    def _init(self, found: re.Match[str], line: int) -> None:
        run: FoundRun = self.found.current("OSU micro-benchmarks", line)
        run.rows += 1
        run.ranks, run.complete = int(found[1]), True
        run.put(What(operation="mpi_init", nbytes=0), float(found[4]), line, MILLI)
