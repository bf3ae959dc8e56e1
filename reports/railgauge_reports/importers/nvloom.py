"""nvloom: matrices of a multi-node NVLink domain, and its suites of one value a GPU.

The column is where the data came from, the row where it went to (cli/testcases.cpp, N_squared_pattern).
"""

from __future__ import annotations

import re

from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.matrices import UNITS, put_pair, put_single
from railgauge_reports.importing.rows import What, number
from railgauge_reports.importing.source import NAMED, NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import lines_of

MARKS = (b"nvloom", b"rackGuid", b"TotalBW ")
TOOL = "nvloom"
_NAMED = re.compile(r"nvloom_cli \d|rackGuid: ")
_TABLE = re.compile(r"^(?:Min|Avg|Max|Total)BW \w+ ", re.MULTILINE)
_VERSION = re.compile(r"nvloom_cli (\S+)")
_BUFFER = re.compile(r"Buffer size: (\d+) MiB")
_PROCESS = re.compile(
    r"Process +(\d+) \((.+?)\): device (\d+): (.+?)(?: \([0-9a-f:.]+\))?; rackGuid: (\S+)"
)
_RUNNING = re.compile(r"Running (\w+)\s*$")
_DONE = re.compile(r"Done (\w+)")
_STATISTIC = re.compile(r"(?:Min|Avg|Max|Total)\w* (\w+) (?:[\d.]+|N/A)(?: (\S+))?\s*$")
_FROM_TO = re.compile(r"(\d+)->(\d+)")
DEFAULT_MIB = 512


def looks_like(text: str) -> int:
    if _NAMED.search(text):
        return NAMED
    return TABLE if _TABLE.search(text) and _RUNNING.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    """A row is a line of a matrix."""
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text, line)
    reader.flush()
    if found.run is not None:
        found.run.complete = reader.done
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.case = ""
        self.columns: list[str] | None = None
        self.rows: list[tuple[int, str, list[str]]] = []
        self.unit = ""
        self.nbytes = DEFAULT_MIB << 20
        self.done = False

    def line(self, text: str, line: int) -> None:
        run = self.found.run
        if found := _VERSION.search(text):
            if run is not None:
                run.complete = self.done
            self.flush()
            self._begin(f"{TOOL} {found[1]}", line)
        elif found := _BUFFER.search(text):
            self.nbytes = int(found[1]) << 20
        elif found := _PROCESS.search(text):
            run = run or self._begin(TOOL, line)
            rank = int(found[1])
            run.hosts[rank], run.devices[rank] = found[2], found[4]
            run.facts.setdefault("racks", {})[rank] = found[5]
            run.ranks = max(run.ranks or 0, rank + 1)
        elif found := _RUNNING.match(text.strip()):
            self.flush()
            self.case, self.done, self.unit = found[1], False, ""
        elif _DONE.match(text.strip()):
            self.flush()
            self.case, self.done = "", True
        elif self.case and "WAIVED" in text:
            self.found.warn(line, f"{self.case}: {text.strip()}")
        elif self.case and (found := _STATISTIC.match(text.strip())):
            self.unit = found[2] if found[2] in UNITS else self.unit
        elif self.case and self.columns is None and text[:1].isspace():
            self.columns = [cell for cell in text.split() if cell != "|"]
        elif self.case and self.columns is not None:
            self._row(text, line)

    def _begin(self, tool: str, line: int) -> FoundRun:
        run = self.found.begin(tool, line)
        run.told = "the bandwidth of its iterations together"
        return run

    def _row(self, text: str, line: int) -> None:
        run = self.found.run or self._begin(TOOL, line)
        label, *cells = (cell.partition(";")[0] for cell in text.split() if cell != "|")
        if len(cells) == len(self.columns or ()) and all(
            number(c) is not None or c == "N/A" for c in cells
        ):
            run.rows += 1
            self.rows.append((line, label, cells))
        elif label[:1].isdigit():
            self.found.partial(
                line, f"{len(cells)} of {len(self.columns or ())} cells of {self.case}"
            )

    def flush(self) -> None:
        """The matrix is whole now, and its unit is known."""
        run, rows, columns = self.found.run, self.rows, self.columns or []
        self.rows, self.columns = [], None
        if run is None or not rows:
            return
        latency = "latency" in self.case
        unit = self.unit or ("ns" if latency else "GB/s")
        square = columns == [label for _, label, _ in rows] and all(
            label.isdigit() for label in columns
        )
        for line, label, cells in rows:
            for column, cell in zip(columns, cells, strict=True):
                if value := number(cell):
                    self._put(
                        run, label, column if len(columns) > 1 else "", square, value, line, unit
                    )

    def _put(
        self,
        run: FoundRun,
        label: str,
        column: str,
        square: bool,
        value: float,
        line: int,
        unit: str,
    ) -> None:
        latency = unit in ("ns", "us", "usec")
        pairwise = square or _FROM_TO.fullmatch(label)
        both = "bidir" in self.case
        what = What(
            operation="copy_latency" if latency else "copy" if pairwise else self.case,
            nbytes=0 if latency else self.nbytes,
            dtype="uint8",
            call="both" if both else "pull" if "read" in self.case else "push",
            timing="back_to_back",
            variant=self.case if square or not column else f"{self.case} {column}",
        )
        if found := _FROM_TO.fullmatch(label):
            put_pair(run, what, int(found[1]), int(found[2]), value, line, unit)
        elif square:
            source, target = int(column), int(label)
            if not (both and source > target):  # the same measurement is printed twice
                put_pair(run, what, source, target, value, line, unit)
        elif label.isdigit():
            put_single(run, what, int(label), value, line, unit)
