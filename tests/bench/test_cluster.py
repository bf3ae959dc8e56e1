"""Clusters in TOML: what they say of themselves, and errors that name the field."""

from __future__ import annotations

import pytest

from railgauge import clusters
from railgauge.cluster import Cluster, Node, check_cluster, read_cluster
from railgauge.errors import UsageError


@pytest.mark.parametrize("name", sorted(clusters.names()))
def test_every_shipped_cluster_can_be_read_and_says_what_it_is(name):
    cluster = read_cluster(name)
    assert cluster.ranks == cluster.nodes * cluster.node.gpus
    assert str(cluster.nodes) in clusters.names()[name]


def test_hosts_are_numbered_and_hang_on_leaves_in_their_order():
    cluster = Cluster(nodes=70, name="gpu")
    assert cluster.hosts[0] == "gpu0000"
    assert cluster.hosts[-1] == "gpu0069"
    assert [len(hosts) for _, hosts in cluster.leaves] == [32, 32, 6]
    assert cluster.leaves[2] == ("leaf2", cluster.hosts[64:])


def test_a_gpu_uses_the_nic_of_its_share():
    assert [Cluster().rail(gpu) for gpu in range(8)] == list(range(8))
    two = Cluster(node=Node(gpus=8, nics=2))
    assert [two.rail(gpu) for gpu in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]
    more = Cluster(node=Node(gpus=2, nics=4))
    assert [more.rail(gpu) for gpu in range(2)] == [0, 2]


def test_headers_take_their_part_of_a_nics_rate():
    roce, infiniband = Node(), Node(link_layer="InfiniBand")
    assert roce.nic_GBps == pytest.approx(50 * 4096 / (4096 + 82), rel=1e-3)
    assert infiniband.nic_GBps == pytest.approx(50 * 4096 / (4096 + 26), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nodes = 0", "nodes"),
        ("nodes = 1.5", "nodes"),
        ("name = '../x'", "name"),
        ("[node]\nnic_Gbps = -1", "node.nic_Gbps"),
        ("[node]\nnic_Gbps = nan", "node.nic_Gbps"),
        ("[node]\ngpus = 8\nnics = 3", "node.nics"),
        ("[fabric]\ntopology = 'ring'", "fabric.topology"),
        ("[fabric]\noversubscription = 0.5", "fabric.oversubscription"),
        ("[fabric]\nleafs = 3", "leafs"),
        ("[fabric]\ntopology = 'dragonfly'\npod_leaves = 3", "fabric.pod_leaves"),
        ("[noise]\ntransient_low = 0.4", "noise.transient_low"),
        ("nodes = 1048576", "nodes"),
        ("nodes = ", "Invalid value"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path, text, named):
    file = tmp_path / "cluster.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=named):
        read_cluster(str(file))


def test_a_file_that_is_missing_is_said_with_what_was_expected(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.toml: cannot be read.*\n.*a name that ships"):
        read_cluster(str(tmp_path / "nothing.toml"))


def test_a_cluster_without_links_between_gpus_is_refused():
    with pytest.raises(UsageError, match="nvlink_GBps"):
        check_cluster(Cluster(node=Node(nvlink_GBps=None)), "here")
    with pytest.raises(UsageError, match="domain_nodes"):
        check_cluster(Cluster(node=Node(nvlink_GBps=None, pcie_GBps=50, domain_nodes=2)), "here")
    assert check_cluster(Cluster(node=Node(nvlink_GBps=None, pcie_GBps=50)), "here")
