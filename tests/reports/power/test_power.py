"""Would this plan find it? Trials on a modelled cluster, and the figures that are made of them."""

from __future__ import annotations

import json

import msgspec
import pytest

from railgauge.cli import call
from railgauge.cluster import Cluster, Fabric
from railgauge.errors import UsageError
from railgauge.simulation import faults
from railgauge_reports.power.matching import (
    IN_A_CLASS,
    MISSED,
    NAMED,
    Match,
    Named,
    Target,
    match,
    target_of,
)
from railgauge_reports.power.plans import modelled_plan
from railgauge_reports.power.study import rate, share, study, summary
from railgauge_reports.power.trial import Trial, trial

CLUSTER = Cluster(nodes=64)


def suspect(kind="nic", hosts=("node0003",), rail=2, leaves=()):
    return Named(kind, hosts, rail, leaves)


# matching -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "right", "wrong"),
    [
        (faults.SlowNic(node="node0003", nic=2), suspect(), suspect(rail=3)),
        (
            faults.SlowNic(node="node0003", nic=2),
            suspect("node", rail=None),
            suspect(hosts=("node0004",)),
        ),
        (faults.DeadNic(node="node0003", nic=1), suspect(rail=2), suspect(rail=3)),
        (faults.DeadNic(node="node0003", nic=7), suspect(rail=0), suspect(rail=6)),
        (
            faults.WrongPfcClass(node="node0003"),
            suspect("node", rail=None),
            suspect(hosts=("node0009",)),
        ),
        (faults.DeadRail(rail=2), suspect("rail", (), 2), suspect("nic", ("node0003",), 2)),
        (faults.DeadRail(rail=2), suspect("rail", (), 3), suspect("rail", (), 4)),
        (
            faults.BadLeafPair(leaves=("leaf0", "leaf1")),
            suspect("leaf pair", (), None, ("leaf1", "leaf0")),
            suspect("leaf pair", (), None, ("leaf0", "leaf2")),
        ),
    ],
)
def test_a_suspect_stands_for_the_fault_that_is_where_it_says(fault, right, wrong):
    target = target_of(fault, CLUSTER)
    assert match([target], [right]).outcomes == ((target.kind, NAMED),)
    assert match([target], [right]).false == ()
    assert match([target], [wrong]).outcomes == ((target.kind, MISSED),)
    assert match([target], [wrong]).false == (wrong,)


@pytest.mark.parametrize(
    "fault", [faults.HotSpine(spine=1), faults.EcnOff(), faults.DegradedCable(leaf=0, spine=1)]
)
def test_nobody_stands_for_what_no_pair_points_at(fault):
    target = target_of(fault, CLUSTER)
    many = [suspect(), suspect("rail", (), 2), suspect("leaf pair", (), None, ("leaf0", "leaf1"))]
    made = match([target], many)
    assert made.outcomes == ((target.kind, MISSED),)
    assert len(made.false) == 3


def test_a_class_of_a_few_is_told_apart_from_a_name():
    target = Target("slow_nic", "node0003", frozenset({2}))
    one_of = suspect("class", ("node0003", "node0007"))
    assert match([target], [], [one_of]).outcomes == (("slow_nic", IN_A_CLASS),)
    assert match([target], [suspect()], [one_of]).outcomes == (("slow_nic", NAMED),)


# figures ------------------------------------------------------------------------------------------


def test_intervals_are_exact():
    assert share(20, 20) == pytest.approx((1.0, 0.025 ** (1 / 20), 1.0))
    assert share(0, 10).low == 0
    # none in 300 runs: 3.69 / 300 is the two-sided bound
    assert rate(0, 300) == pytest.approx((0.0, 0.0, 3.6889 / 300), rel=1e-4)
    assert rate(3, 10) == pytest.approx((0.3, 0.06187, 0.8767), rel=1e-3)


def test_figures_are_summed_over_trials_and_hangs_cost_nothing():
    named = Trial(Match((("slow_nic", NAMED), ("hang", MISSED)), ()), 6, 3600.0, 10)
    odd = Trial(Match((("slow_nic", IN_A_CLASS),), (suspect(),)), 4, 1800.0, 10)
    hung = Trial(Match((("hang", MISSED),), ()), 0, 0.0, 10, hung=True)
    made = summary([named, odd, hung], [Trial(Match((), ()), 3, 900.0, 10)])
    kinds = {recall.kind: recall for recall in made.recalls}
    assert (kinds["slow_nic"].planted, kinds["slow_nic"].named, kinds["slow_nic"].in_a_class) == (
        2,
        1,
        1,
    )
    assert (kinds["hang"].planted, kinds["hang"].named) == (2, 0)
    assert (made.runs, made.false, made.clean_runs, made.clean_false, made.hung) == (3, 1, 1, 0, 1)
    assert made.rounds == pytest.approx(13 / 3)
    assert made.node_hours == pytest.approx((10 + 5 + 2.5) / 3)


# trials -------------------------------------------------------------------------------------------


