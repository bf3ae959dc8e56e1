"""Who is drained: the surest of the accused, up to a cap, and never a node that is somebody else's."""

from __future__ import annotations

import dataclasses
import json
import shlex
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.cli import main
from railgauge.errors import NotMeasuredError, UsageError
from railgauge_reports.acceptance import algebra
from railgauge_reports.acceptance.answer import Finding
from railgauge_reports.acceptance.faults import Fault
from railgauge_reports.localise.suspects import Suspect
from railgauge_slurm.accusation import Accusation, Accused, PassedOver
from railgauge_slurm.accused import _sorted_out, _weighed
from railgauge_slurm.draining import parse_cap, to_drain, to_undrain
from railgauge_slurm.nodes import Node, called, parsed, reason_of

NIGHT = 1.7e9


def node(name, *states, reason="", partitions=("bench",), host="", since="2023-11-15T00:00:00"):
    return Node(name, host or name, frozenset(states or ("IDLE",)), partitions, reason, since)


def said(*accused, good=()):
    made = [
        a if isinstance(a, Accused) else Accused(a, "slow_node", f"{a}: slow", True)
        for a in accused
    ]
    return Accusation(Path("runs/night 7"), NIGHT, "", "bench", tuple(made), (), frozenset(good))


# nodes as Slurm shows them ----------------------------------------------------------------------------

SHOWN = (
    "NodeName=node0 Arch=x86_64 NodeAddr=10.78.0.10 NodeHostName=host-a Version=22.05.8 OS=Linux 6.1 #1 SMP"
    " State=IDLE+DRAIN ThreadsPerCore=1 Partitions=bench,idle  Gres=gpu:h100:8"
    " Reason=railgauge:slow_nic 20261126 run=State=DOWN [root@2026-11-26T03:18:10] Comment=theirs [x@y]\n"
    "NodeName=node1 State=DOWN*+CLOUD Partitions=bench Reason=not responding [slurm@2026-11-26T03:18:10]\n"
    "NodeName=node2 NodeHostName=node2 State=MIXED\n"
)


def test_nodes_are_read_with_their_reasons_whatever_stands_in_them():
    one, two, three = parsed(SHOWN)
    assert one == Node(
        *("node0", "host-a", frozenset({"IDLE", "DRAIN"}), ("bench", "idle")),
        *("railgauge:slow_nic 20261126 run=State=DOWN", "2026-11-26T03:18:10"),
    )
    assert one.held_by_us
    assert (two.host, two.drained, two.states) == ("node1", False, {"DOWN", "CLOUD"})
    assert (two.reason, three.reason, three.partitions) == ("not responding", "", ())
    with pytest.raises(NotMeasuredError, match="'no nodes here' is no node"):
        parsed("no nodes here\n")


@given(st.text(max_size=200))
def test_whatever_scontrol_prints_is_read_or_refused(text):
    try:
        parsed(text)
    except NotMeasuredError:
        return


def test_a_host_is_known_by_what_it_calls_itself_first():
    nodes = [
        node("a", host="b"),
        node("b", host="c"),
        node("d", host="x.site"),
        node("e", host="x2"),
    ]
    assert [found.name for found in called("b", nodes)] == ["a"]
    assert [found.name for found in called("e", nodes)] == ["e"]
    assert [found.name for found in called("x", nodes)] == ["d"]
    assert [found.name for found in called("e.other", nodes)] == ["e"]
    assert called("z", nodes) == ()
    assert len(called("h", [node("s1", host="h"), node("s2", host="h")])) == 2


def test_a_reason_is_plain_words_whatever_a_folder_is_called():
    made = reason_of("slow $(reboot)", "20261126", "x'; rm -rf / \n<script>")
    assert made == "railgauge:slow_reboot 20261126 run=x_rm_-rf_script"
    assert reason_of("", "20261126", "...").endswith(" run=...")


# the cap ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "nodes", "most"),
    [
        *(("2%", 4, 1), ("2%", 100, 2), ("2%", 149, 2), ("2%", 150, 3), ("0%", 100, 0)),
        *(("7%", 100, 7), ("100%", 3, 3), ("2.5 %", 200, 5), ("3", 4, 3), ("0", 4, 0)),
    ],
)
def test_a_cap_is_a_number_or_a_share_with_one_node_at_least(text, nodes, most):
    assert parse_cap(text).of(nodes) == most


