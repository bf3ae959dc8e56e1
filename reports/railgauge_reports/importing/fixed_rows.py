"""Many rows of one width at once: the lines of a block as a matrix of bytes, numbers by columns of it.

nccl-tests prints its columns right-aligned in fixed widths, so the lines of a long table are equally long.
Rows are taken together only where every line of a stretch is a row that is known and has each number where
the first one had it; else the caller reads them one by one. Numbers come out as `float` makes them: digits as
an integer over a power of ten, both exact, their quotient rounded once.
"""

from __future__ import annotations

import array
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
LEAST = 64  # lines of a stretch for which it pays
MOST_DIGITS = 15  # that an integer of 53 bits holds
_BLANK, _DOT, _ZERO, _NINE = 32, 46, 48, 57
_TOKEN = re.compile(rb"\S+")


class Known(NamedTuple):
    """Where the times of a row go, and what its checks must be for that."""

    out: array.array[float]
    into: array.array[float]
    out_check: bytes
    in_check: bytes


class Shape(NamedTuple):
    """Where a row has its values: the span of each from the end of the one before; its key ends at `cut`."""

    length: int
    cut: int
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, raw: bytes, cut: int) -> Shape:
        ends = [found.end() for found in _TOKEN.finditer(raw, cut)]
        return cls(len(raw), cut, tuple(zip([cut, *ends], ends, strict=False)))


def stretches(lengths: npt.NDArray[np.intp], length: int) -> list[tuple[int, int]]:
    """(first, last + 1) of the runs of at least LEAST lines of that length."""
    same = np.concatenate([[False], lengths == length, [False]])
    edges = np.flatnonzero(same[1:] != same[:-1])
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= LEAST]


def take(
    rows: Bytes,
    shape: Shape,
    known: Mapping[bytes, Known],
    times: tuple[int, int],
    checks: tuple[int, int],
) -> bool:
    """Add the times of all rows to their series, uint8 [rows, length]; False, and nothing, where one is odd.

    `times` and `checks` are the places of the values (out of place, in place).
    """
    columns = np.ascontiguousarray(rows.T)
    if not _aligned(columns, shape):
        return False
    seconds = [_numbers(columns[slice(*shape.spans[place])]) for place in times]
    if seconds[0] is None or seconds[1] is None:
        return False
    keys, which = _grouped(rows[:, : shape.cut])
    found = [entry for entry in map(known.get, keys) if entry is not None]
    if len(found) != len(keys):
        return False
    expected = [[entry.out_check for entry in found], [entry.in_check for entry in found]]
    if not all(
        _are(columns, shape.spans[p], e, which) for p, e in zip(checks, expected, strict=True)
    ):
        return False
    order = np.argsort(which, kind="stable")
    cuts = np.cumsum(np.bincount(which, minlength=len(found)))[:-1]
    for entry, out, into in zip(
        found, np.split(seconds[0][order], cuts), np.split(seconds[1][order], cuts), strict=True
    ):
        entry.out.frombytes(out.tobytes())
        entry.into.frombytes(into.tobytes())
    return True


def _aligned(columns: Bytes, shape: Shape) -> bool:
    """Whether each span of each row is blanks and then one word, and blanks are all that follows the last."""
    printed = columns != _BLANK
    for start, end in shape.spans:
        word = printed[start:end]
        if not word[-1].all() or word[0].any() or (word[:-1] & ~word[1:]).any():
            return False
    return not printed[shape.spans[-1][1] :].any()


def _are(
    columns: Bytes, span: tuple[int, int], expected: Sequence[bytes], which: npt.NDArray[np.intp]
) -> bool:
    """Whether each row has in that span the word expected of its group."""
    width = span[1] - span[0]
    if max(map(len, expected)) > width:
        return False
    words = np.array([list(word.rjust(width)) for word in expected], np.uint8).T
    same = words[:, :1] if len(set(expected)) == 1 else words[:, which]
    return bool((columns[slice(*span)] == same).all())


def _numbers(text: Bytes) -> npt.NDArray[np.float64] | None:
    """The numbers in uint8 [width, n], right-aligned digits with at most one point; None where one is not."""
    if len(text) > MOST_DIGITS:
        return None
    digit = (text >= _ZERO) & (text <= _NINE)
    dot = text == _DOT
    if not (digit | dot | (text == _BLANK)).all() or not digit[-1].all():
        return None
    if (np.count_nonzero(dot, axis=0) > 1).any():
        return None
    whole, decimals = np.zeros(text.shape[1], np.int64), np.zeros(text.shape[1], np.int64)
    behind = np.zeros(text.shape[1], bool)
    for column, here, point in zip(text, digit, dot, strict=True):
        # digits follow blanks and each other: what is none leaves the number as it is
        whole = whole * np.where(here, 10, 1) + np.where(here, column - np.uint8(_ZERO), 0)
        decimals += here & behind
        behind |= point
    return np.asarray(whole / 10.0**decimals)


def _grouped(keys: Bytes) -> tuple[list[bytes], npt.NDArray[np.intp]]:
    """(the different keys, which of them each row has): by a hash, and compared byte by byte."""
    padded = np.zeros((len(keys), -(-keys.shape[1] // 8) * 8), np.uint8)
    padded[:, : keys.shape[1]] = keys
    words = padded.view(np.uint64)
    hashed = (words * _multipliers(words.shape[1])).sum(axis=1)
    _, first, which = np.unique(hashed, return_index=True, return_inverse=True)
    which = which.reshape(-1)
    if not (keys == keys[first][which]).all():  # two keys of one hash: each row its own
        return [bytes(key) for key in keys], np.arange(len(keys))
    return [bytes(keys[index]) for index in first], which


def _multipliers(words: int) -> npt.NDArray[np.uint64]:
    """Odd numbers, one a word of a key (Dietzfelbinger's multiplicative hashing)."""
    return np.random.default_rng(1).integers(1, 2**63, words, np.uint64) | np.uint64(1)
