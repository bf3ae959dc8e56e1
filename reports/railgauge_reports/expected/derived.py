"""What is expected where a published figure was measured: how far the model and the world agree."""

from __future__ import annotations

from typing import NamedTuple

from railgauge.cluster import Cluster, Node, check_cluster
from railgauge.errors import UsageError
from railgauge.expectation.algorithms import FORMS, spelled
from railgauge.expectation.nccl_tuning import GENERATIONS
from railgauge.units import parse_size
from railgauge_reports.expected.question import curve, question_of
from railgauge_reports.expected.references import Reference

LARGE = 16 << 30


class Check(NamedTuple):
    """The expected band of busbw, GB/s, and whether the published range meets it."""

    low: float
    middle: float
    high: float
    within: bool


def cluster_of(entry: Reference) -> Cluster | None:
    """The hardware of a published figure; None where the entry does not say enough."""
    if entry.generation not in GENERATIONS or not entry.gpus or not entry.nodes:
        return None
    each, constants = entry.gpus // entry.nodes, GENERATIONS[entry.generation]
    node = Node(
        gpus=each,
        nics=each,
        nic_Gbps=(entry.nics_Gbps or 400.0 * each) / each,
        nvlink_GBps=constants.links * constants.wire,
        nvlink_generation=entry.generation,
        nvls=constants.nvls_efficiency > 0,
        domain_nodes=entry.domain_nodes,
    )
    try:
        return check_cluster(Cluster(nodes=entry.nodes, node=node), "references.toml")
    except UsageError:
        return None


def check_of(entry: Reference) -> Check | None:
    """The expectation beside an entry; None where it cannot be had (of gates it says nothing)."""
    cluster = cluster_of(entry)
    if cluster is None or not cluster.node.nvlink_GBps:
        return None
    if cluster.nodes > entry.domain_nodes and entry.nics_Gbps is None:
        return None  # its NICs are not known
    known = {form.name for form in FORMS[entry.operation]}
    if entry.algorithm and spelled(entry.algorithm) not in known:
        return None  # the network's switches reduce
    question = question_of(cluster, entry.operation, algorithm=entry.algorithm or None)
    band = curve(question, [_size(entry.size)])
    low, middle, high = (
        float(band.busbw_GBps(of)[0]) for of in (band.seconds_high, band.seconds, band.seconds_low)
    )
    return Check(low, middle, high, entry.low <= high and entry.high >= low)


def _size(text: str) -> int:
    """The last size named, `largest` as 16 GiB."""
    try:
        return parse_size(text.split()[-1])
    except UsageError:
        return LARGE
