"""The rows of nccl-tests and rccl-tests, of every layout that they had.

    NCCL 1, 2.4     bytes N type op [root]              time algbw busbw res    twice, ms
    v2.0 - v2.12    size count type [redop] [root]      time algbw busbw error  twice, us
    v2.13 on        size count type redop root          time algbw busbw #wrong twice, us

Columns after a block (`-I`: i_min ...; `sidebw`; rccl-tests: algorithm and channels) or at the end
(`#iters`, `-S`: date and time) are found by the titles. What is printed in between can tear a row
(src/util.cu prints the identity before it measures), or be glued to its last number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from railgauge_reports.importing.rows import whole

TYPES = frozenset(
    [
        "int8",
        "char",
        "uint8",
        "int32",
        "int",
        "uint32",
        "int64",
        "uint64",
        "half",
        "float",
        "double",
        "bfloat16",
        "f8e4m3",
        "f8e5m2",
        "fp8_e4m3",
        "fp8_e5m2",
    ]
)
_OPS = frozenset(["sum", "prod", "min", "max", "avg", "mulsum", "none"])
_IDENTITY = re.compile(r"\s*#?\s*(\d{1,19})\s+(\d{1,19})\s+([a-z]\w*)")
_WORD = re.compile(r"\s+([a-z]+)(?![\w:])")
_ROOT = re.compile(r"\s+(-?\d{1,9})(?!\.\d|e)")
_VALUE = re.compile(r"\s*(N/A|-?nan|-?inf|\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?![\w.:/-])")
_GLUED = re.compile(r"\s*(N/A|\d+)(?=[A-Za-z\[])")
_TITLES = re.compile(r"#?\s*(?:size\s+count|bytes\s+N)\s+type\b")
BLOCK = ("time", "algbw", "busbw", "wrong")
_CHECKS = {"#wrong": "wrong", "wrong": "wrong", "error": "error", "res": "error"}


class Layout(NamedTuple):
    """Where the values of a row are, counted from behind its identity.

    `blocks` are the places of (time, algbw, busbw, check) of out of place and in place; `needs` how many
    values a whole row has at least. `has_root`: a root stands before them (None: the titles are not known).
    `counts`: the check is a number of wrong elements, else the largest error. `milli`: times are in ms.
    """

    blocks: tuple[tuple[int, int, int, int], ...] = ((0, 1, 2, 3), (4, 5, 6, 7))
    needs: int = 8
    has_root: bool | None = None
    counts: bool = True
    milli: bool = False


UNTITLED = Layout()


def layout_of(text: str) -> Layout | None:
    """The layout that a line of titles stands for; None of another line."""
    if not _TITLES.match(text):
        return None
    names = text.lstrip("# ").split()
    milli = names[0] == "bytes"
    names = names[3:]
    if names and names[0] in ("redop", "op"):
        names = names[1:]
    has_root = bool(names) and names[0] == "root"
    names = names[1:] if has_root else names
    blocks, counts = [], True
    for start, name in enumerate(names):
        if name not in ("time", "cputime"):
            continue
        here = names[start:]
        check = next((k for k, other in enumerate(here) if other in _CHECKS), None)
        if check is None or "busbw" not in here[:check] or "algbw" not in here[:check]:
            continue
        counts = _CHECKS[here[check]] == "wrong"
        blocks.append(
            (start, start + here.index("algbw"), start + here.index("busbw"), start + check)
        )
    if not blocks:
        return None
    return Layout(tuple(blocks[:2]), blocks[-1][3] + 1, has_root, counts, milli)


class Identity(NamedTuple):
    """What a row is of; `op` None: none was printed, or `none`; `root` None: none was printed, or -1."""

    nbytes: int
    elements: int
    type: str
    op: str | None
    root: int | None


class Cells(NamedTuple):
    """A row, or the beginning of one: `values` as printed from `at` of the text on; `rest` is no value."""

    identity: Identity
    values: tuple[str, ...]
    at: int
    rest: str


def cells_of(text: str, layout: Layout) -> Cells | None:
    """The row that begins in a line; None where none does. It may have fewer values than it needs."""
    found = _IDENTITY.match(text)
    if not found or found[3] not in TYPES:
        return None
    size, count = whole(found[1]), whole(found[2])
    if size is None or count is None:
        return None
    at, op, root = found.end(), None, None
    word = _WORD.match(text, at)
    if word and word[1] in _OPS:
        op, at = word[1], word.end()
    if layout.has_root is not False:
        values, _ = values_of(text, at)
        printed = _ROOT.match(text, at)
        # without titles a ninth value tells that the first one is a root
        if printed and (layout.has_root or len(values) > layout.needs or printed[1] == "-1"):
            root, at = int(printed[1]), printed.end()
    values, end = values_of(text, at, layout.needs)
    known = Identity(
        size,
        count,
        found[3],
        None if op == "none" else op,
        root if root is not None and root >= 0 else None,
    )
    return Cells(known, values, at, text[end:])


def values_of(text: str, at: int = 0, needs: int = 0) -> tuple[tuple[str, ...], int]:
    """The values from `at` on, and where they end; the last one needed may have a word glued to it."""
    values = []
    while found := _VALUE.match(text, at):
        values.append(found[1])
        at = found.end()
    if needs and len(values) == needs - 1 and (glued := _GLUED.match(text, at)):
        values.append(glued[1])
        at = glued.end()
    return tuple(values), at
