"""Stamps of simulated ranks: times with their noise, as a run on a real machine would store them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from railgauge.samples import Rows
from railgauge.schedules import Group
from railgauge.simulation.effects import Down, Effects
from railgauge.simulation.machine import Floats, Machine, Numbers
from railgauge.simulation.times import Loaded, Times
from railgauge.units import NANOSECONDS

#: Ranks leave a barrier within this time of each other.
JITTER_SECONDS = 3e-7
PAUSE_SECONDS = 2e-6  # between two iterations


@dataclasses.dataclass(frozen=True)
class Stamps:
    """`entry` and `exit` int64 [busy ranks, n] in ns, `flows` int64 [flows, n] in ns.

    `ranks` are those busy, ascending, `group_of` the number of each one's group; `maxima` int64
    [groups, n] what an iteration took the slowest of the group.
    """

    ranks: Numbers
    group_of: Numbers
    entry: Rows
    exit: Rows
    flows: Rows
    maxima: Rows
    first_ns: Numbers


def stamps(
    machine: Machine,
    effects: Effects,
    groups: Sequence[Group],
    found: Loaded,
    made: Times,
    iterations: int,
    begin: float,
    random: np.random.Generator,
) -> Stamps:
    """Iterations that begin at `begin` seconds of the run, on the clock that all ranks share."""
    count = [len(group.ranks) for group in groups]
    members = np.fromiter((rank for group in groups for rank in group.ranks), np.int64, sum(count))
    group_of = np.repeat(np.arange(len(groups)), count)
    order = np.argsort(members)
    members, group_of = members[order], group_of[order]
    factors = _factors(machine, effects, members, group_of, len(groups), random)
    spread = machine.cluster.noise.iteration
    # the fastest an iteration can be is bounded, the slowest is not: the noise has a tail to one side
    each = np.exp(spread * random.standard_normal((len(groups), iterations + 1)))
    seconds = made.groups[:, None] * factors[:, None] * each
    if effects.flapping:
        _hold(seconds, machine, effects, found, begin)
    first, seconds = seconds[:, 0], seconds[:, 1:]
    starts = begin + np.cumsum(seconds + PAUSE_SECONDS, axis=1) - seconds
    jitter = random.uniform(0, JITTER_SECONDS, (len(members), 1))
    entry = starts[group_of] + effects.late[members][:, None] + jitter
    leave = (starts + seconds)[group_of] + jitter
    flows = made.flows[:, None] * (seconds / made.groups[:, None])[found.traffic.group]
    stamped = _ns(entry), _ns(leave)
    maxima = np.zeros((len(groups), iterations), np.int64)
    np.maximum.at(maxima, group_of, stamped[1] - stamped[0])
    return Stamps(members, group_of, *stamped, _ns(flows), maxima, _ns(2 * first))


def _factors(
    machine: Machine,
    effects: Effects,
    members: Numbers,
    group_of: Numbers,
    groups: int,
    random: np.random.Generator,
) -> Floats:
    """How much longer than it should the whole measurement of each group takes."""
    node = machine.node_of[members]
    varies, transient = np.zeros(groups), np.zeros(groups)
    np.maximum.at(varies, group_of, effects.measurement[node])
    np.maximum.at(transient, group_of, effects.transient[node])
    noise = machine.cluster.noise
    lost = random.uniform(noise.transient_low, noise.transient_high, groups)
    hit = random.random(groups) < transient
    return np.exp(varies * random.standard_normal(groups)) / np.where(hit, 1 - lost, 1.0)


def _hold(seconds: Floats, machine: Machine, effects: Effects, found: Loaded, begin: float) -> None:
    """Lengthen the iterations of groups through a port that is down meanwhile."""
    traffic = found.traffic
    ports = (effects.port_of[traffic.sources], effects.port_of[traffic.targets])
    across = machine.island_of[traffic.sources] != machine.island_of[traffic.targets]
    for down in effects.flapping:
        used = across & ((ports[0] == down.port) | (ports[1] == down.port))
        for group in np.unique(traffic.group[used]).tolist():
            now = begin
            for k in range(seconds.shape[1]):
                seconds[group, k] += _waits(down, now, now + seconds[group, k])
                now += seconds[group, k] + PAUSE_SECONDS


def _waits(down: Down, begin: float, end: float) -> float:
    """Seconds that an iteration from `begin` to `end` waits for a port to come back."""
    into = (begin - down.begin) % down.period
    if into < down.down:
        return down.down - into
    return down.down if into + (end - begin) >= down.period else 0.0


def _ns(seconds: Floats) -> Rows:
    return np.rint(seconds / NANOSECONDS).astype(np.int64)
