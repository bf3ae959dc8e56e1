"""What makes a benchmark of a peer and one of ours comparable, and how a peer is found.

A peer is a module of `railgauge_reports.crosscheck.peers`: it recognises its binaries by their
name, knows how to call them and to read what they print, and recomputes *our* raw samples with
*their* statistic. There is no list to edit.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from railgauge.dtypes import dtype_named
from railgauge.errors import UsageError, unknown
from railgauge.operations import operation_named
from railgauge_reports.crosscheck import peers

Seconds = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Figures:
    """What one launch says about one size, in seconds; None where the benchmark does not say it.

    `typical` is the statistic that is compared, `average` the mean, `fastest` the mean of the
    fastest rank. `resolution` is the step in which `typical` was printed (0: not rounded).
    """

    typical: float
    average: float | None = None
    fastest: float | None = None
    resolution: float = 0.0


#: Of a peer that prints a rate of 0 (its digits do not reach): nothing can be said.
NOTHING_PRINTED = Figures(0.0, 0.0)

Recompute = Callable[[Seconds], Figures]


@dataclasses.dataclass(frozen=True)
class Pairing:
    """One benchmark of a peer beside the case of ours that measures the same.

    `recompute` makes the peer's statistic of our samples: float64 [ranks, iterations], seconds of
    one iteration (of one message for point to point). With `per_block` the peer calls what one
    block holds its size, as MPI counts; otherwise all that a rank sends or receives, as ours.
    `weight` is how many messages one iteration moves: it scales the number of iterations down.
    `words` names the statistic, `notes` says where the two are not quite alike.
    """

    benchmark: str
    operation: str
    statistic: str
    words: str
    recompute: Recompute
    dtype: str = "float32"
    timing: str = "barrier"
    call: str | None = None
    backend: str = "mpi"
    per_block: bool = False
    window: int | None = None
    weight: int = 1
    ranks: int | None = None
    more: tuple[str, ...] = ()  # options of `railgauge run`
    notes: tuple[str, ...] = ()

    def sizes(self, asked: Sequence[int], ranks: int) -> list[Size]:
        """The sizes that both can measure for those asked (bytes; rounded up to whole blocks)."""
        entry, item = operation_named(self.operation), dtype_named(self.dtype).itemsize
        found: dict[int, Size] = {}
        for size in asked if entry.sized else (0,):
            count = entry.count(size, item, ranks)
            nbytes = entry.nbytes(count, item, ranks)
            found[nbytes] = Size(nbytes, count * item if self.per_block else nbytes)
        return [found[nbytes] for nbytes in sorted(found)]


@dataclasses.dataclass(frozen=True)
class Size:
    """One row: `nbytes` as railgauge defines it, and the number that the peer prints for it."""

    nbytes: int
    peer: int


class Peer(Protocol):
    """The interface of a module in `peers`."""

    #: Arguments that make the binary print its options; empty where its options never change.
    HELP: Sequence[str]
    #: Names of binaries, for the error that lists them.
    NAMES: Sequence[str]

    def recognises(self, binary: str) -> bool:
        """Whether a binary of this file name is one of this peer's."""

    def options_of(self, help_text: str) -> frozenset[str]:
        """The options that this build knows, from what `HELP` made it print."""

    def pairing(self, binary: str, operation: str | None, options: frozenset[str]) -> Pairing:
        """What it measures; UsageError where `operation` is missing or is not what it measures."""

    def arguments(
        self,
        pairing: Pairing,
        sizes: Sequence[int],
        iterations: int,
        warmup: int,
        options: frozenset[str],
    ) -> list[str]:
        """The command line of one launch over the peer's `sizes` (see `reachable`)."""

    def reachable(self, sizes: Sequence[int]) -> list[list[int]]:
        """Ascending sizes split into what one launch each can cover."""

    def figures(self, pairing: Pairing, text: str, ranks: int) -> Mapping[int, Figures]:
        """What was printed, by the peer's size; NotMeasuredError where it is not what was asked."""


def known_peers() -> dict[str, Peer]:
    """The modules of `peers` by name."""
    names = [module.name for module in pkgutil.iter_modules(peers.__path__)]
    return {name: cast(Peer, importlib.import_module(f"{peers.__name__}.{name}")) for name in names}


def peer_of(binary: str) -> Peer:
    """The peer that a binary's file name belongs to; UsageError lists what is allowed."""
    known = known_peers()
    for peer in known.values():
        if peer.recognises(binary):
            return peer
    allowed = [name for peer in known.values() for name in peer.NAMES]
    raise unknown(
        "peer binary", binary, allowed, "railgauge crosscheck --peer PATH/osu_allreduce -n 2"
    )


def agreed_operation(binary: str, asked: str | None, measured: str) -> str:
    """`measured`, unless another operation was asked for."""
    if asked not in (None, measured):
        raise UsageError(
            f"--operation {asked}: {binary} measures {measured}.\n"
            f"  expected: {measured}, or no --operation\n"
            f"  next: railgauge crosscheck --peer ANOTHER_BINARY --operation {asked}"
        )
    return measured


# statistics that several peers share ------------------------------------------------------------


def rank_means(samples: Seconds) -> Figures:
    """The mean over ranks of each rank's mean, and that of the fastest rank."""
    means = samples.mean(axis=1)
    return Figures(float(means.mean()), float(means.mean()), float(means.min()))


def slowest_rank_mean(samples: Seconds) -> Figures:
    """The mean of the rank with the largest mean."""
    slowest = float(samples.mean(axis=1).max())
    return Figures(slowest, slowest)


def printed_step(text: str) -> float:
    """The last decimal of a printed number: `0.16` -> 0.01, `1851406` -> 1."""
    return float(10.0 ** -len(text.partition(".")[2]))
