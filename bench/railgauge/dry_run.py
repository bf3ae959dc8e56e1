"""What a plan would do: its cases, the memory they take, and a bound on the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from railgauge import patterns
from railgauge.cluster import topology_of
from railgauge.errors import EXIT_PASS
from railgauge.layouts import NO_FLOWS, Ends
from railgauge.needs import check_data, ends_of, memory_needed, sets_of
from railgauge.plan import Case, Plan, case_traffic, cases
from railgauge.stopping import WARMUP_SHARE
from railgauge.topology import Topology, one_node
from railgauge.units import format_size


def dry_run(plan: Plan, left: Mapping[str, str], as_json: bool) -> int:
    """Print the plan's cases (JSON: one object) and measure nothing."""
    check_data(plan)
    modelled = plan.cluster and topology_of(plan.cluster, plan.ranks, plan.leaves)
    where = modelled or one_node(plan.ranks)
    rounds = patterns.round_count(plan.schedule, where)
    planned = cases(plan)
    memory = [0] * len(planned) if modelled else _memory(plan, planned, where)
    seconds = len(planned) * rounds * plan.budget * (1 + WARMUP_SHARE)
    if as_json:
        rows = [
            msgspec.to_builtins(case) | {"memory_bytes": need}
            for case, need in zip(planned, memory, strict=True)
        ]
        whole = {
            "cases": rows,
            "rounds": rounds,
            "seconds_at_most": None if plan.iterations else seconds,
            "repeated_for_seconds": plan.duration,
            "left_out": dict(left),
        }
        print(msgspec.json.encode(whole).decode())
        return EXIT_PASS
    for case, need in zip(planned, memory, strict=True):
        takes = "" if modelled else f"{format_size(need):>12} a rank"
        print(f"{case.describe():60} {case.timing:12} {takes}".rstrip())
    for name, why in left.items():
        print(f"left out: {name}: {why}")
    bound = "" if plan.iterations else f", at most about {seconds:.0f} s of sampling"
    again = f", again and again for {plan.duration:g} s" if plan.duration else ""
    print(f"{len(planned)} cases x {rounds} round(s) on {plan.ranks} ranks{bound}{again}")
    return EXIT_PASS


def _memory(plan: Plan, planned: Sequence[Case], where: Topology) -> list[int]:
    """Bytes of buffers that each case needs on the rank that needs most."""
    n, ends = plan.group_size, _busiest(plan, where)
    return [
        max(memory_needed(plan, case, n, me, ends) for me in _heaviest(plan, case, n))
        for case in planned
    ]


def _busiest(plan: Plan, where: Topology) -> Ends:
    """The ends of the rank into which most flows lead, at the same time."""
    made = [NO_FLOWS]
    for round_ in patterns.rounds(plan.schedule, where):
        for group in round_.groups:
            into = Counter(to for _, to in group.flows)
            made += [ends_of(group, rank) for rank, _ in into.most_common(1)]
    return max(made, key=lambda ends: len(ends.sources))


def _heaviest(plan: Plan, case: Case, n: int) -> set[int]:
    """Places of a group, the one with the largest buffers among them."""
    if plan.matrix is None:
        return {0, n - 1, case.root or 0}
    sent, received = case_traffic(plan, case.count, n).totals()
    return {int(np.argmax(sent + sets_of(plan, case).receives * received))}
