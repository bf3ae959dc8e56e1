"""The lines that perftest's programs print, by sort: titles, facts, heads of tables, rows, raw times.

Of linux-rdma/perftest: `ib_{write,read,send,atomic}_{bw,lat}` for any sizes, with and without
`--report_gbits`, for iterations or a duration, bidirectional or not; and the raw times of `-U` and `-H`.
Lines of other sorts may stand anywhere (a warning of the processor's frequency comes on stderr, in the
middle of a table where both streams go to one file).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

MOST_CHARACTERS = 4096  # of a line; what is longer is none of perftest's
_TITLE = re.compile(
    r"\s*RDMA_(\w+).* (BW|Latency) .*Test|\s*(Send|Atomic).* (BW|Latency) .*Test", re.I
)
#: `#bytes`, `BW average[Gb/sec]`, `99.9% percentile[usec]`, `tps average`: a column of a table's head.
_COLUMN = re.compile(r"#\w+|tps average|CPU_Util\[%+\]|[\w.%]+(?: [\w.%]+)*\[[^\]]*\]")
_FACT = re.compile(r" ?([A-Za-z][\w.*\- ]*?)\s*: ?([^\t]*?)\s*(?:\t+|$|(?<=\S) {4,}(?=[A-Z]))")
_RAW_HEAD = re.compile(r"#, (\w+)\s*")
_RAW = re.compile(r"(\d+), (\S+)\s*")
_ADDRESSES = ("local address:", "remote address:", "GID:")


class Title(NamedTuple):
    """`RDMA_Write Bidirectional BW Test`; `verb` is write, read, send or atomic."""

    words: str
    verb: str


class Facts(NamedTuple):
    """`Mtu : 4096[B]`, one or several on a line; none of lines that say nothing of use (addresses)."""

    named: Mapping[str, str]


class Head(NamedTuple):
    """The columns of a table: (name, unit), `("BW average", "Gb/sec")`."""

    columns: tuple[tuple[str, str], ...]


class Row(NamedTuple):
    """The numbers below a head, as they are printed."""

    cells: tuple[str, ...]


class RawHead(NamedTuple):
    """The beginning of raw times, in `usec` or cycles."""

    unit: str


class Raw(NamedTuple):
    """The time of one iteration, None where it is no number."""

    value: float | None


class Remark(NamedTuple):
    """A line of no known sort: a warning, an error, or somebody else's."""

    text: str


Line = Title | Facts | Head | Row | RawHead | Raw | Remark


def sorted_line(line: str, in_table: bool) -> Line | None:
    """The sort of a line, None of an empty one or a banner; `in_table`: a head stands above it."""
    line = line[:MOST_CHARACTERS]
    if line.startswith("*") or not line.strip(" -\t"):
        return None
    if head := _RAW_HEAD.fullmatch(line):
        return RawHead(head[1])
    if value := _RAW.fullmatch(line):
        return Raw(number(value[2]))
    if line.lstrip().startswith("#bytes"):
        return Head(tuple(_columns(line)))
    if title := _TITLE.match(line):
        return Title(line.strip(), (title[1] or title[3]).lower().partition("_")[0])
    if in_table:
        cells = line.split()
        return Row(tuple(cells)) if all(number(cell) is not None for cell in cells) else _odd(line)
    if line.lstrip().startswith(_ADDRESSES):
        return Facts({})
    if line.startswith(" ") and not line.startswith(" WARNING") and (found := facts_in(line)):
        return Facts(found)
    return _odd(line)


def facts_in(line: str) -> dict[str, str]:
    """Name -> value of every `name : value` in a line."""
    return {name.strip(): value.strip() for name, value in _FACT.findall(line)}


def number(text: str) -> float | None:
    """A finite number that is not negative; None of anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _odd(line: str) -> Remark:
    return Remark(line.strip())


def _columns(line: str) -> Iterator[tuple[str, str]]:
    for found in _COLUMN.findall(line):
        name, _, unit = found.partition("[")
        yield name.strip(), unit.rstrip("]")
