"""A judgement of every threshold of a file: its cluster found, what is missing asked for by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from railgauge.cluster import Cluster, Node, check_cluster, read_cluster
from railgauge.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_PASS, UsageError
from railgauge.expectation.nccl_tuning import GENERATIONS
from railgauge_reports.expected.judging import Limit
from railgauge_reports.expected.question import question_of
from railgauge_reports.expected.thresholds import BANDWIDTH_UNITS, Judged, Threshold
from railgauge_reports.expected.words import figure


def lint(thresholds: Iterable[Threshold], default: str | None = None) -> list[Judged]:
    """A judgement each; `default` is the cluster of those that name none. Raises UsageError."""
    return [judge(threshold, default) for threshold in thresholds]


def exit_code(judged: Sequence[Judged]) -> int:
    """1 where one cannot do its job, else 6 where of one nothing can be said, else 0."""
    found = {one.verdict for one in judged}
    if found & {"unreachable", "blind"}:
        return EXIT_FAIL
    return EXIT_INCONCLUSIVE if "unknown" in found else EXIT_PASS


def judge(threshold: Threshold, default: str | None = None) -> Judged:
    """What a threshold can do; raises UsageError that names it where its job does not exist."""
    try:
        cluster, missing = _cluster(threshold, default)
        missing += [name for name in ("operation", "unit", "nodes") if not getattr(threshold, name)]
        if cluster is None or missing:
            return _asking(threshold, cluster, missing)
        assert threshold.operation is not None
        assert threshold.nodes is not None
        question = question_of(
            cluster,
            threshold.operation,
            threshold.nodes,
            algorithm=threshold.algorithm,
            pattern=threshold.pattern,
        )
    except UsageError as error:
        raise UsageError(f"threshold {threshold.name!r}: {error}") from None
    if question.reason:
        words = [f"no expectation of {question.operation}: {question.reason}"]
        return Judged(name=threshold.name, verdict="unknown", words=words)
    return Limit(threshold, question).judged()


# what is missing -----------------------------------------------------------------------------------------


def _cluster(threshold: Threshold, default: str | None) -> tuple[Cluster | None, list[str]]:
    """The cluster that it is for, or the fields that would say it."""
    named, nodes = threshold.cluster or default, threshold.nodes or 1
    if named is not None:
        base = read_cluster(named)
        return _overridden(base, threshold, named), []
    missing = []
    if threshold.gpus_per_node is None:
        missing.append("gpus_per_node")
    if threshold.nvlink_generation not in GENERATIONS:
        missing.append("nvlink_generation")
    if threshold.nodes != 1:
        missing += [n for n in ("nics_per_node", "nic_Gbps") if getattr(threshold, n) is None]
    if missing:
        return None, missing
    blank = Cluster(nodes=nodes, node=Node(gpus=1, nics=1))
    return _overridden(blank, threshold, "threshold"), []


def _overridden(base: Cluster, threshold: Threshold, where: str) -> Cluster:
    """The cluster with what the threshold says of its nodes."""
    said = {
        "gpus": threshold.gpus_per_node,
        "nics": threshold.nics_per_node,
        "nic_Gbps": threshold.nic_Gbps,
    }
    node = {name: value for name, value in said.items() if value is not None}
    generation = threshold.nvlink_generation
    if generation is not None and generation != base.node.nvlink_generation:
        constants = GENERATIONS.get(generation)
        if constants is None:
            known = ", ".join(map(str, GENERATIONS))
            raise UsageError(f"nvlink_generation {generation} is unknown.\n  expected: {known}")
        node |= {
            "nvlink_generation": generation,
            "nvlink_GBps": constants.links * constants.wire,
            "nvls": constants.nvls_efficiency > 0,
        }
    made = msgspec.structs.replace(base, node=msgspec.structs.replace(base.node, **node))
    return check_cluster(made, where) if node else made


def _asking(threshold: Threshold, cluster: Cluster | None, missing: list[str]) -> Judged:
    """What has to be said first, and what can be told without it."""
    words = [f"missing: {', '.join(missing)}"]
    if cluster is None:
        words.append("or cluster: a TOML file of a cluster, or the name of one that ships")
    if threshold.unit is None:
        words.append(
            f"{figure(threshold.value)} without a unit is no limit: GB/s, Gb/s, us, of expected"
        )
    told = None
    if (
        cluster
        and threshold.operation
        and threshold.unit in BANDWIDTH_UNITS
        and not threshold.nodes
    ):
        told = _any_nodes(threshold, cluster, words)
    return told or Judged(name=threshold.name, verdict="unknown", words=words, missing=missing)


def _any_nodes(threshold: Threshold, cluster: Cluster, words: list[str]) -> Judged | None:
    """The bound over some numbers of nodes; a verdict where the limit is above all of them."""
    bounds = {}
    for nodes in sorted({1, min(2, cluster.nodes), min(4, cluster.nodes), cluster.nodes}):
        question = question_of(cluster, threshold.operation or "", nodes, pattern=threshold.pattern)
        if question.chosen:
            bounds[nodes] = max(question.bounds.values())
    value = threshold.value * BANDWIDTH_UNITS[threshold.unit or ""]
    each = ", ".join(f"{nodes}: {figure(bound)}" for nodes, bound in bounds.items())
    words.append(f"the bound depends on the nodes, GB/s busbw: {each}")
    if not bounds or threshold.quantity == "algbw" or value <= max(bounds.values()):
        return None
    words.append(f"{figure(value)} GB/s cannot be reached by any of these")
    most = max(bounds.values())
    return Judged(
        name=threshold.name,
        verdict="unreachable",
        words=words,
        missing=["nodes"],
        value_GBps=value,
        bound_GBps=most,
        over_bound=value / most - 1,
    )
