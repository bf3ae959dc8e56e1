"""Faults in TOML: targets that are named, drawn, or refused by the name of their field."""

from __future__ import annotations

import pytest

from railgauge.cluster import Cluster
from railgauge.errors import UsageError
from railgauge.simulation import faults
from railgauge.simulation.faults import FaultFile, drawn, read_faults

CLUSTER = Cluster(nodes=64)


def written(tmp_path, text):
    file = tmp_path / "faults.toml"
    file.write_text(text)
    return file


def test_every_kind_is_read_and_finds_a_target(tmp_path):
    kinds = [
        *("slow_nic", "dead_nic", "dead_rail", "degraded_cable", "bad_leaf_pair", "hang", "noise"),
        *("wrong_pfc_class", "ecn_off", "hot_spine", "flapping_link", "slow_gpu"),
    ]
    file = written(tmp_path, "".join(f'[[faults]]\nkind = "{kind}"\n' for kind in kinds))
    made = drawn(read_faults(file), CLUSTER, spines=32)
    assert [fault.__struct_config__.tag for fault in made] == kinds
    left = {
        "ecn_off": {"node"},
        "degraded_cable": {"leaf", "spine"},
    }  # on purpose: all nodes; a NIC's
    for fault in made:
        open_ = {f for f in fault.__struct_fields__ if getattr(fault, f) is None} - {"end_seconds"}
        assert open_ == left.get(str(fault.__struct_config__.tag), set())


def test_drawn_nodes_differ_from_each_other_and_from_named_ones():
    file = FaultFile(faults=(faults.SlowNic(node="node0007"), faults.DeadNic(count=63)))
    nodes = [fault.node for fault in drawn(file, CLUSTER, 32)]
    assert sorted(nodes) == list(CLUSTER.hosts)


def test_the_seed_chooses_and_says_it_again():
    file = FaultFile(faults=(faults.SlowNic(count=3),))
    assert drawn(file, CLUSTER, 32) == drawn(file, CLUSTER, 32)
    assert drawn(file, CLUSTER, 32, seed=5) != drawn(file, CLUSTER, 32, seed=6)
    other = FaultFile(seed=2, faults=file.faults)
    assert drawn(other, CLUSTER, 32) != drawn(file, CLUSTER, 32)


def test_a_fault_lasts_from_its_begin_to_its_end():
    fault = faults.SlowNic(begin_seconds=2.0, end_seconds=3.0)
    assert [fault.at(t) for t in (1.9, 2.0, 2.9, 3.0)] == [False, True, True, False]
    assert faults.SlowNic().at(1e9)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('kind = "slow_nic"\nnode = "node9999"', "slow_nic"),
        ('kind = "slow_nic"\nnic = 8', "nic = 8"),
        ('kind = "dead_rail"\nrail = 9', "rail = 9"),
        ('kind = "slow_gpu"\ngpu = 8', "gpu = 8"),
        ('kind = "hot_spine"\nspine = 32', "spine = 32"),
        ('kind = "degraded_cable"\nleaf = 2\nspine = 0', "leaf = 2"),
        ('kind = "bad_leaf_pair"\nleaves = ["leaf0", "leaf7"]', "leaf7"),
        ('kind = "bad_leaf_pair"\nleaves = ["leaf0", "leaf0"]', "two leaves"),
        ('kind = "hang"\ncount = 65', "at most 64 nodes"),
        ('kind = "slow_nic"\nshare = -0.5', "share"),
        ('kind = "slow_nic"\nshare = 1.5', "share"),
        ('kind = "slow_nick"', "slow_nick"),
        ('kind = "flapping_link"\nperiod_seconds = 0', "period_seconds"),
        ('kind = "slow_nic"\nnid = 1', "nid"),
    ],
)
def test_what_the_cluster_lacks_is_refused_by_name(tmp_path, text, named):
    file = written(tmp_path, f"[[faults]]\n{text}\n")
    with pytest.raises(UsageError, match=named):
        drawn(read_faults(file), CLUSTER, spines=32)


def test_a_cluster_of_one_leaf_has_no_pair_and_one_without_spines_none_of_them():
    for fault in (faults.BadLeafPair(), faults.HotSpine()):
        with pytest.raises(UsageError, match="no such target"):
            drawn(FaultFile(faults=(fault,)), Cluster(nodes=8), spines=0)


def test_a_file_without_faults_is_refused(tmp_path):
    with pytest.raises(UsageError, match="names no fault"):
        read_faults(written(tmp_path, "seed = 3\n"))
