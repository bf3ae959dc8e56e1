"""nvbandwidth: matrices of copies between GPUs and their hosts, as text or JSON.

The arrow of a caption says which way the data went: `GPU(row) <- GPU(column)` is from the column's GPU
to the row's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.matrices import put_pair, put_single, unit_in
from railgauge_reports.importing.rows import What, number
from railgauge_reports.importing.source import NAMED, NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import lines_of

MARKS = (b"nvbandwidth", b"memcpy CE", b"memcpy SM", b"memory latency SM")
_NAMED = re.compile(r"nvbandwidth Version|\"nvbandwidth\"\s*:")
_CAPTION = re.compile(r".*(?:bandwidth|latency).*\((?:GB/s|ns|us)\)\s*$")
_RUNNING = re.compile(r"Running (\w+)\.?\s*$")
_SUM = re.compile(r"SUM (\w+) ")
_STATUS = re.compile(r"(Waived|WAIVED|ERROR|Error|Failed|Not Found)\b:?\s*(.*)")
_DEVICE = re.compile(r"Device (\d+): (.+?)(?: \([0-9a-f:.]+\))?\s*$")
_PROCESS = re.compile(r"Process +(\d+) \((.+?)\): device \d+: (.+?)(?: \([0-9a-f:.]+\))?\s*$")
_VERSION = re.compile(r"nvbandwidth Version: (\S+)")
TOOL = "nvbandwidth"
DEFAULT_BYTES = 512 << 20


def looks_like(text: str) -> int:
    if _NAMED.search(text):
        return NAMED
    captioned = any(_CAPTION.match(line) for line in text.splitlines() if "(column)" in line)
    return TABLE if captioned else NOTHING


def read(source: Source, found: Found) -> None:
    """A row is a line of a matrix."""
    if source.is_json:
        _read_document(source, found)
        return
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text, line)
    if found.run is not None:
        found.run.complete = reader.done
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.case, self.caption = "", ""
        self.columns = 0
        self.done = False

    def line(self, text: str, line: int) -> None:
        run, plain = self.found.run, text.strip()
        if found := _VERSION.search(plain):
            self._finish(run)
            run = _begun(self.found, line)
            run.tool = f"{TOOL} {found[1]}"
        elif found := _RUNNING.match(plain):
            run = run or _begun(self.found, line)
            self.case, self.caption, self.columns, self.done = found[1], "", 0, False
        elif self.columns and plain[:1].isdigit():
            self._row(plain, line)
        elif _CAPTION.match(plain):
            self.caption, self.columns = plain, 0
        elif self.caption and not self.columns and re.fullmatch(r"(?:\d+\s*)+", plain):
            self.columns = len(plain.split())
        elif _SUM.match(plain):
            self.columns, self.caption, self.done = 0, "", True
        elif found := _STATUS.match(plain):
            self.found.warn(line, f"{self.case}: {plain}")
            self.columns, self.done = 0, True
        elif found := _PROCESS.match(plain) or _DEVICE.match(plain):
            run = run or _begun(self.found, line)
            rank = int(found[1])
            run.devices[rank] = found[found.lastindex or 1]
            run.hosts[rank] = found[2] if plain.startswith("Process") else "unknown"
            run.ranks = max(run.ranks or 0, rank + 1)

    def _finish(self, run: FoundRun | None) -> None:
        if run is not None:
            run.complete = self.done

    def _row(self, text: str, line: int) -> None:
        run = self.found.run or _begun(self.found, line)
        label, *cells = text.split()
        if len(cells) != self.columns or any(number(c) is None and c != "N/A" for c in cells):
            self.found.partial(line, f"{len(cells)} of {self.columns} cells of {self.case}")
            return
        run.rows += 1
        if label.isdigit():
            put_row(run, self.case, self.caption, int(label), cells, self.columns, line)


def _begun(found: Found, line: int) -> FoundRun:
    run = found.begin(TOOL, line)
    run.told = "the median of its samples (the mean with -m)"
    run.note(
        f"nvbandwidth does not print its buffer size: {DEFAULT_BYTES >> 20} MiB, its default, is assumed;"
        " bandwidths do not depend on it, times do"
    )
    return run


def put_row(
    run: FoundRun, case: str, caption: str, row: int, cells: list[str], columns: int, line: int
) -> None:
    """A line of the matrix of `case`: between GPUs, or of one GPU each."""
    unit = unit_in(caption) or "GB/s"
    between = "GPU(row)" in caption and "GPU(column)" in caption
    is_back = "<-" in caption and "<->" not in caption
    latency = unit != "GB/s"
    for column, cell in enumerate(cells):
        value = number(cell)
        if not value or (
            between and row == column
        ):  # older versions print 0.00 where it is no pair
            continue
        what = What(
            operation="copy_latency" if latency else "copy" if _is_copy(case) else case,
            nbytes=0 if latency else DEFAULT_BYTES,
            dtype="uint8",
            call=_call(case),
            timing="back_to_back",
            variant=case,
        )
        if between:
            source, target = (column, row) if is_back else (row, column)
            run.ranks = max(run.ranks or 0, columns)
            put_pair(run, what, source, target, value, line, unit)
        else:
            run.ranks = max(run.ranks or 0, columns)
            put_single(run, what, column, value, line, unit)


def _is_copy(case: str) -> bool:
    return "memcpy" in case and "all" not in case.split("_")


def _call(case: str) -> str:
    """Our name of the form of a copy."""
    if "bidirectional" in case:
        return "both"
    for part, call in (
        ("host_to_device", "to_device"), ("device_to_host", "from_device"), ("local", "local"),
        ("_read", "pull"), ("_write", "push"),
    ):  # fmt: skip
        if part in case:
            return call
    return "pull"


def _read_document(source: Source, found: Found) -> None:
    document, whole = source.document()
    run = _begun(found, 1)
    root = document.get("nvbandwidth") if whole and isinstance(document, dict) else None
    if not isinstance(root, dict):
        found.partial(0, "the document breaks off, or has no `nvbandwidth`")
        found.end()
        return
    run.tool = f"{TOOL} {root.get('version', '')}".strip()
    for device in root.get("GPU Device list") or ():
        run.devices[len(run.devices)] = str(device)
    for name in ("error", "warning"):
        if root.get(name):
            found.warn(0, f"{name}: {root[name]}")
    cases = root.get("testcases")
    for case in cases if isinstance(cases, list) else ():
        if isinstance(case, dict):
            _document_case(run, case, found)
    run.complete = bool(run.rows) and not root.get("error")
    found.end()


def _document_case(run: FoundRun, case: Mapping[str, Any], found: Found) -> None:
    name, status = str(case.get("name") or "unknown"), str(case.get("status") or "")
    if status not in ("Passed", ""):
        found.warn(0, f"{name}: {status} {case.get('error') or ''}")
    matrix = case.get("bandwidth_matrix")
    for row, cells in enumerate(matrix if isinstance(matrix, list) else ()):
        printed = [str(cell) for cell in cells] if isinstance(cells, list) else []
        if not printed or any(number(c) is None and c != "N/A" for c in printed):
            found.partial(0, f"row {row} of {name}")
            continue
        run.rows += 1
        caption = str(case.get("bandwidth_description") or "")
        put_row(run, name, caption, row, printed, len(printed), 0)
