"""Bringing the clocks of the nodes together, so that stamps of different ranks can be compared."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from railgauge.world import World

ROUNDS = 40
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Offset(NamedTuple):
    """What to add to this node's CLOCK_MONOTONIC (ns) to get rank 0's, and the bound on its error."""

    clock_ns: int
    uncertainty_ns: int


def boot_id() -> str:
    """Identity of the running kernel: processes under one share CLOCK_MONOTONIC. Empty if hidden."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def best_offset(exchanges: list[tuple[int, int, int]]) -> Offset:
    """The offset from (sent, answered, received) stamps in ns: the exchange with the shortest trip.

    `answered` is the other clock. Cristian's method (F. Cristian, Distributed Computing 3, 1989):
    the answer was made between `sent` and `received`, so half of the trip bounds the error.
    """
    sent, answered, received = min(exchanges, key=lambda e: e[2] - e[0])
    return Offset(answered - (sent + received) // 2, -(-(received - sent) // 2))


def synchronise(world: World, always: bool = False) -> Offset | None:
    """This node's Offset; all ranks call it. None where some kernel hides its identity.

    Nodes under rank 0's kernel need no measurement (offset 0, error 0) unless `always`; each of
    the others exchanges ROUNDS messages with rank 0, one node after the other.
    """
    mine = boot_id()
    identities = world.all_gather(mine)
    if not all(identities):
        return None
    offset = Offset(0, 0)
    if world.leaders:
        for node in range(1, world.leaders.size):
            first = next(p.rank for p in world.places if p.node == node)
            if always or identities[first] != identities[0]:
                exchanges = world.leaders.exchange_clocks(node, ROUNDS, time.monotonic_ns)
                if exchanges:
                    offset = best_offset(exchanges)
    made: Offset = world.node.broadcast(offset)
    return made
