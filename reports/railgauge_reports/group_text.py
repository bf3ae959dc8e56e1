"""The groups of a large round straight from the text of its line: pairs of ranks, by a compiled loop.

A tournament of 1,024 nodes has four million groups, which all look alike: two ranks and a few whole
numbers. Making an object of each takes most of the time of reading them; here none is made. What looks
otherwise (blanks, another order, structures inside) is not read here: whoever calls then takes the
decoder that reads everything, and says what is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int64]

#: Fields in the order in which they are written; of their values, TRUTHS are true or false, and OPTIONAL
#: ones may be null or left out.
FIELDS = (
    *("first_call_ns", "warmup_iterations", "steady", "iterations", "checked_iterations"),
    *("missed_windows", "rail"),
)
TRUTHS, OPTIONAL = ("steady",), ("rail",)
#: What stands for null: no field is negative.
NULL = -1
_LEAST = len('{"ranks":"0-1"}')
#: More does not fit into int64, or is no rank of any job (`rank_arrays.MOST_RANKS`).
_MOST_DIGITS, _MOST_RANK_DIGITS = 18, 8


class Pairs(NamedTuple):
    """Groups of a round: `ranks` int32 [n, 2], whose names stand in `text` up to `ends` int64 [n + 1].

    `fields` are int64 [FIELDS, n]; `end` is the place in the line behind the list.
    """

    ranks: Places
    text: Bytes
    ends: Numbers
    fields: Numbers
    end: int


def pairs_at(line: bytes, begin: int) -> Pairs | None:
    """The groups in the list that begins (`[`) at that place of a line; None where it is no list of pairs."""
    most = (len(line) - begin) // _LEAST + 1
    ranks, ends = np.empty((most, 2), np.int32), np.zeros(most + 1, np.int64)
    fields, text = np.empty((most, len(FIELDS)), np.int64), np.empty(len(line) - begin, np.uint8)
    data = np.frombuffer(line, np.uint8)
    count, end = _read(data, begin, _WORDS, _ENDS, _KINDS, ranks, text, ends, fields)
    if not count:
        return None
    ends = ends[: count + 1].copy()
    own = np.ascontiguousarray(fields[:count].T)
    return Pairs(ranks[:count].copy(), text[: ends[-1]].copy(), ends, own, end)


_SPELLED = ["null", "true", "false", '{"ranks":"', *(f',"{name}":' for name in FIELDS)]
_NULL, _TRUE, _FALSE, _RANKS, _FIRST = range(5)
_WORDS = np.frombuffer("".join(_SPELLED).encode(), np.uint8)
_ENDS = np.cumsum([0, *map(len, _SPELLED)])
_NUMBER, _TRUTH, _MAYBE = range(3)
_KINDS = np.array(
    [_TRUTH if name in TRUTHS else _MAYBE if name in OPTIONAL else _NUMBER for name in FIELDS]
)
_COMMA, _DASH, _QUOTE, _ZERO, _LIST, _LIST_END, _END = (ord(sign) for sign in ',-"0[]}')


@njit(cache=True, nogil=True, error_model="numpy")
def _behind(data: Bytes, at: Any, words: Bytes, ends: Numbers, word: int) -> Any:
    """The place behind a word that stands at `at`; 0 where another one does."""
    begin, end = ends[word], ends[word + 1]
    if at + end - begin > len(data):
        return 0
    for k in range(end - begin):
        if (
            data[np.uintp(at + k)] != words[np.uintp(begin + k)]
        ):  # unsigned: no look at places below 0
            return 0
    return at + end - begin


@njit(cache=True, nogil=True, error_model="numpy")
def _number(data: Bytes, at: Any, most: int) -> tuple[Any, Any]:
    """(value, the place behind it) of a whole number as JSON has it; a place of 0 where none is."""
    value, begin = np.int64(0), at
    while at < len(data):
        digit = np.int64(data[np.uintp(at)]) - _ZERO
        if digit < 0 or digit > 9:
            break
        value = value * 10 + digit
        at += 1
        if at - begin > most:
            return 0, 0
    if at == begin or (data[begin] == _ZERO and at - begin > 1):
        return 0, 0
    return value, at


@njit(cache=True, nogil=True, error_model="numpy")
def _pair(data: Bytes, at: Any) -> tuple[Any, Any, Any]:
    """(rank, rank, the place behind the quote) of `0,8"` or `0-1"`; a place of 0 where no pair is."""
    one, at = _number(data, at, _MOST_RANK_DIGITS)
    if at == 0 or at >= len(data) or not (data[at] == _COMMA or data[at] == _DASH):
        return 0, 0, 0
    run = data[at] == _DASH
    other, at = _number(data, at + 1, _MOST_RANK_DIGITS)
    if at == 0 or at >= len(data) or data[at] != _QUOTE or (run and other != one + 1):
        return 0, 0, 0
    return one, other, at + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _value(data: Bytes, at: Any, words: Bytes, ends: Numbers, kind: int) -> tuple[Any, Any]:
    """(value, the place behind it); a place of 0 where no value of that kind is."""
    if kind == _TRUTH:
        end = _behind(data, at, words, ends, _TRUE)
        return (1, end) if end else (0, _behind(data, at, words, ends, _FALSE))
    if kind == _MAYBE:
        end = _behind(data, at, words, ends, _NULL)
        if end:
            return NULL, end
    value, end = _number(data, at, _MOST_DIGITS)
    return value, end


@njit(cache=True, nogil=True, error_model="numpy")
def _read(
    data: Bytes,
    at: Any,
    words: Bytes,
    ends: Numbers,
    kinds: Numbers,
    ranks: Places,
    text: Bytes,
    text_ends: Numbers,
    fields: Numbers,
) -> tuple[Any, Any]:
    """Fill the last four; (groups, the place behind the list), or (0, 0) where something else stands."""
    if at >= len(data) or data[at] != _LIST:
        return 0, 0
    count, used = 0, 0
    while True:
        begin = _behind(data, at + 1, words, ends, _RANKS)
        one, other, at = _pair(data, begin) if begin else (0, 0, 0)
        if at == 0:
            return 0, 0
        ranks[count, 0], ranks[count, 1] = one, other
        for k in range(begin, at - 1):
            text[np.uintp(used)] = data[np.uintp(k)]
            used += 1
        for field in range(len(kinds)):
            value, end = NULL, at  # left out
            begin = _behind(data, at, words, ends, _FIRST + field)
            if begin:
                value, end = _value(data, begin, words, ends, kinds[field])
            elif kinds[field] != _MAYBE:
                return 0, 0
            if end == 0:
                return 0, 0
            fields[count, field], at = value, end
        count += 1
        text_ends[count] = used
        if at + 1 >= len(data) or data[at] != _END:
            return 0, 0
        at += 1
        if data[at] == _LIST_END:
            return count, at + 1
        if data[at] != _COMMA:
            return 0, 0
