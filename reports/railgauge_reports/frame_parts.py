"""A frame put together from parts and taken apart again by column: no row is an object of its own.

A part is what one result says. A cell that is the same in all rows of a part is one value. Else a column
of numbers is an array in which NaN is what cannot be had (whole numbers too, exact below 2^53), and a
column of texts, or of larger numbers, a list with None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Values = npt.NDArray[Any]
#: What a part says of a column: one value for all of its rows, or one for each.
Cells = str | float | bool | None | Values | list[str | None] | list[str] | list[int | None]


class Parts:
    """Rows of a frame with columns `kinds` (name -> pandas type), in the order in which they come."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._rows: list[int] = []
        self._cells: dict[str, list[Cells]] = {name: [] for name in kinds}

    def add(self, rows: int, cells: Mapping[str, Cells]) -> None:
        """So many rows; a column that `cells` lacks is NA in all of them."""
        self._rows.append(rows)
        for name, column in self._cells.items():
            column.append(cells.get(name))

    def frame(self) -> pd.DataFrame:
        """All of them; the parts are let go one column after the other."""
        made = {name: self._column(name, kind) for name, kind in self._kinds.items()}
        return pd.DataFrame(made, copy=False)

    def _column(self, name: str, kind: str) -> pd.api.extensions.ExtensionArray:
        cells = self._cells.pop(name)
        if not any(isinstance(cell, np.ndarray | list) for cell in cells):
            return pd.array(cells, dtype=kind).repeat(self._rows)  # type: ignore[call-overload, no-any-return]
        each = zip(cells, self._rows, strict=True)
        if any(isinstance(cell, list) for cell in cells):
            listed = [value for cell, rows in each for value in _listed(cell, rows)]
            return pd.array(listed, dtype=kind)  # type: ignore[call-overload, no-any-return]
        return masked(np.concatenate([_numbers(cell, rows) for cell, rows in each]), kind)


def masked(values: Values, kind: str) -> pd.api.extensions.ExtensionArray:
    """float64 [n] with NaN for what cannot be had, as a pandas array of that type."""
    unknown = np.isnan(values)
    if kind == "Float64":
        return pd.arrays.FloatingArray(np.where(unknown, 0, values), unknown)
    if kind == "Int64":
        return pd.arrays.IntegerArray(np.where(unknown, 0, values).astype(np.int64), unknown)
    return pd.arrays.BooleanArray(np.where(unknown, 0, values).astype(np.bool_), unknown)


def plain(column: pd.Series[Any]) -> list[Any]:
    """A column's values as Python's own, None for NA."""
    values: list[Any] = column.to_numpy(object, na_value=None).tolist()  # type: ignore[call-overload]
    return values


def records(frame: pd.DataFrame, *names: str) -> Iterator[tuple[Any, ...]]:
    """The rows of some columns (none named: of all), as Python's own values with None for NA."""
    return zip(*(plain(frame[name]) for name in names or frame.columns), strict=True)


def _numbers(cell: Cells, rows: int) -> Values:
    if isinstance(cell, np.ndarray):
        return cell.astype(np.float64, copy=False)
    assert not isinstance(cell, str | list), cell
    return np.full(rows, np.nan if cell is None else float(cell))


def _listed(cell: Cells, rows: int) -> Iterable[Any]:
    if isinstance(cell, np.ndarray):
        return [None if value != value else value for value in cell.tolist()]  # NaN is no value
    return cell if isinstance(cell, list) else [cell] * rows


def known(values: Sequence[float | None]) -> Values:
    """Numbers with NaN for None, float64 [n]."""
    return np.array(values, np.float64)
