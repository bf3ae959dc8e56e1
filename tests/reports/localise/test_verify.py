"""Suspects meet three nodes known to be good, in as few rounds as that takes; then they are judged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.pair_lists import read_pairs
from railgauge_reports.localise.confirm import merged
from railgauge_reports.localise.localiser import localise
from railgauge_reports.localise.verify import verification

NAMES = tuple(f"node{k:02d}" for k in range(40))


@given(st.data())
def test_every_suspect_meets_three_good_ones_each_once_and_never_another_suspect(data):
    nodes = data.draw(st.permutations(range(40)))
    count = data.draw(st.integers(1, 30))
    suspects, good = nodes[:count], nodes[count : count + data.draw(st.integers(0, 40 - count))]
    leaf_of = np.arange(40) // data.draw(st.sampled_from([1, 4, 40]))
    plan = verification(NAMES, suspects, good, leaf_of, padded=data.draw(st.booleans()))
    partners = min(3, len(good))
    for suspect in suspects:
        met = plan.partners(suspect)
        assert len(met) == len(set(met)) == partners
        assert set(met) <= {NAMES[node] for node in good}
    for met in plan.rounds:
        busy = [node for pair in met for node in pair]
        assert len(set(busy)) == len(busy)
        assert set(busy) <= {*suspects, *good}
    waves = -(-count // len(good)) if good else 0
    assert len(plan.rounds) == waves * partners  # as few as there can be
    assert bool(plan.short) == (len(good) < 3)


def test_partners_of_a_suspect_hang_on_different_leaves():
    plan = verification(NAMES, [0], range(1, 40), np.arange(40) // 8)
    assert len({NAMES.index(name) // 8 for name in plan.partners(0)}) == 3


def test_no_partner_stands_behind_a_suspected_pair_of_leaves():
    leaf_of = np.arange(40) // 8
    plan = verification(NAMES, [0, 9], range(1, 40), leaf_of, [(0, 3), (1, 4)], padded=False)
    assert not {NAMES.index(name) // 8 for name in plan.partners(0)} & {3}
    assert not {NAMES.index(name) // 8 for name in plan.partners(9)} & {4}
    assert len({NAMES.index(name) // 8 for name in plan.partners(9)}) == 3


def test_good_nodes_that_are_left_over_meet_each_other_so_that_the_load_stays():
    plan = verification(NAMES, [5, 6], [k for k in range(40) if k not in (5, 6)])
    assert [len(met) for met in plan.rounds] == [20, 20, 20]
    bare = verification(NAMES, [5, 6], range(40), padded=False)
    assert [len(met) for met in bare.rounds] == [2, 2, 2]


def test_other_nodes_of_both_leaves_meet_in_three_rounds():
    leaf_of = np.arange(40) // 10
    plan = verification(NAMES, [0], range(1, 40), leaf_of, [(1, 3)], padded=False)
    between = [
        [(a, b) for a, b in met if {leaf_of[a], leaf_of[b]} == {1, 3}] for met in plan.rounds
    ]
    assert len(plan.rounds) == 3
    assert all(len(met) >= 8 for met in between)
    every = [frozenset(pair) for met in between for pair in met]
    assert len(set(every)) == len(every)


def test_the_file_that_it_writes_is_one_that_run_reads_and_the_cost_is_said(tmp_path):
    plan = verification(NAMES, [3], range(4, 12), padded=False)
    path = tmp_path / "pairs"
    path.write_text(plan.text())
    assert [a for _, a, _ in read_pairs(path)] == ["node03"] * 3
    assert plan.node_rounds == 3 * 40
    assert plan.node_seconds(0.5) == 60
    assert plan.cost(0.5) == "3 rounds of 40 nodes (120 node-rounds, about 60 node-seconds)"
    ranks = verification(("rank 0", "rank 1", "rank 2", "rank 3"), [0], [1, 2, 3], padded=False)
    assert ranks.text().splitlines()[0] == "0 0 1"


# what they say --------------------------------------------------------------------------------------


def slow(*bad: int, loss: float = 0.125):
    return lambda a, b, _r, _t: loss * bool({*bad} & {a, b})


def again(table, first, loss, seed=9, **more):
    """What the rounds of the verification measure."""
    rounds = [list(met) for met in first.verification.rounds]
    return table(len(first.names), rounds, loss, seed=seed, **more)


def test_who_is_slow_with_good_partners_too_is_confirmed_by_these_rounds(table):
    first = localise(table(64, 3, slow(5, 20)))
    final = merged(first, again(table, first, slow(5, 20, loss=0.2)))
    assert [(s.target, s.verified) for s in final.suspects] == [
        ("node05", "confirmed"),
        ("node20", "confirmed"),
    ]
    for suspect in final.suspects:
        assert suspect.effect == pytest.approx(0.2, abs=0.02)  # not of the rounds that chose it
        assert (suspect.supporting, suspect.of) == (6, 6)
        assert suspect.next_test.startswith("drain it")
    assert len(final.cleared) == 62


def test_who_is_as_fast_as_good_partners_is_refuted_and_cleared(table):
    first = localise(table(64, 3, slow(5)))
    final = merged(first, again(table, first, slow()))
    assert final.suspects == ()
    assert [s.target for s in final.refuted] == ["node05"]
    assert len(final.cleared) == 64
    assert any("by chance" in said for said in final.sentences())


def test_what_slows_the_whole_of_these_rounds_accuses_nobody(table):
    first = localise(table(64, 3, slow(5)))
    final = merged(first, again(table, first, lambda _a, _b, _r, _t: 0.3))
    assert final.suspects == ()


def test_one_member_of_a_class_is_confirmed_and_the_other_cleared(table):
    first = localise(table(32, 1, slow(5, loss=0.4), noise=0.002))
    assert [s.target for s in first.classes] == ["node05 or node26"]
    final = merged(first, again(table, first, slow(5, loss=0.4)))
    assert [s.target for s in final.suspects] == ["node05"]
    assert final.classes == ()
    assert "node26" in final.cleared
    assert "node05" not in final.cleared


def test_who_met_only_bad_nodes_is_cleared_or_found(table):
    first = localise(table(32, 3))
    first = dataclasses.replace(
        first,
        uncleared=("node03", "node04"),
        cleared=first.cleared[:3] + first.cleared[5:],
        verification=verification(first.names, [3, 4], [0, 1, 2, *range(5, 32)]),
    )
    final = merged(first, again(table, first, slow(4)))
    assert [s.target for s in final.suspects] == ["node04"]
    assert final.uncleared == ()
    assert "node03" in final.cleared
    assert "node04" not in final.cleared


def test_a_rail_of_a_node_is_confirmed_on_its_rail_alone(table):
    def loss(a, b, r, _t):
        return 0.5 * (5 in (a, b) and r == 2)

    first = localise(table(16, 3, loss, rails=4))
    final = merged(first, again(table, first, loss, rails=4))
    assert [(s.kind, s.target, s.verified) for s in final.suspects] == [
        ("nic", "rail 2 of node05", "confirmed")
    ]
    other = merged(first, again(table, first, lambda a, b, r, t: loss(a, b, r - 1, t), rails=4))
    assert other.suspects == ()


def test_a_pair_of_leaves_is_judged_by_its_other_nodes(table, leaf_rotation):
    def loss(a, b, _r, _t):
        return 0.1 * ({a // 8, b // 8} == {2, 5})

    first = localise(table(64, leaf_rotation(64, 8), loss, leaf=8))
    kept = merged(first, again(table, first, loss, leaf=8))
    assert [(s.kind, s.verified) for s in kept.suspects] == [("leaf pair", "confirmed")]
    assert merged(first, again(table, first, slow(), leaf=8)).suspects == ()


def test_what_could_not_be_measured_again_stays_as_it_was(table):
    first = localise(table(64, 3, slow(5)))
    more = again(table, first, slow())
    gone = dataclasses.replace(
        more, gbps=np.where((more.a == 5) | (more.b == 5), np.nan, more.gbps)
    )
    assert [(s.target, s.verified) for s in merged(first, gone).suspects] == [("node05", "")]
    none = dataclasses.replace(
        more, **{n: getattr(more, n)[:0] for n in ("a", "b", "rail", "round", "gbps")}
    )
    assert merged(first, none).suspects == first.suspects


def test_nodes_are_matched_by_name_and_foreign_ones_refused(table):
    first = localise(table(64, 3, slow(5)))
    more = again(table, first, slow(5))
    order = np.arange(64)[::-1].astype(np.int32)
    turned = dataclasses.replace(more, a=order[more.a], b=order[more.b], nodes=first.names[::-1])
    assert merged(first, turned).suspects == merged(first, more).suspects
    with pytest.raises(ValueError, match="node99 was not among"):
        merged(first, dataclasses.replace(more, nodes=("node99", *first.names[1:])))
