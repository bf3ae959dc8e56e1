"""The text that nccl-tests and rccl-tests print: headers, rows, footers, and noise between them."""

from __future__ import annotations

import array
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from railgauge_reports.importing import nccl_headers as headers
from railgauge_reports.importing import nccl_inference as inference
from railgauge_reports.importing.fixed_rows import Bytes, Known, Shape, stretches, take
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.lines import DEBUG, Chunk, cleaned, is_debug
from railgauge_reports.importing.nccl_headers import header_of
from railgauge_reports.importing.nccl_identity import identify, what_of, wrong_of
from railgauge_reports.importing.nccl_inference import Evidence
from railgauge_reports.importing.nccl_layout import (
    TYPES,
    UNTITLED,
    Cells,
    Identity,
    Layout,
    cells_of,
    layout_of,
    values_of,
)
from railgauge_reports.importing.rows import MICRO, MILLI, dtype_of, itemsize, number
from railgauge_reports.importing.source import Source
from railgauge_reports.importing.trouble import Trouble

_LETTERS = np.array([chr(code).isascii() and chr(code).isalpha() for code in range(256)])
_TYPES = frozenset(name.encode() for name in TYPES)
_CUT = re.compile(r"\s*(?:\.\.\.+|…)\s*")
_GIGABITS = re.compile(r"\(G(?:b|bit)/s\)")
MOST_EVIDENCE = 4096
MOST_TORN_LINES = 1000


class _Torn(NamedTuple):
    """A row whose values were not all on its line."""

    cells: Cells
    values: tuple[str, ...]
    line: int


