"""The groups of a large round by field: an array a field, and not an object a group.

A tournament of 1,024 nodes has four million groups. As records they take a gigabyte; by field, where
most say the same, a tenth of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from railgauge.journal import decode_record
from railgauge.records import GroupResult, Record, Result
from railgauge_reports.frame_parts import TEXT, texts

if TYPE_CHECKING:
    from railgauge_reports.group_text import Pairs

FIELDS = GroupResult.__struct_fields__
#: What a field is that is left out; None of those that never are.
_DEFAULTS = [
    None if field.default is msgspec.NODEFAULT else field.default
    for field in msgspec.structs.fields(GroupResult)
]
_OF = {name: attrgetter(name) for name in FIELDS}
#: Sets of fields that mostly are the same in all groups of a round.
_OFTEN_ALIKE = (
    ("wrong", "overlap", "batch", "init_seconds", "choice", "allowed"),
    ("warmup_iterations", "steady", "iterations", "checked_iterations", "missed_windows"),
)
#: Groups of a round that are worth a table.
MANY = 256
#: Bytes of a line from which its text is read by a compiled loop, and of a journal that is worth loading it.
LONG_LINE, LARGE_JOURNAL = 1 << 14, 1 << 26
_GROUPS = b'"groups":'
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int32]


class _Same(NamedTuple):
    """A field that is the same in all groups."""

    value: Any


class GroupTable(Sequence[GroupResult]):
    """Groups by field; as a sequence it makes each of them anew.

    `pairs`, where all are pairs and somebody has read their ranks as numbers, is int32 [groups, 2].
    """

    pairs: Places | None = None

    def __init__(self, groups: Sequence[GroupResult]) -> None:
        self._size = len(groups)
        self._fields = _alike(groups)
        for name, of in _OF.items():
            if name not in self._fields:
                self._fields[name] = _kept(list(map(of, groups)))

    @classmethod
    def of_pairs(cls, found: Pairs) -> GroupTable:
        """Those that `group_text.pairs_at` found."""
        from railgauge_reports.group_text import FIELDS as NAMES
        from railgauge_reports.group_text import NULL, TRUTHS

        made = cls(())
        made._size, made.pairs = len(found.ranks), found.ranks
        made._fields = dict(zip(FIELDS, map(_Same, _DEFAULTS), strict=True))
        made._fields["ranks"] = pa.Array.from_buffers(
            TEXT, made._size, [None, pa.py_buffer(found.ends), pa.py_buffer(found.text)]
        )
        for name, values in zip(NAMES, found.fields, strict=True):
            own: Any = values.astype(
                np.bool_ if name in TRUTHS else np.int64
            )  # no view of them all
            if (values == values[0]).all():
                own = _Same(None if values[0] == NULL else own[0].item())
            elif (values == NULL).any():
                own = [None if value == NULL else value for value in values.tolist()]
            made._fields[name] = own
        return made

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


def decode_compact(line: bytes) -> Record:
    """The record of a line, its groups as a table where they are many."""
    return compact(decode_record(line))


def decode_pairs(line: bytes) -> Record:
    """The same of a journal that is so large that a compiled loop is worth loading."""
    from railgauge_reports.group_text import pairs_at

    begin = line.find(_GROUPS) + len(_GROUPS)
    found = pairs_at(line, begin) if len(line) >= LONG_LINE and begin >= len(_GROUPS) else None
    if found is None:
        return decode_compact(line)
    record = decode_record(b"%b[]%b" % (line[:begin], line[found.end :]))
    if not isinstance(record, Result) or record.groups:  # a line that is no line of ours
        return decode_compact(line)
    groups = cast("tuple[GroupResult, ...]", GroupTable.of_pairs(found))
    return msgspec.structs.replace(record, groups=groups)


def compact(record: Record) -> Record:
    """A record whose groups, where they are many, are a table."""
    if not isinstance(record, Result) or len(record.groups) < MANY:
        return record
    table = cast("tuple[GroupResult, ...]", GroupTable(record.groups))
    return msgspec.structs.replace(record, groups=table)
