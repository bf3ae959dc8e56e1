"""The Intel MPI Benchmarks (IMB-MPI1, -NBC, -RMA, -EXT, -MT, -MPI4, -HALO)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.imb_table import columns_of, row_of
from railgauge_reports.importing.rows import MEGA, MICRO, What, dtype_of, may_be_row, number, whole
from railgauge_reports.importing.source import HINT, NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import lines_of

MARKS = (b"# Benchmarking ", b"MPI Benchmarks")
TOOL = "Intel MPI Benchmarks"
_SUITE = re.compile(r"#\s+Intel ?\(R\) MPI Benchmarks ([\w.]+(?: \w+ \d+)?), (.+?)\s*$")
_BENCHMARK = re.compile(r"#\s*Benchmarking\s+(\w+)(?:\s+\(processes: (\d+);.*\))?")
_PROCESSES = re.compile(r"#\s*#processes = (\d+)")
_GROUPS = re.compile(r"#\s*\(?\s*(\d+) groups of (\d+) processes")
_MODE = re.compile(r"#\s*MODE: ([\w-]+)")
_TYPE = re.compile(r"#\s*MPI_Datatype( for reductions)?\s*:\s*(\w+)")
_OP = re.compile(r"#\s*MPI_Op\s*:\s*MPI_(\w+)")
_END = re.compile(r"#\s*All processes entering MPI_Finalize")
_HALO = re.compile(r"(\d+)\(x\d+\)\(bytes\) ([\d.]+)\(usec\) ([\d.]+)\(Mb/s\)")
_INVALID = re.compile(r"Invalid benchmark name|Benchmark .* invalid")
_HINT = re.compile(r"\bIMB-[A-Z]+\d?\b")
#: Name -> our operation, whether a size is that of one block, whether the loop is timed as a whole.
_OPERATIONS = {
    "allreduce": ("all_reduce", False, False),
    "allgather": ("all_gather", True, False),
    "reduce_scatter": ("reduce_scatter", False, False),
    "reduce_scatter_block": ("reduce_scatter", True, False),
    "bcast": ("broadcast", False, False),
    "reduce": ("reduce", False, False),
    "gather": ("gather", True, False),
    "scatter": ("scatter", True, False),
    "alltoall": ("alltoall", True, False),
    "barrier": ("barrier", False, True),
    "pingpong": ("latency", False, True),
    "sendrecv": ("sendrecv", False, True),
    "uniband": ("bandwidth", False, True),
    "biband": ("bidirectional_bandwidth", False, True),
}
_REDUCING = ("all_reduce", "reduce", "reduce_scatter")
_ROOTED = ("broadcast", "reduce", "gather", "scatter")


def looks_like(text: str) -> int:
    lines = text.splitlines()
    titles = any(_SUITE.match(line.strip()) or _BENCHMARK.match(line.strip()) for line in lines)
    return TABLE if titles else HINT if _HINT.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    """A run is what one start of a binary printed; without its header, all until a benchmark comes again."""
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text.strip(), line)
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.name, self.mode = "", ""
        self.ranks: int | None = None
        self.columns: list[str] | None = None
        self.types = {"": "int8", " for reductions": "float32"}
        self.op = "sum"
        self.seen: set[tuple[str, int | None, str]] = set()

    def line(self, text: str, line: int) -> None:
        if self.columns is not None and text[:1].isdigit():
            self._row(text, line)
        elif columns := columns_of(text):
            self.columns = columns
            self._begin_table(line)
        elif text.startswith("#"):
            self._headline(text, line)
        elif found := _HALO.match(text):
            run = self.found.current(TOOL, line)
            run.rows, run.ranks = run.rows + 1, self.ranks
            what = What(
                operation=_slug(self.name) or "halo", nbytes=int(found[1]), ranks=self.ranks
            )
            run.put(what, float(found[2]), line, MICRO)
        elif _INVALID.search(text):
            self.found.warn(line, text)

    def _headline(self, text: str, line: int) -> None:
        run = self.found.run
        if found := _SUITE.match(text):
            run = self.found.begin(f"{TOOL} {found[1]}", line)
            run.facts["suite"] = found[2]
            self.seen, self.columns = set(), None
            run.told = "the mean over ranks of each rank's mean"
        elif found := _BENCHMARK.match(text):
            self.name, self.mode, self.columns = found[1], "", None
            self.ranks = int(found[2]) if found[2] else None
        elif found := _PROCESSES.match(text):
            self.ranks = int(found[1])
        elif found := _GROUPS.match(text):
            self.ranks = int(found[2])
        elif found := _MODE.match(text):
            self.mode = found[1].lower()
        elif found := _TYPE.match(text):
            self.types[found[1] or ""] = dtype_of(found[2])
        elif found := _OP.match(text):
            self.op = found[1].lower()
        elif _END.match(text):
            self.columns = None
            if run is not None:
                run.complete = True

    def _begin_table(self, line: int) -> None:
        key = (self.name, self.ranks, self.mode)
        run = self.found.run
        if run is None or key in self.seen:
            run = self.found.begin(run.tool if run else TOOL, line)
            run.told = "the mean over ranks of each rank's mean"
            self.seen = set()
        self.seen.add(key)
        run.ranks = max(run.ranks or 0, self.ranks or 0) or None

    def _row(self, text: str, line: int) -> None:
        columns = self.columns or []
        row = row_of(text, columns)
        if row is None:
            cells = text.split()
            if all(number(cell) is not None for cell in cells) and len(cells) < len(columns):
                self.found.partial(line, f"{len(cells)} of {len(columns)} cells")
            elif may_be_row(text):
                self.found.partial(line, f"not a row of numbers: {text!r}")
            return
        run = self.found.current(TOOL, line)
        what = self._what(row)
        run.rows += 1
        self._put(run, what, row, line)

    def _put(self, run: FoundRun, what: What, row: Mapping[str, str], line: int) -> None:
        if "average" in row or "pure" in row:
            series = run.put(what, float(row.get("average", row.get("pure", ""))), line, MICRO)
        elif "rate" in row:
            # messages a second: what stands for bytes is the size itself
            series = run.put(what, float(row["rate"]), line, float(what.nbytes or 1), rate=True)
        elif "bandwidth" in row:
            series = run.put(what, float(row["bandwidth"]), line, MEGA, rate=True)
        else:
            self.found.warn(line, f"no time among the columns {', '.join(row)}")
            return
        if "defects" in row:
            series.check(0 if not float(row["defects"]) else 1)
        overlap = [number(row.get(name, "")) for name in ("pure", "compute", "together")]
        if None not in overlap:
            series.overlap = tuple(value * MICRO for value in overlap if value is not None)

    def _what(self, row: Mapping[str, str]) -> What:
        name, call, variant = self.name.lower(), "blocking", self.mode
        for ending, form in (("_pure", ""), ("_persist", "persistent")):
            if name.endswith(ending):
                name, call = name.removesuffix(ending), form or call
                variant = variant or ending.strip("_") * (not form)
        if name.startswith("i") and name[1:] in _OPERATIONS:
            name, call = name[1:], "nonblocking"
        operation, per_block, whole_loop = _OPERATIONS.get(name, (_slug(name), False, False))
        reduces = operation in _REDUCING or name == "reduce_local"
        return What(
            operation=operation or "unknown",
            nbytes=whole(row.get("size", "0")) or 0,
            dtype=self.types[" for reductions" if reduces else ""],
            op=self.op if reduces else None,
            root=0 if operation in _ROOTED else None,
            call=call,
            timing="back_to_back" if whole_loop else "barrier",
            variant=variant,
            ranks=self.ranks,
            per_block=per_block,
        )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
