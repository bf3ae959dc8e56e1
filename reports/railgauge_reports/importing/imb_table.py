"""The tables of the Intel MPI Benchmarks: columns by their titles (src_c/IMB_output.c of 4.1 to 2021.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from railgauge_reports.importing.rows import number, whole

_COLUMN = {
    "#bytes": "size",
    "#repetitions": "repetitions",
    "t[usec]": "average",
    "t_avg[usec]": "average",
    "t_min[usec]": "fastest",
    "t_max[usec]": "slowest",
    "t_ovrl[usec]": "together",
    "t_pure[usec]": "pure",
    "t_CPU[usec]": "compute",
    "overlap[%]": "overlap",
    "Mbytes/sec": "bandwidth",
    "Msg/sec": "rate",
    "defects": "defects",
}


def columns_of(text: str) -> list[str] | None:
    """The columns that a line of titles names; None of another line."""
    cells = text.split()
    if not cells or cells[0] not in ("#bytes", "#repetitions"):
        return None
    return [_COLUMN.get(cell, cell) for cell in cells]


def row_of(text: str, columns: Sequence[str]) -> Mapping[str, str] | None:
    """The cells of a row by column; None where the line is not of as many numbers."""
    cells = text.split()
    if len(cells) != len(columns) or whole(cells[0]) is None:
        return None
    if any(number(cell) is None for cell in cells):
        return None
    return dict(zip(columns, cells, strict=True))
