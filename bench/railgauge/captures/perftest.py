"""perftest (ib_write_bw, ib_read_lat and the like): what was measured, and with which settings.

Between its lines perftest prints warnings, one even inside the table (of CPU frequencies).
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row, decimal, whole

_HEAD = re.compile(r"\s*#bytes\s+#iterations\s+.*")
_TITLES = (" BW Test", " Latency Test")
_WARNING = re.compile(r".*(WARNING|Conflicting CPU frequency|not max|Couldn't|Unable|warning).*")
_ADDRESS = re.compile(
    r"\s*(local|remote) address:.*|\s*GID: .*|-{5,}|\*+|\s*Waiting for .*|\s*\S+ pid.*"
)
_NUMBERS = re.compile(r"\s*\d[\s\d.e+-]*")


def recognises(text: str) -> bool:
    return bool(re.search(r"^\s*#bytes\s+#iterations\s", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every size: `nbytes`, `iterations`, then the columns under perftest's names and units."""
    draft = Draft(text)
    columns: list[str] = []
    warnings: list[str] = []
    settings: Row = {}
    for line in draft.lines:
        if _HEAD.fullmatch(line.text):
            columns = _columns(line.text)
        elif line.text.rstrip().endswith(_TITLES):
            settings, columns = {"test": line.text.strip()}, []
        elif _WARNING.fullmatch(line.text):
            warnings.append(line.text.strip())
        elif columns and line.text.strip() and _NUMBERS.fullmatch(line.text):
            _measured(draft, line.number, line.text.split(), columns, settings)
        elif not columns and ": " in line.text and not _ADDRESS.fullmatch(line.text):
            settings |= _settings(line.text)
        elif (
            line.text.strip()
            and not _ADDRESS.fullmatch(line.text)
            and not line.text.startswith(("#", "$"))
        ):
            draft.odd(line.number, f"not understood: {line.text.strip()[:40]!r}")
    if any("BW peak won't be measured" in warning for warning in warnings):
        for row in draft.rows:  # it prints 0.00 all the same
            row |= {name: None for name in row if name.startswith("bw_peak")}
    draft.facts |= settings
    if warnings:
        draft.facts["warnings"] = warnings
    return draft.done()


def _settings(text: str) -> Row:
    """`Dual-port : OFF    Device : mlx5_0`: a value ends at two blanks, behind which a name begins."""
    name, *rest = text.split(": ")
    made: Row = {}
    for piece in rest:
        value, *following = re.split(r"\s{2,}|\t", piece.strip())
        made[_key(name)] = value
        name = following[-1] if following else ""
    return {key: value for key, value in made.items() if key}


def _columns(text: str) -> list[str]:
    """`BW average[Gb/sec]` -> `bw_average_Gbps`."""
    units = {
        "Gb/sec": "_Gbps",
        "MB/sec": "_MiBps",
        "Mpps": "_Mpps",
        "usec": "_us",
        "cycles": "_cycles",
    }
    made = []
    for name, unit in re.findall(r"(#\w+|[^\[\]\s#]+(?: [^\[\]\s#]+)*)(?:\[([^\]]+)\])?", text):
        known = {"#bytes": "nbytes"}.get(name, _key(name))
        made.append(known + (units.get(unit, f"_{_key(unit)}") if unit else ""))
    return made


def _measured(draft: Draft, line: int, cells: list[str], columns: list[str], settings: Row) -> None:
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
