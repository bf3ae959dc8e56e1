"""A counter belongs to the groups whose ranks use its place; a host's counters to all groups on it."""

from __future__ import annotations

import pytest

from railgauge.records import Counted, Moved
from railgauge_reports.counters import counter_frame
from railgauge_reports.stored import read_run

GPUS = ("0000:1b:00.0", "0000:3b:00.0")


def place(source, device, port=0, **facts):
    return {"source": source, "device": device, "port": port, "facts": facts, "unknown": {}}


def moved(source, device, port=0):
    return Moved(source, device, port, "x", 1)


@pytest.fixture
def groups(start):
    """`groups(NIC names of every rank, (source, device, port), ...)`: the column, on host n0.

    Four ranks, two on a host, in pairs: a rank of n0 is in group 0 or in group 1.
    """
    nic = "0000:17:00.0"
    places = [
        place("rdma", "mlx5_0", 1, netdev="eth2"),
        place("rdma", "mlx5_1", 1, netdev="eth3"),
        place("pcie", nic, **{"class": "nic", "serves": f"{nic} eth2 mlx5_0"}),
        place("pcie", GPUS[1], **{"class": "gpu", "serves": GPUS[1]}),
        place("pcie", "0000:00:01.0", **{"class": "bridge", "serves": f"{nic} eth2 {GPUS[1]}"}),
    ]

    def read(names, *asked):
        made = start(pattern="pairs", sizes=(1024,))
        nodes = [{"host": h, "counters": {"places": places}} for h in ("n0", "n1")]
        ranks = [
            {"rank": r, "node": r // 2, "nics": {"names": n, "why": ""}}
            | {"device": {"bus_id": GPUS[r % 2].upper()}}
            for r, n in enumerate(names)
        ]
        made.folder.write_environment({"nodes": nodes, "ranks": ranks})
        told = Counted(node=0, seconds=1.0, moved=tuple(moved(*one) for one in asked))
        made.result(made.cases[0], counted=(told,))
        of = {rank: k for k, group in enumerate(made.groups(0)) for rank in group}
        assert of[0] != of[1]
        both = ",".join(map(str, sorted({of[0], of[1]})))
        words = {str(of[0]): "rank 0", str(of[1]): "rank 1", both.replace("0,1", "0-1"): "both"}
        frame = counter_frame(read_run(made.end()))
        return [words.get(cell, cell) for cell in frame["groups"]]

    return read


RAILS = [["mlx5_0"], ["mlx5_1"]] * 2


def test_a_nic_counts_for_the_rank_that_uses_it_by_all_its_names(groups):
    asked = [("rdma", "mlx5_0", 1), ("rdma", "mlx5_1", 1), ("netdev", "eth2"), ("ethtool", "eth3")]
    told = groups(RAILS, *asked, ("pcie", "0000:17:00.0"))
    assert told == ["rank 0", "rank 1", "rank 0", "rank 1", "rank 0"]


def test_a_rank_may_be_known_by_its_network_device(groups):
    names = [["eth2"], ["eth3"]] * 2
    assert groups(names, ("rdma", "mlx5_0", 1), ("ethtool", "eth3")) == ["rank 0", "rank 1"]


def test_what_nobody_uses_has_no_group(groups):
    assert groups(RAILS, ("netdev", "docker0"), ("rdma", "mlx5_7", 1)) == ["", ""]


def test_the_host_as_a_whole_is_shared_by_all_on_it(groups):
    assert groups(RAILS, ("tcp", "host")) == ["both"]


def test_a_gpu_and_its_links_count_for_its_rank_and_a_bridge_for_all_below(groups):
    asked = [("nvml", GPUS[0]), ("nvlink", f"{GPUS[1]}/link3"), ("pcie", GPUS[1])]
    told = groups(RAILS, *asked, ("pcie", "0000:00:01.0"))
    assert told == ["rank 0", "rank 1", "rank 1", "both"]


def test_a_rank_whose_nics_are_not_known_may_use_any_of_them_but_no_other_gpu(groups):
    names = [["mlx5_0"], None] * 2
    asked = [("rdma", "mlx5_0", 1), ("rdma", "mlx5_1", 1), ("netdev", "docker0")]
    assert groups(names, *asked, ("nvml", GPUS[0])) == ["both", "rank 1", "rank 1", "rank 0"]


def test_a_run_of_an_older_format_shares_everything(start):
    made = start(pattern="pairs", sizes=(1024,))
    told = Counted(node=1, seconds=1.0, moved=(moved("rdma", "mlx5_0", 1), moved("tcp", "host")))
    made.result(made.cases[0], counted=(told,))
    assert list(counter_frame(read_run(made.end()))["groups"]) == ["0-1", "0-1"]
