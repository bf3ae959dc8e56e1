"""What the counters of simulated hosts show: what passes their NICs, and what a fault is known to move.

The names are mlx5's, so that the same readers and rules see them. Nothing here comes out of the flow
model but bytes: all other events are scripted by the faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from railgauge.cluster import Cluster
from railgauge.records import Counted, Moved
from railgauge.simulation.effects import Effects, Scripted
from railgauge.simulation.machine import Floats, Machine
from railgauge.simulation.times import Loaded
from railgauge.units import GIGA

#: NICs up to which all nodes are counted; above it only those with a fault, or a journal is mostly bytes.
MOST_NICS = 512
RDMA = (
    *("port_xmit_data", "port_rcv_data", "symbol_error", "port_rcv_errors", "link_downed"),
    *("port_xmit_discards", "out_of_sequence", "packet_seq_err", "local_ack_timeout_err"),
    *("roce_adp_retrans", "np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled"),
)
ETHTOOL = (
    *("rx_prio3_pause", "tx_prio3_pause", "rx_discards_phy", "tx_discards_phy"),
    *("rx_corrected_bits_phy", "link_down_events_phy"),
)


class Counters:
    """The nodes whose counters are kept, and which faults have told once already."""

    def __init__(self, machine: Machine, names: Sequence[str] | None, faulty: set[int]) -> None:
        self._machine = machine
        nics = machine.cluster.node.nics
        few = machine.nodes * nics <= MOST_NICS
        self.sources = [
            source for source in ("rdma", "ethtool") if names is None or source in names
        ]
        kept = range(machine.nodes) if few else sorted(faulty)
        self.nodes = [node for node in kept if node < machine.nodes] if self.sources else []
        self._told: set[Scripted] = set()

    def facts(self) -> dict[int, dict[str, Any]]:
        """Node -> what `environment.json` says of its counters (see `railgauge.tally`)."""
        places = list(self._places(self._machine.cluster))
        told = {"places": places, "names": [sorted(RDMA), sorted(ETHTOOL)], "problems": {}}
        return dict.fromkeys(self.nodes, told)

    def _places(self, cluster: Cluster) -> Iterator[dict[str, Any]]:
        node = cluster.node
        for nic in range(node.nics):
            facts = {
                "driver": "mlx5_core",
                "netdev": f"eth{nic}",
                "state": "4: ACTIVE",
                "rate": f"{node.nic_Gbps:g} Gb/sec",
                "link_layer": node.link_layer,
            }
            named = {"rdma": (f"mlx5_{nic}", 1, facts, 0)}
            named["ethtool"] = (f"eth{nic}", 0, {"driver": "mlx5_core"}, 1)
            for source in self.sources:
                device, port, of_place, names = named[source]
                place = {"source": source, "device": device, "port": port, "facts": of_place}
                yield place | {"unknown": {}, "names": names}

    def counted(
        self, effects: Effects, found: Loaded, nbytes: int, iterations: int, seconds: float
    ) -> list[Counted]:
        """What the kept nodes counted in so many iterations and seconds."""
        if not self.nodes:
            return []
        sent, received = _bytes(self._machine, effects, found, nbytes, iterations)
        nics = self._machine.cluster.node.nics
        moved: dict[int, list[Moved]] = {node: [] for node in self.nodes}
        if "rdma" in self.sources:
            for node in self.nodes:
                for nic in range(nics):
                    port = node * nics + nic
                    for name, amount in (("port_xmit_data", sent), ("port_rcv_data", received)):
                        if amount[port] >= 1:
                            moved[node].append(
                                Moved("rdma", f"mlx5_{nic}", 1, name, int(amount[port]))
                            )
        for event in effects.counters:
            node, nic = divmod(event.port, nics)
            delta = event.per_second * seconds
            delta += event.per_GB * float(sent[event.port] + received[event.port]) / GIGA
            if event.once and event not in self._told:
                delta += event.once
                self._told.add(event)
            if round(delta) and node in moved and event.source in self.sources:
                device = f"mlx5_{nic}" if event.source == "rdma" else f"eth{nic}"
                at = 1 if event.source == "rdma" else 0
                moved[node].append(Moved(event.source, device, at, event.name, round(delta)))
        return [
            Counted(node=node, seconds=seconds, moved=tuple(rows))
            for node, rows in moved.items()
            if rows
        ]


def _bytes(
    machine: Machine, effects: Effects, found: Loaded, nbytes: int, iterations: int
) -> tuple[Floats, Floats]:
    """Bytes out of and into every port, float64 [ports] each."""
    traffic = found.traffic
    across = machine.island_of[traffic.sources] != machine.island_of[traffic.targets]
    each = (traffic.share * traffic.steps[traffic.group] * nbytes * iterations)[across]
    ports = machine.network.ports
    ends = (effects.port_of[traffic.sources[across]], effects.port_of[traffic.targets[across]])
    sent, received = (np.bincount(end, each, ports).astype(np.float64) for end in ends)
    return sent, received
