"""A pattern's rounds hold every group once, no rank twice at the same time, and the flows they promise."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import UsageError
from railgauge.patterns import (
    DIRECTED,
    PAIRWISE,
    PATTERNS,
    PERMUTATIONS,
    Pattern,
    Round,
    check_pattern,
    check_places,
    fewest,
    group_size,
    round_count,
    rounds,
    victim_count,
)
from railgauge.plan import Plan
from railgauge.plan_rules import validate
from railgauge.topology import Topology, one_node


def made(name: str, where: Topology, **more) -> list[Round]:
    return list(rounds(Pattern(name, **more), where))


def nodes(count: int, ranks: int, leaf_size: int = 0) -> Topology:
    """So many nodes with so many ranks each, under leaves of so many nodes (0: unknown)."""
    node_of = tuple(node for node in range(count) for _ in range(ranks))
    leaf_of = tuple(node // leaf_size for node in range(count)) if leaf_size else ()
    return Topology(node_of, leaf_of, tuple(f"leaf{k}" for k in sorted(set(leaf_of))))


TOPOLOGIES = st.one_of(
    st.integers(3, 40).map(one_node),
    st.builds(nodes, st.integers(3, 12), st.integers(1, 4), st.integers(0, 5)),
    # nodes with different numbers of ranks
    st.lists(st.integers(1, 4), min_size=3, max_size=8).map(
        lambda sizes: Topology(tuple(k for k, size in enumerate(sizes) for _ in range(size)))
    ),
)


@given(
    name=st.sampled_from(sorted(PATTERNS)),
    where=TOPOLOGIES,
    limit=st.one_of(st.none(), st.integers(1, 20)),
    quiet=st.booleans(),
)
def test_groups_of_a_round_are_disjoint_and_the_rounds_as_many_as_announced(
    name, where, limit, quiet
):
    quiet = quiet and name in PAIRWISE
    each = {"ranks_per_node": where.node_of.count(0)} if name == "nodes" else {}
    pattern = Pattern(name, limit, quiet, **each)
    got = list(rounds(pattern, where))
    assert len(got) == round_count(pattern, where)
    if name != "permutation":  # of which more are asked for than there are by default
        assert got == made(name, where, quiet=quiet, **each)[:limit]
    for round_ in got:
        busy = [rank for group in round_.groups for rank in group.ranks] + [*round_.loading]
        assert len(set(busy)) == len(busy)
        assert set(busy) <= set(range(len(where.node_of)))
        for group in round_.groups:
            assert tuple(sorted(group.ranks)) == group.ranks
            assert {rank for flow in group.flows for rank in flow} in (set(), set(group.ranks))
            assert len(set(group.flows)) == len(group.flows)
            assert all(source != to for source, to in group.flows)
            if name not in DIRECTED:
                assert len(group.ranks) == group_size(pattern, len(where.node_of))
            if group.rail is not None:  # flows stay on their rail
                places = {ranks: k for player in where.players for k, ranks in enumerate(player)}
                assert {places[rank] for rank in group.ranks} == {group.rail}


def test_the_world_is_one_group_of_all_ranks_in_one_round():
    (round_,) = made("world", one_node(5))
    assert [group.ranks for group in round_.groups] == [(0, 1, 2, 3, 4)]
    assert round_.groups[0].flows == ()


@pytest.mark.parametrize("ranks", range(2, 34))
def test_every_pair_of_ranks_of_one_node_meets_exactly_once(ranks):
    met = [group.ranks for round_ in made("pairs", one_node(ranks)) for group in round_.groups]
    assert sorted(met) == list(itertools.combinations(range(ranks), 2))


@pytest.mark.parametrize("ranks", range(2, 34))
def test_everybody_plays_in_every_round_but_one_of_an_odd_number(ranks):
    for round_ in made("pairs", one_node(ranks)):
        playing = [rank for group in round_.groups for rank in group.ranks]
        assert len(playing) == ranks - ranks % 2


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_between_nodes_every_pair_of_nodes_meets_once_on_every_rail_and_in_both_directions(count):
    got = made("pairs", nodes(count, 3))
    met = Counter(
        (*(rank // 3 for rank in group.ranks), group.rail)
        for round_ in got
        for group in round_.groups
    )
    pairs = itertools.combinations(range(count), 2)
    assert met == Counter((a, b, rail) for a, b in pairs for rail in range(3))
    for group in (group for round_ in got for group in round_.groups):
        a, b = group.ranks
        assert set(group.flows) == {(a, b), (b, a)}


def test_three_rounds_of_a_tournament_are_three_rounds_whatever_the_size():
    for count in (4, 100, 4096):
        assert round_count(Pattern("pairs", rounds=3), nodes(count, 1)) == 3


@pytest.mark.parametrize(("leaves", "size"), [(2, 2), (4, 3), (8, 8), (5, 4)])
def test_leaf_rotation_brings_all_nodes_of_every_two_leaves_together_once(leaves, size):
    where = nodes(leaves * size, 1, size)
    got = made("leaves", where)
    between = Counter()
    for round_ in got[:-1]:
        for group in round_.groups:
            a, b = (where.leaf_of[rank] for rank in group.ranks)
            between[min(a, b), max(a, b)] += 1
    assert between == Counter(dict.fromkeys(itertools.combinations(range(leaves), 2), size))
    assert len(got) == leaves - 1 + leaves % 2 + 1
    inside = [where.leaf_of[rank] for group in got[-1].groups for rank in group.ranks]
    assert Counter(inside) == Counter(dict.fromkeys(range(leaves), size - size % 2))


def test_in_leaf_rotation_a_node_meets_another_partner_of_each_leaf():
    got = made("leaves", nodes(64, 1, 8))
    partners = Counter(
        (max(g.ranks) % 8 - min(g.ranks) % 8) % 8 for round_ in got[:-1] for g in round_.groups
    )
    assert len(partners) >= 7  # not always the node at the same place


def test_leaves_of_different_sizes_meet_as_far_as_the_smaller_goes():
    where = Topology((0, 1, 2, 3, 4), (0, 0, 0, 1, 1))
    first, inside = made("leaves", where)
    assert [len(round_.groups) for round_ in (first, inside)] == [2, 2]


def test_the_halves_of_a_bisection_lie_under_different_leaves():
    where = Topology(tuple(range(8)), (0, 1) * 4)
    (round_,) = made("bisection", where)
    assert len(round_.groups) == 4
    for group in round_.groups:
        assert {where.leaf_of[rank] for rank in group.ranks} == {0, 1}


@given(where=TOPOLOGIES, seed=st.integers(0, 99))
def test_in_a_permutation_everybody_sends_to_one_other_and_receives_from_one(where, seed):
    for round_ in made("permutation", where, rounds=2, seed=seed):
        flows = [flow for group in round_.groups for flow in group.flows]
        for end in (0, 1):
            assert max(Counter(flow[end] for flow in flows).values()) == 1
        assert {flow[0] for flow in flows} or len(flows) == 0


def test_permutations_are_as_many_as_touch_every_uplink_unless_others_are_asked_for():
    assert len(made("permutation", one_node(4))) == PERMUTATIONS
    assert len(made("permutation", one_node(4), rounds=40)) == 40
    uplinks, hosts, miss = 4096, 16, 1e-3
    needed = np.log(uplinks / miss) / (-hosts * np.log(1 - 1 / hosts))
    assert np.ceil(needed) == PERMUTATIONS


def test_permutations_differ_from_round_to_round_and_repeat_with_the_seed():
    one, same, other = (made("permutation", one_node(20), seed=s) for s in (1, 1, 2))
    assert one == same
    assert one != other
    assert len({round_.groups for round_ in one}) == PERMUTATIONS


def test_shifts_double_up_to_the_half():
    got = made("shift", one_node(12))
    assert [round_.name for round_ in got] == ["shift 1", "shift 2", "shift 4", "shift 6"]
    assert got[2].groups[0].flows == tuple((a, (a + 4) % 12) for a in range(12))


def test_an_incast_begins_with_one_sender_and_ends_with_all():
    got = made("incast", nodes(7, 2))
    assert [round_.name for round_ in got] == ["1 to 1", "2 to 1", "4 to 1", "6 to 1"]
    for rail, group in enumerate(got[-1].groups):
        assert group.flows == tuple((2 * node + rail, rail) for node in range(1, 7))


def test_victims_are_whole_nodes_measured_alone_and_then_beside_each_load():
    where = nodes(10, 4)
    got = made("victim", where, loads=("incast", "storage:/tmp"))
    assert [round_.name for round_ in got] == ["isolated", "beside incast", "beside storage:/tmp"]
    (victims,) = {round_.groups for round_ in got}
    assert len(victims[0].ranks) == 8
    assert len({where.node_of[rank] for rank in victims[0].ranks}) == 2
    assert got[0].loading == ()
    assert {*got[1].loading} == set(range(40)) - {*victims[0].ranks}


@given(share=st.floats(0.01, 0.99), ranks=st.integers(2, 10_000))
def test_victims_are_an_even_number_near_their_share(share, ranks):
    count = victim_count(share, ranks)
    assert count % 2 == 0 or count == ranks
    assert 2 <= count <= ranks
    assert abs(count - share * ranks) <= 2


def test_quiet_rounds_hold_the_same_groups_one_under_a_leaf_at_a_time():
    where = nodes(8, 1, 2)
    loud, quiet = made("pairs", where), made("pairs", where, quiet=True)
    groups = [[group for round_ in part for group in round_.groups] for part in (loud, quiet)]
    assert sorted(groups[0]) == sorted(groups[1])
    for round_ in quiet:
        leaves = [{where.leaf_of[rank] for rank in group.ranks} for group in round_.groups]
        assert len(set().union(*leaves)) == sum(map(len, leaves))
    assert len(quiet) < len(groups[1])  # under different leaves they still run side by side
    alone = made("pairs", one_node(6), quiet=True)
    assert {len(round_.groups) for round_ in alone} == {1}
    assert alone[4].name == "quiet, of round 1"


def test_an_unknown_pattern_names_the_closest():
    assert check_pattern("pairs") == "pairs"
    with pytest.raises(UsageError, match=r"unknown pattern 'pair'. Did you mean 'pairs'\?"):
        check_pattern("pair")
    with pytest.raises(UsageError, match="allowed: world, nodes, pairs"):
        made("ring", one_node(4))
    assert [fewest(name) for name in ("world", "pairs", "victim")] == [1, 2, 3]


# groups of nodes --------------------------------------------------------------------------------------


def groups_of(pattern, where):
    return [[group.ranks for group in round_.groups] for round_ in rounds(pattern, where)]


def test_groups_of_nodes_hold_every_node_and_those_left_over_get_a_round():
    where = Topology((0, 0, 1, 1, 2, 2, 3, 3, 4, 4))
    alone = Pattern("nodes", ranks_per_node=2)
    twos = Pattern("nodes", group_nodes=2, ranks_per_node=2)
    assert groups_of(alone, where) == [[(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]]
    assert groups_of(twos, where) == [[(0, 1, 2, 3), (4, 5, 6, 7)], [(6, 7, 8, 9)]]
    assert round_count(alone, where) == 1
    assert round_count(twos, where) == 2
    assert group_size(twos, 10) == 4


def test_groups_of_nodes_stay_under_one_leaf_where_they_can():
    where = Topology((0, 1, 2, 3), (0, 1, 0, 1), ("a", "b"))
    assert groups_of(Pattern("nodes", group_nodes=2, ranks_per_node=1), where) == [[(0, 2), (1, 3)]]


def test_nodes_with_other_numbers_of_ranks_are_refused_by_name():
    where = Topology((0, 0, 1), hosts=("n0", "n1"))
    with pytest.raises(UsageError, match="n1 has 1 ranks"):
        check_places(Pattern("nodes", ranks_per_node=2), where)
    check_places(Pattern("nodes", ranks_per_node=2), Topology((0, 0, 1, 1)))
    with pytest.raises(UsageError, match="n0 has 2 ranks of this job, which has 2 nodes"):
        check_places(Pattern("world", ranks_per_node=1), where)
    check_places(Pattern("world"), where)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pattern": "nodes"}, "how many ranks each node has"),
        ({"pattern": "nodes", "ranks_per_node": 3}, "make no such group"),
        ({"pattern": "nodes", "ranks_per_node": 2, "group_nodes": 5}, "make no such group"),
        ({"pattern": "nodes", "ranks_per_node": 0}, "--ranks-per-node"),
        ({"group_nodes": 2}, "is of pattern nodes"),
        ({"ranks_per_node": 3}, "--ranks-per-node 3"),
    ],
)
def test_groups_of_nodes_that_cannot_be_are_refused(fields, said):
    with pytest.raises(UsageError) as caught:
        validate(Plan(ranks=8, **fields))
    assert said in str(caught.value)