@pytest.mark.parametrize(
    "text", ["", "%", "-1", "nan%", "inf", "101%", "1e3", "2 nodes", "²", "9" * 40]
)
def test_no_number_is_no_cap(text):
    with pytest.raises(UsageError, match="--max-drain"):
        parse_cap(text)


# who is drained ---------------------------------------------------------------------------------------


def test_the_surest_are_drained_up_to_the_cap_and_the_rest_is_told():
    nodes = [node(f"n{k}") for k in range(4)]
    made = to_drain(said("n2", "n1"), nodes, "bench", parse_cap("2%"))
    (action,) = made.actions
    assert action.argv == [
        *("scontrol", "update", "nodename=n2", "state=drain"),
        "reason=railgauge:slow_node 20231114 run=night_7",
    ]
    assert made.left == (
        PassedOver(
            "n1", "over the cap: at most 1 of 4 nodes (2 %, one at least), 0 held already; n1: slow"
        ),
    )


def test_nodes_that_railgauge_holds_count_into_the_cap_and_those_of_others_do_not():
    held = node("n0", "IDLE", "DRAIN", reason="railgauge:slow_node 20231101 run=x")
    others = node("n1", "IDLE", "DRAIN", reason="fan")
    elsewhere = node("n8", "DRAIN", reason="railgauge:x 20231101 run=x", partitions=("other",))
    nodes = [held, others, elsewhere, *(node(f"n{k}") for k in range(2, 8))]
    assert to_drain(said("n2"), nodes, "bench", parse_cap("1")).actions == ()
    made = to_drain(said("n2", "n3"), nodes, "bench", parse_cap("2"))
    assert ([action.node for action in made.actions], made.held) == (["n2"], 1)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (node("n0", "IDLE", "DRAIN", reason="fan broken"), "drained by others already: fan broken"),
        (node("n0", "DOWN", "DRAIN"), "drained by others already: without a reason"),
        (
            node("n0", "DRAIN", reason="railgauge:a 20231101 run=x"),
            "held already: railgauge:a 2023",
        ),
        (node("n0", partitions=("gpu",)), "node n0 is not in partition bench"),
        (node("n[0-9]", host="n0"), "which is no plain name"),
        (node("m0"), "Slurm knows no node of that name"),
    ],
)
def test_a_node_that_may_not_be_drained_is_left_alone_and_told(found, why):
    made = to_drain(said("n0"), [found, node("n5")], "bench", parse_cap("100%"))
    assert made.actions == ()
    assert why in made.left[0].why


def test_a_host_that_stands_for_several_nodes_and_one_named_twice():
    nodes = [node("s1", host="h"), node("s2", host="h"), node("n1", host="n1.site")]
    made = to_drain(said("h", "n1", "n1.site"), nodes, "bench", parse_cap("100%"))
    assert [action.node for action in made.actions] == ["n1"]
    assert [entry.why for entry in made.left] == [
        "stands for several nodes of Slurm: s1, s2",
        "node n1 is drained for another finding",
    ]


NODES = st.builds(
    node,
    st.from_regex(r"n[0-9]", fullmatch=True),
    st.sampled_from(["IDLE", "DRAIN"]),
    reason=st.sampled_from(["", "fan", "railgauge:x 20231101 run=y"]),
)


@given(
    st.lists(NODES, unique_by=lambda n: n.name),
    st.lists(st.from_regex(r"n[0-9]", fullmatch=True)),
    st.integers(0, 4),
)
def test_never_more_than_the_cap_is_held_and_nobody_elses_node_is_touched(nodes, hosts, most):
    made = to_drain(said(*hosts), nodes, "", parse_cap(str(most)))
    held = sum(n.held_by_us for n in nodes)
    drained = [action.node for action in made.actions]
    assert len(drained) == len(set(drained))
    assert not drained or held + len(drained) <= most
    assert not {n.name for n in nodes if n.drained} & set(drained)
    assert set(hosts) == {action.host for action in made.actions} | {
        entry.who for entry in made.left
    }


