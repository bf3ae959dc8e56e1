"""Where samples of several nodes go, with ranks that are threads and nodes that are made up."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from railgauge.clocks import Offset
from railgauge.gather import result_of
from railgauge.journal import Folder, block_end, sample_path
from railgauge.keeping import Keeper
from railgauge.patterns import Group, Round, group_of
from railgauge.plan import Plan, cases
from railgauge.rank_lists import encode_ranks
from railgauge.records import GroupResult
from railgauge.samples import group_samples, seconds
from railgauge.sampling import Outcome
from railgauge.world import Place, on_rank_0

NODE_OF = (0, 0, 1, 1, 2, 2)
ROUND = Round((Group((0, 4)), Group((1, 5)), Group((2, 3))))
N = 5


class Talk:
    """A communicator of threads."""

    def __init__(self, ranks: tuple[int, ...]) -> None:
        self.ranks, self.said = ranks, {}
        self.barrier = threading.Barrier(len(ranks))

    def seen_by(self, rank: int) -> Any:
        place = self.ranks.index(rank)
        everybody = self._everybody(rank)
        return types.SimpleNamespace(
            rank=place,
            size=len(self.ranks),
            all_gather=everybody,
            gather=lambda value: everybody(value) if place == 0 else [everybody(value), None][1],
            gather_values=lambda values: (
                np.concatenate(made) if (made := everybody(values.ravel())) and place == 0 else None
            ),
            maximum=lambda values: np.max(everybody(values), axis=0),
        )

    def _everybody(self, rank: int) -> Callable[[Any], list[Any]]:
        def exchange(value: Any) -> list[Any]:
            self.said[rank] = value
            self.barrier.wait(30)
            made = [self.said[other] for other in self.ranks]
            self.barrier.wait(30)
            return made

        return exchange


def on_all_ranks(work: Callable[[Any, Any], Any]) -> list[Any]:
    """`work(world, its group)` on six ranks of three nodes, a thread each."""
    everyone = tuple(range(len(NODE_OF)))
    world = Talk(everyone)
    nodes = [Talk(tuple(r for r in everyone if NODE_OF[r] == node)) for node in range(3)]
    leaders = Talk((0, 2, 4))
    groups = [Talk(group.ranks) for group in ROUND.groups]
    made: list[Any] = [None] * len(everyone)

    def run(rank: int) -> None:
        here = world.seen_by(rank)
        here.node = nodes[NODE_OF[rank]].seen_by(rank)
        here.leaders = leaders.seen_by(rank) if rank in leaders.ranks else None
        here.places = [Place(r, f"n{NODE_OF[r]}", NODE_OF[r], r % 2, 0) for r in everyone]
        own = next(group for group in groups if rank in group.ranks)
        made[rank] = work(here, own.seen_by(rank))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return made


def kept(folder: Folder, **fields: Any) -> list[Any]:
    """The blocks of a case in which rank r takes 100 r + k ns in iteration k, but 2 is slow in the 2nd."""
    plan = Plan(ranks=6, pattern="pairs", operations=("sendrecv",), sizes=(8,), **fields)
    (case,) = cases(plan)

    def work(world: Any, group: Any) -> Any:
        took = 100 * world.rank + np.arange(N)
        took[2] += 10_000 * (world.rank == 2)
        rows = np.stack([np.zeros(N, np.int64), took], axis=1)
        measurement = types.SimpleNamespace(timed=True, columns=("entry", "exit"), group=group)
        outcome = Outcome(rows, group.maximum(took))
        keeper = Keeper(plan, world, folder)
        mine = group_of(ROUND, world.rank)
        return keeper.blocks(case, mine, measurement, outcome, Offset(7 * world.rank, 0))

    blocks = on_all_ranks(work)
    assert blocks[1:] == [[]] * 5
    groups = [
        GroupResult(
            ranks=encode_ranks(group.ranks),
            first_call_ns=1,
            warmup_iterations=0,
            steady=True,
            iterations=N,
            checked_iterations=N,
            missed_windows=0,
        )
        for group in ROUND.groups
    ]
    facts = {"world_size": 6, "started": 0.0, "seconds": 1.0, "stopped": "count"}
    return result_of(plan, case, 0, ROUND, groups, blocks=blocks[0], **facts)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "samples").mkdir()
    return Folder(tmp_path)


def test_every_node_keeps_the_rows_of_its_ranks(folder):
    result = kept(folder)
    assert [(b.node, b.ranks, b.clock_ns) for b in result.samples] == [
        (0, "0-1", 0),
        (1, "2-3", 14),
        (2, "4-5", 28),
    ]
    for block in result.samples:
        assert block_end(result, block) == sample_path(folder.path, block.node).stat().st_size
    first, second, third = group_samples(folder.path, result)
    assert [s.ranks for s in (first, second, third)] == [(0, 4), (1, 5), (2, 3)]
    assert seconds(third, result) * 1e9 == pytest.approx([300, 301, 10_202, 303, 304])


def test_above_the_budget_the_node_of_the_first_rank_keeps_the_slowest_of_a_group(folder):
    folder.append_samples(1, np.zeros(3, np.int64))
    result = kept(folder, sample_budget=100)
    assert [(b.node, b.ranks, b.clock_ns) for b in result.samples] == [(0, "0-1", 0), (1, "2", 0)]
    assert {b.columns for b in result.samples} == {("duration", "rank")}
    assert not sample_path(folder.path, 2).exists()
    for block in result.samples:
        assert block_end(result, block) == sample_path(folder.path, block.node).stat().st_size
    first, second, third = group_samples(folder.path, result)
    assert first.rows[0].tolist() == [[400 + k, 4] for k in range(N)]
    assert second.rows[0].tolist() == [[500 + k, 5] for k in range(N)]
    assert third.rows[0].tolist() == [[300, 3], [301, 3], [10_202, 2], [303, 3], [304, 3]]


def test_rank_0_hears_node_by_node_and_only_of_those_that_say_something():
    heard = on_all_ranks(
        lambda world, _: on_rank_0(world, world.rank if world.rank in (1, 4, 5) else None)
    )
    assert heard == [[1, 4, 5], None, None, None, None, None]
