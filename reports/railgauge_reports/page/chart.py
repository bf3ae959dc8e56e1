"""What a chart is: a Vega-Lite specification, its data by name, and the same as a table of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

Spec = dict[str, Any]
#: Significant digits of a number in a chart; a reader who needs more has the rows.
DIGITS = 5


def spec_of(chart: Any) -> Spec:
    """What Altair makes of a chart of ours.

    Not held against its schema, which takes a second a page: tests do that for every chart.
    """
    made: Spec = chart.to_dict(validate=False)
    return made


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table for people: `caption` says what it holds, `left` how many columns are words."""

    caption: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    left: int = 1


@dataclasses.dataclass(frozen=True)
class Chart:
    """`name` is its file's, `says` what somebody who does not see it must know.

    `spec` has neither data nor theme; `square` keeps its own width, others take what there is.
    """

    name: str
    title: str
    says: str
    spec: Spec
    data: Mapping[str, pd.DataFrame]
    grid: Grid
    square: bool = False

    def columns(self) -> dict[str, dict[str, list[Any]]]:
        """The data as JSON's own types, by column, which is half as long as by row."""
        return {name: columns_of(frame) for name, frame in self.data.items()}

    def packed(self) -> dict[str, dict[str, Any]]:
        """The same with each word once: a column of words is {"words": [...], "at": [...]}."""
        return {
            name: {column: _packed(values) for column, values in columns.items()}
            for name, columns in self.columns().items()
        }

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """The data as Vega reads it."""
        return {
            name: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            for name, columns in self.columns().items()
        }  # fmt: skip


def _packed(values: list[Any]) -> Any:
    if not any(isinstance(value, str) for value in values):
        return values
    words = list(dict.fromkeys(values))
    place = {word: number for number, word in enumerate(words)}
    return {"words": words, "at": [place[value] for value in values]}


def columns_of(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Column -> values, with None for what is missing and not finite."""
    return {str(name): _plain(column) for name, column in frame.items()}


def _plain(column: pd.Series) -> list[Any]:
    if not pd.api.types.is_float_dtype(column.dtype):
        made: list[Any] = column.astype(object).where(column.notna(), None).tolist()
        return made
    values = column.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return [float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in values]