def test_only_what_railgauge_drained_is_given_back():
    nodes = [
        node("n0", "IDLE", "DRAIN", reason="railgauge:x 20231101 run=y"),
        node("n1", "IDLE", "DRAIN", reason="not by railgauge:x"),
        node("n2", "IDLE", reason="railgauge:x 20231101 run=y"),  # somebody gave it back
    ]
    made = to_undrain(nodes, None, None)
    assert [action.argv for action in made.actions] == [
        ["scontrol", "update", "nodename=n0", "state=resume"]
    ]
    assert [entry.who for entry in made.left] == ["n1"]
    assert to_undrain(nodes, "other", None).actions == ()


def test_a_later_run_gives_back_only_whom_it_found_good():
    ours = "railgauge:x 20231101 run=y"
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(NIGHT - 60))
    after = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(NIGHT + 60))
    nodes = [node(f"n{k}", "DRAIN", reason=ours, since=since) for k in range(2)]
    nodes.append(node("n2", "DRAIN", reason=ours, since=after))
    made = to_undrain(nodes, None, said(good=["n0.site", "n2"]))
    assert [action.node for action in made.actions] == ["n0"]
    assert [entry.why for entry in made.left] == [
        f"night 7 did not find it good; held: {ours}",
        f"night 7 was measured before it was drained; held: {ours}",
    ]


# who is accused ---------------------------------------------------------------------------------------

SUSPECT = Suspect("nic", "n1 rail 2", ("n1",), (1,), 2, (), 0.2, 0.1, 0.3, 5, 5, 0.9999, 9.0)


def test_a_suspect_is_accused_where_it_was_confirmed_or_is_sure_and_alone():
    sure = _weighed(SUSPECT)
    assert isinstance(sure, Accused)
    assert (sure.host, sure.code, sure.confirmed, sure.effect) == (
        "n1",
        "slow_nic_rail2",
        False,
        0.2,
    )
    unsure = dataclasses.replace(
        SUSPECT, confidence=0.7, alternatives=("leaf0",), verified="confirmed"
    )
    assert isinstance(_weighed(unsure), Accused)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"verified": "refuted"}, "refuted: as fast as good partners"),
        ({"confidence": 0.989}, "not verified, and 99% sure"),
        ({"alternatives": ("n2",)}, "not verified, and as well it may be n2"),
        ({"kind": "class", "hosts": ("n1", "n2"), "verified": "confirmed"}, "one of several that"),
        ({"kind": "rail", "hosts": ("n1",)}, "a rail: what n1 have in common, and not a node"),
        (
            {"kind": "leaf pair", "hosts": ()},
            "a leaf pair: what lies between nodes, and not a node",
        ),
        ({"hosts": ()}, "and not a node"),
    ],
)
def test_whoever_is_not_sure_or_no_node_drains_nothing(change, why):
    made = _weighed(dataclasses.replace(SUSPECT, **change))
    assert isinstance(made, PassedOver)
    assert why in made.why


def test_findings_without_a_suspect_count_where_they_were_confirmed():
    def finding(**more):
        return Finding(stage="local", name="memory", verdict=algebra.FAIL, sentence="slow", **more)

    found = (
        finding(hosts=("n1",), verified="confirmed"),
        finding(hosts=("n2",)),
        finding(hosts=("n3", "n4"), verified="confirmed"),
        finding(),
    )
    made = _sorted_out(Fault("n1", ("n1",), (), found))
    assert made[0] == Accused("n1", "memory", "slow", True)
    assert [type(entry) for entry in made[1:]] == [PassedOver] * 3
    assert "not verified" in made[1].why


# the command ------------------------------------------------------------------------------------------

