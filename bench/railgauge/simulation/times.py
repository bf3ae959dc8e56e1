"""How long an iteration of each group takes on a machine with these effects, before any noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np

from railgauge.plan import Case
from railgauge.schedules import LOAD_OPERATIONS, Group, Round
from railgauge.simulation.effects import Effects
from railgauge.simulation.machine import Floats, Machine, Numbers
from railgauge.simulation.traffic import Traffic, algorithms, load_of, traffic_of
from railgauge.units import GIGA


@dataclasses.dataclass(frozen=True)
class Loaded:
    """Flows of a round in an operation, with what each of them gets: whatever the size of its messages.

    `rates` are GB/s; flows of `load` come after those of the traffic and belong to no group.
    """

    traffic: Traffic
    rates: Floats
    hops: Floats  # [groups] most links that a flow passes
    load_rate: float = 0.0  # GB/s of all flows of the load together


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds: `groups` float64 [groups] of an iteration, `flows` float64 [flows] of each flow's step."""

    groups: Floats
    flows: Floats
    algorithm: str


def loaded(
    machine: Machine, effects: Effects, case: Case, round_: Round, window: int, seed: int
) -> list[tuple[str, Loaded]]:
    """The round's flows by each algorithm that the case may take."""
    more = _load_flows(round_)
    made = []
    for algorithm in algorithms(case):
        of_case = msgspec.structs.replace(case, algorithm=algorithm)
        traffic = traffic_of(machine, of_case, round_.groups, window)
        made.append((algorithm, _solved(machine, effects, traffic, more, seed)))
    return made


def _load_flows(round_: Round) -> tuple[Numbers, Numbers]:
    operation = LOAD_OPERATIONS.get(round_.load)
    if operation is None:  # nothing, or reads and writes of storage
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return load_of(operation, round_.loading)


def _solved(
    machine: Machine,
    effects: Effects,
    traffic: Traffic,
    load: tuple[Numbers, Numbers],
    seed: int,
) -> Loaded:
    count = len(traffic.sources)
    sources = np.concatenate([traffic.sources, load[0]])
    targets = np.concatenate([traffic.targets, load[1]])
    routes = machine.routes(sources, targets, effects.port_of, seed)
    rates = np.zeros(len(sources))
    phases = int(traffic.phase.max(initial=0)) + 1
    for phase in range(phases):
        chosen = np.append(np.flatnonzero(traffic.phase == phase), np.arange(count, len(sources)))
        rates[chosen] = machine.rates(effects.capacity, routes[chosen])
    rates *= _through(machine, effects, sources, targets)
    hops = np.zeros(len(traffic.steps))
    np.maximum.at(hops, traffic.group, (routes[:count] >= 0).sum(axis=1))
    return Loaded(traffic, rates[:count], hops, float(rates[count:].sum()))


def _through(machine: Machine, effects: Effects, sources: Numbers, targets: Numbers) -> Floats:
    """The share of a flow's rate that gets through what its ends and its leaves do to it."""
    across = machine.island_of[sources] != machine.island_of[targets]
    ends = (
        effects.port_share[effects.port_of[sources]] * effects.port_share[effects.port_of[targets]]
    )
    share = np.where(across, ends, 1.0)
    under = machine.cluster.fabric.leaf_nodes
    leaves = np.sort([machine.node_of[sources] // under, machine.node_of[targets] // under], axis=0)
    for a, b, part in effects.leaf_pairs:
        share[across & (leaves[0] == a) & (leaves[1] == b)] *= part
    return share


def times(
    machine: Machine,
    effects: Effects,
    nbytes: int,
    choices: Sequence[tuple[str, Loaded]],
    groups: Sequence[Group],
) -> Times:
    """Of messages of that size; by the algorithm that takes least time for the slowest group."""
    made = [
        Times(*_times(machine, effects, nbytes, found, groups), algorithm)
        for algorithm, found in choices
    ]
    return min(made, key=lambda one: float(one.groups.max()))


def _times(
    machine: Machine, effects: Effects, nbytes: int, found: Loaded, groups: Sequence[Group]
) -> tuple[Floats, Floats]:
    node, fabric, traffic = machine.cluster.node, machine.cluster.fabric, found.traffic
    with np.errstate(divide="ignore"):
        flows = np.where(traffic.share > 0, traffic.share * nbytes / (found.rates * GIGA), 0.0)
    slowest = np.zeros(len(traffic.steps))
    for phase in range(int(traffic.phase.max(initial=0)) + 1):
        own = traffic.phase == phase
        most = np.zeros(len(slowest))
        np.maximum.at(most, traffic.group[own], flows[own])
        slowest += most
    late = np.array([effects.late[list(group.ranks)].max() for group in groups])
    step = fabric.step_seconds + found.hops * fabric.hop_seconds
    latency = node.launch_seconds + traffic.inner * node.nvlink_seconds + traffic.outer * step
    return late + latency + traffic.steps * slowest, flows + (latency + late)[traffic.group]
