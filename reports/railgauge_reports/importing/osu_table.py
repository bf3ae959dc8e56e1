"""The tables of the OSU micro-benchmarks: columns by their titles, whatever options added or left out.

Titles of OMB 3.x to 7.4 (c/util/osu_util.c, osu_util_mpi.c): `-f` adds the fastest and the slowest rank, `-z`
percentiles, `-c` a validation, non-blocking collectives what they hid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_COLUMN = re.compile(
    r"(?P<typical>P\d+ Tail (?:Lat|BW)\s?\((?:us|MB/s)\))"
    r"|(?P<pure_fastest>Min (?:Pure )?Comm\.?\s?\(us\))|(?P<pure_slowest>Max (?:Pure )?Comm\.?\s?\(us\))"
    r"|(?P<pure>(?:Avg )?Pure Comm\.?\s?\(us\))"
    r"|(?P<fastest>Min(?: Latency)?\s?\(us\))|(?P<slowest>Max(?: Latency)?\s?\(us\))"
    r"|(?P<together>Overall\s?\(us\))|(?P<compute>Compute\s?\(us\))|(?P<overlap>Overlap\s?\(%\))"
    r"|(?P<part>(?:Coll\. Init|MPI_Test|MPI_Wait)\s?\(us\))"
    r"|(?P<average>(?:Avg )?(?:Latency|Bandwidth)\s?\((?:us|MB/s)\)|MB/s(?!ec))"
    r"|(?P<rate>Messages/s)|(?P<iterations>Iterations)|(?P<validation>Validation)|(?P<size>\bSize\b)"
)
_CELL = re.compile(r"\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?|Pass|Fail|-)(?![\d.])")


def columns_of(text: str) -> list[str] | None:
    """The columns that a line of titles names: size, average, typical, ...; None of another line."""
    if not text.startswith("#") or not ("us)" in text or "MB/s" in text):
        return None  # no column of times or rates
    named = [found.lastgroup or "" for found in _COLUMN.finditer(text)]
    return named if "average" in named or "pure" in named else None


def row_of(text: str, columns: Sequence[str]) -> Mapping[str, str] | None:
    """The cells of a row by column; a word of somebody else's may be glued to the last one.

    None where the line does not begin with as many cells. Of several percentiles the first one stands.
    """
    cells = cells_of(text, len(columns))
    if len(cells) != len(columns):
        return None
    row: dict[str, str] = {}
    for name, cell in zip(columns, cells, strict=True):
        row.setdefault(name, cell)
    return row


def cells_of(text: str, most: int) -> list[str]:
    """The cells that a line begins with."""
    cells: list[str] = []
    at = 0
    while len(cells) < most and (found := _CELL.match(text, at)):
        cells.append(found[1])
        at = found.end()
    return cells
