"""From a profile to plans of `railgauge run`: which stages have which runs on the cluster at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from railgauge import patterns
from railgauge.backends import offers_of
from railgauge.cluster import Cluster, topology_of
from railgauge.errors import UsageError
from railgauge.patterns import doubling
from railgauge.plan import Plan, cases
from railgauge.plan_options import completed
from railgauge.simulation.faults import Fault
from railgauge.topology import Leaves, Topology, located
from railgauge_reports.acceptance.kinds import KINDS, Kind
from railgauge_reports.acceptance.profile import Profile, Stage, folder_name, plan_fields


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of all stages alike; it is compared on --resume.

    `cluster` is what is modelled, or what a real one is held against (None: what the run itself tells).
    `launcher` empty: railgauge starts the ranks itself, on this host. `python` is that of the ranks, where it
    is not the one that runs the acceptance.
    """

    backend: str
    ranks: int
    ranks_per_node: int
    cluster: Cluster | None = None
    faults: tuple[Fault, ...] = ()
    leaves: Leaves | None = None
    launcher: tuple[str, ...] = ()
    python: str = ""
    overrides: tuple[str, ...] = ()

    @property
    def nodes(self) -> int:
        return self.ranks // self.ranks_per_node

    @property
    def modelled(self) -> bool:
        return offers_of(self.backend).alone

    @property
    def topology(self) -> Topology:
        """Where ranks are, or will be: before a real job has started its hosts have no names."""
        if self.modelled and self.cluster is not None:
            return topology_of(self.cluster, self.ranks, self.leaves)
        node_of = [rank // self.ranks_per_node for rank in range(self.ranks)]
        hosts = [host for _, under in self.leaves or () for host in under][: self.nodes]
        if len(hosts) < self.nodes:
            return Topology(tuple(node_of))
        return dataclasses.replace(located(self.leaves, hosts, node_of), hosts=())


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """A run of a stage: `folder` lies in the folder of the acceptance; `name` is "" of a stage's only one."""

    name: str
    folder: str
    plan: Plan


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    """`skip` says why a stage has no run; `nothing`: because there is nothing of the kind here."""

    stage: Stage
    folder: str
    runs: tuple[PlannedRun, ...] = ()
    skip: str = ""
    nothing: bool = False

    @property
    def kind(self) -> Kind:
        return KINDS[self.stage.kind]

    @property
    def audits(self) -> bool:
        return not self.kind.runs and not self.skip

    @property
    def pairwise(self) -> bool:
        """Are its runs such that a localisation can name who is at fault?"""
        return bool(self.runs) and all(r.plan.pattern in patterns.PAIRWISE for r in self.runs)


def planned(profile: Profile, asked: Asked) -> tuple[PlannedStage, ...]:
    """All stages with their runs, in order; raises UsageError that names the stage."""
    return tuple(_planned(k, stage, profile, asked) for k, stage in enumerate(profile.stages))


def _planned(number: int, stage: Stage, profile: Profile, asked: Asked) -> PlannedStage:
    kind, folder = KINDS[stage.kind], folder_name(number, stage)
    if reason := _nothing(stage, asked):
        return PlannedStage(stage, folder, skip=reason, nothing=True)
    if kind.leaves and asked.leaves is None:
        why = "which hosts hang on which leaf switch is not known; next: --leaves FILE"
        return PlannedStage(stage, folder, skip=why)
    try:
        runs = tuple(_runs(stage, folder, profile, asked))
    except UsageError as error:
        if not stage.required:
            return PlannedStage(stage, folder, skip=str(error).splitlines()[0])
        raise UsageError(f"stage {stage.name}: {error}") from None
    except msgspec.ValidationError as error:
        raise UsageError(f"stage {stage.name}: {error}\n  next: correct the profile") from None
    return PlannedStage(stage, folder, runs)


def _nothing(stage: Stage, asked: Asked) -> str:
    """Why there is nothing of the kind to test on this cluster; "": there is."""
    if stage.kind == "audit" and asked.modelled:
        return "a modelled cluster has no configuration to audit"
    if stage.kind == "local" and asked.ranks_per_node == 1:
        return "one rank a node exchanges nothing within it"
    if stage.kind == "leaves" and asked.leaves is not None and asked.nodes < 2:
        return "a single node meets nobody"
    return ""


def _runs(stage: Stage, folder: str, profile: Profile, asked: Asked) -> Iterator[PlannedRun]:
    kind = KINDS[stage.kind]
    specs: list[tuple[str, dict[str, Any]]] = [
        (name, {**fields, **profile.plan, **stage.plan}) for name, fields in kind.runs.items()
    ]
    if stage.runs:
        base = next(iter(kind.runs.values()))
        specs = [
            (run.name, {**base, **profile.plan, **stage.plan, **run.plan}) for run in stage.runs
        ]
    if kind.scaled:
        specs = [
            ("-".join(filter(None, (name, f"nodes{scale:04d}"))), {**fields, "group_nodes": scale})
            for name, fields in specs
            for scale in _scales(stage, asked)
        ]
    for name, fields in specs:
        inside = f"{folder}/{name}" if name else folder
        yield PlannedRun(name, inside, plan_of(fields, asked))


def _scales(stage: Stage, asked: Asked) -> list[int]:
    """Numbers of nodes of a sweep; those that the job has not are left out, but for all of them."""
    wanted = doubling(asked.nodes) if stage.scales is None else sorted(set(stage.scales))
    alone = asked.ranks_per_node == 1  # a group of one rank exchanges nothing
    return [scale for scale in wanted if scale <= asked.nodes and (scale > 1 or not alone)]


def plan_of(fields: dict[str, Any], asked: Asked) -> Plan:
    """The validated plan of these fields on the cluster at hand; raises UsageError."""
    more: dict[str, Any] = {"ranks": asked.ranks, "backend": asked.backend}
    if fields.get("pattern") == "nodes" or asked.launcher:  # who may place ranks otherwise
        more["ranks_per_node"] = asked.ranks_per_node
    if asked.leaves is not None:
        more["leaves"] = asked.leaves
    if asked.modelled:
        more |= {"cluster": asked.cluster, "faults": asked.faults}
    plan, _ = completed({**plan_fields(fields), **more})
    return plan


def measurements(plan: Plan, where: Topology) -> int:
    """Pairs of case and round of one repetition."""
    return len(cases(plan)) * patterns.round_count(plan.schedule, where)
