"""The groups of one round as arrays: whose ranks they are, and on which hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from railgauge.errors import NotMeasuredError
from railgauge.rank_arrays import decode_all
from railgauge_reports.frame_parts import TEXT, texts
from railgauge_reports.stored import Start

Counts = npt.NDArray[np.int64]
Letters = npt.NDArray[np.uint8]
_MOST_DIGITS = 9
_AT_ONCE = 1 << 14  # names: what is made of them stays in the processor's cache
_BLANKS = bytes.maketrans(b",", b" ")


def group_text(ranks: str) -> str:
    """`0-3,8` -> `0-3 8`: no comma, so that a row of CSV can be cut at commas."""
    return ranks.replace(",", " ")


@dataclasses.dataclass(frozen=True)
class Groups:
    """`texts` name the ranks of each group (`records.encode_ranks`); `pairs` are these ranks as numbers,
    [groups, 2], where all groups are pairs and somebody has them.

    Raises NotMeasuredError where a text is no list of ranks of that start, or is empty, unless ranks may
    be `unknown`: those of a log that was imported, where it does not say.
    """

    start: Start
    texts: Sequence[str] | pa.Array
    unknown: bool = False
    pairs: npt.NDArray[np.integer[Any]] | None = None

    @cached_property
    def _decoded(self) -> tuple[Counts, Counts]:
        if self.pairs is not None:
            ranks, sizes = self.pairs.ravel().astype(np.int64), np.full(len(self.pairs), 2)
        else:
            ranks, sizes = decode_all(
                self.texts if isinstance(self.texts, Sequence) else self.texts.to_pylist()
            )
        total = len(self.start.node_of)
        if not (self.unknown or sizes.all()) or ranks.max(initial=-1) >= total:
            raise NotMeasuredError(
                f"the journal has a group of ranks that the run did not have (it had {total}).\n"
                "  expected: the journal of railgauge run, unedited"
            )
        return ranks, sizes

    @property
    def ranks(self) -> Counts:
        """Those of all groups, one group after the other, int64 [total]."""
        return self._decoded[0]

    @property
    def sizes(self) -> Counts:
        """How many each group has, int64 [groups]."""
        return self._decoded[1]

    @property
    def begins(self) -> Counts:
        """Where each group begins in `ranks`."""
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def nodes(self) -> Counts:
        """The node of each of `ranks`."""
        return self.start.node_of[self.ranks]

    @cached_property
    def number_of(self) -> Counts:
        """`number_of[rank]`: the number of its group, -1 where it has none."""
        number = np.full(len(self.start.node_of), -1, np.int64)
        number[self.ranks] = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return number

    def names(self) -> pa.Array:
        """What a frame calls them."""
        made = self.texts if isinstance(self.texts, pa.Array) else texts(self.texts)
        known, ends, letters = (
            made.buffers()
        )  # a comma is one byte in UTF-8, and part of no other letter
        if letters is None:
            return made
        letters = pa.py_buffer(letters.to_pybytes().translate(_BLANKS))
        return pa.Array.from_buffers(
            made.type, len(made), [known, ends, letters], offset=made.offset
        )

    def hosts(self) -> pa.Array:
        """The hosts of each group, each once in the order of its ranks, split by blanks; all if unknown."""
        if len(self.sizes) and (self.sizes == 2).all():
            return self._hosts_of_pairs()
        width = self.nodes.itemsize
        raw, hosts = self.nodes.tobytes(), self.start.run.hosts
        ends = np.cumsum(self.sizes) * width
        made: dict[bytes, str] = {}
        named = []
        for begin, end in zip((self.begins * width).tolist(), ends.tolist(), strict=True):
            key = raw[begin:end]
            if (text := made.get(key)) is None:
                nodes = np.frombuffer(key, self.nodes.dtype).tolist() or range(len(hosts))
                text = made[key] = " ".join(dict.fromkeys(hosts[node] for node in nodes))
            named.append(text)
        return texts(named)

    def _hosts_of_pairs(self) -> pa.Array:
        """The same of groups of two ranks, as columns."""
        one, other = self.start.first_of_name[self.nodes.reshape(-1, 2)].T
        # the rails of two nodes stand together: their names are put together once
        changes = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
        begin = np.concatenate([[True], changes]) if len(one) else np.zeros(0, np.bool_)
        one, other = one[begin], other[begin]
        hosts = texts(self.start.run.hosts)
        first, second = (hosts.take(pa.array(side)) for side in (one, other))
        both = pc.binary_join_element_wise(first, second, pa.scalar(" ", TEXT))
        if (one == other).any():
            both = pc.if_else(pa.array(one == other), first, both)
        return both.take(pa.array(np.cumsum(begin) - 1))


def pair_ranks(names: pd.Series) -> npt.NDArray[np.int32]:
    """The two ranks of each group by its name in a frame (`0-1`, `3 11`), int32 [n, 2]; -1: it is no pair."""
    column = pa.chunked_array(pa.array(names, TEXT)).combine_chunks()
    _, placed, text = column.buffers()
    ends = np.frombuffer(placed, np.int64)[column.offset :][: len(column) + 1]
    letters = np.frombuffer(text or b"", np.uint8)
    made = np.full((len(column), 2), -1, np.int32)
    for at in range(0, len(column), _AT_ONCE):
        _read_pairs(letters, ends[at : at + _AT_ONCE + 1], made[at : at + _AT_ONCE])
    return made


def _read_pairs(letters: Letters, ends: Counts, ranks: npt.NDArray[np.int32]) -> None:
    """Fill `ranks` [n, 2] from texts that end at `ends` [n + 1] of `letters`."""
    own = letters[ends[0] : ends[-1]]
    apart = np.flatnonzero((own == ord(" ")) | (own == ord("-"))) + ends[0]
    first = np.searchsorted(apart, ends)
    pairs = np.flatnonzero(first[1:] - first[:-1] == 1)
    if len(pairs):
        middle = apart[first[pairs]]
        ranks[pairs, 0] = _decimal(letters, ends[pairs], middle)
        ranks[pairs, 1] = _decimal(letters, middle + 1, ends[pairs + 1])


def _decimal(letters: Letters, begin: Counts, end: Counts) -> Counts:
    """The numbers that stand between these places, int64 [n]; -1 where something else does."""
    length = end - begin
    made, bad = np.zeros_like(length), (length < 1) | (length > _MOST_DIGITS)
    for k in range(min(_MOST_DIGITS, int(length.max()))):
        digit = letters[np.maximum(end - 1 - k, 0)] - np.uint8(ord("0"))
        counts = length > k
        bad |= counts & (digit > 9)
        made += np.where(counts, digit, 0).astype(np.int64) * 10**k
    return np.where(bad, -1, made)
