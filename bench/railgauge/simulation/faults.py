"""Faults of a simulated cluster, given in TOML: what is amiss where, from when, and how much.

A flow model knows nothing of pauses, marks and loss. What counters show of a fault is scripted here,
from what the fault is known to do, and says nothing of how often a rule finds it on a real fabric.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from railgauge.cluster import Cluster, Count, Seconds, Share, read_toml
from railgauge.errors import UsageError, unknown

PerSecond = Annotated[float, Meta(ge=0, le=1e9)]
Index = Annotated[int, Meta(ge=0, le=1 << 20)]
#: Of go-back-N, where one packet in a thousand is lost (README, "A simulated cluster").
LOST_SHARE = 0.4


class _Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """`count` faults of this kind, each with targets of its own where those are left out.

    It lasts from `begin_seconds` to `end_seconds` (None: to the end) of the simulated run.
    """

    begin_seconds: Seconds = 0.0
    end_seconds: Seconds | None = None
    count: Count = 1

    def at(self, seconds: float) -> bool:
        """Is it there at that time of the run?"""
        return (
            self.begin_seconds
            <= seconds
            < (np.inf if self.end_seconds is None else self.end_seconds)
        )


class _OfNode(_Fault, frozen=True, kw_only=True):
    node: str | None = None


class _OfNic(_OfNode, frozen=True, kw_only=True):
    nic: Index | None = None


class SlowNic(_OfNic, frozen=True, kw_only=True, tag="slow_nic"):
    """A NIC that moves only a share of its rate, in silence."""

    share: Share = 0.5


class DeadNic(_OfNic, frozen=True, kw_only=True, tag="dead_nic"):
    """A NIC whose port is down: the next NIC of the node carries its messages too."""


class DeadRail(_Fault, frozen=True, kw_only=True, tag="dead_rail"):
    """A whole rail is down: NIC k of every node."""

    rail: Index | None = None


class DegradedCable(_OfNic, frozen=True, kw_only=True, tag="degraded_cable"):
    """A cable with bit errors, of a NIC, or between a leaf and a spine where these are given."""

    leaf: Index | None = None
    spine: Index | None = None
    share: Share = 0.5
    symbol_errors_per_second: PerSecond = 1000.0


class BadLeafPair(_Fault, frozen=True, kw_only=True, tag="bad_leaf_pair"):
    """What passes between two leaves (as `Cluster.leaves` names them) gets a share only."""

    leaves: tuple[str, str] | None = None
    share: Share = 0.9


class WrongPfcClass(_OfNode, frozen=True, kw_only=True, tag="wrong_pfc_class"):
    """A node whose RDMA traffic is in a class that nobody pauses: drops, go-back-N, timeouts."""

    share: Share = LOST_SHARE
    drops_per_GB: PerSecond = 200.0


class EcnOff(_OfNode, frozen=True, kw_only=True, tag="ecn_off"):
    """No marks, so nobody slows down: pauses instead, and no CNP. Without a node: on all of them."""

    share: Share = 0.95
    pauses_per_GB: PerSecond = 500.0


class HotSpine(_Fault, frozen=True, kw_only=True, tag="hot_spine"):
    """Others' traffic leaves a share of a spine's links."""

    spine: Index | None = None
    share: Share = 0.5


class Hang(_OfNode, frozen=True, kw_only=True, tag="hang"):
    """A node that does not come back from an operation."""

    at_least_nodes: Count = 1  # only in groups of so many nodes or more


class FlappingLink(_OfNic, frozen=True, kw_only=True, tag="flapping_link"):
    """A port that goes down for `down_seconds` in every `period_seconds`."""

    period_seconds: Annotated[float, Meta(gt=0, le=1e6)] = 10.0
    down_seconds: Annotated[float, Meta(gt=0, le=1e6)] = 0.5


class SlowGpu(_OfNode, frozen=True, kw_only=True, tag="slow_gpu"):
    """A GPU that comes late to every operation and exchanges a share only with its neighbours."""

    gpu: Index | None = None
    late_seconds: Seconds = 200e-6
    share: Share = 0.7


class Noisy(_OfNode, frozen=True, kw_only=True, tag="noise"):
    """A node whose measurements vary more than others'."""

    measurement: Share = 0.1
    transient: Share = 0.2


Fault = (
    SlowNic | DeadNic | DeadRail | DegradedCable | BadLeafPair | WrongPfcClass | EcnOff | HotSpine
    | Hang | FlappingLink | SlowGpu | Noisy
)  # fmt: skip


class FaultFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`seed` chooses the targets that are left out."""

    seed: int = 1
    faults: tuple[Fault, ...] = ()


def read_faults(path: Path) -> FaultFile:
    """A file of faults; raises UsageError that names file and field."""
    found: FaultFile = read_toml(path, "--faults", FaultFile)
    if not found.faults:
        raise UsageError(
            f"--faults {path}: names no fault.\n"
            '  expected: tables like `[[faults]]` with `kind = "slow_nic"`'
        )
    return found


def drawn(
    file: FaultFile, cluster: Cluster, spines: int, seed: int | None = None
) -> tuple[Fault, ...]:
    """One fault each with its target, drawn by the seed where the file leaves it out.

    No node is drawn twice. Raises UsageError for a target that the cluster lacks.
    """
    random = np.random.default_rng(file.seed if seed is None else (file.seed, seed))
    chooser = _Chooser(cluster, spines, random, file.faults)
    return tuple(chooser.chosen(fault) for fault in file.faults for _ in range(fault.count))


class _Chooser:
    """Chooses targets; those that somebody named are left alone."""

    def __init__(
        self, cluster: Cluster, spines: int, random: np.random.Generator, faults: tuple[Fault, ...]
    ) -> None:
        self._cluster, self._spines, self._random = cluster, spines, random
        named = {getattr(fault, "node", None) for fault in faults}
        left = [host for host in cluster.hosts if host not in named]
        order = random.permutation(len(left)).tolist()
        self._free: Iterator[str] = iter([left[k] for k in order])

    def chosen(self, fault: Fault) -> Fault:
        kind = fault.__struct_config__.tag
        fields: dict[str, Any] = {"count": 1}
        for name, limit in self._limits(fault):
            value = getattr(fault, name)
            if value is None:
                value = int(self._random.integers(limit))
            elif value >= limit:
                raise _no_target(kind, name, value, f"0 to {limit - 1}")
            fields[name] = value
        if isinstance(fault, _OfNode) and not self._elsewhere(fault):
            fields["node"] = self._node(kind, fault)
        if isinstance(fault, BadLeafPair):
            fields["leaves"] = self._leaves(kind, fault)
        return msgspec.structs.replace(fault, **fields)

    def _limits(self, fault: Fault) -> Iterator[tuple[str, int]]:
        """Numbered targets that the fault has, and how many there are."""
        cluster = self._cluster
        if isinstance(fault, DegradedCable) and self._elsewhere(fault):
            yield "leaf", len(cluster.leaves)
            yield "spine", self._spines
            return
        counts = {
            "nic": cluster.node.nics,
            "rail": cluster.node.nics,
            "gpu": cluster.node.gpus,
            "spine": self._spines,
        }
        for name, limit in counts.items():
            if hasattr(fault, name) and not isinstance(fault, DegradedCable):
                if not limit:
                    raise _no_target(
                        fault.__struct_config__.tag, name, "any", "a fabric that has one"
                    )
                yield name, limit
        if isinstance(fault, DegradedCable):
            yield "nic", counts["nic"]

    def _elsewhere(self, fault: Fault) -> bool:
        """Is it no single node's: a cable between switches, or a setting of all?"""
        if isinstance(fault, DegradedCable):
            return fault.leaf is not None or fault.spine is not None
        return isinstance(fault, EcnOff) and fault.node is None

    def _node(self, kind: Any, fault: _OfNode) -> str:
        if fault.node is None:
            host = next(self._free, None)
            if host is None:
                raise _no_target(kind, "count", fault.count, f"at most {self._cluster.nodes} nodes")
            return host
        if fault.node not in self._cluster.hosts:
            raise unknown(
                f"node of the fault {kind}", fault.node, self._cluster.hosts[:3], "railgauge list"
            )
        return fault.node

    def _leaves(self, kind: Any, fault: BadLeafPair) -> tuple[str, str]:
        names = [name for name, _ in self._cluster.leaves]
        if fault.leaves is None:
            if len(names) < 2:
                raise _no_target(kind, "leaves", "any", "a cluster with two leaves")
            a, b = sorted(self._random.choice(len(names), 2, replace=False).tolist())
            return names[a], names[b]
        for name in fault.leaves:
            if name not in names:
                raise unknown(f"leaf of the fault {kind}", name, names[:3], "railgauge list")
        if len(set(fault.leaves)) < 2:
            raise _no_target(kind, "leaves", fault.leaves, "two leaves")
        return fault.leaves


def _no_target(kind: Any, field: str, found: object, expected: str) -> UsageError:
    return UsageError(
        f"--faults: {kind}: {field} = {found}: this cluster has no such target.\n"
        f"  expected: {expected}"
    )
