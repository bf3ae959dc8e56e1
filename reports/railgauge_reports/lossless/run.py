"""A run folder under the rules: which profile, and what came of it."""

from __future__ import annotations

import dataclasses
import shlex

import pandas as pd

from railgauge_reports.lossless.catalogue import check_profile
from railgauge_reports.lossless.evidence import Evidence, Port, priorities
from railgauge_reports.lossless.judge import Judgement, judge
from railgauge_reports.lossless.recorded import (
    configuration_of,
    gigabytes_of,
    idle_of,
    ports_of,
    totals_of,
)
from railgauge_reports.lossless.sent import traffic_of
from railgauge_reports.stored import StoredRun

#: What the host's sockets are judged under where nobody names a profile and there is no RDMA.
SOCKETS_PROFILE = "roce-lossy"


@dataclasses.dataclass(frozen=True)
class Fabric:
    """What the rules say of a run: `silent` is why none of a lossless fabric could be judged."""

    profile: str
    why: str
    judgement: Judgement
    silent: str = ""


def evidence_of(stored: StoredRun, rows: pd.DataFrame) -> Evidence:
    """All that the run folder tells the rules; `rows` is its case frame."""
    nodes = stored.nodes
    totals, seconds = totals_of(stored)
    several = len(set(stored.last.hosts)) > 1
    ports = tuple(
        port
        for node in nodes
        for port in ports_of(node, totals, seconds.get(node.host, 0.0), several)
    )
    idle = {place: counts for node in nodes for place, counts in idle_of(node).items()}
    gigabytes = gigabytes_of(stored)
    return Evidence(
        ports=ports,
        configuration=configuration_of(nodes, ports, stored.last.backend),
        traffic=traffic_of(stored, rows, ports, gigabytes),
        idle=idle or None,
        gigabytes=gigabytes,
        folder=shlex.quote(str(stored.called)),
        again=stored.again,
    )


def fabric_of(stored: StoredRun, rows: pd.DataFrame, profile: str | None = None) -> Fabric:
    """Judge a run under a profile, or the one that its ports suggest; raises UsageError."""
    asked = None if profile is None else check_profile(profile)
    evidence = evidence_of(stored, rows)
    derived, why = _derived(evidence)
    chosen, told = (asked, "as asked") if asked else (derived, why)
    silent = "" if evidence.fabric else _silent(stored)
    return Fabric(chosen, told, judge(evidence, chosen), silent)


def _derived(evidence: Evidence) -> tuple[str, str]:
    """(profile, why) from link layers, drivers and PFC."""
    ports = evidence.fabric
    if not ports:
        return SOCKETS_PROFILE, "there is no RDMA port"
    if any(port.facts.get("driver") == "efa" for port in ports):
        return "efa", "the ports' driver is efa"
    native = [port for port in ports if port.facts.get("link_layer") == "InfiniBand"]
    if len(native) * 2 > len(ports):
        return "ib", f"the link layer of {len(native)} of {len(ports)} ports is InfiniBand"
    enabled = [port for port in ports if _pfc(evidence, port)]
    if enabled:
        return "roce-lossless", f"PFC is on at {len(enabled)} of {len(ports)} ports"
    if any(evidence.setting(port, "pfc") is not None for port in ports):
        return "roce-lossy", "PFC is off at every port"
    return "roce-lossy", "nothing says that PFC is on; --profile roce-lossless judges it so"


def _pfc(evidence: Evidence, port: Port) -> bool:
    return bool(priorities(evidence.setting(port, "pfc")))


def _silent(stored: StoredRun) -> str:
    """Why no rule of a fabric could be judged."""
    if stored.plan.counters == ():
        return "the run read no counters (--counters none)"
    if not any(node.counters for node in stored.nodes):
        return "the run recorded no counters"
    hosts = ", ".join(list(dict.fromkeys(node.host for node in stored.nodes))[:3])
    return f"no active RDMA port and no driver that counts pauses on {hosts}"
