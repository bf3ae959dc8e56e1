"""`railgauge accept` on a modelled cluster: faults are found and named, and what is missing never passes."""

from __future__ import annotations

import json

import pytest

from railgauge_reports.acceptance.drive import Drive
from railgauge_reports.kept import alone_in

from .conftest import PAIRS, SLOW, SWEEP

KEY = "pairs/busbw-of-median/node0005:rail1"


def test_a_healthy_cluster_passes_and_says_what_was_not_tested(rig):
    done = rig.accept(PAIRS)
    assert done.code == 0
    assert done.out.startswith("SIMULATED")
    assert "PASS (0)" in done.out
    assert "12 of 12 nodes, 24 of 24 NICs (rails of nodes)" in done.out
    assert "not tested: Performance holds for the length of a soak" in done.out
    result = rig.result()
    assert (result["verdict"], result["exit_code"], result["simulated"]) == ("PASS", 0, True)
    assert result["stages"][0]["measured"] == 3
    assert result["finished"] is not None


def test_a_slow_nic_is_named_by_host_and_rail(rig, slow):
    assert rig.take(slow).code == 1
    found = rig.findings()
    assert list(found) == [KEY]
    assert found[KEY]["hosts"] == ["node0005"]
    assert found[KEY]["rail"] == 1
    assert found[KEY]["value"] == pytest.approx(0.6, abs=0.02)
    assert found[KEY]["unit"] == "GB/s"
    assert "of this test" in found[KEY]["sentence"]
    assert any("--adaptive" in command for command in rig.result()["next_commands"])


def test_adaptive_confirms_who_is_slow_and_tells_its_own_fault_from_the_paths(rig):
    done = rig.accept(PAIRS, "--adaptive", *rig.faults(SLOW))
    assert done.code == 1
    assert "follow-up verify: 1 nodes (node0005)" in done.err
    assert "3 rounds of 1 case(s) on 12 nodes" in done.err
    assert "node-hours" in done.err
    found = rig.findings()[KEY]
    assert (found["verified"], found["alone"]) == ("confirmed", "hardware")
    (stage,) = rig.result()["stages"]
    assert [f["kind"] for f in stage["follow_ups"]] == ["verify", "quiet"]
    assert stage["follow_ups"][0]["outcome"].startswith("confirmed: rail 1 of node0005")
    assert stage["suspects"][0]["target"] == "rail 1 of node0005"


def test_a_bad_pair_of_leaves_fails_and_its_nodes_are_refuted(rig):
    fault = 'kind = "bad_leaf_pair"\nleaves = ["leaf0", "leaf2"]\nshare = 0.7'
    text = PAIRS.replace('kind = "pairs"', 'kind = "leaves"')
    assert rig.accept(text, "--adaptive", *rig.faults(fault)).code == 1
    still_open = {
        key
        for key, f in rig.findings().items()
        if f["verified"] != "refuted" and f["verdict"]["word"] == "FAIL"
    }
    assert still_open == {"pairs/suspect/the paths between leaf0 and leaf2"}


def test_a_hang_is_searched_for_and_the_others_are_tested_without(rig):
    fault = 'kind = "hang"\nnode = "node0003"'
    done = rig.accept(PAIRS + SWEEP, "--adaptive", *rig.faults(fault))
    assert done.code == 5
    assert "node0003 made every job hang that it was in" in done.out
    pairs, sweep = rig.result()["stages"]
    assert [f["key"] for f in pairs["findings"]] == ["pairs/hang/node0003"]
    assert pairs["measured"] == 3
    assert sweep["verdict"]["word"] == "SKIP"
    assert "without node0003" in sweep["reasons"][0]
    assert not (rig.folder / "02-sweep").exists()


def test_a_hang_without_a_search_ends_what_would_hang_again(rig):
    done = rig.accept(PAIRS + SWEEP, *rig.faults('kind = "hang"\nnode = "node0003"'))
    assert done.code == 5
    assert rig.result()["stages"][1]["verdict"]["word"] == "SKIP"


