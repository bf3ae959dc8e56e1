"""PARAM comms (comms.py): lines of COMMS-RES."""

from __future__ import annotations

import re

from railgauge_reports.importing.found import Found
from railgauge_reports.importing.rows import MICRO, What, dtype_of, number, whole
from railgauge_reports.importing.source import NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import lines_of

MARKS = (b"COMMS-RES", b"PARAM COMM environment")
_TITLES = re.compile(r"COMMS-RES\s+(?:total-size|size)")
_ROW = re.compile(r"COMMS-RES-([a-z_0-9]+)-([A-Za-z_0-9]+?)(?:-(\S+))?\s+(\d.*)$")
_WORLD = re.compile(r"'world_size': (\d+)")
_BACKEND = re.compile(r"backend: (\w+)")
_HELLO = re.compile(r"\[Rank\s+(\d+)\] host (\S+?),")
_SIZES = re.compile(r"allSizes: \[([\d, ]+)\]")
_OPERATIONS = {
    "all_to_all": "alltoall",
    "all_to_allv": "alltoallv",
    "all_gather_base": "all_gather",
}
_REDUCING = ("all_reduce", "reduce", "reduce_scatter")
_ROOTED = ("broadcast", "reduce", "gather", "scatter")
_P50 = 2  # place of the time behind the name: size, elements, p50
_LEAST = 9


def looks_like(text: str) -> int:
    return TABLE if "COMMS-RES" in text or "PARAM COMM environment" in text else NOTHING


def read(source: Source, found: Found) -> None:
    """Every line of titles begins a run, as each collective has its own."""
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text.strip(), line)
    reader.close()
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.ranks: int | None = None
        self.backend = ""
        self.hosts: dict[int, str] = {}
        self.planned: set[int] = set()
        self.measured: set[int] = set()

    def line(self, text: str, line: int) -> None:
        if found := _ROW.match(text):
            self._row(found, line)
        elif _TITLES.match(text):
            self._begin(line)
        elif found := _WORLD.search(text):
            self.ranks = int(found[1])
        elif found := _BACKEND.match(text):
            self.backend = found[1]
        elif found := _HELLO.search(text):
            self.hosts[int(found[1])] = found[2]
        elif found := _SIZES.search(text):
            self.planned = {
                size for cell in found[1].split(",") if (size := whole(cell.strip())) is not None
            }

    def _begin(self, line: int) -> None:
        self.close()
        run = self.found.begin("PARAM comms" + f" ({self.backend})" * bool(self.backend), line)
        run.ranks, run.hosts = self.ranks, dict(self.hosts)
        run.told = "the median over ranks of each rank's mean"
        self.measured = set()

    def close(self) -> None:
        """PARAM prints no end, but it says beforehand which sizes it will measure."""
        run = self.found.run
        if run is not None and run.rows:
            run.complete = bool(self.planned) and self.planned <= self.measured
            if not self.planned:
                run.note("PARAM prints no end, and this log not the sizes that were to be measured")

    def _row(self, found: re.Match[str], line: int) -> None:
        if self.found.run is None:
            self._begin(line)
        run = self.found.current("PARAM comms", line)
        cells = found[4].split()
        size, elements = whole(cells[0]), whole(cells[1]) if len(cells) > 1 else None
        time = number(cells[_P50]) if len(cells) > _P50 else None
        if size is None or time is None or len(cells) < _LEAST:
            self.found.partial(line, f"{len(cells)} of {_LEAST} cells")
            return
        run.rows += 1
        self.measured.add(size)
        operation = _OPERATIONS.get(found[1], found[1])
        what = What(
            operation=operation,
            nbytes=size,
            count=elements or 0,
            dtype=dtype_of(found[2]),
            op="sum" if operation in _REDUCING else None,
            root=0 if operation in _ROOTED else None,
            call="stream",
            timing="back_to_back",
            variant=found[3] or "",
        )
        run.put(what, time, line, MICRO)
