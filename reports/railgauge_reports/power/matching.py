"""Which suspects stand for which planted faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from railgauge.cluster import Cluster
from railgauge.simulation import faults
from railgauge.simulation.faults import Fault

NAMED, IN_A_CLASS, MISSED = "named", "in a class", "missed"


class Accused(Protocol):
    """Somebody or something that is said to be at fault: a suspect, or `Named`."""

    @property
    def kind(self) -> str: ...
    @property
    def hosts(self) -> tuple[str, ...]: ...
    @property
    def rail(self) -> int | None: ...
    @property
    def leaves(self) -> tuple[str, ...]: ...


@dataclasses.dataclass(frozen=True)
class Named:
    """What an acceptance accuses, whatever said so."""

    kind: str
    hosts: tuple[str, ...]
    rail: int | None
    leaves: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a fault is: what a suspect must name to be right. `rails` None: any, or none in particular."""

    kind: str
    host: str | None = None
    rails: frozenset[int] | None = None
    leaves: frozenset[str] = frozenset()

    def is_named_by(self, suspect: Accused) -> bool:
        """Does the suspect say where the fault is, and not more than that?"""
        if self.host is not None:
            right = self.rails is None or suspect.rail is None or suspect.rail in self.rails
            return self.host in suspect.hosts and right
        if self.rails is not None:
            return suspect.kind == "rail" and suspect.rail in self.rails
        return bool(self.leaves) and self.leaves == frozenset(suspect.leaves)


def kind_of(fault: Fault) -> str:
    """Its name in TOML."""
    return str(fault.__struct_config__.tag)


def target_of(fault: Fault, cluster: Cluster) -> Target:
    """Where a planted fault is; no host, rail or leaf of one that no pair of nodes can point at."""
    kind, nics = kind_of(fault), cluster.node.nics
    if isinstance(fault, faults.DeadRail):
        rail = fault.rail or 0
        return Target(
            kind, rails=frozenset({rail, (rail + 1) % nics})
        )  # the next one carries it too
    if isinstance(fault, faults.BadLeafPair):
        return Target(kind, leaves=frozenset(fault.leaves or ()))
    if isinstance(fault, faults.DegradedCable) and fault.leaf is not None:
        return Target(kind)
    host, nic = getattr(fault, "node", None), getattr(fault, "nic", None)
    if nic is None:
        return Target(kind, host)
    rails = {nic, (nic + 1) % nics} if isinstance(fault, faults.DeadNic) else {nic}
    return Target(kind, host, frozenset(rails))


@dataclasses.dataclass(frozen=True)
class Match:
    """How each target was found, and the suspects that stand for none of them."""

    outcomes: tuple[tuple[str, str], ...]  # (kind of the fault, NAMED, IN_A_CLASS or MISSED)
    false: tuple[Accused, ...]


def match(
    targets: Sequence[Target], accused: Sequence[Accused], classes: Sequence[Accused] = ()
) -> Match:
    """Hold what is accused, and classes of which one member is meant, against what was planted."""
    outcomes = []
    for target in targets:
        if any(target.is_named_by(suspect) for suspect in accused):
            outcomes.append((target.kind, NAMED))
        elif any(target.is_named_by(one_of) for one_of in classes):
            outcomes.append((target.kind, IN_A_CLASS))
        else:
            outcomes.append((target.kind, MISSED))
    false = (
        suspect for suspect in accused if not any(target.is_named_by(suspect) for target in targets)
    )
    return Match(tuple(outcomes), tuple(false))