def test_an_interrupted_acceptance_goes_on_where_it_was(rig, interrupted):
    interrupted(4)
    done = rig.accept(PAIRS + SWEEP, "--set", "sweep.seed=3")
    assert done.code == 75
    assert f"railgauge accept --resume --output {rig.folder}" in done.err
    assert rig.result()["verdict"] == "INTERRUPTED"
    before = {ran["folder"]: ran for ran in done.kept["ran"]}
    interrupted(10**6)
    again = rig.resume()
    assert again.code == 0
    assert "01-pairs:" not in again.err  # was done
    after = {ran["folder"]: ran for ran in again.kept["ran"]}
    assert after["01-pairs"] == before["01-pairs"]
    assert set(after) == {"01-pairs", "02-sweep/nodes0004", "02-sweep/nodes0012"}
    assert again.kept["finished"] is not None


def test_one_stage_alone_leaves_the_others_open(rig):
    assert rig.accept(PAIRS + SWEEP, "--only", "sweep").code == 75
    assert rig.result()["stages"][0]["verdict"]["word"] == "INTERRUPTED"
    assert rig.resume().code == 0


# waivers ----------------------------------------------------------------------------------------------


def waivers(rig, finding, expires):
    text = f'[[waivers]]\nfinding = "{finding}"\nauthor = "A"\nreason = "r"\nexpires = {expires}\n'
    return "--waivers", str(rig.file("waivers.toml", text))


def test_a_waived_failure_passes_and_is_listed(rig, slow):
    rig.take(slow)
    done = rig.resume(*waivers(rig, "pairs/*/node0005*", "2199-01-01"))
    assert done.code == 0
    assert "PASS with waivers (0)" in done.out
    assert "waived: pairs/*/node0005*, by A until 2199-01-01: r" in done.out
    assert rig.findings()[KEY]["waived"]
    assert "waived (FAIL)" in rig.call("report", str(rig.folder), "--format", "markdown").out


def test_an_expired_waiver_does_not_count_and_is_said(rig, slow):
    rig.take(slow)
    done = rig.resume(*waivers(rig, "pairs/*/node0005*", "2020-01-01"))
    assert done.code == 1
    assert "waiver expired, does not count: pairs/*/node0005*" in done.out


def test_a_waiver_for_another_node_does_nothing_and_is_said(rig, slow):
    rig.take(slow)
    done = rig.resume(*waivers(rig, "pairs/*/node0004*", "2199-01-01"))
    assert done.code == 1
    assert "waiver matches no finding" in done.out


def test_nobody_waives_a_hang(rig):
    fault = rig.faults('kind = "hang"\nnode = "node0003"')
    assert rig.accept(PAIRS, *fault, *waivers(rig, "*/*/*", "2199-01-01")).code == 5


# what stands in the way of a pass -----------------------------------------------------------------------


def test_a_required_stage_without_leaves_known_is_inconclusive_on_a_real_cluster(rig):
    done = rig.call(
        *("accept", rig.profile(PAIRS.replace('kind = "pairs"', 'kind = "leaves"'))),
        *("-n", "2", "--output", str(rig.folder)),
    )
    assert done.code == 6
    assert "next: --leaves FILE" in done.out


def test_a_limit_that_nothing_can_be_held_against_is_inconclusive(rig):
    few = PAIRS.replace('of = "median"', 'of = "own"').replace('per = "nic"', 'per = "case"')
    assert rig.accept(few).code == 6
    (finding,) = rig.findings().values()
    assert "fewer than 5 of one group" in finding["sentence"]


