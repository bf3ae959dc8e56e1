"""Comparing nodes: who differs from most, and when nobody can say who is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.auditing.agreement import Vote, majority


def votes(*values, where=""):
    """A vote a node: node00, node01, ..."""
    return [Vote(f"node{n:02}", where, n, f'"{v}"', v) for n, v in enumerate(values)]


def test_one_node_has_nothing_to_compare():
    assert majority(votes("28.41")) is None


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_nodes_that_are_alike_agree(count):
    found = majority(votes(*["28.41"] * count))
    assert found.alike
    assert found.words == f"{count} nodes have 28.41"


@pytest.mark.parametrize(("same", "odd"), [(2, 1), (3, 1), (3, 2), (4, 1), (31, 1)])
def test_the_minority_is_named_with_what_the_majority_has(same, odd):
    found = majority(votes(*["28.41"] * same, *["28.39"] * odd))
    assert not found.alike
    assert found.expected == "28.41"
    assert len(found.hosts) == odd
    assert found.hosts[0] == f"node{same:02}"
    assert found.words.endswith(f"28.39 where {same} nodes have 28.41")


@pytest.mark.parametrize(
    "values", [("a", "b"), ("a", "a", "b", "b"), ("a", "b", "c"), ("a", "a", "b", "c")]
)
def test_without_a_majority_nobody_is_named_as_wrong(values):
    found = majority(votes(*values))
    assert not found.alike
    assert "no majority" in found.words
    assert len(found.hosts) == len(values)
    assert all(value in found.words for value in values)


def test_a_node_with_many_devices_has_one_vote_as_others():
    crowd = [Vote("node00", f"mlx5_{n}", 0, '"old"', "old") for n in range(8)]
    few = [Vote(f"node0{n}", "mlx5_0", n, '"new"', "new") for n in (1, 2)]
    found = majority([*crowd, *few])
    assert found.hosts == ("node00",)
    assert "mlx5_0, mlx5_1" in found.words


def test_devices_of_one_node_are_compared_with_each_other():
    made = [
        Vote("node00", f"mlx5_{n}", 0, str(n == 3), "odd" if n == 3 else "plain") for n in range(8)
    ]
    found = majority(made)
    assert found.words == "node00 (mlx5_3): odd where 7 devices have plain"


def test_values_that_read_alike_are_shown_as_they_are():
    made = [Vote(f"node{n}", "", n, f"[{n // 2}]", "on") for n in range(3)]
    assert "[1] where" in majority(made).words


def test_ranks_are_named_where_the_value_is_a_rank_s():
    made = [Vote("node00", "", rank, str(rank == 5), str(rank == 5)) for rank in range(8)]
    found = majority(made, by_rank=True)
    assert (found.ranks, found.hosts) == ("5", ("node00",))
    assert "7 ranks" in found.words


def test_many_outliers_are_counted_and_not_listed():
    made = votes(*["a"] * 200, *["b"] * 90)
    words = majority(made).words
    assert "and 82 more" in words
    assert len(words) < 300


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=30))
def test_the_named_are_always_those_who_differ_from_more_than_half(values):
    found = majority(votes(*values))
    common = max(set(values), key=values.count)
    if 2 * values.count(common) > len(values):
        odd = [f"node{n:02}" for n, value in enumerate(values) if value != common]
        assert list(found.hosts) == (odd or list(found.hosts))
        assert found.alike == (not odd)
    else:
        assert "no majority" in found.words
