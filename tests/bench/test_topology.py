"""Where ranks are, and which leaf their nodes hang on."""

from __future__ import annotations

import pytest

from railgauge.errors import UsageError
from railgauge.topology import Topology, absent, located, one_node

LEAVES = (("leaf0", ("n0", "n1")), ("leaf1", ("n2", "n9")))


def test_a_host_that_hangs_on_no_leaf_is_an_error_and_an_absent_one_is_said():
    where = located(LEAVES, ["n0", "n2"], [0, 0, 1])
    assert where == Topology((0, 0, 1), (0, 1), ("leaf0", "leaf1"), ("n0", "n2"))
    assert [where.leaf(player) for player in range(2)] == [0, 1]
    assert absent(LEAVES, ["n0", "n2"]) == "--leaves names n1, n9, not in this job: not tested"
    assert absent(None, ["n0"]) == ""
    with pytest.raises(UsageError, match="n7 of this job hang on no leaf"):
        located(LEAVES, ["n0", "n7"], [0, 1])


def test_players_are_nodes_with_their_rails_and_on_one_node_its_ranks():
    assert one_node(3).players == ((0,), (1,), (2,))
    assert Topology((0, 1, 0, 1)).players == ((0, 2), (1, 3))
    assert one_node(2).leaf(1) == 0