def test_a_soak_is_held_against_itself(rig):
    soak = SWEEP.replace('kind = "sweep"\nscales = [4, 12]', 'kind = "soak"\n')
    limit = '[[stages.limits]]\nmetric = "busbw"\nof = "own"\nat_least = 0.9\nsource = "s"\nscatter = 0\n'
    text = 'about = "soak"\n' + soak + "duration = 1\n" + limit
    assert rig.accept(text).code == 0
    assert rig.result()["stages"][0]["planned"] > 5
    fault = 'kind = "slow_nic"\nnode = "node0001"\nshare = 0.5\nbegin_seconds = 0.8'
    rig.folder = rig.path / "second"
    assert rig.accept(text, *rig.faults(fault)).code == 1


def test_a_run_whose_folder_is_gone_is_no_pass(rig, healthy):
    rig.take(healthy)
    (rig.folder / "01-pairs" / "journal.jsonl").unlink()
    assert rig.result()["exit_code"] == 3


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff\xfe", b'{"format": 99}'])
def test_a_damaged_accept_json_is_named(rig, healthy, raw):
    rig.take(healthy)
    (rig.folder / "accept.json").write_bytes(raw)
    done = rig.call("report", str(rig.folder))
    assert done.code == 3
    assert "accept.json" in done.err


# before and after -----------------------------------------------------------------------------------------


def test_a_dry_run_says_what_a_run_then_takes(rig):
    done = rig.accept(PAIRS + SWEEP, "--dry-run", "--json")
    told = json.loads(done.out)
    assert done.code == 0
    assert not rig.folder.exists()
    assert [stage["measurements"] for stage in told["stages"]] == [3, 2]
    assert told["total"]["node_hours"] == pytest.approx(told["total"]["seconds"] * 12 / 3600)
    assert told["stages"][0]["follow_up_seconds"] > 0
    rig.accept(PAIRS + SWEEP)
    journal = (rig.folder / "01-pairs" / "journal.jsonl").read_text().splitlines()
    began, ended = json.loads(journal[0])["started"], json.loads(journal[-1])["finished"]
    assert told["stages"][0]["seconds"] == pytest.approx(ended - began, rel=0.02)


def test_a_dry_run_for_people_names_what_stays_unseen(rig):
    done = rig.accept(PAIRS, "--dry-run")
    assert "pairs finds slow nodes" in done.out
    assert "and not pairs of leaves" in done.out


def test_reports_come_in_the_formats_that_can_show_them_and_in_no_other(rig, healthy):
    rig.take(healthy)
    here = str(rig.folder)
    assert rig.call("report", here).out.startswith("SIMULATED")
    assert rig.call("report", here, "--format", "markdown").out.startswith("# Acceptance: PASS")
    done = rig.call("report", here, "--format", "csv")
    assert done.code == 2
    assert "allowed: html, json, junit, markdown, prometheus, table" in done.err
    assert rig.call("report", str(rig.folder / "01-pairs")).code == 0


def test_the_checklist_says_what_answers_an_item_and_what_does_not(rig, slow):
    rig.take(slow)
    done = rig.call("accept", str(rig.folder), "--checklist", "--json")
    words = {item["id"]: item["word"] for item in json.loads(done.out)}
    assert done.code == 1
    assert words["pair-bandwidth"] == "FAIL"
    assert words["right-results"] == "PASS"
    assert words["soak"] == "not asked"
    assert words["storage"] == "not measured here"
    asked = json.loads(rig.call("accept", "quick", "--checklist", "--json").out)
    assert {item["id"]: item["word"] for item in asked}["scaling"] == "asked"


def test_markup_in_a_profile_stays_text(rig):
    rig.accept(PAIRS.replace("of this test", "<script>alert(1)</script> | x"), *rig.faults(SLOW))
    made = rig.call("report", str(rig.folder), "--format", "markdown").out
    assert "\\| x" in made


