"""The text that nccl-tests and rccl-tests print, line by line: headers, rows, footers, and noise between them."""

from __future__ import annotations

import array
import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from railgauge_reports.importing import nccl_inference as inference
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.lines import Chunk, cleaned
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
from railgauge_reports.importing.rows import MICRO, MILLI, What, dtype_of, itemsize, number
from railgauge_reports.importing.source import Source
from railgauge_reports.importing.trouble import troubled

_TYPES = frozenset(name.encode() for name in TYPES)
_LEVELS = (b"INFO", b"WARN", b"TRAC", b"CALL", b"ABOR")
_REDUCTIONS = {"mulsum": "premul_sum"}
_VERSION = re.compile(r"#\s*((?:nccl|rccl)-tests) version (\S+)")
_BEGINS = re.compile(r"#\s*Collective test starting: (\w+)")
_OPTIONS = re.compile(r"#\s*nThread\s+\d+")
_DEVICES = re.compile(r"#\s*Using devices")
_RANK = re.compile(
    r"#\s+Rank\s+(\d{1,8})\s+(?:Group\s+\d+\s+)?(?:Pid\s+\d+\s+)?on\s+(\S+)\s+device\s+\d+\s+(?:\[\S+\]\s+)?(.*)"
)
_OLD_DEVICE = re.compile(r"#\s+Device\s+(\d{1,4})\s+->\s+\d+\s+(?:\[\S+\]\s+)?(.*)")
_BOUNDS = re.compile(r"#\s*Out of bounds values\s*:\s*(\d+)\s*(\w*)")
_AVERAGE = re.compile(r"#\s*Avg bus bandwidth\s*:")
_CONCLUDED = re.compile(r"#\s*Collective test concluded")
_OPTION = re.compile(r"([a-z][a-z ]*?):?\s+(\d+)(?=\s|\()")
_CUT = re.compile(r"\s*(?:\.\.\.+|…)\s*")
_GIGABITS = re.compile(r"\(G(?:b|bit)/s\)")
#: What a header consists of, in its order: one that comes again, or an earlier one, begins a new run.
_HEADER = ((_VERSION, 0), (_BEGINS, 1), (_OPTIONS, 2), (_DEVICES, 3))
_TITLED = 4
#: Largest relative errors that v2.0 to 2.12 let pass (src/common.cu, DeltaMaxValue).
_LARGEST_ERROR = {"float16": 1e-2, "bfloat16": 1e-2, "float32": 1e-5, "float64": 1e-12}
MOST_EVIDENCE = 4096
MOST_TORN_LINES = 1000