STAND_IN = """#!/bin/sh
for word; do last=$word; done
case "$*" in
  *"show nodes") cat {folder}/nodes ;;
  *"show partitions") echo "PartitionName=bench Default=YES" ;;
  *) for word; do printf '%s|' "$word"; done >> {folder}/asked; echo >> {folder}/asked
     grep -q "$2" {folder}/refused 2>/dev/null && {{ echo "$(cat {folder}/said)" >&2; exit 1; }}; true ;;
esac
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Slurm's programs as scripts; the folder with the nodes that they show and what they were asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(STAND_IN.format(folder=tmp_path))
    (programs / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    lines = [f"NodeName=node{k} NodeHostName=node{k} State=IDLE Partitions=bench" for k in range(6)]
    (tmp_path / "nodes").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def night(rig, tmp_path):
    """A run of six nodes, of which node2 is slow."""
    large = rig("large_run")
    folder = large.write(tmp_path / "it's $(a) night", large.Shape(6, 1, iterations=8, slow_node=2))
    for file in ("journal.jsonl", "environment.json"):
        (folder / file).write_text((folder / file).read_text().replace("node0000", "node"))
    return folder


DRAIN = "reason=railgauge:slow_node 20231114 run=it_s_a_night"


def test_commands_are_printed_for_a_shell_and_nothing_is_done(stand_in, night, capsys):
    assert main(["slurm", "drain", str(night)]) == 0
    out, err = capsys.readouterr()
    assert shlex.split(out) == ["scontrol", "update", "nodename=node2", "state=drain", DRAIN]
    assert "nothing was done; next: the same with --apply" in err
    assert not (stand_in / "asked").exists()
    assert not (night / "drain.json").exists()


def test_applied_it_is_asked_of_slurm_and_kept_beside_the_run(stand_in, night, capsys):
    assert main(["slurm", "drain", str(night.parent), "--apply", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [(a["node"], a["done"]) for a in made["actions"]] == [("node2", True)]
    assert (stand_in / "asked").read_text() == f"update|nodename=node2|state=drain|{DRAIN}|\n"
    main(["slurm", "drain", str(night), "--apply"])  # Slurm still shows it idle
    kept = json.loads((night / "drain.json").read_text())
    assert [(entry["hostname"], entry["done"]) for entry in kept["actions"]] == [
        ("node2", True)
    ] * 2


def test_refused_by_slurm_it_is_said_who_may_and_what_was_done(stand_in, night, capsys):
    (stand_in / "refused").write_text("nodename=node2")
    (stand_in / "said").write_text("slurm_update error: Invalid user id")
    assert main(["slurm", "drain", str(night), "--apply"]) == 2
    err = capsys.readouterr().err
    assert "Slurm does not let this user change a node: slurm_update error: Invalid user id" in err
    assert "nothing was done" in err
    assert "AdminLevel=Operator" in err
    (kept,) = json.loads((night / "drain.json").read_text())["actions"]
    assert (kept["done"], kept["said"]) == (False, "slurm_update error: Invalid user id")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "which run accuses whom is not said"),
        (("{tmp}",), 2, "2 runs (it's $(a) night, more)"),
        (("{tmp}/bin",), 2, "no run"),
        (("{night}", "--partition", "benhc"), 2, "unknown partition 'benhc'. Did you mean 'bench'"),
        (("{night}", "--max-drain", "all"), 2, "--max-drain 'all'"),
    ],
)
def test_what_cannot_be_is_said(stand_in, night, capsys, words, code, said):
    more = stand_in / "more"
    more.mkdir()
    (more / "journal.jsonl").touch()
    typed = [word.format(tmp=stand_in, night=night) for word in words]
    assert main(["slurm", "drain", *typed]) == code
    assert said in capsys.readouterr().err


def test_a_model_of_a_cluster_drains_nothing(stand_in, night, capsys, monkeypatch):
    simulated = said("node2")._replace(warning="SIMULATED: a model", folder=night)
    monkeypatch.setattr("railgauge_slurm.accused.read", lambda _: simulated)
    assert main(["slurm", "drain", str(night), "--apply"]) == 2
    assert "--apply: SIMULATED" in capsys.readouterr().err
    assert not (stand_in / "asked").exists()


def test_without_a_place_for_the_record_nothing_is_done(stand_in, night, capsys):
    (night / "drain.json").write_text("{}")
    (night / "drain.new").mkdir()
    assert main(["slurm", "drain", str(night), "--apply"]) == 3
    assert "expected: a folder that takes a record" in capsys.readouterr().err
    assert not (stand_in / "asked").exists()
