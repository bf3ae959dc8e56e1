"""Who is at fault is named, with what fits as well; what cannot be told apart is one class."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from railgauge_reports.localise.localiser import localise
from railgauge_reports.localise.pairs import PairTable


def found(table: PairTable) -> list[tuple[str, str]]:
    return [(s.kind, s.target) for s in localise(table).suspects]


def test_a_fleet_without_faults_accuses_nobody_and_clears_everybody(table):
    made = localise(table(64, 3))
    assert (made.suspects, made.classes, made.uncleared, made.untested) == ((), (), (), ())
    assert len(made.cleared) == 64
    assert made.verification.rounds == ()


def test_a_node_that_lost_one_nic_of_eight_is_named_with_its_effect_and_its_samples(table):
    made = localise(table(64, 3, lambda a, b, _r, _t: 0.125 * (5 in (a, b))))
    (suspect,) = made.suspects
    assert (suspect.kind, suspect.target, suspect.hosts) == ("node", "node05", ("node05",))
    assert suspect.effect_low <= 0.125 <= suspect.effect_high
    assert (suspect.supporting, suspect.of) == (3, 3)
    assert suspect.confidence > 0.99
    assert len(made.cleared) == 63
    said = suspect.sentence()
    assert said.startswith("node05 is 12.")
    assert "3 of 3 measurements" in said
    partners = made.verification.partners(5)
    assert ", ".join(partners) in suspect.next_test
    assert "--pattern listed --pairs FILE --rounds 3" in suspect.next_test


def test_partners_of_bad_nodes_are_not_accused(table):
    bad = {1, 20, 33, 47, 50}
    assert found(table(64, 3, lambda a, b, _r, _t: 0.2 * bool(bad & {a, b}))) == [
        ("node", f"node{k:02d}") for k in (1, 20, 33, 47, 50)
    ] or {t for _, t in found(table(64, 3, lambda a, b, _r, _t: 0.2 * bool(bad & {a, b})))} == {
        f"node{k:02d}" for k in bad
    }


def test_one_rail_of_a_node_is_named_and_the_node_is_not(table):
    made = localise(table(16, 3, lambda a, b, r, _t: 0.5 * (5 in (a, b) and r == 2), rails=8))
    (suspect,) = made.suspects
    assert (suspect.kind, suspect.target, suspect.rail) == ("nic", "rail 2 of node05", 2)
    assert "NIC, cable, port of the leaf, PCIe link or GPU" in suspect.sentence()
    assert "node05" not in made.cleared
    assert "node04" in made.cleared


def test_all_rails_of_a_node_are_the_node_and_five_of_eight_are_five_rails(table):
    assert found(table(16, 3, lambda a, b, _r, _t: 0.5 * (5 in (a, b)), rails=8)) == [
        ("node", "node05")
    ]
    partly = found(table(16, 3, lambda a, b, r, _t: 0.5 * (5 in (a, b) and r < 5), rails=8))
    assert sorted(partly) == [("nic", f"rail {r} of node05") for r in range(5)]


def test_a_rail_that_is_slow_everywhere_accuses_no_node(table):
    made = localise(table(32, 3, lambda _a, _b, r, _t: 0.1 * (r == 2), rails=4))
    (suspect,) = made.suspects
    assert (suspect.kind, suspect.rail, suspect.hosts) == ("rail", 2, ())
    assert suspect.effect_low <= 0.1 <= suspect.effect_high
    assert "--quiet" in suspect.next_test
    assert len(made.cleared) == 32


def test_a_rail_of_a_node_is_found_on_a_rail_that_is_slow_everywhere(table):
    made = table(
        32, 3, lambda a, b, r, _t: max(0.1 * (r == 2), 0.4 * (r == 2 and 9 in (a, b))), rails=4
    )
    assert sorted(found(made)) == [("nic", "rail 2 of node09"), ("rail", "rail 2 as a whole")]


def test_a_pair_of_leaves_and_bad_nodes_are_told_apart_by_the_leaf_rotation(table, leaf_rotation):
    bad = {3, 25, 60}

    def loss(a, b, _r, _t):
        return max(0.1 * ({a // 8, b // 8} == {2, 5}), 0.125 * bool(bad & {a, b}))

    made = localise(table(64, leaf_rotation(64, 8), loss, leaf=8))
    kinds = {(s.kind, s.target) for s in made.suspects}
    assert kinds == {("node", f"node{k:02d}") for k in bad} | {
        ("leaf pair", "the paths between leaf2 and leaf5")
    }
    (pair,) = (s for s in made.suspects if s.kind == "leaf pair")
    assert pair.leaves == ("leaf2", "leaf5")
    assert pair.effect_low <= 0.1 <= pair.effect_high
    assert not any("not judged" in note for note in made.notes)


def test_a_leaf_with_all_of_its_nodes_is_one_suspect(table, leaf_rotation):
    made = localise(
        table(
            64,
            leaf_rotation(64, 8),
            lambda a, b, _r, _t: 0.1 * ((a // 8 == 2) != (b // 8 == 2)),
            leaf=8,
        )
    )
    (suspect,) = made.suspects
    assert (suspect.kind, suspect.leaves) == ("leaf", ("leaf2",))
    assert suspect.hosts == tuple(f"node{k}" for k in range(16, 24))


def test_two_bad_nodes_of_a_leaf_are_not_taken_for_the_leaf(table, leaf_rotation):
    made = table(
        64, leaf_rotation(64, 8), lambda a, b, _r, _t: 0.125 * bool({8, 10} & {a, b}), leaf=8
    )
    assert sorted(found(made)) == [("node", "node08"), ("node", "node10")]


def test_one_flow_of_four_between_two_leaves_is_a_share_of_low_samples_and_not_a_median(
    table, leaf_rotation
):
    def loss(a, b, r, _t):
        return 0.3 * ({a // 16, b // 16} == {0, 3} and r == 1 and (a + b) % 3 == 0)

    made = localise(table(64, leaf_rotation(64, 16), loss, leaf=16, rails=4))
    (suspect,) = made.suspects
    assert (suspect.kind, suspect.rail) == ("leaf pair rail", 1)
    assert suspect.supporting < suspect.of / 2


def test_a_node_alone_under_its_leaf_cannot_be_told_from_the_leaf(table):
    (suspect,) = localise(table(32, 3, lambda a, b, _r, _t: 0.2 * (3 in (a, b)), leaf=1)).suspects
    assert suspect.target == "node03"
    assert suspect.alternatives == ("leaf leaf3 with all of its nodes",)


def test_one_slow_pair_of_one_round_is_a_class_of_its_two_ends(table):
    made = localise(table(32, 1, lambda a, b, _r, _t: 0.4 * (5 in (a, b)), noise=0.002))
    (one_of,) = made.classes
    assert made.suspects == ()
    assert one_of.kind == "class"
    assert one_of.target == "node05 or node26"
    assert one_of.confidence < 0.5  # by chance is as likely
    assert "the path between them" in one_of.alternatives
    assert set(made.verification.targets) == {5, 26}


def test_two_nodes_that_met_only_each_other_are_a_class_however_often(table):
    met = [[(2 * k, 2 * k + 1) for k in range(8)]] * 4
    made = localise(table(16, met, lambda a, _b, _r, _t: 0.2 * (a == 4)))
    (one_of,) = made.classes
    assert (one_of.target, one_of.confidence > 0.9) == ("node04 or node05", True)
    assert not made.suspects


def test_two_nodes_leave_both_ends_and_the_rail_open(table):
    made = localise(table(2, 1, lambda _a, _b, r, _t: 0.5 * (r == 3), rails=8))
    (one_of,) = made.classes
    assert one_of.alternatives == ("rail 3 of node00", "rail 3 of node01", "rail 3 as a whole")
    assert "a third node would tell them apart" in one_of.next_test


def test_who_met_only_bad_nodes_is_not_cleared_and_not_accused(table):
    met = [
        [(0, 1), (2, 3), (4, 5), (6, 7)],
        [(0, 2), (1, 4), (3, 6), (5, 7)],
        [(0, 3), (1, 5), (2, 6), (4, 7)],
    ]
    bad = {1, 2, 3}
    grown = [
        [*pairs, *((a + 8 * k, b + 8 * k) for k in (1, 2, 3) for a, b in pairs)] for pairs in met
    ]
    made = localise(table(32, grown, lambda a, b, _r, _t: 0.3 * bool(bad & {a, b})))
    assert {s.target for s in made.suspects} == {"node01", "node02", "node03"}
    assert made.uncleared == ("node00",)
    assert 0 in made.verification.targets


def test_a_round_that_was_slow_as_a_whole_is_a_note_and_accuses_nobody(table):
    made = localise(table(64, 3, lambda _a, _b, _r, t: 0.1 * (t == 2)))
    assert made.suspects == ()
    assert any(note.startswith("round 2 was slow in 100% of its pairs") for note in made.notes)


def test_slower_paths_between_leaves_are_a_tier_and_no_fault(table, leaf_rotation):
    made = localise(
        table(64, leaf_rotation(64, 8), lambda a, b, _r, _t: 0.2 * (a // 8 != b // 8), leaf=8)
    )
    assert made.suspects == ()
    assert any("pairs between leaves are 2" in note or "are 19." in note for note in made.notes)


def test_pairs_of_leaves_that_met_too_rarely_are_said_with_the_cost_of_the_rotation(table):
    made = localise(table(64, 3, leaf=8))
    (note,) = (note for note in made.notes if "not judged" in note)
    assert "--pattern leaves, 8 rounds (512 node-rounds)" in note


@pytest.mark.parametrize("bad", [{2}, {1, 3, 5}])
def test_small_fleets_most_of_whose_pairs_are_slow_are_told_from_their_fast_pairs(table, bad):
    nodes = 4 if len(bad) == 1 else 8
    made = localise(table(nodes, nodes - 1, lambda a, b, _r, _t: 0.2 * bool(bad & {a, b})))
    assert {s.target for s in made.suspects} == {f"node{k:02d}" for k in bad}
    assert not {f"node{k:02d}" for k in bad} & set(made.cleared)


def test_two_kinds_of_paths_clear_nobody_and_are_said(table):
    made = localise(table(32, 31, lambda a, b, _r, _t: 0.0 if a // 4 == b // 4 else 0.3))
    assert made.suspects == ()
    assert made.cleared == ()
    assert any("faster than the level" in note for note in made.notes)


# what was not measured ------------------------------------------------------------------------------


def test_what_is_missing_is_untested_and_never_good(table):
    whole = table(32, 3)
    gone = (whole.a == 7) | (whole.b == 7)
    gbps = np.where(gone, np.nan, whole.gbps)
    gbps[np.flatnonzero(gone)[0]] = 0.0
    gbps[np.flatnonzero(gone)[1]] = -np.inf
    made = localise(dataclasses.replace(whole, gbps=gbps))
    assert made.untested == ("node07",)
    assert "node07" not in made.cleared
    assert made.missing == 3
    assert made.measurements == len(gbps) - 3
    assert any("not tested: node07" in said for said in made.sentences())


@pytest.mark.parametrize("rows", [0, 4])
def test_too_few_measurements_judge_nobody(table, rows):
    whole = table(8, 1)
    cut = {name: getattr(whole, name)[:rows] for name in ("a", "b", "rail", "round", "gbps")}
    made = localise(dataclasses.replace(whole, **cut))
    assert (made.suspects, made.cleared) == ((), ())
    assert len(made.uncleared) + len(made.untested) == 8
    assert any("too few" in note for note in made.notes)


def test_nothing_valid_at_all_judges_nobody(table):
    whole = table(32, 3)
    made = localise(dataclasses.replace(whole, gbps=np.full(len(whole.gbps), np.nan)))
    assert len(made.untested) == 32
    assert made.cleared == ()


def test_neither_the_order_of_rows_nor_of_ends_matters(table):
    whole = table(32, 3, lambda a, b, r, _t: 0.4 * (9 in (a, b) and r == 1), rails=4, leaf=8)
    order = np.random.default_rng(3).permutation(len(whole.a))
    turned = dataclasses.replace(
        whole,
        **{name: getattr(whole, name)[order] for name in ("rail", "round", "gbps")},
        a=whole.b[order],
        b=whole.a[order],
    )
    one, other = localise(whole), localise(turned)
    assert one.suspects == other.suspects
    assert one.sentences() == other.sentences()


def test_a_sender_and_a_receiver_are_told_where_directions_are_known(table):
    whole = table(32, 3, lambda a, b, _r, _t: 0.3 * (9 in (a, b)))
    forth = np.where(whole.a == 9, whole.gbps, whole.gbps.max())
    back = np.where(whole.b == 9, whole.gbps, whole.gbps.max())
    (sender,) = localise(dataclasses.replace(whole, forth=forth, back=back)).suspects
    assert sender.side == "sends"
    (receiver,) = localise(dataclasses.replace(whole, forth=back, back=forth)).suspects
    assert receiver.side == "receives"
    assert "where it receives" in receiver.sentence()
    (both,) = localise(dataclasses.replace(whole, forth=whole.gbps, back=whole.gbps)).suspects
    assert both.side == ""


def test_arrays_that_do_not_fit_are_refused(table):
    whole = table(8, 2)
    for wrong in (
        {"a": whole.a[1:]},
        {"a": whole.a + 8},
        {"b": whole.a},
        {"forth": whole.gbps[1:]},
        {"leaf_of": np.zeros(3, int), "leaf_names": ("x",)},
        {"leaf_of": np.arange(8), "leaf_names": ("x",)},
    ):
        with pytest.raises(ValueError, match="pair table"):
            dataclasses.replace(whole, **wrong)
