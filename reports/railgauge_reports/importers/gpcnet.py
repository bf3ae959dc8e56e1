"""GPCNeT: network_test and network_load_test, canaries alone and beside congestion."""

from __future__ import annotations

import re

from railgauge.schedules import ISOLATED
from railgauge_reports.importing.found import Found
from railgauge_reports.importing.rows import MIB, MICRO, What, number
from railgauge_reports.importing.source import HINT, NOTHING, TABLE, Source
from railgauge_reports.importing.trouble import lines_of

MARKS = (b"Network Tests v", b"NetworkLoad Tests v", b"Isolated Network Tests")
_TITLE = re.compile(r"(Network|NetworkLoad) Tests v([\d.]+)")
_RANKS = re.compile(r"Test with (\d+) MPI ranks \((\d+) nodes\)")
_SECTION = re.compile(r"\|\s*([A-Z][^|]*?)\s*\|")
_NAME = re.compile(r"(.+?) \((\d+) B\)")
_HINT = re.compile(r"this application must be run on at least \d+ nodes|\bnetwork_(?:load_)?test\b")
_UNITS = {"usec": (MICRO, False), "MiB/s/rank": (MIB, True)}
_BESIDE = re.compile(r"Network Tests running with Congestion Tests(?: \(\s*(.*?)\s*\))?")
_ISOLATED = "Isolated Network Tests"
_KEY_RESULTS = "Key Results"
_LAST = {"Network": "Multiple Alltoall", "NetworkLoad": _KEY_RESULTS}


def looks_like(text: str) -> int:
    if _TITLE.search(text) or _ISOLATED in text:
        return TABLE
    return HINT if _HINT.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    """All rows of boxes count; those of the impact factors are quotients of others and are not kept."""
    reader = _Reader(found)
    for line, text in lines_of(source, found):
        reader.line(text.strip(), line)
    found.end()


class _Reader:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.program, self.section, self.setting = "", "", ""
        self.columns: list[str] = []
        self.canaries: set[str] = set()  # measured, and not yet among the key results
        self.ending = False

    def line(self, text: str, line: int) -> None:
        run = self.found.run
        if found := _TITLE.match(text):
            self.program, self.canaries = found[1], set()
            run = self.found.begin(f"GPCNeT {found[2]} {found[1].lower()}", line)
            run.told = "the mean over ranks; its 99 % is not kept"
        elif (found := _RANKS.search(text)) and run is not None:
            run.ranks = int(found[1])
            run.facts["nodes"] = int(found[2])
        elif text.startswith("+-"):
            if run is not None and self.ending:
                run.complete = True
        elif text.startswith("|"):
            self._boxed(text, line)

    def _boxed(self, text: str, line: int) -> None:
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if len(cells) == 1:
            self._section(cells[0])
        elif cells[0] == "Name" or not cells[0]:
            self.columns = cells
        elif _NAME.match(cells[0]):
            self._row(cells, text, line)

    def _section(self, title: str) -> None:
        self.section = title
        self.setting = "beside congestion" if _BESIDE.match(title) else ISOLATED

    def _row(self, cells: list[str], text: str, line: int) -> None:
        run = self.found.current("GPCNeT", line)
        found = _NAME.match(cells[0])
        assert found is not None
        is_key = _KEY_RESULTS in self.section
        ends = _LAST.get(self.program, "")
        name = found[1].strip()
        if self.section.startswith(_ISOLATED):
            self.canaries.add(name)
        elif is_key:
            self.canaries.discard(name)
        self.ending = is_key and not self.canaries if ends == _KEY_RESULTS else name == ends
        if len(cells) != (3 if is_key else len(self.columns)) or not text.endswith("|"):
            self.found.partial(line, f"{len(cells)} of {len(self.columns)} cells")
            return
        run.rows += 1
        if is_key:
            run.note("its impact factors are not kept: they are quotients of rounded means")
            return
        row = dict(zip(self.columns, cells, strict=True))
        unit, average = row.get("Units", ""), number(row.get("Avg", ""))
        if unit not in _UNITS or average is None:
            self.found.warn(line, f"{row.get('Avg')!r} {unit!r} is no measurement")
            return
        scale, is_rate = _UNITS[unit]
        what = What(
            operation="gpcnet_" + re.sub(r"[^a-z0-9]+", "_", found[1].strip().lower()),
            nbytes=int(found[2]),
            dtype="int8",
            call="nonblocking",
            timing="back_to_back",
            setting=self._beside(),
        )
        run.put(what, average, line, scale, rate=is_rate)

    def _beside(self) -> str:
        """The verbose program measures the congestors beside each canary: it is named."""
        found = _BESIDE.match(self.section)
        canary = found[1].removesuffix(" Network Test") if found and found[1] else ""
        return f"{self.setting} ({canary})" if canary else self.setting
