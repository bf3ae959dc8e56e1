"""NVLink domains that span nodes: pairs inside one are many times as fast, and say nothing of NICs."""

from __future__ import annotations

import pytest

from railgauge.cli import call
from railgauge_reports.localise.localiser import localise_run
from railgauge_reports.localise.pairs import pair_table
from railgauge_reports.stored import read_run


@pytest.fixture
def racks(tmp_path):
    """A simulated run of three rounds of pairs on so many nodes of NVL72 racks, 18 nodes each."""

    def run(nodes, *options):
        given = (
            "--cluster",
            "gb200-nvl72",
            "--nodes",
            str(nodes),
            "--pattern",
            "pairs",
            "--rounds",
            "3",
        )
        what = ("--operation", "sendrecv", "--sizes", "64M", "--iterations", "5")
        call(
            [
                "run",
                "--backend",
                "simulated",
                *given,
                *what,
                *options,
                "--output",
                str(tmp_path / "run"),
            ]
        )
        return read_run(tmp_path / "run")

    return run


def test_racks_without_a_fault_are_not_accused_of_being_joined_by_nics(racks):
    run = racks(36)
    found = localise_run(run)
    assert (found.suspects, found.classes, found.uncleared) == ((), (), ())
    assert pair_table(run).near == 24
    assert any("24 measurements of pairs inside an NVLink domain" in note for note in found.notes)


def test_a_slow_nic_between_racks_is_named(racks, tmp_path):
    (tmp_path / "f.toml").write_text(
        '[[faults]]\nkind = "slow_nic"\nnode = "node0003"\nnic = 2\nshare = 0.8\n'
    )
    (suspect,) = localise_run(racks(36, "--faults", str(tmp_path / "f.toml"))).suspects
    assert suspect.target == "rail 2 of node0003"


def test_where_all_nodes_lie_in_one_domain_its_pairs_are_what_is_compared(racks):
    run = racks(18)
    assert (pair_table(run).near, len(pair_table(run).a)) == (0, 3 * 9 * 4)
    assert localise_run(run).suspects == ()
