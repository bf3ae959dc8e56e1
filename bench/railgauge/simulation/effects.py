"""What the faults of a moment do to a machine: to its links, flows, ranks, and counters."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from railgauge.simulation import faults
from railgauge.simulation.faults import Fault
from railgauge.simulation.machine import Floats, Machine, Numbers


class Scripted(NamedTuple):
    """A counter of a NIC that a fault moves: so much a second, a GB through that NIC, and at its begin."""

    port: int
    source: str
    name: str
    per_second: float = 0.0
    per_GB: float = 0.0  # noqa: N815  (a unit)
    once: int = 0


class Down(NamedTuple):
    """A port that is down for `down` seconds in every `period`, from `begin` on."""

    port: int
    period: float
    down: float
    begin: float


@dataclasses.dataclass
class Effects:
    """Shares of what a healthy machine has, all of them 1 or empty where nothing is amiss."""

    capacity: Floats  # [links] GB/s
    port_of: Numbers  # [ranks] the NIC of each
    port_share: Floats  # [ports] of a flow's rate that gets through
    late: Floats  # [ranks] seconds
    measurement: Floats  # [nodes] coefficient of variation
    transient: Floats  # [nodes] share of measurements
    leaf_pairs: list[tuple[int, int, float]]
    hung: list[faults.Hang]
    flapping: list[Down]
    counters: list[Scripted]
    dead: set[int]  # ports


def effects_of(machine: Machine, active: Sequence[Fault]) -> Effects:
    """What these faults do together."""
    cluster = machine.cluster
    made = Effects(
        capacity=machine.capacity.copy(),
        port_of=machine.port_of.copy(),
        port_share=np.ones(machine.network.ports),
        late=np.zeros(machine.ranks),
        measurement=np.full(cluster.nodes, cluster.noise.measurement),
        transient=np.full(cluster.nodes, cluster.noise.transient),
        leaf_pairs=[],
        hung=[],
        flapping=[],
        counters=[],
        dead=set(),
    )
    for fault in active:
        _apply(fault, machine, made)
    _move_from_dead(machine, made)
    return made


def faulty_nodes(machine: Machine, planned: Sequence[Fault]) -> set[int]:
    """The nodes on which a counter can move by these faults, at any time."""
    nics = machine.cluster.node.nics
    return {event.port // nics for event in effects_of(machine, planned).counters}


def _port(machine: Machine, fault: faults._OfNic) -> int:
    return machine.number_of[fault.node or ""] * machine.cluster.node.nics + (fault.nic or 0)


def _weaken(effects: Effects, links: Numbers, share: float) -> None:
    effects.capacity[links] *= share


@functools.singledispatch
def _apply(fault: Fault, machine: Machine, effects: Effects) -> None:
    raise NotImplementedError(fault)


@_apply.register
def _(fault: faults.SlowNic, machine: Machine, effects: Effects) -> None:
    _weaken(effects, np.array(machine.network.links_of_port(_port(machine, fault))), fault.share)


@_apply.register
def _(fault: faults.DeadNic, machine: Machine, effects: Effects) -> None:
    port = _port(machine, fault)
    effects.dead.add(port)
    effects.counters.append(Scripted(port, "rdma", "link_downed", once=1))


@_apply.register
def _(fault: faults.DeadRail, machine: Machine, effects: Effects) -> None:
    nics = machine.cluster.node.nics
    for node in range(machine.cluster.nodes):
        effects.dead.add(node * nics + (fault.rail or 0))
        effects.counters.append(
            Scripted(node * nics + (fault.rail or 0), "rdma", "link_downed", once=1)
        )


@_apply.register
def _(fault: faults.DegradedCable, machine: Machine, effects: Effects) -> None:
    network = machine.network
    if fault.leaf is not None:
        _weaken(effects, np.array(network.links_between(fault.leaf, fault.spine or 0)), fault.share)
        return  # what a switch counts no host can read
    port = _port(machine, fault)
    _weaken(effects, np.array(network.links_of_port(port)), fault.share)
    errors = fault.symbol_errors_per_second
    effects.counters += [
        Scripted(port, "rdma", "symbol_error", per_second=errors),
        Scripted(port, "rdma", "port_rcv_errors", per_second=errors / 10),
        Scripted(port, "ethtool", "rx_corrected_bits_phy", per_second=100 * errors),
        Scripted(port, "rdma", "packet_seq_err", per_second=errors / 10),
    ]


@_apply.register
def _(fault: faults.BadLeafPair, machine: Machine, effects: Effects) -> None:
    names = [name for name, _ in machine.cluster.leaves]
    a, b = (names.index(leaf) for leaf in fault.leaves or ())
    effects.leaf_pairs.append((a, b, fault.share))


@_apply.register
def _(fault: faults.WrongPfcClass, machine: Machine, effects: Effects) -> None:
    for port in _ports(machine, fault.node):
        effects.port_share[port] *= fault.share
        lost = fault.drops_per_GB
        effects.counters += [
            Scripted(port, "ethtool", "rx_discards_phy", per_GB=lost),
            Scripted(port, "rdma", "out_of_sequence", per_GB=lost),
            Scripted(port, "rdma", "local_ack_timeout_err", per_GB=lost / 50),
        ]


@_apply.register
def _(fault: faults.EcnOff, machine: Machine, effects: Effects) -> None:
    for port in _ports(machine, fault.node):
        effects.port_share[port] *= fault.share
        effects.counters += [
            Scripted(port, "ethtool", "rx_prio3_pause", per_GB=fault.pauses_per_GB),
            Scripted(port, "ethtool", "tx_prio3_pause", per_GB=fault.pauses_per_GB / 2),
        ]


@_apply.register
def _(fault: faults.HotSpine, machine: Machine, effects: Effects) -> None:
    _weaken(effects, machine.network.links_of_switch("spine", fault.spine or 0), fault.share)


@_apply.register
def _(fault: faults.Hang, machine: Machine, effects: Effects) -> None:
    del machine
    effects.hung.append(fault)


@_apply.register
def _(fault: faults.FlappingLink, machine: Machine, effects: Effects) -> None:
    port = _port(machine, fault)
    begin = fault.begin_seconds
    effects.flapping.append(Down(port, fault.period_seconds, fault.down_seconds, begin))
    a_second = 1 / fault.period_seconds
    effects.counters += [
        Scripted(port, "rdma", "link_downed", per_second=a_second),
        Scripted(port, "ethtool", "link_down_events_phy", per_second=a_second),
        Scripted(port, "rdma", "local_ack_timeout_err", per_second=a_second),
    ]


@_apply.register
def _(fault: faults.SlowGpu, machine: Machine, effects: Effects) -> None:
    rank = machine.number_of[fault.node or ""] * machine.cluster.node.gpus + (fault.gpu or 0)
    if rank < machine.ranks:
        effects.late[rank] += fault.late_seconds
        _weaken(effects, np.array(machine.inside(rank)), fault.share)


@_apply.register
def _(fault: faults.Noisy, machine: Machine, effects: Effects) -> None:
    node = machine.number_of[fault.node or ""]
    effects.measurement[node] = max(effects.measurement[node], fault.measurement)
    effects.transient[node] = max(effects.transient[node], fault.transient)


def _ports(machine: Machine, host: str | None) -> range:
    """The NICs of a node, or of all of them."""
    nics = machine.cluster.node.nics
    if host is None:
        return range(machine.cluster.nodes * nics)
    node = machine.number_of[host]
    return range(node * nics, (node + 1) * nics)


def _move_from_dead(machine: Machine, effects: Effects) -> None:
    """Ranks of a dead port take the next one of their node that lives; without any they are cut off."""
    nics = machine.cluster.node.nics
    for rank in np.flatnonzero(np.isin(effects.port_of, list(effects.dead))).tolist():
        node, nic = divmod(int(effects.port_of[rank]), nics)
        others = (node * nics + (nic + k) % nics for k in range(1, nics))
        living = next((port for port in others if port not in effects.dead), None)
        if living is None:
            effects.port_share[effects.port_of[rank]] = 0.0
        else:
            effects.port_of[rank] = living
