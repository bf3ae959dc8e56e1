"""ClusterKit (HPC-X): CSV of bandwidths or latencies between nodes, as a matrix or as a list of pairs.

Its documentation tells what is measured (bandwidth: 32 MB in both directions; latency: 0 B), not how a
file looks: a matrix has names in its first line and its first column, a list two columns of names.
"""

from __future__ import annotations

import csv
import re

import msgspec

from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.matrices import put_pair, unit_in
from railgauge_reports.importing.rows import What, number
from railgauge_reports.importing.source import NAMED, NOTHING, TABLE, Source

MARKS = (b"clusterkit", b"ClusterKit")
TOOL = "ClusterKit"
_LATENCY = re.compile(r"lat(?:ency)?", re.IGNORECASE)
_BANDWIDTH = re.compile(r"bandwidth|bw", re.IGNORECASE)
_PAIR = re.compile(r"(?:node|host|rank|src|source|dst|dest\w*|target)[ _]?\w?$", re.IGNORECASE)
DEFAULT_BYTES = 32 << 20
_EMPTY = ("", "-", "N/A", "NA", "nan", "NaN", "X", "x")


def looks_like(text: str) -> int:
    rows = [
        _cells(line) for line in text.splitlines()[:200] if "," in line and not line.startswith("#")
    ]
    rows = [row for row in rows if len(row) > 2]
    named = "clusterkit" in text.lower()
    if len(rows) < 2 or not (_is_list(rows[0]) or _is_matrix(rows[0], rows[1])):
        return NOTHING
    return NAMED if named else TABLE


def read(source: Source, found: Found) -> None:
    """A row is a line of the matrix, or of the list."""
    head: list[str] | None = None
    words = found.name
    run = found.begin(TOOL, 1)
    run.told = "the figure of each pair"
    nodes: dict[str, int] = {}
    unit, what = "", None
    for line, _, text in source.texts():
        cells = _cells(text)
        if text.startswith("#") or (head is None and len(cells) < 3):
            words += f" {text}"
            continue
        if head is None:
            head = cells
            unit, what = _measured(
                f"{words} {cells[0]} {' '.join(cells)}"
                if _is_list(cells)
                else f"{words} {cells[0]}",
                found,
            )
            if not _is_list(head):
                for name in head[1:]:
                    nodes.setdefault(name, len(nodes))
            continue
        assert what is not None
        if len(cells) != len(head):
            found.partial(line, f"{len(cells)} of {len(head)} cells")
        elif _is_list(head):
            _listed(run, what, head, cells, nodes, line, unit, found)
        else:
            _row(run, what, head, cells, nodes, line, unit, found)
    run.ranks = len(nodes) or None
    run.hosts = {rank: name for name, rank in nodes.items()}
    expected = len(head) - 1 if head and not _is_list(head) else run.rows
    run.complete = bool(run.rows) and run.rows == expected and source.lines.whole
    found.end()


def _cells(text: str) -> list[str]:
    try:
        (cells,) = csv.reader([text])
    except (csv.Error, ValueError):
        return []
    return [cell.strip() for cell in cells]


def _is_list(head: list[str]) -> bool:
    return len(head) >= 3 and all(_PAIR.match(cell) for cell in head[:2]) and head[0] != head[1]


def _is_matrix(head: list[str], row: list[str]) -> bool:
    return (
        len(row) == len(head)
        and row[0] in head[1:]
        and number(head[1]) is None
        and all(number(cell) is not None or cell in _EMPTY for cell in row[1:])
    )


def _measured(words: str, found: Found) -> tuple[str, What]:
    """The unit, and what is measured, from the words around the matrix and the name of the file."""
    latency = bool(_LATENCY.search(words)) and not _BANDWIDTH.search(words)
    unit = unit_in(words) or ("usec" if latency else "MB/s")
    if not latency and not _BANDWIDTH.search(words):
        found.warn(0, f"neither bandwidth nor latency is named: taken as bandwidth in {unit}")
    elif not unit_in(words):
        found.warn(0, f"no unit is named: taken as {unit}")
    return unit, What(
        operation="latency" if latency else "bidirectional_bandwidth",
        nbytes=0 if latency else DEFAULT_BYTES,
        dtype="int8",
        timing="back_to_back",
    )


def _row(
    run: FoundRun, what: What, head: list[str], cells: list[str], nodes: dict[str, int], line: int,
    unit: str, found: Found,
) -> None:  # fmt: skip
    values = [number(cell) for cell in cells[1:]]
    odd = [c for c, v in zip(cells[1:], values, strict=True) if v is None and c not in _EMPTY]
    if odd or cells[0] not in nodes:
        found.partial(line, f"{(odd or cells)[0]!r} is not expected here")
        return
    run.rows += 1
    row = nodes[cells[0]]
    for name, value in zip(head[1:], values, strict=True):
        column = nodes[name]
        if value and column != row and not _again(run, what, row, column, value):
            put_pair(run, what, row, column, value, line, unit)


def _again(run: FoundRun, what: What, row: int, column: int, value: float) -> bool:
    """Whether the other half of a symmetric matrix has said this already."""
    if row < column:
        return False
    before = run.series.get(msgspec.structs.replace(what, members=(column, row)))
    return before is not None and before.values[-1] == value


def _listed(
    run: FoundRun, what: What, head: list[str], cells: list[str], nodes: dict[str, int], line: int,
    unit: str, found: Found,
) -> None:  # fmt: skip
    places = [
        k
        for k, name in enumerate(head)
        if k > 1 and (_BANDWIDTH.search(name) or _LATENCY.search(name))
    ]
    value = number(cells[places[0] if places else 2])
    if value is None or cells[0] == cells[1]:
        found.partial(line, f"{cells[2]!r} is no measurement of a pair")
        return
    run.rows += 1
    source, target = (nodes.setdefault(name, len(nodes)) for name in cells[:2])
    put_pair(run, what, source, target, value, line, unit)
