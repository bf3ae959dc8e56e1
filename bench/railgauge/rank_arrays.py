"""Lists of ranks as a journal writes them (`records.encode_ranks`), many at once and as arrays.

A round of 16,384 ranks has thousands of groups: none of them is worth a Python list of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from railgauge.errors import NotMeasuredError

Ranks = npt.NDArray[np.int64]

#: More ranks than any job has: a damaged line is told, and does not fill the memory.
MOST_RANKS = 1 << 28
_MOST_DIGITS = 9
_BLANKS = bytes.maketrans(b",-;", b"   ")
_IS_END = np.isin(np.arange(256), np.frombuffer(b",-;", np.uint8))


def decode_all(texts: Sequence[str]) -> tuple[Ranks, Ranks]:
    """(ranks of all texts, one after the other; how many each text has, int64 [texts]).

    Raises NotMeasuredError where one of them is no list of ranks.
    """
    made = _decode(texts)
    if made is None:
        shown = next((text for text in texts if _decode([text]) is None), max(texts, key=len))
        raise NotMeasuredError(
            f"ranks {shown[:80]!r}: no list of ranks.\n"
            "  expected: the journal of railgauge run, unedited, as in `0-3,8`"
        )
    return made


def _decode(texts: Sequence[str]) -> tuple[Ranks, Ranks] | None:
    """None where a text is no list of ranks."""
    joined = ";".join([*texts, ""]).encode()
    marks = np.frombuffer(joined, np.uint8)
    ends = np.flatnonzero(_IS_END[marks])
    digits = np.diff(ends, prepend=-1) - 1
    if not _are_numbers(marks, ends, digits):
        return None
    text_of = np.cumsum(marks[ends] == ord(";")) - (marks[ends] == ord(";"))
    ends, text_of = ends[digits > 0], text_of[digits > 0]
    opens = marks[ends] == ord("-")
    closes = np.zeros_like(opens)
    closes[1:] = opens[:-1]
    if np.any(opens & closes) or joined.count(b";") != len(texts):
        return None
    numbers = np.fromstring(joined.translate(_BLANKS), np.int64, sep=" ")
    first = numbers[~closes]
    last = first.copy()
    last[opens[~closes]] = numbers[closes]
    lengths = last - first + 1
    if np.any(lengths < 1) or lengths.sum() > MOST_RANKS:
        return None
    begins = np.cumsum(lengths) - lengths
    ranks = np.repeat(first - begins, lengths) + np.arange(lengths.sum())
    counts = np.bincount(text_of[~closes], weights=lengths, minlength=len(texts))
    return ranks, counts.astype(np.int64)


def _are_numbers(marks: npt.NDArray[np.uint8], ends: Ranks, digits: Ranks) -> bool:
    """Digits between all ends, but for texts that are empty as a whole."""
    if len(marks) - len(ends) != np.count_nonzero((marks >= ord("0")) & (marks <= ord("9"))):
        return False
    after_text = np.concatenate([[True], marks[ends[:-1]] == ord(";")])
    empty = (digits == 0) & ~((marks[ends] == ord(";")) & after_text)
    return not empty.any() and bool(digits.max(initial=0) <= _MOST_DIGITS)


def count_ranks(text: str) -> int:
    """How many ranks one text names; raises NotMeasuredError where it is no list of ranks."""
    (count,) = decode_all([text])[1]
    return int(count)
