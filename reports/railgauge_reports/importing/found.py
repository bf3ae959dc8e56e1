"""What an importer finds in a file: runs of a tool, the series of each, and what was odd."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from railgauge_reports.importing.rows import Series, What

#: What is kept of a file at most; beyond, rows are counted and no longer kept.
MOST_SERIES, MOST_VALUES = 1 << 19, 1 << 24
MOST_WARNINGS, MOST_LINES, MOST_CHARACTERS = 50, 20, 160
_DIGITS = re.compile(r"\d+")


class FoundRun:
    """One run of the tool: everything between a header and the next one.

    `tool` is its name and version, `told` what its numbers mean (`the mean of 20 iterations`), `hosts` where
    ranks ran as far as it said, `ranks` how many (None: it did not say). `iterations` and `warmup` are what
    a printed value is made of. `complete`: the tool's own end was seen. `out_of_bounds` counts checks that
    failed where no row says which; `pattern` is the schedule of groups.
    """

    def __init__(self, tool: str, number: int, line: int) -> None:
        self.tool, self.number, self.line = tool, number, line
        self.told = ""
        self.hosts: dict[int, str] = {}
        self.devices: dict[int, str] = {}
        self.ranks: int | None = None
        self.iterations: int | None = None
        self.warmup: int | None = None
        self.complete = False
        self.out_of_bounds = 0
        self.rows = 0
        self.partial_rows = 0
        self.pattern = "world"
        self.notes: list[str] = []
        self.facts: dict[str, Any] = {}
        self.series: dict[What, Series] = {}
        self.thinned = 0

    def put(self, what: What, value: float, line: int, unit: float, rate: bool = False) -> Series:
        """Add a value to the series of `what`, which is begun where it is new."""
        found = self.series.get(what)
        if found is None:
            found = Series(what, line, unit, rate)
            if len(self.series) < MOST_SERIES:
                self.series[what] = found
            else:
                self.thinned += 1
        found.values.append(value)
        return found

    def thin(self) -> None:
        """Keep within bounds: every second value of the longer series, again and again."""
        while sum(len(own.values) for own in self.series.values()) > MOST_VALUES:
            for own in self.series.values():
                if len(own.values) > 1:
                    self.thinned += len(own.values) // 2
                    del own.values[1::2]  # in place: importers hold on to the arrays

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class Found:
    """What a file holds. `keep` gets each run as soon as the next one begins, so that few are in memory."""

    def __init__(self, tool: str, keep: Callable[[FoundRun], None], name: str = "") -> None:
        self.tool, self.name, self._keep = tool, name, keep
        self.run: FoundRun | None = None
        self.runs = self.rows = self.partial_rows = 0
        self.complete = True
        self._warnings: dict[str, _Warning] = {}
        self._unsaid = 0

    def begin(self, tool: str, line: int) -> FoundRun:
        """A new run begins; the one before is done."""
        self.end()
        self.runs += 1
        self.run = FoundRun(tool, self.runs, line)
        return self.run

    def current(self, tool: str, line: int) -> FoundRun:
        """The run that is open, or a new one (its header was cut off)."""
        return self.run or self.begin(tool, line)

    def end(self) -> None:
        """The open run is done."""
        run, self.run = self.run, None
        if run is None:
            return
        if run.thinned:
            self.warn(
                run.line,
                f"{run.thinned} of {run.rows} rows were counted and not kept: more than memory is for",
            )
        self.rows += run.rows
        self.partial_rows += run.partial_rows
        self.complete = self.complete and run.complete
        self._keep(run)

    def partial(self, line: int, why: str) -> None:
        """A row that is not whole; it belongs to the open run."""
        if self.run is None:
            self.partial_rows += 1
        else:
            self.run.partial_rows += 1
        self.warn(line, f"partial row: {why}")

    def warn(self, line: int, text: str) -> None:
        """Something a reader must know of a line (0: of the file); said once where numbers alone differ."""
        plain = " ".join(text.split())[:MOST_CHARACTERS]
        alike = _DIGITS.sub("0", plain)
        if alike not in self._warnings and len(self._warnings) >= MOST_WARNINGS:
            self._unsaid += 1
            return
        said = self._warnings.setdefault(alike, _Warning(plain))
        said.times += 1
        if line and len(said.lines) < MOST_LINES:
            said.lines.append(line)

    def warnings(self) -> list[str]:
        """`line 12: ...`, `lines 12, 15 and 3 more: ...`."""
        ordered = sorted(self._warnings.values(), key=lambda said: said.lines[:1])
        told = [said.words() for said in ordered]
        return told + ([f"and {self._unsaid} more warnings"] if self._unsaid else [])


class _Warning:
    """A sentence, and the lines that gave rise to it."""

    def __init__(self, text: str) -> None:
        self.text, self.times = text, 0
        self.lines: list[int] = []

    def words(self) -> str:
        more = self.times - len(self.lines)
        where = ", ".join(map(str, self.lines)) + (f" and {more} more" if more else "")
        word = "line" if self.times == 1 else "lines"
        return f"{word} {where}: {self.text}" if self.lines else self.text
