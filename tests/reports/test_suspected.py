"""Every format for people and machines names who is suspected, and the test that settles it can be typed."""

from __future__ import annotations

import json
import shlex

import pytest

from railgauge.cli import call
from railgauge_reports import formats
from railgauge_reports.loaded import load
from railgauge_reports.stored import read_run
from railgauge_reports.suspected import suspected

FAULTS = """
[[faults]]
kind = "degraded_cable"
node = "node0005"
nic = 3
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A simulated run of 16 nodes, three rounds of pairs, one cable at half its rate."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "faults.toml").write_text(FAULTS)
    options = ("--pattern", "pairs", "--rounds", "3", "--operation", "sendrecv", "--sizes", "16M")
    given = ("--nodes", "16", "--iterations", "5", "--faults", str(folder / "faults.toml"))
    assert (
        call(["run", "--backend", "simulated", *given, *options, "--output", str(folder / "run")])
        == 0
    )
    return folder / "run"


@pytest.mark.parametrize("name", ["table", "markdown", "junit"])
def test_reports_for_people_and_ci_name_the_suspect(slow, name):
    made = formats.renderer(name)(load(slow))
    assert "rail 3 of node0005" in str(made)
    assert "--pattern listed --pairs FILE" in str(made).replace("&amp;", "&")


def test_json_has_suspects_with_everything_that_is_known(slow):
    made = json.loads(formats.renderer("json")(load(slow)))
    (suspect,) = made["suspects"]
    assert (suspect["kind"], suspect["hosts"], suspect["rail"]) == ("nic", ["node0005"], 3)
    assert suspect["effect_low"] <= suspect["effect"] <= suspect["effect_high"]
    assert suspect["effect"] == pytest.approx(0.5, abs=0.02)
    assert (suspect["supporting"], suspect["of"], suspect["verified"]) == (3, 3, "")
    assert suspect["sentence"].startswith("rail 3 of node0005 is ")


def test_the_next_test_is_typed_as_it_stands_and_confirms_the_suspect(slow, tmp_path, capsys):
    (suspect,) = suspected(load(slow)).suspects
    listing, run = (
        suspect.next_test.split("`")[1].replace("FILE", str(tmp_path / "verify")).split("; ")
    )
    assert call(shlex.split(listing)[1:]) == 1  # as every report: a rule of the fabric fired
    lines = (tmp_path / "verify").read_text().splitlines()
    assert lines[0] == "# node0005: against nodes known to be good"
    assert sum("node0005" in line for line in lines[1:]) == 3
    again = [*shlex.split(run)[1:], "--output", str(tmp_path / "again")]
    assert call(again) == 0, again
    stored = read_run(tmp_path / "again")
    assert stored.plan.pattern == "listed"
    (confirmed,) = suspected(load(tmp_path / "again")).suspects
    assert confirmed.target == "rail 3 of node0005"
    capsys.readouterr()


def test_nobody_is_suspected_where_nobody_is_slow_or_no_pairs_were_measured(start):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    loaded = load(run.end())
    assert suspected(loaded).suspects == ()
    assert formats.renderer("pairs")(loaded).startswith("# no pairs were measured")
    assert "suspect:" not in formats.renderer("table")(loaded)
