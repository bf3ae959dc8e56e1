"""A frame put together from parts and taken apart again by column: no row is an object of its own.

A part is what one result says. A cell that is the same in all rows of a part is one value. Else a column
of numbers is an array in which NaN is what cannot be had (whole numbers too, exact below 2^53), and a
column of texts, or of larger numbers, a list with None, or an Arrow array of texts.

A column that says the same in all rows of a frame takes the memory of a few of them: a million rows of a
tournament have one operation, and fifty columns that say nothing. So a column may be read-only.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Values = npt.NDArray[Any]
Texts: TypeAlias = list[str | None] | list[str] | pa.Array
#: What a part says of a column: one value for all of its rows, or one for each.
Cells: TypeAlias = str | float | bool | Values | Texts | list[int | None] | None
#: Texts as pandas keeps them.
TEXT = pa.large_string()
#: Rows of one text that are worth an Arrow array of their own, and that share one at most.
_MASKED = (pd.arrays.FloatingArray, pd.arrays.IntegerArray, pd.arrays.BooleanArray)
_FEW, _SHARED = 1 << 10, 1 << 16


class Parts:
    """Rows of a frame with columns `kinds` (name -> pandas type), in the order in which they come.

    Of so many `rows` in all, as far as somebody knows before.
    """

    def __init__(self, kinds: Mapping[str, str], rows: int = 0) -> None:
        self._kinds = kinds
        self._rows: list[int] = []
        self._texts: dict[str, list[Cells]] = {
            name: [] for name, kind in kinds.items() if kind == "string"
        }
        self._numbers = {
            name: _Numbers(kind, rows) for name, kind in kinds.items() if kind != "string"
        }

    def add(self, rows: int, cells: Mapping[str, Cells]) -> None:
        """So many rows; a column that `cells` lacks is NA in all of them."""
        self._rows.append(rows)
        for name, column in self._texts.items():
            column.append(cells.get(name))
        for name, numbers in self._numbers.items():
            cell = cells.get(name)
            numbers.add(rows, _alike(cell) if isinstance(cell, np.ndarray) else cell)

    def frame(self) -> pd.DataFrame:
        """All of them; the parts are let go one column after the other."""
        made = {name: self._column(name, kind) for name, kind in self._kinds.items()}
        return pd.DataFrame(made, copy=False)

    def _column(self, name: str, kind: str) -> pd.api.extensions.ExtensionArray:
        if kind == "string":
            chunks = list(_chunks(self._texts.pop(name), self._rows))
            return pd.array(pa.chunked_array(chunks, TEXT), dtype=kind)
        return self._numbers.pop(name).column()


def _alike(values: Values) -> Values | float | None:
    """An array of one value as that value, None where it is NaN."""
    if not len(values):
        return values
    first = values[0]
    if first != first:
        return None if np.isnan(values).all() else values
    alike = values[-1] == first and (values == first).all()  # most columns differ at once
    return first.item() if alike else values


# numbers ----------------------------------------------------------------------------------------------


class _Numbers:
    """A column of numbers: cells of parts until one is an array, from then on an array of all rows.

    A large run has thousands of parts and its columns most of the memory, so it is written where it stays.
    """

    def __init__(self, kind: str, rows: int) -> None:
        self.kind, self.expected, self.used = kind, rows, 0
        self.cells: list[Cells] = []
        self.rows: list[int] = []
        self.values: Values | None = None
        self.listed = False

    def add(self, rows: int, cell: Cells) -> None:
        self.listed = self.listed or isinstance(cell, list)
        if self.listed and self.values is not None:  # of large numbers: as cells again
            self.cells, self.rows = [self.values[: self.used]], [self.used]
            self.values = None
        if self.values is None and (self.listed or not isinstance(cell, np.ndarray)):
            self.cells.append(cell)
            self.rows.append(rows)
            return
        if self.values is None:
            self.values = np.empty(max(self.expected, rows + sum(self.rows)))
            for before, each in zip(self.rows, self.cells, strict=True):
                self._fill(before, each)
            self.cells, self.rows = [], []
        self._fill(rows, cell)

    def _fill(self, rows: int, cell: Cells) -> None:
        assert self.values is not None
        end = self.used + rows
        if end > len(self.values):
            self.values = np.concatenate([self.values[: self.used], np.empty(2 * end - self.used)])
        self.values[self.used : end] = np.nan if cell is None else cell
        self.used = end

    def column(self) -> pd.api.extensions.ExtensionArray:
        """What pandas keeps; where all rows say the same, it is stored once."""
        if self.values is not None:
            whole = len(self.values) == self.used
            return masked(self.values if whole else self.values[: self.used].copy(), self.kind)
        if self.listed:
            each = zip(self.cells, self.rows, strict=True)
            listed = [value for cell, rows in each for value in _listed(cell, rows)]
            return pd.array(listed, dtype=self.kind)  # type: ignore[call-overload, no-any-return]
        return _alike_in_parts(self.cells, self.rows, self.kind)


def _alike_in_parts(
    cells: Sequence[Cells], rows: Sequence[int], kind: str
) -> pd.api.extensions.ExtensionArray:
    """A column whose parts are one value each."""
    kept = {cell for cell, n in zip(cells, rows, strict=True) if n}
    if len(kept) != 1:
        return pd.array(cells, dtype=kind).repeat(rows)  # type: ignore[call-overload, no-any-return]
    one, total = pd.array(list(kept), dtype=kind), sum(rows)  # type: ignore[call-overload]
    values, unknown = np.broadcast_to(one._data, total), _all(bool(one._mask[0]), total)
    return type(one)(values, unknown)  # type: ignore[no-any-return]


@functools.lru_cache(4)
def _all(value: bool, total: int) -> npt.NDArray[np.bool_]:
    """One mask for all columns: NumPy walks through a broadcast one element by element."""
    made = np.full(total, value)
    made.flags.writeable = False
    return made


def masked(values: Values, kind: str) -> pd.api.extensions.ExtensionArray:
    """float64 [n] with NaN for what cannot be had, as a pandas array of that type."""
    unknown = np.isnan(values)
    if unknown.any():
        values = np.where(unknown, 0, values)
    elif len(values) > _SHARED:
        unknown = _all(False, len(values))
    if kind == "Float64":
        return pd.arrays.FloatingArray(values, unknown)
    if kind == "Int64":
        return pd.arrays.IntegerArray(values.astype(np.int64), unknown)
    return pd.arrays.BooleanArray(values.astype(np.bool_), unknown)


# texts ------------------------------------------------------------------------------------------------


def texts(values: Sequence[str | None]) -> pa.Array:
    """Texts as a column has them."""
    return pa.array(values, TEXT)


def _chunks(cells: Sequence[Cells], rows: Sequence[int]) -> Iterator[pa.Array]:
    """The texts of a column; many rows of one text share an array."""
    listed: list[Any] = []
    for value, parts in groupby(zip(cells, rows, strict=True), _one_text):
        if isinstance(value, _Apart):
            made = value.cell
            if isinstance(made, pa.Array):
                yield from _whole(listed)
                yield made
                listed = []
            else:
                listed += made
            continue
        count = sum(n for _, n in parts)
        if count < _FEW:
            listed += [value] * count
            continue
        yield from _whole(listed)
        listed = []
        one = pa.repeat(pa.scalar(value, TEXT), min(count, _SHARED))
        yield from (one.slice(0, min(_SHARED, count - at)) for at in range(0, count, _SHARED))
    yield from _whole(listed)


def _whole(listed: list[Any]) -> list[pa.Array]:
    """Texts so far as an array, where there are any."""
    return [texts(listed)] if listed else []


class _Apart:
    """A cell that is no single text: equal to nothing, so that it is a group of its own."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell


