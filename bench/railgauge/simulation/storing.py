"""Simulated stamps in a run folder: one file for all ranks, since one process has them."""

from __future__ import annotations

import numpy as np

from railgauge.journal import Folder, sample_path
from railgauge.needs import columns_of
from railgauge.patterns import Round
from railgauge.plan import Case, Plan
from railgauge.rank_lists import encode_ranks
from railgauge.records import Block, FlowBlock
from railgauge.samples import Rows
from railgauge.simulation.stamps import Stamps
from railgauge.simulation.times import Loaded

WRITER = 0  # the node whose file it is


def sample_block(folder: Folder, plan: Plan, case: Case, round_: Round, made: Stamps) -> Block:
    """Stores what a real run would of every rank; above the sample budget of the slowest one."""
    timed = _timed(case, round_, made)
    columns = columns_of(plan, case)
    rows = made.exit[timed] - made.entry[timed]
    if columns[0] == "entry":
        rows = np.stack([made.entry[timed], made.exit[timed]], axis=2)
    if _stored(folder) + rows.nbytes > plan.sample_budget:
        return _slowest(folder, round_, made)
    return Block(
        node=WRITER,
        offset=folder.append_samples(WRITER, rows),
        ranks=encode_ranks(made.ranks[timed].tolist()),
        columns=columns,
    )


def flow_block(folder: Folder, plan: Plan, found: Loaded, made: Stamps) -> FlowBlock:
    """Stores the time of every flow's messages; as many of the last iterations as the budget leaves."""
    width = made.flows[:, :1].nbytes
    room = (plan.sample_budget - _stored(folder)) // max(1, width)
    keep = max(1, min(made.flows.shape[1], room))
    ends = (found.traffic.sources.tolist(), found.traffic.targets.tolist())
    return FlowBlock(
        node=WRITER,
        offset=folder.append_samples(WRITER, made.flows[:, -keep:]),
        flows=tuple(zip(*ends, strict=True)),
        iterations=keep,
    )


def _timed(case: Case, round_: Round, made: Stamps) -> Rows:
    """Which rows are kept: back to back, of a pair only the rank that sends first."""
    if case.timing != "back_to_back" or not case.entry.even:
        return np.arange(len(made.ranks))
    first = {rank for group in round_.groups for rank in group.ranks[: len(group.ranks) // 2]}
    return np.flatnonzero([rank in first for rank in made.ranks.tolist()])


def _slowest(folder: Folder, round_: Round, made: Stamps) -> Block:
    """One row a group: the longest duration of each iteration, and the rank that took longest in all."""
    total = (made.exit - made.entry).sum(axis=1)
    order = np.lexsort((total, made.group_of))
    last = np.flatnonzero(np.diff(made.group_of[order], append=len(round_.groups)))
    ranks = np.broadcast_to(made.ranks[order[last]][:, None], made.maxima.shape)
    rows = np.stack([made.maxima, ranks], axis=2)
    return Block(
        node=WRITER,
        offset=folder.append_samples(WRITER, rows),
        ranks=encode_ranks(group.ranks[0] for group in round_.groups),
        columns=("duration", "rank"),
    )


def _stored(folder: Folder) -> int:
    path = sample_path(folder.path, WRITER)
    return path.stat().st_size if path.exists() else 0