class _Known(NamedTuple):
    """Where the values of a row go that was met before; the row counts only if its checks are the same."""

    out: Callable[[float], None]
    into: Callable[[float], None]
    out_check: bytes
    in_check: bytes


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
        self.program: str | None = None
        self.stage = -1
        self.evidence: list[Evidence] = []
        self.in_place_unchecked = False
        self.torn: _Torn | None = None
        self._known: dict[bytes, _Known] = {}
        self._cut = self._width = 0

    def read(self, source: Source) -> None:
        last, number = b"", 0
        for chunk in source.lines:
            self._chunk(chunk)
            last, number = chunk.lines[-1], chunk.number + len(chunk.lines) - 1
            if self.found.run:
                self.found.run.thin()
        if not source.lines.whole:
            self._cut_off(cleaned(last), number)
        self._close()
        self.found.end()

    # lines --------------------------------------------------------------------------------------

    def _chunk(self, chunk: Chunk) -> None:
        known, cut, width = self._known, self._cut, self._width
        blocks = self.layout.blocks
        (t_out, _, _, c_out), (t_in, _, _, c_in) = blocks[0], blocks[-1]
        line, fast = chunk.number - 1, 0
        for raw in chunk.lines:
            line += 1
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
                        put_out(out)
                        put_in(into)
                        fast += 1
                        continue
            if b" NCCL INFO " in raw and raw.find(b"  ", 0, raw.find(b" NCCL INFO")) < 0:
                continue  # most lines of most logs
            if self._is_noise(raw, line):
                continue
            self._line(cleaned(raw), raw, line)
            known, cut, width = self._known, self._cut, self._width
            blocks = self.layout.blocks
            (t_out, _, _, c_out), (t_in, _, _, c_in) = blocks[0], blocks[-1]
        if fast:
            run = self.found.current(self.tool, chunk.number)
            run.rows += fast

    def _is_noise(self, raw: bytes, line: int) -> bool:
        """Whether a line can be passed over; one that speaks of trouble is told."""
        at = raw.find(b"NCCL ")
        if at >= 0 and raw[at + 5 : at + 9] in _LEVELS and raw.find(b"  ", 0, at) < 0:
            if raw.startswith(b"WARN", at + 5):  # no row stands before it: those have wide gaps
                self.found.warn(line, cleaned(raw[at:]))
            return True
        if b"#" in raw or self.torn:
            return False
        if raw.count(b" ") > 7 and not _TYPES.isdisjoint(raw.split()):
            return False
        if troubled(raw):
            self.found.warn(line, cleaned(raw))
        elif b"..." in raw and _CUT.fullmatch(cleaned(raw)):
            self.found.warn(line, "rows were left out here ('...')")
        elif b"_perf" in raw or b"_test " in raw:
            return False
        return True

    def _line(self, text: str, raw: bytes, line: int) -> None:
        cells = cells_of(text, self.layout)
        if cells is not None:
            self._give_up_torn()
            self._row(cells, text, raw, line)
        elif self.torn is not None and not text.lstrip().startswith("#"):
            self._mend(text, raw, line)
        else:
            self._headline(text.lstrip(), line)

    # rows ---------------------------------------------------------------------------------------

    def _row(self, cells: Cells, text: str, raw: bytes, line: int) -> None:
        if len(cells.values) < self.layout.needs:
            self.found.current(self.tool, line)
            self.torn = _Torn(cells, cells.values, line)
            return
        put = self._put(cells.identity, cells.values, line)
        if put and not cells.rest.strip():
            self._remember(put, text[cells.at :], raw, cells.values)

    def _mend(self, text: str, raw: bytes, line: int) -> None:
        """The rest of a torn row, where the line has nothing else."""
        torn = self.torn
        assert torn is not None
        values, end = values_of(text, 0, self.layout.needs - len(torn.values))
        rest = text[end:].strip()
        if not values or (rest and not rest.startswith("#") and len(values) < 3):
            if line - torn.line > MOST_TORN_LINES:
                self._give_up_torn()
            elif troubled(raw):
                self.found.warn(line, text)
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
                self.torn.line, f"{has} of {needs} values of a row of {identity.size} B"
            )
            self.torn = None

    def _put(self, of: Identity, values: tuple[str, ...], line: int) -> list[_Put]:
        """Keep a whole row; the series that its values went to."""
        run = self.found.current(self.tool, line)
        run.rows += 1
        self.stage = max(self.stage, _TITLED)
        dtype = dtype_of(of.type)
        made = []
        for place, (time, algbw, busbw, check) in enumerate(self.layout.blocks):
            printed = number(values[time])
            if printed is None:
                if values[time] != "N/A":
                    self.found.warn(line, f"the time {values[time]} is none")
                continue
            what = What(
                operation="",
                nbytes=of.size,
                count=of.count,
                dtype=dtype,
                op=None if of.op is None else _REDUCTIONS.get(of.op, of.op),
                root=of.root,
                placement="in" if place else "out",
                call="stream",
                timing="back_to_back",
            )
            unit = MILLI if self.layout.milli else MICRO
            series = run.put(what, printed, line, unit)
            wrong = self._wrong(values[check], dtype)
            series.check(wrong)
            made.append(_Put(series.values, values[check], wrong))
            if len(self.evidence) < MOST_EVIDENCE and of.size:
                bandwidths = values[algbw], values[busbw]
                if None not in map(number, bandwidths):
                    block = of.count * itemsize(dtype)
                    self.evidence.append(Evidence(of.size, block, printed * unit, *bandwidths))
        if len(made) == 2 and made[0].wrong is not None:
            self.in_place_unchecked |= made[1].wrong is None
        return made

    def _wrong(self, text: str, dtype: str) -> int | None:
        """Wrong elements of a check; of a largest error, 1 where it is beyond what is let pass."""
        value = number(text)
        if value is None:
            return None if text == "N/A" else 1  # NaN is no small error
        return int(value) if self.layout.counts else int(value > _LARGEST_ERROR.get(dtype, 0.0))

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
        self._known[raw[:cut]] = _Known(
            out.values.append, into.values.append, out.check.encode(), into.check.encode()
        )

    def _cut_off(self, text: str, line: int) -> None:
        """The last line has no end: what begins like a row is a part of one."""
        run, words = self.found.run, text.lstrip("# ").split()
        begun = 0 < len(words) < 4 and all(word.isdigit() for word in words[:2])
        if begun and self.torn is None and run is not None and not run.complete:
            self.found.partial(line, f"the file ends in {text.strip()!r}")

    # headers and footers ------------------------------------------------------------------------

    def _headline(self, text: str, line: int) -> None:
        layout = layout_of(text)
        if layout is not None:
            self._titles(layout, line)
            return
        for pattern, stage in _HEADER:
            if found := pattern.match(text):
                self._give_up_torn()
                run = self._stage(stage, line)
                self._header_line(run, stage, found, text)
                return
        run = self.found.run
        if found := _RANK.match(text):
            run = run or self._stage(3, line)
            rank = int(found[1])
            run.hosts[rank], run.devices[rank] = found[2], found[3].strip()
        elif found := _OLD_DEVICE.match(text):
            run = run or self._stage(3, line)
            run.devices[int(found[1])] = found[2].strip()
        elif found := _BOUNDS.match(text):
            self._give_up_torn()
            if run is not None and (int(found[1]) or found[2] == "FAILED"):
                run.out_of_bounds += max(1, int(found[1]))
                self.found.warn(line, text)
        elif _AVERAGE.match(text) or _CONCLUDED.match(text):
            self._give_up_torn()
            if run is not None:
                run.complete = True
        elif _GIGABITS.search(text):
            self.found.warn(line, f"the table is of Gb/s: {text}")
        else:
            self.program = inference.program_in(text) or self.program
            if "Reducing maxBytes" in text or ("error:" in text and troubled(text.encode())):
                self.found.warn(line, text)

    def _titles(self, layout: Layout, line: int) -> None:
        self._give_up_torn()
        self._stage(_TITLED, line)
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
        return self.found.begin(self.tool, line)

    def _header_line(self, run: FoundRun, stage: int, found: re.Match[str], text: str) -> None:
        if stage == 0:
            run.tool = f"{found[1]} {found[2]}"
        elif stage == 1:
            self.program = inference.program_in(found[1]) or self.program
        elif stage == 2:
            said = dict(_OPTION.findall(text))
            run.iterations = _option(said, "iters")
            run.warmup = _option(said, "warmup iters")

    # the end of a run ---------------------------------------------------------------------------

    def _close(self) -> None:
        """What is known of a run once all of its rows are: its collective and its ranks."""
        self._give_up_torn()
        run, self._known, self._cut = self.found.run, {}, 0
        evidence, self.evidence = self.evidence, []
        unchecked, self.in_place_unchecked = self.in_place_unchecked, False
        program, self.program = self.program, None
        if run is None:
            return
        listed = max((*run.hosts, *run.devices), default=-1) + 1
        identify(run, program, listed, unchecked, evidence, self.found)


