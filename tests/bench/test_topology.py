"""Which host hangs on which leaf: lists of hosts as Slurm writes them, and files that name odd things."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import UsageError
from railgauge.topology import Topology, absent, expanded, located, one_node, read_leaves


@pytest.mark.parametrize(
    ("word", "hosts"),
    [
        ("node7", ["node7"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-10,12]x", ["n08x", "n09x", "n10x", "n12x"]),
        ("r[1-2]n[0-1]", ["r1n0", "r1n1", "r2n0", "r2n1"]),
    ],
)
def test_a_list_of_hosts_is_spelt_out(word, hosts):
    assert list(expanded(word)) == hosts


@pytest.mark.parametrize(
    "word",
    [
        *("n[1-", "n]1[", "n[3-1]", "n[a-b]", "n[]", "n[1-99999999999]", f"n[{'0' * 5000}]"),
        *("r[1-9999]n[1-9999]", f"n[{','.join(['0-999999'] * 2)}]"),
    ],
)
def test_a_list_of_hosts_that_means_nothing_is_refused(word):
    with pytest.raises(UsageError, match="host list"):
        list(expanded(word))


SLURM = """# made by hand
SwitchName=leaf0 Nodes=node[0-1],gpu7
SwitchName=leaf1 LinkSpeed=400 Nodes=node[2-3]
SwitchName=spine Switches=leaf[0-1]
"""
PLAIN = "leaf0: node[0-1], gpu7\n\nleaf1: node2 node3  # two\n"


@pytest.mark.parametrize("text", [SLURM, PLAIN])
def test_leaves_are_read_from_slurms_file_and_from_plain_lines(tmp_path, text):
    path = tmp_path / "leaves"
    path.write_text(text)
    assert read_leaves(path) == (
        ("leaf0", ("node0", "node1", "gpu7")),
        ("leaf1", ("node2", "node3")),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"", "names no leaf"),
        (b"SwitchName=spine Switches=leaf[0-1]\n", "names no leaf"),
        (b"leaf0 node0\n", "line 1: 'leaf0 node0' is no leaf"),
        (b"leaf0: n[0-2]\nleaf1: n2\n", "line 2: n2 hangs on leaf0 already"),
        (b"leaf0: n0\nleaf0: n1\n", "line 2: n1 hangs on leaf0 already"),
        (b"leaf0: n[3-1]\n", "runs backwards"),
    ],
)
def test_a_file_that_cannot_be_right_names_the_line(tmp_path, text, said):
    path = tmp_path / "leaves"
    path.write_bytes(text)
    with pytest.raises(UsageError, match="--leaves") as caught:
        read_leaves(path)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_leaves(tmp_path / "none")


@given(st.binary(max_size=300))
def test_whatever_a_file_holds_is_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("leaves") / "f"
    path.write_bytes(raw)
    with contextlib.suppress(UsageError):
        assert read_leaves(path)


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
