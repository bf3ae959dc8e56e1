"""What a plan asks of a cluster, as a question of the expectation: reports and limits ask alike."""

from __future__ import annotations

from railgauge.cluster import Cluster
from railgauge.patterns import PAIRWISE
from railgauge.plan import Plan
from railgauge_reports.expected.question import Question, question_of


def question_of_plan(
    plan: Plan,
    cluster: Cluster,
    operation: str,
    nodes: int,
    ranks: int,
    algorithm: str | None = None,
) -> Question:
    """Of an operation in groups of so many nodes and ranks; raises UsageError as `question_of` does.

    Pairs are about all nodes of the job, since all are busy at once; a list is of pairs; groups of nodes
    are a world of fewer nodes each.
    """
    if plan.pattern in PAIRWISE:
        nodes, ranks = -(-plan.ranks // cluster.node.gpus), plan.ranks
    pattern = {"listed": "pairs", "nodes": "world"}.get(plan.pattern, plan.pattern)
    return question_of(cluster, operation, nodes, ranks, algorithm, pattern)
