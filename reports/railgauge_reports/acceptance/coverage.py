"""What an acceptance tested and what not, counted from its run folders."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from railgauge.patterns import PAIRWISE
from railgauge.rank_lists import decode_ranks
from railgauge_reports.acceptance import checklist
from railgauge_reports.acceptance.answer import Coverage, StageResult
from railgauge_reports.acceptance.planning import Asked
from railgauge_reports.group_table import table_of
from railgauge_reports.stored import Measured, StoredRun


class _Seen:
    """Sets of what measured groups held."""

    def __init__(self) -> None:
        self.nodes: set[str] = set()
        self.nics: set[tuple[str, int]] = set()
        self.pairs: set[tuple[str, str]] = set()
        self.leaf_pairs: set[tuple[str, str]] = set()
        self.sizes: dict[str, tuple[int, int]] = {}

    def add(self, run: StoredRun) -> None:
        leaf_of = {host: leaf for leaf, hosts in run.plan.leaves or () for host in hosts}
        done: set[int] = set()
        for made in run.results:
            case = made.result.case
            low, high = self.sizes.get(case.operation, (case.nbytes, case.nbytes))
            self.sizes[case.operation] = (min(low, case.nbytes), max(high, case.nbytes))
            if made.result.round not in done:  # the groups of a round are those of all its cases
                done.add(made.result.round)
                self._add_groups(run, made, leaf_of)

    def _add_groups(self, run: StoredRun, made: Measured, leaf_of: dict[str, str]) -> None:
        pairwise = run.plan.pattern in PAIRWISE
        groups = table_of(made.result.groups)
        fields = (groups.values(name) for name in ("ranks", "iterations", "rail"))
        for ranks, iterations, rail in zip(*fields, strict=True):
            if not iterations:
                continue
            hosts = list(dict.fromkeys(made.start.host_of[r] for r in decode_ranks(ranks)))
            self.nodes |= set(hosts)
            if rail is not None:
                self.nics |= {(host, rail) for host in hosts}
            if pairwise and len(hosts) == 2:
                self._add_pair(hosts, leaf_of)

    def _add_pair(self, hosts: Sequence[str], leaf_of: dict[str, str]) -> None:
        one, other = sorted(hosts)
        self.pairs.add((one, other))
        leaves = sorted({leaf_of.get(one, ""), leaf_of.get(other, "")})
        if len(leaves) == 2 and leaves[0]:
            self.leaf_pairs.add((leaves[0], leaves[1]))


def coverage_of(asked: Asked, stages: Sequence[StageResult], runs: Sequence[StoredRun]) -> Coverage:
    """Of all stages together; NICs are counted where pairs were tested rail by rail."""
    seen = _Seen()
    for run in runs:
        seen.add(run)
    hosts = {host for run in runs for start in run.starts for host in start.run.hosts}
    used = {leaf for leaf, under in asked.leaves or () if hosts & set(under)}
    leaf_pairs = len(used) * (len(used) - 1) // 2
    nodes = max(asked.nodes, len(hosts))
    rails = _rails(asked)
    return Coverage(
        nodes=nodes,
        nodes_tested=len(seen.nodes),
        nics=nodes * rails,
        nics_tested=len(seen.nics),
        pairs=nodes * (nodes - 1) // 2,
        pairs_tested=len(seen.pairs),
        leaf_pairs=leaf_pairs,
        leaf_pairs_tested=len(seen.leaf_pairs),
        sizes=seen.sizes,
        planned=sum(stage.planned for stage in stages),
        measured=sum(stage.measured for stage in stages),
        untested=tuple(_untested(asked, stages, seen, hosts)),
    )


def _rails(asked: Asked) -> int:
    """Rails of a node: its ranks, one a GPU; of one node there are none."""
    return asked.ranks_per_node if asked.nodes > 1 and asked.ranks_per_node > 1 else 0


def _untested(
    asked: Asked, stages: Sequence[StageResult], seen: _Seen, hosts: set[str]
) -> list[str]:
    told = [
        f"stage {stage.name}: {stage.reasons[0] if stage.reasons else 'left out'}"
        for stage in stages
        if stage.verdict.word in ("SKIP", "INTERRUPTED")
    ]
    if missing := sorted(hosts - seen.nodes):
        told.append(f"nodes without a valid measurement: {', '.join(itertools.islice(missing, 8))}")
    under = {host for _, names in asked.leaves or () for host in names}
    if absent := len(under - hosts):
        told.append(f"{absent} hosts that the leaves name are not in this job")
    kinds = {stage.kind for stage in stages}
    told += [
        f"{item.asks} (no stage of this profile)"
        for item in checklist.items().values()
        if item.kinds and not kinds & set(item.kinds)
    ]
    told += [
        f"{item.asks} (not measured here: {item.instead})"
        for item in checklist.items().values()
        if not item.kinds
    ]
    return told