class Tables:
    """Reads the tables of a file into `found`.

    Rows of a large log repeat: `_known` maps what stands left of the values to their series, so that most
    lines cost a look-up, a split and two conversions.
    """

    def __init__(self, tool: str, found: Found) -> None:
        self.tool, self.found = tool, found
        self.layout: Layout = UNTITLED
        self.program: str | None = None  # of the open run
        self._next: str | None = None
        self.stage = -1
        self.evidence: list[Evidence] = []
        self.in_place_unchecked = False
        self.torn: _Torn | None = None
        self._known: dict[bytes, Known] = {}
        self._cut = self._width = 0
        self._shape: Shape | None = None
        self._bare = False  # titles stand at the beginning of their line, so rows do

    def read(self, source: Source) -> None:
        last, number, trouble = b"", 0, Trouble(self.found)
        for chunk in source.lines:
            if self._chunk(chunk) < len(chunk.lines):  # not all were rows that are known
                trouble.scan(chunk)
            last, number = chunk.lines[-1], chunk.number + len(chunk.lines) - 1
            if self.found.run:
                self.found.run.thin()
        if not source.lines.whole:
            self._cut_off(cleaned(last), number)
        self._close()

    # lines --------------------------------------------------------------------------------------

    def _chunk(self, chunk: Chunk) -> int:
        """Read the lines of a chunk; how many were rows that went a short way."""
        named = b"_perf" in chunk.block or b"_perf" in chunk.lines[0]
        skip_words = self._bare and not named  # rows and headers have no words before them here
        if not (self._known or skip_words):
            return self._one_by_one(
                chunk.lines, range(chunk.number, chunk.number + len(chunk.lines))
            )
        block = np.frombuffer(chunk.block, np.uint8)
        ends = np.flatnonzero(block == ord("\n"))
        fast = self._one_by_one(chunk.lines[:1], (chunk.number,))
        if len(ends) < 2:
            return fast
        starts, ends = ends[:-1] + 1, ends[1:]
        worth = ~_LETTERS[block[starts]] if skip_words else np.ones(len(starts), bool)
        last = 0
        for first, after in self._stretches(starts, ends):
            fast += self._some(chunk, worth, last, first)
            rows = block[starts[first] : ends[after - 1] + 1].reshape(after - first, -1)[:, :-1]
            if self._take(rows):
                self._give_up_torn()
                self._open(chunk.number).rows += len(rows)
                fast += len(rows)
            else:
                fast += self._some(chunk, worth, first, after)
            last = after
        return fast + self._some(chunk, worth, last, len(starts))

    def _stretches(
        self, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]
    ) -> list[tuple[int, int]]:
        return stretches(ends - starts, self._shape.length) if self._shape else []

    def _take(self, rows: Bytes) -> bool:
        (t_out, _, _, c_out), (t_in, _, _, c_in) = self.layout.blocks[0], self.layout.blocks[-1]
        shape = self._shape
        return shape is not None and take(rows, shape, self._known, (t_out, t_in), (c_out, c_in))

    def _some(self, chunk: Chunk, worth: npt.NDArray[np.bool_], first: int, after: int) -> int:
        """Read those of the lines first ... after that are worth it; the first line of a chunk is none."""
        places = (np.flatnonzero(worth[first:after]) + first + 1).tolist()
        lines = chunk.lines
        return self._one_by_one(
            [lines[place] for place in places], [chunk.number + place for place in places]
        )

    def _one_by_one(self, lines: Sequence[bytes], numbers: Sequence[int]) -> int:
        known, cut, width = self._known, self._cut, self._width
        (t_out, _, _, c_out), (t_in, _, _, c_in) = self.layout.blocks[0], self.layout.blocks[-1]
        line, fast, all_fast = 0, 0, 0
        for line, raw in zip(numbers, lines, strict=True):
            entry = known.get(raw[:cut])
            if entry is not None:
                put_out, put_in, check_out, check_in = entry
                cells = raw[cut:].split()
                if len(cells) == width and cells[c_out] == check_out and cells[c_in] == check_in:
                    try:
                        out, into = float(cells[t_out]), float(cells[t_in])
                    except ValueError:
                        out = into = -1.0
                    if out >= 0 and into >= 0:  # not of a NaN
                        if self.torn is not None:
                            self._give_up_torn()
                        put_out.append(out)
                        put_in.append(into)
                        fast += 1
                        continue
            if self._is_noise(raw, line):
                continue
            if fast:  # before a header closes their run
                self._open(line).rows += fast
                all_fast, fast = all_fast + fast, 0
            self._line(cleaned(raw), raw, line)
            known, cut, width = self._known, self._cut, self._width
            (t_out, _, _, c_out), (t_in, _, _, c_in) = self.layout.blocks[0], self.layout.blocks[-1]
        if fast:
            self._open(line).rows += fast
        return all_fast + fast

    def _is_noise(self, raw: bytes, line: int) -> bool:
        """Whether a line can be passed over, at little cost."""
        if DEBUG in raw and is_debug(raw):
            return True
        if b"#" in raw or self.torn:
            return False
        if raw.count(b" ") > 7 and not _TYPES.isdisjoint(raw.split()):
            return False
        if len(raw) < 40 and _CUT.fullmatch(cleaned(raw)):
            self.found.warn(line, "rows were left out here ('...')")
        return b"_perf" not in raw and b"_test " not in raw

    def _line(self, text: str, raw: bytes, line: int) -> None:
        cells = cells_of(text, self.layout)
        if cells is not None:
            self._give_up_torn()
            self._row(cells, text, raw, line)
        elif self.torn is not None and not text.lstrip().startswith("#"):
            self._mend(text, line)
        else:
            self._headline(text.lstrip(), raw, line)

    # rows ---------------------------------------------------------------------------------------

    def _row(self, cells: Cells, text: str, raw: bytes, line: int) -> None:
        if len(cells.values) < self.layout.needs:
            self._open(line)
            self.torn = _Torn(cells, cells.values, line)
            return
        put = self._put(cells.identity, cells.values, line)
        if put and not cells.rest.strip():
            self._remember(put, text[cells.at :], raw, cells.values)

    def _mend(self, text: str, line: int) -> None:
        """The rest of a torn row, where the line has nothing else."""
        torn = self.torn
        assert torn is not None
        values, end = values_of(text, 0, self.layout.needs - len(torn.values))
        rest = text[end:].strip()
        if not values or (rest and not rest.startswith("#") and len(values) < 3):
            if line - torn.line > MOST_TORN_LINES:
                self._give_up_torn()
            return
        self.torn = torn._replace(values=torn.values + values)
        if len(self.torn.values) >= self.layout.needs:
            self._put(torn.cells.identity, self.torn.values, torn.line)
            self.torn = None

    def _give_up_torn(self) -> None:
        if self.torn is not None:
            has, needs = len(self.torn.values), self.layout.needs
            identity = self.torn.cells.identity
            self.found.partial(
                self.torn.line, f"{has} of {needs} values of a row of {identity.nbytes} B"
            )
            self.torn = None

    def _put(self, of: Identity, values: tuple[str, ...], line: int) -> list[_Put]:
        """Keep a whole row; the series that its values went to. One whose time is no number is not whole."""
        run = self._open(line)
        none = [values[block[0]] for block in self.layout.blocks if _is_no_time(values[block[0]])]
        if none:
            self.found.partial(line, f"the time {none[0]} is no number")
        else:
            run.rows += 1
        self.stage = max(self.stage, headers.TITLED)
        dtype = dtype_of(of.type)
        made = []
        for place, (time, algbw, busbw, check) in enumerate(self.layout.blocks):
            printed = number(values[time])
            if printed is None:
                continue
            what = what_of(of, "in" if place else "out")
            unit = MILLI if self.layout.milli else MICRO
            series = run.put(what, printed, line, unit)
            wrong = wrong_of(values[check], dtype, self.layout)
            series.check(wrong)
            made.append(_Put(series.values, values[check], wrong))
            if len(self.evidence) < MOST_EVIDENCE and of.nbytes:
                bandwidths = values[algbw], values[busbw]
                if None not in map(number, bandwidths):
                    block = of.elements * itemsize(dtype)
                    self.evidence.append(Evidence(of.nbytes, block, printed * unit, *bandwidths))
        if len(made) == 2 and made[0].wrong is not None:
            self.in_place_unchecked |= made[1].wrong is None
        return made

    def _remember(self, put: list[_Put], behind: str, raw: bytes, values: tuple[str, ...]) -> None:
        """Where the values of such a row go, if the bytes say as much as the cleaned text."""
        if len(put) != 2 or any(own.wrong for own in put) or len(behind.split()) != len(values):
            return
        stripped, tail = raw.rstrip(), behind.encode()
        if not stripped.endswith(tail):
            return
        cut = len(stripped) - len(tail) + 1  # a blank ends the key: no number can go on there
        if not tail[:1].isspace() or len(self._known) >= 1 << 16:
            return
        if cut != self._cut or len(values) != self._width:
            self._known, self._cut, self._width = {}, cut, len(values)
        out, into = put
        self._known[raw[:cut]] = Known(
            out.values, into.values, out.check.encode(), into.check.encode()
        )
        self._shape = Shape.of(raw, cut - 1)._replace(cut=cut)

    def _cut_off(self, text: str, line: int) -> None:
        """The last line has no end: what begins like a row is a part of one."""
        run, words = self.found.run, text.lstrip("# ").split()
        begun = 0 < len(words) < 4 and all(word.isdigit() for word in words[:2])
        if begun and self.torn is None and run is not None and not run.complete:
            self.found.partial(line, f"the file ends in {text.strip()!r}")

    # headers and footers ------------------------------------------------------------------------

    def _headline(self, text: str, raw: bytes, line: int) -> None:
        layout = layout_of(text)
        if layout is not None:
            self._titles(layout, line)
            self._bare = raw[:1] in b" #"
            return
        made = header_of(text)
        if made is not None:
            self._give_up_torn()
        run = self.found.run
        if isinstance(made, headers.Part):
            self._part(made, line)
        elif isinstance(made, headers.Rank):
            if run is None or run.rows:
                run = self._stage(headers.LISTED, line)
            run.devices[made.rank] = made.device
            if made.host is not None:
                run.hosts[made.rank] = made.host
        elif isinstance(made, headers.Failed):
            self.found.warn(line, text)
            if run is not None:
                run.out_of_bounds += made.checks
        elif isinstance(made, headers.End):
            if run is not None:
                run.complete = True
        elif _GIGABITS.search(text):
            self.found.warn(line, f"the table is of Gb/s: {text}")
        elif "Reducing maxBytes" in text:
            self.found.warn(line, text)
        elif program := inference.program_in(text):
            if run is None or run.rows:  # a command line of the run to come
                self._next = program
            else:
                self.program = program

    def _titles(self, layout: Layout, line: int) -> None:
        self._give_up_torn()
        self._stage(headers.TITLED, line)
        if layout != self.layout:
            self._known = {}
        self.layout = layout

    def _stage(self, stage: int, line: int) -> FoundRun:
        """The run that this part of a header belongs to: the open one only if it has not come so far."""
        run = self.found.run
        if run is not None and self.stage < stage and not run.rows:
            self.stage = stage
            return run
        self._close()
        self.stage = stage
        return self._open(line)

    def _open(self, line: int) -> FoundRun:
        """The open run, or a new one, of the program that was named last."""
        if self.found.run is not None:
            return self.found.run
        self.program, self._next = self._next, None
        return self.found.begin(self.tool, line)

    def _part(self, part: headers.Part, line: int) -> None:
        run = self._stage(part.stage, line)
        run.tool = part.tool or run.tool
        self.program = inference.program_in(part.program) or self.program
        run.iterations = part.iterations or run.iterations
        run.warmup = run.warmup if part.warmup is None else part.warmup

    # the end of a run ---------------------------------------------------------------------------

    def _close(self) -> None:
        """What is known of a run once all of its rows are: its collective and its ranks."""
        self._give_up_torn()
        run, self._known, self._cut = self.found.run, {}, 0
        evidence, self.evidence = self.evidence, []
        unchecked, self.in_place_unchecked = self.in_place_unchecked, False
        if run is None:
            return
        program, self.program = self.program, None
        listed = max((*run.hosts, *run.devices), default=-1) + 1
        identify(run, program, listed, unchecked, evidence, self.found)
        self.found.end()


def _is_no_time(printed: str) -> bool:
    return printed != "N/A" and number(printed) is None


class _Put(NamedTuple):
    values: array.array[float]
    check: str
    wrong: int | None