def _one_text(part: tuple[Cells, int]) -> Any:
    return part[0] if part[0] is None or isinstance(part[0], str) else _Apart(part[0])


# taken apart ------------------------------------------------------------------------------------------


def plain(column: pd.Series[Any]) -> list[Any]:
    """A column's values as Python's own, None for NA."""
    values: list[Any] = column.to_numpy(object, na_value=None).tolist()  # type: ignore[call-overload]
    return values


def records(frame: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns (none named: of all), as Python's own values with None for NA."""
    return zip(*(plain(frame[name]) for name in names or frame.columns), strict=True)


def stretch(wanted: npt.NDArray[np.bool_]) -> slice | npt.NDArray[np.int64]:
    """Rows that are wanted, as a slice where they stand together: then what is taken is not copied."""
    found = np.flatnonzero(wanted)
    together = len(found) > 0 and found[-1] - found[0] == len(found) - 1
    return slice(int(found[0]), int(found[-1]) + 1) if together else found


def arrow_parts(frame: pd.DataFrame, most: int) -> Iterator[list[pa.Array]]:
    """The columns of so many rows at a time, as Arrow's; of a frame without rows once.

    A column that says the same in all rows is turned into an array once.
    """
    same: dict[Hashable, pa.Array] = {}
    for name in frame:
        column: Any = frame[name].array
        if type(column) in _MASKED and column._data.strides == (0,):
            same[name] = pa.array(column[:most])
    for begin in range(0, max(1, len(frame)), most):
        end = min(begin + most, len(frame))
        yield [
            same[name].slice(0, end - begin)
            if name in same
            else pa.array(frame[name].array[begin:end])
            for name in frame
        ]


def _listed(cell: Cells, rows: int) -> Iterable[Any]:
    if isinstance(cell, np.ndarray):
        return [None if value != value else value for value in cell.tolist()]  # NaN is no value
    return cell if isinstance(cell, list) else [cell] * rows


def known(values: Sequence[float | None]) -> Values:
    """Numbers with NaN for None, float64 [n]."""
    return np.array(values, np.float64)
