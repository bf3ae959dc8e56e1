"""The groups of one round as arrays: whose ranks they are, and on which hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from railgauge.errors import NotMeasuredError
from railgauge.rank_arrays import decode_all
from railgauge_reports.stored import Start

Counts = npt.NDArray[np.int64]


def group_text(ranks: str) -> str:
    """`0-3,8` -> `0-3 8`: no comma, so that a row of CSV can be cut at commas."""
    return ranks.replace(",", " ")


@dataclasses.dataclass(frozen=True)
class Groups:
    """`texts` name the ranks of each group (`records.encode_ranks`).

    Raises NotMeasuredError where a text is no list of ranks of that start, or is empty.
    """

    start: Start
    texts: Sequence[str]

    @cached_property
    def _decoded(self) -> tuple[Counts, Counts]:
        ranks, sizes = decode_all(self.texts)
        total = len(self.start.node_of)
        if not sizes.all() or ranks.max(initial=0) >= total:
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

    def names(self) -> list[str]:
        """What a frame calls them."""
        return [group_text(text) for text in self.texts]

    def hosts(self) -> list[str]:
        """The hosts of each group, each once in the order of its ranks, split by blanks.

        Groups on the same nodes (one for each rail) share one string.
        """
        width = self.nodes.itemsize
        raw, hosts = self.nodes.tobytes(), self.start.run.hosts
        ends = np.cumsum(self.sizes) * width
        made: dict[bytes, str] = {}
        named = []
        for begin, end in zip((self.begins * width).tolist(), ends.tolist(), strict=True):
            key = raw[begin:end]
            if (text := made.get(key)) is None:
                nodes = np.frombuffer(key, self.nodes.dtype).tolist()
                text = made[key] = " ".join(dict.fromkeys(hosts[node] for node in nodes))
            named.append(text)
        return named
