"""What an imported row says, typed: `What` was measured, and the `Series` of values printed for it.

A row that comes again in the same run (nccl-tests' -N, sizes that were rounded to the same one) is
another value of its series, as an iteration is of ours.
"""

from __future__ import annotations

import array
import math
import re
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

MICRO, MILLI, MEGA, GIGA, MIB = 1e-6, 1e-3, 1e6, 1e9, float(1 << 20)
LONGEST_SECONDS = 1e9
MOST_DIGITS = 19  # of a whole number that a row may hold


class What(msgspec.Struct, frozen=True, kw_only=True):
    """What a row measured, in our words where we have one (`railgauge.operations`).

    `nbytes` is our size where the number of ranks is known that it may depend on. `ranks` is the group's
    where it is not the run's; `members` are its ranks where the row is of a few of them, in the order
    (from, to) where that means something. `variant` is the tool's own name for what we have no field for,
    `setting` what else went on meanwhile. `per_block`: the size is of one block (MPI counts so), and
    ours is to be made of it once the number of ranks is known.
    """

    operation: str
    nbytes: int
    count: int = 0
    dtype: str = ""
    op: str | None = None
    root: int | None = None
    placement: Literal["out", "in"] = "out"
    call: str = "blocking"
    timing: str = "barrier"
    variant: str = ""
    setting: str = ""
    ranks: int | None = None
    members: tuple[int, ...] = ()
    per_block: bool = False


class Series:
    """The values printed for one `What`, as printed: `unit` seconds each, or a rate of `unit` bytes a second.

    `checked`: the tool verified all of them (None: nothing was said yet), and found `wrong` elements in
    all. `line` is that of the first one.
    """

    __slots__ = ("checked", "line", "overlap", "rate", "unit", "values", "what", "wrong")

    def __init__(self, what: What, line: int, unit: float, rate: bool = False) -> None:
        self.what, self.line, self.unit, self.rate = what, line, unit, rate
        self.values: array.array[float] = array.array("d")
        self.checked: bool | None = None
        self.overlap: tuple[float, ...] = ()  # seconds pure, of the computation, together
        self.wrong = 0

    def check(self, wrong: int | None) -> None:
        """What the tool said of the data of the last value: wrong elements, None: it did not look."""
        self.checked = wrong is not None and self.checked is not False
        self.wrong += wrong or 0

    def seconds(self) -> npt.NDArray[np.float64]:
        """The values in seconds, float64 [n]; one that is no time (0 of a rate, a NaN) is left out."""
        values = np.array(self.values)
        if self.rate:
            with np.errstate(divide="ignore"):
                values = (self.what.nbytes or 1) / (values * self.unit)
        else:
            values = values * self.unit
        return values[(values >= 0) & (values < LONGEST_SECONDS)]


def number(text: str) -> float | None:
    """A finite number that is not negative, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 and "_" not in text else None


def whole(text: str) -> int | None:
    """A whole number that is not negative and not absurdly long, else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


_ROWLIKE = re.compile(r"\d+\s+(?:.*\d|[-+]?(?:nan|inf|n/a)\b)", re.IGNORECASE)


def may_be_row(text: str) -> bool:
    """A line that begins like a row: a size, and something that holds a digit or is no number.

    Prose that begins with a number (`12 monkeys`) is none; a damaged row, or one whose value is NaN, is one.
    """
    return _ROWLIKE.match(text) is not None


#: Names of element types in other tools, ours otherwise.
_DTYPES = {
    "char": "int8",
    "byte": "int8",
    "int": "int32",
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "bf16": "bfloat16",
    "f8e4m3": "float8_e4m3fn",
    "fp8_e4m3": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2",
    "fp8_e5m2": "float8_e5m2",
}
_BYTES = {"int8": 1, "uint8": 1, "float16": 2, "bfloat16": 2, "int64": 8, "uint64": 8, "float64": 8}


def dtype_of(text: str) -> str:
    """Our name of a type: `half`, `MPI_FLOAT`."""
    plain = text.lower().removeprefix("mpi_").rstrip(".")
    return _DTYPES.get(plain, plain)


def itemsize(dtype: str) -> int:
    """Bytes of an element; 4 of what is not known."""
    return 1 if dtype.startswith("float8") else _BYTES.get(dtype, 4)
