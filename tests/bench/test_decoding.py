"""A file that does not fit says what would have fitted."""

from __future__ import annotations

import msgspec
import pytest

from railgauge.cluster import Cluster
from railgauge.decoding import NOT_FITTING, told
from railgauge.plan import Plan
from railgauge.simulation.faults import FaultFile


@pytest.mark.parametrize(
    ("kind", "text", "hint", "expected"),
    [
        (Cluster, '[fabric]\ntopology = "fat-tree"', "fat_tree", {"dragonfly", "fat_tree", "rail_optimised"}),
        (Cluster, "[node]\ngpu = 8", "gpus", {"gpus", "nics", "nvlink_GBps"}),
        (Cluster, "node_s = 8", "nodes", {"nodes", "node", "fabric", "noise"}),
        (Plan, 'ranks = 2\ntiming = "barier"', "barrier", {"barrier", "back_to_back", "synchronised"}),
        (Plan, 'ranks = 2\nplacements = ["inn"]', "in", {"in", "out"}),
        (FaultFile, '[[faults]]\nkind = "slow_nics"', "slow_nic", {"slow_nic", "hang", "bad_leaf_pair"}),
        (FaultFile, '[[faults]]\nkind = "hang"\nat_least = 4', "at_least_nodes", {"node", "at_least_nodes"}),
    ],
)  # fmt: skip
def test_a_word_that_does_not_fit_is_answered_with_the_words_that_do(kind, text, hint, expected):
    with pytest.raises(NOT_FITTING) as raised:
        msgspec.toml.decode(text, type=kind)
    first, second = told(raised.value, kind).split("\n  expected: ")
    assert first.endswith(f"Did you mean {hint!r}?")
    assert expected <= set(second.split(", "))


def test_what_has_no_list_of_words_is_told_as_it_is():
    with pytest.raises(NOT_FITTING) as raised:
        msgspec.toml.decode("nodes = 0", type=Cluster)
    assert told(raised.value, Cluster) == "Expected `int` >= 1 - at `$.nodes`"
    with pytest.raises(NOT_FITTING) as raised:
        msgspec.toml.decode(b"nodes = 4\xff", type=Cluster)
    assert "can't decode byte 0xff in position 9" in told(raised.value, Cluster)
