"""Bringing the clocks of the nodes together, so that stamps of different ranks can be compared."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from railgauge.linux.kernel import boot_id
from railgauge.world import World

ROUNDS = 40
REFRESH_SECONDS = 10.0
#: What two clocks drift apart in that time, assumed that NTP or PTP holds them to 1 ppm.
DRIFT_NS = round(REFRESH_SECONDS * 1_000)


class Offset(NamedTuple):
    """What to add to this node's CLOCK_MONOTONIC (ns) to get rank 0's, and the bound on its error."""

    clock_ns: int
    uncertainty_ns: int


def best_offset(exchanges: list[tuple[int, int, int]]) -> Offset:
    """The offset from (sent, answered, received) stamps in ns: the exchange with the shortest trip.

    `answered` is the other clock. Cristian's method (F. Cristian, Distributed Computing 3, 1989):
    the answer was made between `sent` and `received`, so half of the trip bounds the error.
    """
    sent, answered, received = min(exchanges, key=lambda e: e[2] - e[0])
    return Offset(answered - (sent + received) // 2, -(-(received - sent) // 2))


def synchronise(world: World, always: bool = False) -> Offset | None:
    """This node's Offset; all ranks call it. None where some of several kernels hide their identity.

    The ranks of a node share its clock. Nodes under rank 0's kernel need no measurement (offset 0,
    error 0) unless `always`; each of the others exchanges ROUNDS messages with rank 0, one node
    after the other.
    """
    mine = boot_id()
    identities = world.all_gather(mine)
    if not all(identities):
        alone = len({place.node for place in world.places}) == 1
        return Offset(0, 0) if alone else None
    offset = Offset(0, 0)
    if world.leaders:
        first = {p.node: p.rank for p in reversed(world.places)}
        for node in range(1, world.leaders.size):
            if always or identities[first[node]] != identities[0]:
                exchanges = world.leaders.exchange_clocks(node, ROUNDS, time.monotonic_ns)
                if exchanges:
                    offset = best_offset(exchanges)
    made: Offset = world.node.broadcast(offset)
    return made


class Clocks:
    """This rank's offset, kept fresh from case to case; all ranks call every method.

    `bound_ns` is the error that no rank's offset exceeds, None where the clocks could not be
    synchronised. Where kernels differ it is twice the first error, so that a slower exchange
    later keeps to it, and DRIFT_NS for the time until the next one; a case that takes longer
    than REFRESH_SECONDS drifts further.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._measured = 0.0
        self.offset = Offset(0, 0)
        self.bound_ns: int | None = None

    def start(self) -> None:
        """Measure the offsets and set the bound."""
        error = self._synchronise()
        self.bound_ns = 2 * error + DRIFT_NS if error else error

    def refresh(self) -> bool:
        """Measure the offsets again if they are old; False where that was worse than the bound."""
        if not self.bound_ns:  # one clock, or none that could be compared
            return True
        (age,) = self._world.maximum(np.array([time.monotonic() - self._measured]))
        if age < REFRESH_SECONDS:
            return True
        error = self._synchronise()
        return error is not None and error + DRIFT_NS <= self.bound_ns

    def _synchronise(self) -> int | None:
        """The largest error of any rank's new offset."""
        offset = synchronise(self._world)
        self.offset, self._measured = offset or Offset(0, 0), time.monotonic()
        if offset is None:
            return None
        return int(self._world.maximum(np.array([offset.uncertainty_ns]))[0])