# what was typed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("accept",), "which PROFILE?"),
        (("accept", "quick", "--format", "csv"), "format"),
        (("accept", "quick", "--launcher", "srun"), "--ranks"),
        (("accept", "quick", "--launcher", "'", "-n", "2", "--ranks-per-node", "1"), "--launcher"),
        (("accept", "quick", "-n", "4", "--ranks-per-node", "2"), "on this host"),
        (("accept", "quick", "--faults", "x"), "--faults"),
        (("accept", "quick", "--nodes", "2"), "--cluster"),
        (("accept", "quick", "--backend", "simulated", "-n", "2"), "modelled"),
        (("accept", "--resume"), "which acceptance?"),
        (("accept", "quick", "--only", "pears", "--dry-run"), "pears"),
        (("accept", "quick", "--timeout", "nan"), "--timeout"),
    ],
)
def test_what_cannot_be_is_a_usage_error(rig, words, said):
    done = rig.call(*words)
    assert done.code == 2
    assert said in done.err


def test_a_folder_is_neither_overwritten_nor_mixed_up(rig):
    rig.accept(PAIRS)
    assert "not empty" in rig.accept(PAIRS).err
    assert "profile differ" in rig.accept(PAIRS + SWEEP, "--resume").err
    assert "leave it out" in rig.resume("--nodes", "3").err
    assert rig.accept(PAIRS, "--resume").code == 0


def test_only_one_works_in_a_folder_at_a_time(rig, healthy):
    rig.take(healthy)
    with alone_in(rig.folder):
        done = rig.resume()
    assert done.code == 2
    assert f"--output {rig.folder}: another railgauge is at work in it" in done.err
    assert rig.resume().code == 0


def test_an_interruption_between_two_runs_says_how_to_go_on(rig, monkeypatch):
    def interrupts(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Drive, "_stage", interrupts)
    done = rig.accept(PAIRS)
    assert done.code == 75
    assert f"next: railgauge accept --resume --output {rig.folder}" in done.err
    monkeypatch.undo()
    assert rig.resume().code == 0


# real launches ------------------------------------------------------------------------------------------


def test_a_launcher_that_fails_is_an_error_with_what_it_said_and_is_tried_again(rig):
    launcher = (
        "--launcher",
        "sh -c 'echo no nodes >&2; exit 9'",
        "-n",
        "4",
        "--ranks-per-node",
        "1",
    )
    done = rig.call("accept", rig.profile(PAIRS), *launcher, "--output", str(rig.folder))
    assert done.code == 3
    assert "no nodes" in done.err
    (ran,) = done.kept["ran"]
    assert ran["exit_code"] == 3
    assert "01-pairs: 3 rounds" in rig.resume().err


@pytest.mark.mpi
def test_ranks_are_started_and_their_run_is_judged(rig):
    text = PAIRS.replace('sizes = "16M"', 'sizes = "1K"')
    done = rig.call("accept", rig.profile(text), "-n", "2", "--output", str(rig.folder))
    assert done.code == 6  # one pair is no fleet
    (stage,) = rig.result()["stages"]
    assert stage["measured"] == stage["planned"] == 1
    assert "fewer than 5" in stage["reasons"][0]
    assert (rig.folder / "01-pairs.plan.json").exists()


def test_a_fleet_that_is_slow_alike_is_tried_with_nothing_beside_it(rig):
    text = PAIRS.replace(
        'of = "median"\nat_least = 0.93\nper = "nic"',
        'of = "expected"\nat_least = 0.9\nper = "run"',
    )
    oversubscribed = rig.cluster.read_text().replace(
        "leaf_nodes = 4", 'topology = "fat_tree"\nleaf_nodes = 4\noversubscription = 2'
    )
    rig.cluster.write_text(oversubscribed)
    assert rig.accept(text.replace('"16M"', '"256M"'), "--adaptive").code == 1
    (finding,) = [f for key, f in rig.findings().items() if "of-expected" in key]
    assert finding["value"] < 0.7
    assert finding["alone"] == "congestion"
    assert "oversubscription" in finding["sentence"]
