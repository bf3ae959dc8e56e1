"""From raw stamps to times: an iteration ends when its last rank ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from railgauge.errors import NotMeasuredError
from railgauge.journal import Folder
from railgauge.plan import Plan, cases
from railgauge.records import Block, GroupResult, Result
from railgauge.samples import bandwidths, completion_ns, group_samples, seconds, stacks

STAMPS = ("entry", "exit")


def result(blocks: list[Block], groups: tuple[str, ...], n: int, **fields: Any) -> Result:
    timing = fields.pop("timing", "barrier")
    case = cases(Plan(ranks=4, sizes=(64,), timing=timing))[0]
    made = tuple(
        GroupResult(
            ranks=ranks,
            first_call_ns=1,
            warmup_iterations=0,
            steady=True,
            iterations=n,
            checked_iterations=n,
            missed_windows=0,
        )
        for ranks in groups
    )
    facts = {"started": 0.0, "seconds": 1.0, "stopped": "count", "transfers": 1, "bus_factor": 1.0}
    return Result(case=case, round=0, groups=made, samples=tuple(blocks), **(facts | fields))


def test_behind_a_barrier_the_slowest_rank_counts_and_not_the_mean():
    rows = np.array([[[100, 110], [200, 210]], [[900, 1000], [1001, 1003]]], np.int64)
    assert completion_ns(STAMPS, "barrier", rows, np.zeros(2, np.int64)).tolist() == [100, 10]


def test_synchronised_iterations_last_from_the_first_entry_to_the_last_exit():
    rows = np.array([[[100, 150], [500, 510]], [[90, 140], [480, 530]]], np.int64)
    clock_ns = np.array([0, 1_000], np.int64)
    made = completion_ns(STAMPS, "synchronised", rows, clock_ns)
    assert made.tolist() == [1_140 - 100, 1_530 - 500]
    assert completion_ns(STAMPS, "synchronised", rows, np.zeros(2, np.int64)).tolist() == [60, 50]


def test_of_a_devices_operations_the_duration_counts_and_not_their_launch():
    rows = np.array([[[7, 90], [8, 91]], [[9, 1], [1, 2]]], np.int64)
    made = completion_ns(("duration", "launch"), "back_to_back", rows, np.zeros(2, np.int64))
    assert made.tolist() == [9, 8]


def test_stored_durations_are_taken_as_they_are():
    rows = np.array([[[7], [8]], [[9], [1]]], np.int64)
    assert completion_ns(("duration",), "back_to_back", rows, np.zeros(2, np.int64)).tolist() == [
        9,
        8,
    ]


@given(
    rows=arrays(np.int64, (3, 5, 2), elements=st.integers(0, 10**12)).map(
        lambda a: np.sort(a, axis=2)
    ),
    offsets=arrays(np.int64, 3, elements=st.integers(-(10**9), 10**9)),
)
def test_completion_does_not_depend_on_the_order_of_ranks_nor_on_a_common_offset(rows, offsets):
    for timing in ("barrier", "synchronised"):
        made = completion_ns(STAMPS, timing, rows, offsets)
        assert np.array_equal(completion_ns(STAMPS, timing, rows[::-1], offsets[::-1]), made)
        assert np.array_equal(completion_ns(STAMPS, timing, rows, offsets + 5), made)
        assert (made >= (rows[:, :, 1] - rows[:, :, 0]).max(axis=0)).all()


def test_each_group_gets_the_rows_of_its_ranks_from_any_node(tmp_path: Path):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    rows = np.arange(4 * 3 * 2, dtype=np.int64).reshape(4, 3, 2)
    folder.append_samples(0, np.zeros((1, 5), np.int64))  # an earlier case
    blocks = [
        Block(node=0, offset=folder.append_samples(0, rows[[0, 3]]), ranks="0,3", columns=STAMPS),
        Block(
            node=1,
            offset=folder.append_samples(1, rows[[1, 2]]),
            ranks="1-2",
            columns=STAMPS,
            clock_ns=50,
        ),
    ]
    made = list(group_samples(tmp_path, result(blocks, ("0,2", "1,3"), 3)))
    assert [group.ranks for group in made] == [(0, 2), (1, 3)]
    assert np.array_equal(made[0].rows, rows[[0, 2]])
    assert np.array_equal(made[1].rows, rows[[1, 3]])
    assert [group.clock_ns.tolist() for group in made] == [[0, 50], [50, 0]]


def test_where_only_the_slowest_ranks_were_kept_there_is_one_row_a_group(tmp_path: Path):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    slowest = np.array([[[500, 1], [600, 0]], [[50, 3], [60, 2]]], np.int64)
    block = Block(
        node=0, offset=folder.append_samples(0, slowest), ranks="", columns=("duration", "rank")
    )
    made = result([block], ("0-1", "2-3"), 2, transfers=2)
    groups = list(group_samples(tmp_path, made))
    assert [group.ranks for group in groups] == [(), ()]
    assert seconds(groups[0], made) == pytest.approx([250e-9, 300e-9])
    assert seconds(groups[1], made) == pytest.approx([25e-9, 30e-9])


def test_samples_cut_short_are_an_error_and_never_fewer_samples(tmp_path: Path):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    offset = folder.append_samples(0, np.zeros((2, 3, 2), np.int64))
    made = result([Block(node=0, offset=offset, ranks="0-1", columns=STAMPS)], ("0-1",), 3)
    assert len(list(group_samples(tmp_path, made))) == 1
    path = tmp_path / "samples" / "node0.i64"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(NotMeasuredError, match=r"node0.i64: 11 of 12 values .* cut short"):
        list(group_samples(tmp_path, made))
    path.unlink()
    with pytest.raises(NotMeasuredError, match=r"node0\.i64"):
        list(group_samples(tmp_path, made))


def test_bandwidths_are_decimal_and_absent_where_there_is_no_time_or_payload():
    assert bandwidths(10**9, 0.5, 1.5) == (2.0, 3.0)
    assert bandwidths(8, None, 1.0) is None
    assert bandwidths(8, 0.0, 1.0) is None
    assert bandwidths(0, 1.0, 1.0) is None


def test_groups_of_equally_many_ranks_are_stacked(tmp_path: Path):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    rows = np.arange(7 * 3 * 2, dtype=np.int64).reshape(7, 3, 2)
    block = Block(node=0, offset=folder.append_samples(0, rows), ranks="0-6", columns=STAMPS)
    made = result([block], ("0,4", "1-3", "5-6"), 3)
    pairs, three = stacks(tmp_path, made)
    assert (pairs.number.tolist(), three.number.tolist()) == ([0, 2], [1])
    assert pairs.ranks.tolist() == [[0, 4], [5, 6]]
    assert np.array_equal(pairs.rows, rows[[[0, 4], [5, 6]]])
    assert np.array_equal(three.rows[0], rows[1:4])
    assert seconds(pairs, made).shape == (2, 3)


def test_of_a_pair_the_rank_that_stamped_is_its_only_row(tmp_path: Path):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    rows = np.arange(2 * 3 * 1, dtype=np.int64).reshape(2, 3, 1)
    offset = folder.append_samples(0, rows)
    block = Block(node=0, offset=offset, ranks="0,2", columns=("duration",))
    (pairs,) = stacks(tmp_path, result([block], ("0-1", "2-3"), 3))
    assert pairs.ranks.tolist() == [[0], [2]]
    assert np.array_equal(pairs.rows, rows[:, None])


def test_the_slowest_of_groups_lie_on_the_nodes_of_their_first_ranks(tmp_path: Path):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    slowest = np.array([[[50, 3]], [[60, 5]], [[70, 1]]], np.int64)
    kept = {"columns": ("duration", "rank")}
    blocks = [
        Block(node=0, offset=folder.append_samples(0, slowest[:2]), ranks="2,4", **kept),
        Block(node=1, offset=folder.append_samples(1, slowest[2:]), ranks="0", **kept),
    ]
    (made,) = stacks(tmp_path, result(blocks, ("0-1", "2-3", "4-5"), 1))
    assert made.rows[:, 0].tolist() == [[[70, 1]], [[50, 3]], [[60, 5]]]


@pytest.mark.parametrize(
    ("ranks", "columns"), [("0-1", STAMPS), ("0,7", ("duration", "rank")), ("5", STAMPS)]
)
def test_a_group_without_samples_is_an_error_that_names_its_ranks(tmp_path: Path, ranks, columns):
    folder = Folder(tmp_path)
    (tmp_path / "samples").mkdir()
    offset = folder.append_samples(0, np.zeros((2, 1, 2), np.int64))
    block = Block(node=0, offset=offset, ranks=ranks, columns=columns)
    with pytest.raises(NotMeasuredError, match="round 0: no samples of the ranks"):
        stacks(tmp_path, result([block], ("0-1", "2-3"), 1))
    with pytest.raises(NotMeasuredError, match="no samples"):
        stacks(tmp_path, result([], ("0-1",), 1))
