"""perftest (ib_write_bw, ib_read_lat and the like): what was measured, and with which settings.

Between its lines perftest prints warnings, one even inside the table (of CPU frequencies).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from railgauge.capturing.capture import Capture, Draft, Row, decimal, whole
from railgauge.perftest import tables

_WARNING = re.compile(r".*(WARNING|Conflicting CPU frequency|not max|Couldn't|Unable|warning).*")
_PASSED_OVER = re.compile(r"[#$]|(local|remote) address:|GID: |-{5,}|Waiting for |\S+ pid")
_UNITS = {
    "Gb/sec": "_Gbps",
    "MB/sec": "_MiBps",
    "Mpps": "_Mpps",
    "usec": "_us",
    "cycles": "_cycles",
}


def recognises(text: str) -> bool:
    return bool(re.search(r"^\s*#bytes\s+#iterations\s", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every size: `nbytes`, `iterations`, then the columns under perftest's names and units."""
    draft = Draft(text)
    columns: list[str] = []
    warnings: list[str] = []
    settings: Row = {}
    for line in draft.lines:
        made = tables.sorted_line(line.text, bool(columns))
        if isinstance(made, tables.Head):
            columns = [_column(name, unit) for name, unit in made.columns]
        elif isinstance(made, tables.Title):
            settings, columns = {"test": made.words}, []
        elif isinstance(made, tables.Facts):
            settings |= _settings(made.named)
        elif isinstance(made, tables.Row):
            _measured(draft, line.number, made.cells, columns, settings)
        elif isinstance(made, tables.Remark) and _WARNING.fullmatch(made.text):
            warnings.append(made.text)
        elif isinstance(made, tables.Remark) and not _PASSED_OVER.match(made.text):
            # without the blank before it a fact may have been pasted
            found = {} if columns else _settings(tables.facts_in(made.text))
            settings |= found
            if not found:
                draft.odd(line.number, f"not understood: {made.text[:40]!r}")
    if any("BW peak won't be measured" in warning for warning in warnings):
        for row in draft.rows:  # it prints 0.00 all the same
            row |= {name: None for name in row if name.startswith("bw_peak")}
    draft.facts |= settings
    if warnings:
        draft.facts["warnings"] = warnings
    return draft.done()


def _settings(named: Mapping[str, str]) -> Row:
    return {_key(name): value for name, value in named.items() if _key(name)}


def _column(name: str, unit: str) -> str:
    """`BW average` in `Gb/sec` -> `bw_average_Gbps`."""
    known = "nbytes" if name == "#bytes" else _key(name)
    return known + (_UNITS.get(unit, f"_{_key(unit)}") if unit else "")


def _measured(
    draft: Draft, line: int, cells: Sequence[str], columns: list[str], settings: Row
) -> None:
    if len(cells) != len(columns):
        draft.odd(line, f"{len(cells)} values under {len(columns)} columns")
        return
    row: Row = {}
    for name, cell in zip(columns, cells, strict=True):
        row[name] = whole(cell) if name in ("nbytes", "iterations") else decimal(cell)
    if settings.get("device"):
        row["device"] = settings["device"]
    draft.rows.append(row)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower().replace("%", "")).strip("_")
