"""perftest (ib_write_bw, ib_read_lat and the like): its tables, and the document of --out_json."""

from __future__ import annotations

import re

from railgauge.perftest import output, tables
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.rows import What
from railgauge_reports.importing.source import NAMED, NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import lines_of

MARKS = (b"#bytes", b"RDMA_Write", b"RDMA_Read")
_TABLE = re.compile(r"^\s*#bytes\s+#iterations\s", re.MULTILINE)
_DOCUMENT = re.compile(r'"test_info"\s*:')
_LINE = re.compile(r"\s*-{20,}\s*")
_WARNING = re.compile(
    r"WARNING|Conflicting CPU frequency|Couldn't|Unable to|Failed to|Did not detect|not found"
)
_TOLD = "the mean of its iterations (of a latency: their median)"
#: Share by which the two figures of a row may differ, and the size from which that is looked at.
_DIFFER, _LEAST_BYTES = 0.1, 1024


def looks_like(text: str) -> int:
    if _DOCUMENT.search(text) and text.lstrip()[:1] == "{":
        return NAMED
    return TABLE if _TABLE.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    """Every title begins a run: a server and a client that write to one file are two."""
    if source.is_json:
        _read_document(source, found)
        return
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text, line)
    found.end()


def _read_document(source: Source, found: Found) -> None:
    """Some versions end an object with a comma, which `output.parse` forgives."""
    report = output.parse(source.head.decode("utf-8", "replace"))
    run = found.begin("perftest", 1)
    run.ranks, run.told = 2, _TOLD
    rows: tuple[output.Bandwidth | output.Latency, ...] = (*report.bandwidths, *report.latencies)
    for row in rows:
        _put(run, report.verb, report.bidirectional, row, 1)
    run.complete = bool(rows)
    if not rows:
        found.partial(1, "the document has no result that can be read")
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.reader = output.Reader()
        self.kept = 0
        self.units: set[str] = set()

    def line(self, text: str, line: int) -> None:
        run = self.found.run
        if _LINE.fullmatch(text):
            if run is not None and run.rows:
                run.complete = True
            return
        made = tables.sorted_line(text, bool(self.reader.columns))
        if made is None:
            return
        if isinstance(made, tables.Title):
            run = self._begin(line)
        elif isinstance(made, tables.Head):
            run = run or self._begin(line)
            self._check_units(made, line)
        elif isinstance(made, tables.Facts) and self.reader.columns and not run:
            return
        if isinstance(made, tables.Remark):
            if _WARNING.search(text):
                self.found.warn(line, text)
            elif self.reader.columns and _begins_row(text):
                self.found.partial(line, f"not a row of numbers: {text.strip()!r}")
            return
        if not self.reader.take(made) and isinstance(made, tables.Row):
            self.found.partial(
                line, f"{len(made.cells)} of {len(self.reader.columns)} cells, or no measurement"
            )
        if run is not None:
            self._keep(run, line)

    def _begin(self, line: int) -> FoundRun:
        before = self.found.run
        if before is not None and not self.reader.columns:
            # a server and a client at once: the rows of both come under the later head
            self.found.warn(line, "another program began before the table of the one before")
            before.complete = True
        run = self.found.begin("perftest", line)
        self.reader, self.kept = output.Reader(), 0
        run.ranks = 2
        run.told = _TOLD
        return run

    def _keep(self, run: FoundRun, line: int) -> None:
        rows = (*self.reader.bandwidths, *self.reader.latencies)
        if len(rows) == self.kept:
            return
        self.kept = len(rows)
        row = self.reader.bandwidths[-1] if not self.reader.latencies else self.reader.latencies[-1]
        if device := self.reader.facts.get("Device"):
            run.facts.setdefault("device", device)
        _put(run, self.reader.verb, self.reader.bidirectional, row, line)
        self._check_row(row, line)

    def _check_units(self, head: tables.Head, line: int) -> None:
        units = {unit for name, unit in head.columns if name == "BW average"}
        if units - self.units and self.units:
            self.found.warn(
                line, f"units differ between tables: {', '.join(sorted(self.units | units))}"
            )
        self.units |= units

    def _check_row(self, row: output.Bandwidth | output.Latency, line: int) -> None:
        """Bandwidth and message rate are of one loop: where they differ by a factor, a unit is wrong."""
        if not isinstance(row, output.Bandwidth) or not row.messages_per_second:
            return
        ratio = row.average_GBps * 1e9 / (row.nbytes * row.messages_per_second or 1)
        if row.nbytes >= _LEAST_BYTES and not 1 - _DIFFER < ratio < 1 + _DIFFER:
            self.found.warn(
                line,
                f"the bandwidth is {ratio:.3g} times size x message rate: is its unit as the title says?",
            )


def _put(
    run: FoundRun, verb: str, bidirectional: bool, row: output.Bandwidth | output.Latency, line: int
) -> None:
    is_latency = isinstance(row, output.Latency)
    seconds = (row.typical or row.average) if isinstance(row, output.Latency) else row.seconds
    if seconds is None:
        return
    what = What(
        operation=f"rdma_{verb or 'unknown'}_{'latency' if is_latency else 'bandwidth'}",
        nbytes=row.nbytes,
        count=row.nbytes,
        dtype="uint8",
        call="both" if bidirectional else "forth",
        timing="back_to_back",
    )
    run.rows += 1
    run.put(what, seconds, line, 1.0)
    run.iterations = row.iterations


def _begins_row(text: str) -> bool:
    words = text.split()
    return len(words) > 1 and words[0].isdigit() and words[1].isdigit()