def test_a_tournament_names_what_was_planted_and_nothing_else():
    plan = modelled_plan("tournament", None, 32)
    planted = (
        faults.SlowNic(node="node0003", nic=2, share=0.8),
        faults.WrongPfcClass(node="node0020"),
    )
    made = trial(plan, planted, seed=1)
    assert made.match.outcomes == (("slow_nic", NAMED), ("wrong_pfc_class", NAMED))
    assert made.match.false == ()
    assert made.rounds == 6
    assert made.nodes == 32
    assert made.node_hours == pytest.approx(made.seconds * 32 / 3600)


def test_a_nic_that_met_a_bad_node_once_is_not_cleared_by_the_two_meetings_that_are_left():
    # in the first round of the circle node k meets node 31 - k
    planted = (
        faults.WrongPfcClass(node="node0029"),
        faults.DegradedCable(node="node0002", nic=5, share=0.5),
    )
    plan = modelled_plan("tournament", None, 32)
    alone = trial(plan, planted, seed=1, follow=False).match.outcomes
    followed = trial(plan, planted, seed=1).match
    assert alone[1][1] in (NAMED, IN_A_CLASS)
    assert followed.outcomes == (("wrong_pfc_class", NAMED), ("degraded_cable", NAMED))
    assert followed.false == ()


def test_without_a_follow_up_the_tournament_alone_is_paid_for():
    plan = modelled_plan("tournament", None, 32)
    made = trial(plan, (faults.SlowNic(node="node0003", nic=2),), seed=1, follow=False)
    assert made.rounds == 3
    assert made.match.outcomes == (("slow_nic", NAMED),)


def test_a_leaf_rotation_names_a_bad_pair_of_leaves():
    plan = modelled_plan("leaf-rotation", None, 64)
    cluster = Cluster(nodes=64, fabric=Fabric(leaf_nodes=8))
    plan = msgspec.structs.replace(plan, cluster=cluster, leaves=cluster.leaves)
    made = trial(plan, (faults.BadLeafPair(leaves=("leaf1", "leaf6"), share=0.85),), seed=2)
    assert made.match.outcomes == (("bad_leaf_pair", NAMED),)
    assert made.match.false == ()


def test_a_hang_is_counted_and_names_nobody():
    made = trial(modelled_plan("tournament", None, 8), (faults.Hang(node="node0003"),), seed=1)
    assert made.hung
    assert made.match == Match((("hang", MISSED),), ())


# the command --------------------------------------------------------------------------------------


def written(tmp_path, *kinds):
    file = tmp_path / "faults.toml"
    file.write_text("".join(f'[[faults]]\nkind = "{kind}"\n' for kind in kinds))
    return str(file)


def test_the_table_says_what_is_found_and_what_it_costs(tmp_path, capsys):
    faulty = written(tmp_path, "slow_nic", "flapping_link")
    options = ("--nodes", "16", "--runs", "3", "--clean", "2", "--faults", faulty)
    assert call(["power", "tournament", *options]) == 0
    told = capsys.readouterr().out
    assert told.startswith("SIMULATED: rail_optimised fabric, 16 nodes")
    assert "slow_nic" in told
    assert "100.0%" in told
    assert "in 3 runs with faults: 0 (0, 95 % interval 0 - 1.2 a run)" in told
    assert "in 2 runs without a fault" in told
    assert "node-hours" in told


def test_one_json_object_has_all_figures(tmp_path, capsys):
    options = (
        "--nodes",
        "8",
        "--runs",
        "2",
        "--clean",
        "0",
        "--faults",
        written(tmp_path, "slow_nic"),
    )
    call(["power", "tournament", *options, "--json"])
    made = json.loads(capsys.readouterr().out)
    assert made["simulated"] is True
    assert made["faults"][0]["planted"] == 2
    assert made["faults"][0]["recall"][0] == made["faults"][0]["named"] / 2
    assert made["clean_false_a_run"] is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("tensor_parallel",), "pattern world"),
        (("ddp",), "--overlap"),
        (("nothing.toml",), "nothing.toml"),
        (("tournament", "--clean", "0"), "nothing to try"),
        (("tournament", "--faults", "gone.toml"), "gone.toml"),
        (("tournament", "--cluster", "h1000"), "h1000"),
    ],
)
def test_what_cannot_be_tried_is_refused(arguments, named):
    with pytest.raises(UsageError, match=named):
        call(["power", *arguments])


def test_a_fault_that_the_cluster_lacks_is_refused(tmp_path):
    with pytest.raises(UsageError, match="two leaves"):
        call(
            ["power", "tournament", "--nodes", "8", "--faults", written(tmp_path, "bad_leaf_pair")]
        )


def test_a_target_that_is_missing_is_told_before_the_first_trial():
    tried = []
    files = [
        faults.FaultFile(faults=(faults.SlowNic(node="node0003"),)),
        faults.FaultFile(faults=(faults.DeadNic(node="node0099"),)),
    ]
    with pytest.raises(UsageError, match="node0099"):
        study(lambda *given: tried.append(given), CLUSTER, files, 3, 3)
    assert tried == []
