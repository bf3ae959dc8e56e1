"""The groups of a large round by field: an array a field, and not an object a group.

A tournament of 1,024 nodes has four million groups. As records they take a gigabyte; by field, where
most say the same, a tenth of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, NamedTuple, cast, overload

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from railgauge.records import GroupResult, Record, Result
from railgauge_reports.frame_parts import TEXT, texts

FIELDS = GroupResult.__struct_fields__
_OF = {name: attrgetter(name) for name in FIELDS}
#: Sets of fields that mostly are the same in all groups of a round.
_OFTEN_ALIKE = (
    ("wrong", "overlap", "batch", "init_seconds", "choice", "allowed"),
    ("warmup_iterations", "steady", "iterations", "checked_iterations", "missed_windows"),
)
#: Groups of a round that are worth a table.
MANY = 256
Floats = npt.NDArray[np.float64]


class _Same(NamedTuple):
    """A field that is the same in all groups."""

    value: Any


class GroupTable(Sequence[GroupResult]):
    """Groups by field; as a sequence it makes each of them anew."""

    def __init__(self, groups: Sequence[GroupResult]) -> None:
        self._size = len(groups)
        self._fields = _alike(groups)
        for name, of in _OF.items():
            if name not in self._fields:
                self._fields[name] = _kept(list(map(of, groups)))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[GroupResult]:
        for row in zip(*map(self.values, FIELDS), strict=True):
            yield GroupResult(**dict(zip(FIELDS, row, strict=True)))

    @overload
    def __getitem__(self, index: int) -> GroupResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[GroupResult, ...]: ...
    def __getitem__(self, index: int | slice) -> GroupResult | tuple[GroupResult, ...]:
        if isinstance(index, slice):
            return tuple(self[k] for k in range(*index.indices(self._size)))
        at = range(self._size)[index]
        return GroupResult(**{name: self._one(name, at) for name in FIELDS})

    def _one(self, name: str, at: int) -> Any:
        field = self._fields[name]
        if isinstance(field, _Same):
            return field.value
        value = field[at]
        return (
            value if isinstance(field, list) else value.as_py() if name == "ranks" else value.item()
        )

    def values(self, name: str) -> Iterable[Any]:
        """A field of every group, as Python's own."""
        field = self._fields[name]
        if isinstance(field, _Same):
            return repeat(field.value, self._size)
        return field if isinstance(field, list) else cast("list[Any]", field.tolist())

    def numbers(self, name: str) -> Floats:
        """A number of every group, NaN where it has none: float64 [groups]."""
        field = self._fields[name]
        value = field.value if isinstance(field, _Same) else field
        made: Floats = np.empty(self._size)
        made[:] = np.nan if value is None else value  # of a list None becomes NaN as well
        return made

    def texts(self) -> pa.Array:
        """The ranks of every group, as `records.encode_ranks` writes them."""
        field = self._fields["ranks"]
        return (
            pa.repeat(pa.scalar(field.value, TEXT), self._size)
            if isinstance(field, _Same)
            else field
        )

    def any(self, name: str) -> bool:
        """Has any group something there that is not empty?"""
        field = self._fields[name]
        return bool(self._size) and any([field.value] if isinstance(field, _Same) else field)

    def least(self, name: str) -> float:
        """The smallest number of a field that every group has; 0 of none."""
        return float(self.numbers(name).min(initial=np.inf)) if self._size else 0.0

    def total(self, name: str) -> int:
        """The sum of a whole number over the groups."""
        field = self._fields[name]
        if isinstance(field, _Same):
            return 0 if field.value is None else int(field.value) * self._size
        return int(field.sum()) if isinstance(field, np.ndarray) else sum(field)


def _alike(groups: Sequence[GroupResult]) -> dict[str, Any]:
    """The fields of those sets that are the same in all groups: one look at a group for a set."""
    found: dict[str, Any] = {}
    for names in _OFTEN_ALIKE:
        kinds = set(map(attrgetter(*names), groups))
        if len(kinds) == 1:
            found |= zip(names, map(_Same, kinds.pop()), strict=True)
    return found


def _kept(values: list[Any]) -> Any:
    """The smallest form of a field's values that gives them back."""
    first = values[0] if values else None
    if values.count(first) == len(values):
        return _Same(first)
    kinds = set(map(type, values))
    if kinds == {str}:
        return texts(values)
    if kinds in ({int}, {float}, {bool}):
        made = np.array(values)
        return made if made.dtype in (np.int64, np.float64, np.bool_) else values
    return values


def table_of(groups: Sequence[GroupResult]) -> GroupTable:
    """Groups by field, whichever way they are kept."""
    return groups if isinstance(groups, GroupTable) else GroupTable(groups)


def compact(record: Record) -> Record:
    """A record whose groups, where they are many, are a table."""
    if not isinstance(record, Result) or len(record.groups) < MANY:
        return record
    table = cast("tuple[GroupResult, ...]", GroupTable(record.groups))
    return msgspec.structs.replace(record, groups=table)
