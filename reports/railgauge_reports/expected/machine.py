"""The cluster that a run was measured on, as far as its environment.json tells.

What is not recorded is named, not guessed: the fabric above the NICs never is. Where nodes differ the
weaker one counts, since all wait for it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from railgauge.cluster import Cluster, Fabric, Node, check_cluster
from railgauge.errors import UsageError
from railgauge.hardware.links import Gpu, Hardware, Nic
from railgauge.hardware.nvlink import GENERATIONS
from railgauge_reports.stored import StoredRun

HOST_MEMORY = (
    "its buffers lie in host memory, and what bounds copies between processes or the"
    " library's own network path is not in the run"
)
SHARED = "its ranks shared GPUs, which is a test of results and not of speed"


@dataclasses.dataclass(frozen=True)
class Machine:
    """`cluster` None: `reason` says why nothing can be expected. `unknown`: what was not recorded."""

    nodes: int
    ranks: int
    cluster: Cluster | None = None
    reason: str = ""
    unknown: tuple[str, ...] = ()


def machine_of(run: StoredRun) -> Machine:
    """The cluster of a run; raises nothing for facts that are absent or damaged."""
    nodes, ranks = len(run.last.hosts), run.last.ranks
    if run.plan.cluster is not None:
        return Machine(nodes, ranks, run.plan.cluster)
    if run.plan.memory == "host":
        return Machine(nodes, ranks, reason=HOST_MEMORY)
    if run.last.functional:
        return Machine(nodes, ranks, reason=SHARED)
    found = hardware_of(run.environment)
    if len(found) < nodes or not all(hardware.gpus for hardware in found):
        lacking = "environment.json has no GPUs of every node (`hardware`)"
        return Machine(nodes, ranks, reason=f"{lacking}")
    if ranks % nodes:
        return Machine(nodes, ranks, reason=f"{ranks} ranks on {nodes} nodes, unevenly")
    return _machine(run, found, ranks // nodes)


def hardware_of(environment: Mapping[str, Any]) -> list[Hardware]:
    """What stands in each node, typed; a node whose entry is missing or damaged is left out."""
    found = []
    nodes = environment.get("nodes")
    for node in nodes if isinstance(nodes, list) else []:
        try:
            found.append(msgspec.convert(node["hardware"], Hardware))
        except (KeyError, TypeError, msgspec.ValidationError):
            continue
    return found


def domains_of(run: StoredRun) -> dict[str, int]:
    """Host -> number of its NVLink domain, where domains span nodes; {} where none does, or none is known."""
    if run.plan.cluster is not None:
        each = run.plan.cluster.node.domain_nodes
        return (
            {host: k // each for k, host in enumerate(run.plan.cluster.hosts)} if each > 1 else {}
        )
    found: dict[str, object] = {}
    for hardware in hardware_of(run.environment):
        own = {gpu.domain for gpu in _used(hardware, run)}
        found[hardware.host] = own.pop() if len(own) == 1 else None
    named = [domain for domain in found.values() if domain is not None]
    if len(named) < len(found) or len(set(named)) == len(named):
        return {}
    numbers = {domain: k for k, domain in enumerate(dict.fromkeys(named))}
    return {host: numbers[domain] for host, domain in found.items()}


def _machine(run: StoredRun, found: Sequence[Hardware], each: int) -> Machine:
    nodes, ranks = len(run.last.hosts), run.last.ranks
    unknown: list[str] = []
    gpus = [gpu for hardware in found for gpu in _used(hardware, run)]
    generation = _generation(gpus, unknown)
    nvlink = _nvlink(found, gpus, unknown)
    pcie = min((g.pcie.payload_GBps for g in gpus if g.pcie.payload_GBps), default=None)
    if pcie is None:
        unknown.append("node.pcie_GBps: no GPU's PCIe path was recorded")
    nics, facts = _nics(run, found, each, unknown)
    domain = _domain_nodes(gpus, nodes) if nvlink is not None else 1
    if nics == 0 and nodes > domain:
        why = "no NIC with a rate was recorded (sockets, or ports that are down)"
        return Machine(nodes, ranks, reason=f"{why}", unknown=tuple(unknown))
    switched = any(link.remote_kind == "switch" for gpu in gpus for link in gpu.nvlinks)
    fabric = _fabric(run, nodes, domain, unknown)
    try:
        cluster = check_cluster(
            Cluster(
                nodes=nodes,
                node=Node(
                    gpus=each,
                    nics=nics or 1,
                    pcie_GBps=pcie,
                    nvlink_GBps=nvlink,
                    nvlink_generation=generation if nvlink is not None else None,
                    domain_nodes=domain,
                    nvls=switched and (generation or 0) >= 4 and nvlink is not None and _nvls(run),
                    **facts,
                ),
                fabric=fabric,
            ),
            str(run.folder),
        )
    except UsageError as error:
        first = str(error).splitlines()[0]
        return Machine(nodes, ranks, reason=f"{first}", unknown=tuple(unknown))
    return Machine(nodes, ranks, cluster, unknown=tuple(unknown))


def _used(hardware: Hardware, run: StoredRun) -> list[Gpu]:
    """The GPUs of the node that ranks have, all where that is not recorded."""
    taken = {str(gpu.get("uuid")) for gpu in run.gpus.values() if isinstance(gpu, dict)}
    mine = [gpu for gpu in hardware.gpus if any(hardware.gpu(uuid) is gpu for uuid in taken)]
    return mine or list(hardware.gpus)


def _generation(gpus: Sequence[Gpu], unknown: list[str]) -> int | None:
    """NVLink's, by compute capability, where all GPUs have the same."""
    known = {GENERATIONS.get(gpu.capability or (0, 0)) for gpu in gpus}
    only = known.pop() if len(known) == 1 else None
    if only is None:
        unknown.append(
            "node.nvlink_generation: the GPUs' compute capability is unknown, or differs"
        )
        return None
    return int(float(only[0]))


