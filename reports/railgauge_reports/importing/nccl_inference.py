"""What a table of nccl-tests is of where its header was cut off: from sizes, counts and bandwidths.

Before 2.17 the table does not name its collective. Sizes and counts tell it apart (a count is of one rank's
block: size / count / itemsize is 1 or the number of ranks), and busbw / algbw tells the number of ranks, each
row within the rounding of its digits (factors: doc/PERFORMANCE.md of nccl-tests).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

PROGRAMS = (
    "all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "gather", "scatter",
    "alltoallv", "alltoall", "sendrecv", "hypercube",
)  # fmt: skip
_PROGRAM = re.compile(rf"({'|'.join(PROGRAMS)})_(?:perf|test)")
#: As people write them in names of files.
_WRITTEN = re.compile(
    r"all[_-]?reduce|all[_-]?gather|reduce[_-]?scatter|broadcast|bcast|all[_-]?to[_-]?all(?:v)?"
    r"|send[_-]?recv|gather|scatter|reduce"
)
_PLAIN = {name.replace("_", ""): name for name in PROGRAMS} | {"bcast": "broadcast"}
UNKNOWN = "unknown_collective"
_SHARE = ("all_gather", "reduce_scatter", "gather", "scatter", "alltoall", "alltoallv")
MOST_RANKS = 1 << 24
#: Shares by which a printed algbw may differ from size / time, beyond rounding.
_TOLERANCE = 0.05


class Evidence(NamedTuple):
    """A row: bytes, bytes of `count` elements, seconds; algbw and busbw in GB/s as printed."""

    size: int
    block: int
    seconds: float
    algbw: str
    busbw: str


def program_in(text: str) -> str | None:
    """The collective whose program a line names."""
    found = _PROGRAM.search(text)
    return found[1] if found else None


def named_in_file(name: str) -> str | None:
    """The one collective that the name of a file speaks of."""
    found = {
        _PLAIN.get(word.replace("_", "").replace("-", ""))
        for word in _WRITTEN.findall(name.lower())
    }
    return found.pop() if len(found) == 1 else None


def operation_of(
    reduces: bool, rooted: bool, in_place_unchecked: bool, rows: Sequence[Evidence], name: str
) -> tuple[str, bool]:
    """(the collective, is it certain) of a table that does not say it; UNKNOWN where nothing tells."""
    shares = {row.size // row.block for row in rows if row.block and row.size % row.block == 0}
    blocks = max(shares, default=1)
    if reduces:
        if rooted:
            return "reduce", True
        if blocks > 1:
            return "reduce_scatter", True
        return ("sendrecv" if in_place_unchecked else "all_reduce"), True
    if blocks == 1:
        return ("broadcast" if rooted else "sendrecv"), True
    if not rooted and in_place_unchecked:
        return "alltoall", True
    said = named_in_file(name)
    possible = ("gather", "scatter") if rooted else ("all_gather", "alltoall")
    return (said, False) if said in possible else (UNKNOWN, False)


def ranks_of(operation: str, rows: Sequence[Evidence]) -> int | None:
    """How many ranks all rows agree with, if it is one number."""
    if operation in _SHARE:
        shares = {row.size // row.block for row in rows if row.block and row.size % row.block == 0}
        return shares.pop() if len(shares) == 1 else None
    if operation != "all_reduce":
        return None
    least, most = 1.0, float(MOST_RANKS)
    for row in rows:
        low, high = _ratio(row)
        # busbw / algbw = 2 (n - 1) / n
        least = max(least, 2 / (2 - low) if low < 2 else math.inf)
        most = min(most, 2 / (2 - high) if high < 2 else most)
    if not 1 <= least <= most < math.inf:
        return None
    return math.ceil(least) if math.ceil(least) == math.floor(most) else None


def _ratio(row: Evidence) -> tuple[float, float]:
    """Bounds of busbw / algbw within the rounding of what is printed."""
    (low, high), (bus_low, bus_high) = _bounds(row.algbw), _bounds(row.busbw)
    return (bus_low / high if high else 0.0, bus_high / low if low > 0 else math.inf)


def _bounds(text: str) -> tuple[float, float]:
    value = float(text)
    mantissa, _, exponent = text.partition("e")
    half = 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return max(0.0, value - half), value + half


def unit_trouble(rows: Sequence[Evidence]) -> str | None:
    """What is wrong with the unit of algbw: it is not size / time, by a factor that units differ by."""
    factors = {8.0: "Gb/s", 1e9 / 2**30: "GiB/s", 1e3: "MB/s", 8e3: "Mb/s"}
    for row in sorted(rows, key=lambda row: -row.size)[:8]:
        _, high = _bounds(row.algbw)
        expected = row.size / row.seconds / 1e9 if row.seconds else 0.0
        if not expected or high < 1:
            continue
        ratio = float(row.algbw) / expected
        if abs(ratio - 1) <= _TOLERANCE:
            return None
        for factor, unit in factors.items():
            if abs(ratio / factor - 1) <= 0.02:
                return f"bandwidths are {unit}, not GB/s: {ratio:.3g} times size / time (times are used)"
        return None
    return None