class _Put(NamedTuple):
    values: array.array[float]
    check: str
    wrong: int | None


def _option(said: dict[str, str], name: str) -> int | None:
    return int(said[name]) if name in said else None


def identify(
    run: FoundRun,
    program: str | None,
    listed: int,
    in_place_unchecked: bool,
    evidence: list[Evidence],
    found: Found,
) -> None:
    """Name the collective of a run and count its ranks; where the log does not say it, by inference."""
    whats = list(run.series)
    operation = program
    if operation is None and whats:
        operation, certain = inference.operation_of(
            any(what.op for what in whats),
            any(what.root is not None for what in whats),
            in_place_unchecked,
            evidence,
            found.name,
        )
        how = "from sizes, counts and columns" if certain else "from the name of the file"
        run.note(
            f"the log does not name its collective: {operation}, {how}"
            if operation != inference.UNKNOWN
            else "the log does not name its collective, and sizes and counts fit several"
        )
    inferred = inference.ranks_of(operation or "", evidence)
    run.ranks = listed or inferred
    if not listed and inferred:
        run.note(f"the log does not say its ranks: {inferred}, from sizes and bandwidths")
    elif listed and inferred and inferred != listed:
        found.warn(run.line, f"{listed} ranks are listed, and bandwidths are those of {inferred}")
    if trouble := inference.unit_trouble(evidence):
        found.warn(run.line, trouble)
    reduces = operation in ("all_reduce", "reduce_scatter", "reduce")
    rooted = operation in ("broadcast", "reduce", "gather", "scatter")
    for series in run.series.values():
        series.what = _named(series.what, operation or "", reduces, rooted)
    run.series = {series.what: series for series in run.series.values()}
    each = f"the mean of {run.iterations} iterations" if run.iterations else "the mean of some iterations"
    run.told = f"{each} timed together, by default the mean over ranks"


def _named(what: What, operation: str, reduces: bool, rooted: bool) -> What:
    return msgspec.structs.replace(
        what,
        operation=operation,
        op=what.op if reduces else None,
        root=(what.root or 0) if rooted else None,
    )