def _nvlink(found: Sequence[Hardware], gpus: Sequence[Gpu], unknown: list[str]) -> float | None:
    """Of the GPU with the least, GB/s; None where NVLink does not join all GPUs of a node."""
    rates = [gpu.nvlink_GBps for gpu in gpus]
    split = any(len({gpu.domain for gpu in node.gpus if gpu in gpus}) > 1 for node in found)
    if split or not all(rates):
        unknown.append("node.nvlink_GBps: NVLink does not join all GPUs of a node; PCIe is taken")
        return None
    known = [rate for rate in rates if rate]
    if min(known) < max(known):
        worst = gpus[rates.index(min(known))]
        unknown.append(
            f"GPU {worst.bus_id} on {worst.host} has {min(known):g} GB/s of NVLink, others"
            f" {max(known):g}: all wait for it"
        )
    return min(known)


def _nics(
    run: StoredRun, found: Sequence[Hardware], each: int, unknown: list[str]
) -> tuple[int, dict[str, Any]]:
    """NICs of a node that its ranks use, and what they are; 0 where none has a rate."""
    named = _named(run.environment)
    used: list[list[Nic]] = []
    for hardware in found:
        rated = [nic for nic in hardware.nics if nic.rate_Gbps]
        fastest = max((nic.rate_Gbps or 0 for nic in rated), default=0)
        names = named.get(hardware.host)
        taken = [n for n in rated if (n.name in names if names else n.rate_Gbps == fastest)]
        used.append(taken)
    count = min(map(len, used))
    if not count:
        return 0, {}
    if not all(named.get(hardware.host) for hardware in found):
        unknown.append(f"node.nics: the run does not say which; the {count} fastest are taken")
    while each % count and count % each:
        count -= 1
    every = [nic for nics in used for nic in nics]
    rates = sorted({nic.rate_Gbps or 0.0 for nic in every})
    if len(rates) > 1:
        slow = next(nic for nic in every if nic.rate_Gbps == rates[0])
        unknown.append(
            f"{slow.name} on {slow.host} runs at {rates[0]:g} Gb/s, others at {rates[-1]:g}"
        )
    facts: dict[str, Any] = {"nic_Gbps": rates[0]}
    layers = {nic.link_layer for nic in every}
    if len(layers) == 1 and layers <= {"Ethernet", "InfiniBand"}:
        facts["link_layer"] = layers.pop()
    if mtu := _mtu(run):
        facts["mtu"] = mtu
    else:
        unknown.append("node.mtu: not recorded; 4096 is taken")
    return count, facts


def _named(environment: Mapping[str, Any]) -> dict[str, set[str]]:
    """Host -> the NICs that its ranks say they use."""
    nodes = environment.get("nodes") or []
    found: dict[str, set[str]] = {}
    for rank in environment.get("ranks") or []:
        try:
            host = nodes[rank["node"]]["host"]
            found.setdefault(host, set()).update(rank["nics"]["names"])
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    return found


def _mtu(run: StoredRun) -> int | None:
    """The MTU that the audit read, where all devices have the same and a NIC can have it."""
    known = {
        value
        for node in run.nodes
        for name, value in node.configuration.items()
        if name.startswith("mtu:") and isinstance(value, int | float)
    }
    only = int(known.pop()) if len(known) == 1 else None
    return only if only in (256, 512, 1024, 2048, 4096) else None


def _domain_nodes(gpus: Sequence[Gpu], nodes: int) -> int:
    """How many nodes share an NVLink domain: of the smallest domain."""
    hosts = Counter(domain for domain, _ in {(gpu.domain, gpu.host) for gpu in gpus})
    return min(nodes, *hosts.values()) if None not in hosts else 1


def _fabric(run: StoredRun, nodes: int, domain: int, unknown: list[str]) -> Fabric:
    if nodes > domain:
        unknown.append(
            "fabric.oversubscription: in no run; uplinks are taken to be as wide as NICs"
        )
    under = max((len(hosts) for _, hosts in run.plan.leaves or ()), default=0)
    return Fabric(leaf_nodes=under) if under else Fabric(leaf_nodes=max(1, nodes))


def _nvls(run: StoredRun) -> bool:
    """Unless it was switched off (NCCL_NVLS_ENABLE=0)."""
    told = dict(run.plan.variables)
    return not any({**node.variables, **told}.get("NCCL_NVLS_ENABLE") == "0" for node in run.nodes)
