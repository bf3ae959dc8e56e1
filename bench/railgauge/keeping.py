"""Which raw samples of a case are kept, and where: blocks in the file of each node, fsynced.

Every node writes the rows of its own ranks. Above the sample budget (bytes a node) the slowest rank of
each iteration is kept of every group, by the node of the group's first rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from railgauge.clocks import Offset
from railgauge.journal import Folder, sample_path
from railgauge.needs import columns_of
from railgauge.patterns import Group
from railgauge.plan import Case, Plan
from railgauge.rank_lists import encode_ranks
from railgauge.records import Block, FlowBlock
from railgauge.samples import Rows
from railgauge.sampling import Outcome
from railgauge.world import Measuring, World, on_rank_0

#: Columns of what is kept of a group above the sample budget (`records.Block`).
SLOWEST = ("duration", "rank")
_RANK_BITS = 20  # a rank of a group fits below 2^20, a duration in ns above it


class Keeper:
    """This rank's part in it; all ranks of the world call its methods together."""

    def __init__(self, plan: Plan, world: World, folder: Folder) -> None:
        self.plan, self.world, self.folder = plan, world, folder

    def blocks(
        self,
        case: Case,
        mine: Group | None,
        measurement: Measuring | None,
        outcome: Outcome,
        clock: Offset,
    ) -> list[Block]:
        """The blocks of all nodes on rank 0; above the sample budget only the slowest ranks."""
        keeps = measurement is not None and measurement.timed
        rows = outcome.rows if keeps else outcome.rows[:0]
        total = sum(self.world.node.all_gather(rows.nbytes))
        total += self._stored(self.world.places[self.world.rank].node)
        columns, clock_ns = columns_of(self.plan, case), clock.clock_ns
        if int(self.world.maximum(np.array([total]))[0]) > self.plan.sample_budget:
            rows, columns, clock_ns = _slowest(mine, measurement, outcome), SLOWEST, 0
            keeps = measurement is not None and measurement.group.rank == 0
        stamped = self.world.node.gather(self.world.rank if keeps else None)
        gathered = self.world.node.gather_values(rows)
        ranks = [rank for rank in stamped or [] if rank is not None]
        block = None
        if ranks and gathered is not None:
            node = self.world.places[self.world.rank].node
            block = Block(
                node=node,
                offset=self.folder.append_samples(node, gathered),
                ranks=encode_ranks(ranks),
                columns=columns,
                clock_ns=clock_ns,
            )
        return on_rank_0(self.world, block) or []

    def flow_blocks(self, sources: Sequence[int], outcome: Outcome) -> list[FlowBlock]:
        """The blocks of all nodes on rank 0; as many of the last iterations as the budget leaves."""
        incoming = outcome.flows.shape[1] if len(outcome.flows) else 0  # nobody stamped them
        if not int(self.world.maximum(np.array([incoming]))[0]):
            return []
        rank, node = self.world.rank, self.world.places[self.world.rank].node
        mine = [(source, rank) for source in sources] if incoming else []
        room = self.plan.sample_budget - self._stored(node)
        iterations = int(self.world.maximum(np.array([len(outcome.flows)]))[0])
        width = 8 * sum(self.world.node.all_gather(incoming))
        fit = max(1, room // width) if width else iterations
        keep = -int(self.world.maximum(np.array([-min(fit, iterations)]))[0])
        kept = outcome.flows[-keep:] if incoming else np.zeros((0, 0), np.int64)
        flows = self.world.node.gather(mine)
        gathered = self.world.node.gather_values(np.ascontiguousarray(kept.T))
        block = None
        everyone = [flow for part in flows or [] for flow in part]
        if everyone and gathered is not None:
            offset = self.folder.append_samples(node, gathered)
            block = FlowBlock(node=node, offset=offset, flows=tuple(everyone), iterations=keep)
        return on_rank_0(self.world, block) or []

    def _stored(self, node: int) -> int:
        """Bytes of samples that the node has stored already; 0 where another rank stores them."""
        path = sample_path(self.folder.path, node)
        return path.stat().st_size if self.world.node.rank == 0 and path.exists() else 0


def _slowest(mine: Group | None, measurement: Measuring | None, outcome: Outcome) -> Rows:
    """On the first rank of a group, by iteration, the duration of the slowest rank and which it was."""
    rows = np.zeros((0, len(SLOWEST)), np.int64)
    if measurement is None or mine is None:
        return rows
    data = outcome.rows
    took = data[:, 1] - data[:, 0] if measurement.columns[0] == "entry" else data[:, 0]
    slowest = measurement.group.maximum((took << _RANK_BITS) | measurement.group.rank)
    if measurement.group.rank == 0:
        ranks = np.array(mine.ranks, np.int64)
        rows = np.stack([outcome.maxima, ranks[slowest & ((1 << _RANK_BITS) - 1)]], axis=1)
    return rows
