"""Findings and suspects by who is at fault: nothing is lost, and who is confirmed stands first."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from railgauge_reports.acceptance import algebra, show
from railgauge_reports.acceptance.answer import Finding, Suspect
from railgauge_reports.acceptance.faults import MOST_ALIKE, counts, faults_of
from railgauge_reports.acceptance.judge import judge, read_acceptance
from railgauge_reports.acceptance.local import targets_of


@pytest.fixture(scope="module")
def result(healthy):
    """A PASS of one stage, to which tests add."""
    return judge(read_acceptance(healthy))


def finding(host="", name="f", verdict=algebra.FAIL, **more):
    more.setdefault("sentence", f"{name} of {host or 'all'}")
    hosts = (host,) if host else ()
    return Finding(**{"stage": "pairs", "name": name, "verdict": verdict, "hosts": hosts} | more)


def suspect(host, effect=0.4, verified="confirmed", **more):
    facts = {
        "kind": "node", "target": host, "sentence": f"{host} is slow", "hosts": (host,), "rail": None,
        "leaves": (), "effect": effect, "confidence": 0.99, "verified": verified, "next_test": "drain it",
    }  # fmt: skip
    return Suspect(**facts | more)


def told(result, findings=(), suspects=()):
    """The faults of the result with these in its stage."""
    (stage,) = result.stages
    made = msgspec.structs.replace(stage, findings=tuple(findings), suspects=tuple(suspects))
    return faults_of(msgspec.structs.replace(result, stages=(made,)))


def test_a_suspect_explains_the_findings_of_its_node_whatever_their_rail(result):
    own = [finding("n1", "a", rail=2), finding("n1", "b", place="n1:mlx5_0"), finding("n2")]
    first, second = told(result, own, [suspect("n1")])
    assert (first.who, first.confirmed, len(first.findings)) == ("n1", True, 2)
    assert first.head() == "n1: 2 findings in pairs"
    assert first.brief() == (
        "n1: 40.0% slower than the fleet; confirmed against good partners; 2 findings in pairs: a, b"
    )
    assert (second.who, second.confirmed) == ("n2", False)


def test_every_finding_that_counts_is_in_exactly_one_fault(result):
    every = [finding(f"n{k % 9}", f"f{k % 4}", sentence=str(k)) for k in range(40)]
    every += [
        finding("", "scale"),
        finding("n1", "waived", waived="w"),
        finding(verified="refuted"),
    ]
    faults = told(result, every, [suspect("n3"), suspect("n4", verified="")])
    shared = [f.sentence for fault in faults for f in fault.findings]
    assert sorted(shared) == sorted(f.sentence for f in every if counts(f))


def test_the_order_is_wrong_data_who_is_confirmed_what_failed_what_is_only_suspected(result):
    found = [
        finding("n5", "unsure", algebra.INCONCLUSIVE), finding("", "scale"), finding("n2"),
        finding("n1"), finding("n3"), finding("n9", "wrong-data", algebra.WRONG),
    ]  # fmt: skip
    suspects = [suspect("n1", 0.2), suspect("n3", 0.5), suspect("n4", 0.9), suspect("n6", 0.9, "")]
    order = [fault.who for fault in told(result, found, suspects)]
    assert order == ["n9", "n3", "n1", "n4", "n2", "pairs/scale", "n6", "n5"]


def test_two_rails_of_a_node_are_one_fault_and_leaves_have_their_path(result):
    two = [suspect("n1", 0.3, target="rail 0 of n1"), suspect("n1", 0.5, target="rail 1 of n1")]
    path = suspect("", 0.3, hosts=(), leaves=("b", "a"), target="the paths between a and b")
    faults = told(result, [finding("", place="a b")], [*two, path])
    assert [fault.who for fault in faults] == ["the paths between a and b", "n1"]
    assert len(faults[0].findings) == 1
    assert [s.target for _, s in faults[1].suspects] == ["rail 1 of n1", "rail 0 of n1"]


def test_a_rail_and_a_leaf_explain_what_is_found_on_theirs(result):
    rail = suspect("", hosts=(), kind="rail", target="rail 3", rail=3)
    leaf = suspect("", hosts=("n1", "n2"), kind="leaf", target="leaf a", leaves=("a",))
    found = [finding("n7", "x", rail=3), finding("n1", "y"), finding("n8", "z", rail=1)]
    faults = {f.who: [x.name for x in f.findings] for f in told(result, found, [rail, leaf])}
    assert faults == {"rail 3": ["x"], "leaf a": ["y"], "n8": ["z"]}


def test_a_slow_rail_explains_what_is_found_on_it_at_a_node_that_is_suspected_on_another(result):
    whole = suspect("", kind="rail", hosts=(), rail=2, target="rail 2 as a whole", verified="")
    nic = suspect("n1", kind="nic", rail=5, target="rail 5 of n1")
    own = [finding("n1", "a", rail=2), finding("n1", "b", rail=5), finding("n1", "c")]
    faults = {
        fault.who: [f.name for f in fault.findings] for fault in told(result, own, [whole, nic])
    }
    assert faults == {"rail 2 as a whole": ["a"], "n1": ["b", "c"]}
    of_all_rails = suspect("n1")
    assert told(result, own[:1], [whole, of_all_rails])[0].who == "n1"


def test_many_nodes_with_the_same_finding_are_one_line(result):
    few = told(result, [finding(f"n{k}") for k in range(MOST_ALIKE)])
    many = told(result, [finding(f"n{k}") for k in range(MOST_ALIKE + 1)])
    assert len(few) == MOST_ALIKE
    assert [fault.who for fault in many] == ["5 nodes (n0, n1, n2 and 2 more)"]
    assert len(many[0].findings) == MOST_ALIKE + 1


def test_a_suspect_whose_findings_are_all_waived_is_no_fault(result):
    assert told(result, [finding("n1", waived="by A")], [suspect("n1")]) == ()
    (fault,) = told(result, [finding("n1", waived="by A"), finding("n1", "new")], [suspect("n1")])
    assert [f.name for f in fault.findings] == ["new"]


def test_the_table_and_markdown_begin_with_who_is_at_fault(rig, confirmed):
    text = rig.take(confirmed).out
    lines = text.splitlines()
    at = lines.index("at fault: node0005: 1 finding in pairs")
    assert lines[at + 1].startswith("  rail 1 of node0005 is ")
    assert lines[at + 2].startswith("  FAIL: pairs/busbw-of-median/node0005:rail1: ")
    made = rig.call("report", str(rig.folder), "--format", "markdown").out
    assert "### node0005: 1 finding in pairs, confirmed" in made
    assert text.index("at fault") < text.index("follow-up:")
    assert rig.result()["next_commands"][0].startswith("rail 1 of node0005: ")


def test_of_one_name_a_few_findings_are_shown_and_the_rest_counted():
    found = [finding(f"n{k}") for k in range(7)] + [finding("n0", sentence="again")]
    shown, left = show.by_name(found)
    assert [f.hosts[0] for f in shown] == ["n0", "n1", "n2", "n3"]
    assert left == {"pairs/f": 4}


# limits -----------------------------------------------------------------------------------------------


def test_a_limit_passes_only_where_everything_was_measured(result):
    (stage,) = result.stages
    (limit,) = stage.limits
    assert (limit.name, limit.per, limit.source) == ("busbw-of-median", "nic", "of this test")
    assert limit.asks == "busbw at least 0.93 of the fleet's median"

    def verdict(*findings, **changed):
        made = msgspec.structs.replace(stage, findings=findings, **changed)
        return made.verdict_by(limit)

    assert verdict() == algebra.PASS
    assert verdict(measured=2) == algebra.INCONCLUSIVE
    assert verdict(verdict=algebra.ERROR) == algebra.INCONCLUSIVE
    assert verdict(verdict=algebra.SKIP) == algebra.SKIP
    assert verdict(verdict=algebra.WRONG) == algebra.INCONCLUSIVE
    missed = finding("n1", limit.name, source=limit.source)
    assert verdict(missed) == algebra.FAIL
    assert verdict(msgspec.structs.replace(missed, verified="refuted")) == algebra.PASS
    assert verdict(finding("n1", limit.name, source="another limit")) == algebra.PASS
    assert (
        verdict(finding("", f"{limit.name}-scatter", algebra.INCONCLUSIVE)) == algebra.INCONCLUSIVE
    )


def test_a_modelled_stage_costs_what_its_own_clock_says(result):
    (stage,) = result.stages
    assert 0 < stage.seconds == stage.all_seconds < 60
    assert result.node_hours == pytest.approx(stage.seconds * 12 / 3600)


def test_who_misses_a_limit_on_a_rail_that_is_slow_as_a_whole_is_not_looked_at_again():
    rail = SimpleNamespace(kind="rail", rail=1)
    plan = SimpleNamespace(targets=(), leaf_pairs=())
    found = SimpleNamespace(
        suspects=(rail,), names=("n0", "n1", "n2"), verification=plan, basis=None
    )
    missed = [
        finding("n0", rail=1),
        finding("n1", rail=1),
        finding("n2", rail=0),
        finding("n2", rail=1),
    ]
    assert targets_of(found, missed) == (("n2",), ())
