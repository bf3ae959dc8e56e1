"""From what was typed to what is asked of all stages alike: the job, its nodes, and what it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from railgauge.backends import offers_of
from railgauge.cluster import check_cluster, read_cluster
from railgauge.errors import UsageError
from railgauge.leaves.source import leaves_of
from railgauge.plan_options import modelled
from railgauge_reports.acceptance.planning import Asked
from railgauge_reports.processes import shell_words

DEFAULT_RANKS = 2


def asked_from(typed: Mapping[str, Any]) -> Asked:
    """What is asked of all stages alike; raises UsageError."""
    backend = typed["backend"] or "mpi"
    offers = offers_of(backend)
    leaves = None if typed["leaves"] is None else leaves_of(typed["leaves"])
    if offers.alone:
        for option in ("launcher", "python", "ranks", "ranks_per_node"):
            if typed.get(option) is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')}: a modelled cluster has one rank a GPU, and no launcher.\n"
                    "  next: --nodes 64, or a file of --cluster"
                )
        more = {"leaves": leaves} if leaves is not None else {}
        made = modelled({**typed, "pattern": None}, {**offers.defaults, **more})
        cluster = made["cluster"]
        return Asked(
            backend=backend,
            ranks=cluster.ranks,
            ranks_per_node=cluster.node.gpus,
            cluster=cluster,
            faults=made.get("faults", ()),
            leaves=made["leaves"],
            overrides=typed["overrides"],
        )
    if typed["faults"] is not None:
        raise UsageError(
            "--faults: only a simulated cluster has that.\n  next: --backend simulated"
        )
    cluster = None if typed["cluster"] is None else read_cluster(typed["cluster"])
    ranks, each = _ranks(typed)
    if cluster is not None:
        nodes = typed["nodes"] or max(cluster.nodes, ranks // each)
        cluster = check_cluster(
            msgspec.structs.replace(cluster, nodes=nodes), f"--cluster {typed['cluster']}"
        )
    elif typed["nodes"] is not None:
        raise UsageError("--nodes is of --cluster.\n  next: --ranks and --ranks-per-node")
    return Asked(
        backend=backend,
        ranks=ranks,
        ranks_per_node=each,
        cluster=cluster,
        leaves=leaves,
        launcher=shell_words(typed["launcher"], "--launcher"),
        python=typed.get("python") or "",
        overrides=typed["overrides"],
    )


def _ranks(typed: Mapping[str, Any]) -> tuple[int, int]:
    """(ranks, ranks a node) of a real job; without a launcher all ranks are on this host."""
    ranks, each = typed["ranks"], typed["ranks_per_node"]
    if typed["launcher"] is None:
        if typed.get("python"):
            raise UsageError(
                "--python: without --launcher the ranks run in this Python.\n"
                "  next: --launcher 'srun -n 64 apptainer exec IMAGE' with it"
            )
        ranks = ranks or DEFAULT_RANKS
        each = each or ranks
        if each != ranks:
            raise UsageError(
                f"--ranks-per-node {each}: without --launcher all {ranks} ranks run on this host.\n"
                f"  next: --launcher 'srun -n {ranks}'"
            )
    elif ranks is None or each is None:
        raise UsageError(
            "--launcher: how many ranks it starts, on nodes of how many, has to be said.\n"
            "  next: --launcher 'srun -n 64' --ranks 64 --ranks-per-node 8"
        )
    if ranks % each:
        raise UsageError(
            f"--ranks {ranks}: not as many on each node as --ranks-per-node {each} says."
        )
    return ranks, each
