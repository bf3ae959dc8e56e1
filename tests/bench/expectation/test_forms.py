"""Closed forms against arithmetic by hand, and what holds of all of them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge.cluster import Cluster, Fabric, Node, read_cluster
from railgauge.errors import UsageError
from railgauge.expectation.algorithms import FORMS, NO_FORM, WINDOWED, spelled
from railgauge.expectation.estimate import estimates
from railgauge.expectation.shape import shape_of
from railgauge.operations import OPERATIONS

H100 = read_cluster("h100")


def of(cluster, operation, nodes, algorithm, ranks=None, pattern="world"):
    shape = shape_of(cluster, nodes, ranks, pattern)
    found = {e.form.name: e for e in estimates(cluster, operation, shape)}
    return found[algorithm]


def test_every_operation_has_a_form_or_a_reason():
    assert FORMS.keys() | NO_FORM.keys() == OPERATIONS.keys()
    assert not FORMS.keys() & NO_FORM.keys()


@pytest.mark.parametrize(
    ("operation", "nodes", "algorithm", "bound", "resource"),
    [
        # 8 NICs x 400 Gb/s / 8 = 400; a ring carries busbw through them
        ("all_reduce", 4, "ring", 400, "NICs"),
        ("all_gather", 4, "ring", 400, "NICs"),
        ("broadcast", 4, "ring", 400, "NICs"),
        ("all_reduce", 1, "ring", 450, "NVLink"),
        # NVLink 450 x 2 (n-1)/(n+1)
        ("all_reduce", 1, "nvls", 450 * 2 * 7 / 9, "NVLink"),
        # 2 B a byte through 400: algbw 200, x 62/32
        ("all_reduce", 4, "tree", 200 * 62 / 32, "NICs"),
        ("all_reduce", 4, "nvls_tree", 200 * 62 / 32, "NICs"),
        # three islands: 1.5 B; two: 1 B, where NVLink's 9/8 of a byte and the NICs are even
        ("all_reduce", 3, "tree", 450 / 1.75 * 46 / 24, "NVLink"),
        ("all_reduce", 3, "nvls_tree", 400 / 1.5 * 46 / 24, "NICs"),
        ("all_reduce", 2, "nvls_tree", 400 * 30 / 16, "NVLink"),
        ("all_reduce", 2, "tree", 450 / 1.75 * 30 / 16, "NVLink"),
        # one tree: 3 B a byte from an island with a parent and two children
        ("all_reduce", 4, "binary_tree", 400 / 3 * 62 / 32, "NICs"),
        # 2 (N-1)/N through the NICs, 2 (g-1)/g through NVLink
        ("all_reduce", 64, "hierarchical", 400 / (2 * 63 / 64) * 2 * 511 / 512, "NICs"),
        # all 8 ranks of a node send everything, log2 4 times
        ("all_reduce", 4, "recursive_doubling", 400 / 16 * 62 / 32, "NICs"),
        # 8 ranks a node, 24/32 of each one's bytes leave it: 6 B a byte
        ("alltoall", 4, "direct", 400 / 6 * 31 / 32, "NICs"),
        ("alltoall", 1, "direct", 450, "NVLink"),
        # the root alone: 24/32 through its own NIC
        ("gather", 4, "direct", 50 / (24 / 32) * 31 / 32, "NIC of a rank"),
        ("sendrecv", 4, "direct", 50, "NIC of a rank"),
        ("sendrecv", 1, "direct", 450, "NVLink"),
        ("bandwidth", 2, "direct", 50, "NICs"),
        ("rdma_write_bandwidth", 2, "direct", 50, "NIC of a rank"),
    ],
)  # fmt: skip
def test_a_bound_is_what_the_arithmetic_says(operation, nodes, algorithm, bound, resource):
    estimate = of(H100, operation, nodes, algorithm)
    assert estimate.bound_GBps == pytest.approx(bound)
    assert estimate.binding.resource == resource


def test_471_over_two_nodes_of_eight_are_31_in_each_nic_and_not_above_it():
    assert of(H100, "all_reduce", 2, "nvls_tree").per_nic_GBps(471) == pytest.approx(31.4)
    assert of(H100, "all_reduce", 2, "ring").per_nic_GBps(471) == pytest.approx(471 / 8)
    assert of(H100, "all_reduce", 1, "nvls").per_nic_GBps(471) == 0
    assert of(H100, "sendrecv", 4, "direct").per_nic_GBps(48) == pytest.approx(48)


@pytest.mark.parametrize(
    ("pattern", "operation", "nodes", "bound"),
    [
        ("pairs", "sendrecv", 8, 50),
        ("leaves", "sendrecv", 8, 50),
        ("bisection", "sendrecv", 8, 50),
        ("permutation", "flows", 8, 50),
        ("incast", "flows", 8, 50 / 7),
        ("pairs", "sendrecv", 1, 450),
        ("incast", "flows", 1, 450 / 7),
        ("pairs", "all_reduce", 2, 50),
    ],
)
def test_a_pattern_is_bound_by_the_nic_of_its_rank(pattern, operation, nodes, bound):
    shape = shape_of(H100, nodes, None, pattern)
    assert max(e.bound_GBps for e in estimates(H100, operation, shape)) == pytest.approx(bound)


def test_ranks_that_share_a_nic_share_its_rate():
    shared = Cluster(node=Node(gpus=8, nics=2, nic_Gbps=200))
    assert of(shared, "sendrecv", 4, "direct", pattern="pairs").bound_GBps == pytest.approx(25 / 4)
    assert of(shared, "all_reduce", 4, "ring").bound_GBps == pytest.approx(50)
    # two GPUs of a node are on one NIC, five on both
    assert of(shared, "all_reduce", 4, "ring", ranks=8).bound_GBps == pytest.approx(25)
    assert of(shared, "all_reduce", 4, "ring", ranks=20).bound_GBps == pytest.approx(50)


def test_gpus_that_have_two_nics_use_both():
    rich = Cluster(node=Node(gpus=4, nics=8))
    assert of(rich, "sendrecv", 4, "direct").bound_GBps == pytest.approx(100)
    assert of(rich, "all_reduce", 4, "ring", ranks=8).bound_GBps == pytest.approx(4 * 50)


def test_leaves_that_are_oversubscribed_bind_what_crosses_them():
    tree = read_cluster("fat-tree")  # 4 nodes a leaf, 2:1
    # 32 ranks of a leaf send 480/512 of their bytes out of it, through 4 x 8 x 50 / 2
    crossing = of(tree, "alltoall", 64, "direct")
    assert crossing.binding.resource == "leaf uplinks"
    assert crossing.bound_GBps == pytest.approx(800 / (32 * 480 / 512) * 511 / 512)
    assert of(tree, "all_reduce", 64, "ring").binding.resource == "NICs"
    assert of(tree, "sendrecv", 64, "direct", pattern="bisection").bound_GBps == pytest.approx(25)
    assert of(tree, "sendrecv", 64, "direct", pattern="pairs").bound_GBps == pytest.approx(50)
    assert of(tree, "sendrecv", 4, "direct", pattern="bisection").bound_GBps == pytest.approx(50)


def test_a_ring_is_bound_by_a_leaf_that_has_less_up_than_one_node_sends():
    thin = Cluster(fabric=Fabric(topology="fat_tree", leaf_nodes=4, oversubscription=8))
    ring = of(thin, "all_reduce", 64, "ring")
    assert (ring.binding.resource, ring.bound_GBps) == ("leaf uplinks", pytest.approx(200))


def test_groups_of_a_dragonfly_are_bound_by_their_global_links():
    fly = read_cluster("dragonfly")  # 8 groups of 16 nodes of 4, 8 links between two groups
    out = of(fly, "alltoall", 128, "direct")
    assert out.binding.resource == "global links"
    assert out.binding.GBps == pytest.approx(7 * 8 * 25)
    assert out.bound_GBps == pytest.approx(1400 / (64 * 448 / 512) * 511 / 512)


def test_routers_of_a_dragonfly_are_bound_by_all_of_their_links_and_routes_decide_on_the_rest():
    fly = read_cluster(
        "dragonfly"
    )  # routers of 2 nodes of 4 NICs: 7 links inside a group, 7 of 56 out of it
    shape = shape_of(fly, 16)
    assert [(cut.name, cut.ranks, cut.GBps) for cut in shape.cuts] == [("router links", 8, 14 * 25)]
    thin = msgspec.structs.replace(
        fly, fabric=msgspec.structs.replace(fly.fabric, oversubscription=2.0)
    )
    assert [cut.GBps for cut in shape_of(thin, 128).cuts] == [14 * 12.5, 7 * 8 * 12.5]
    assert shape_of(thin, 128, pattern="bisection").cuts == ()
    made = estimates(fly, "all_reduce", shape)
    assert {e.form.name for e in made} >= {"ring", "tree"}
    assert not any(e.lines for e in made)
    assert shape_of(fly, 2).open == ""
    assert all(e.lines for e in estimates(fly, "all_reduce", shape_of(fly, 2)))


def test_a_nic_is_of_a_node_where_pairs_of_nodes_meet():
    assert shape_of(H100, 4, pattern="pairs").island == "a node"
    assert shape_of(read_cluster("gb200-nvl72"), 36).island == "an NVLink domain"


def test_pcie_binds_where_it_is_narrower_than_the_nics_or_joins_the_gpus():
    narrow = Cluster(node=Node(pcie_GBps=25.0))
    assert of(narrow, "all_reduce", 4, "ring").binding.resource == "PCIe"
    assert of(narrow, "all_reduce", 4, "ring").bound_GBps == pytest.approx(8 * 25)
    without = Cluster(node=Node(nvlink_GBps=None, pcie_GBps=20.0))
    ring = of(without, "all_reduce", 1, "ring")
    assert (ring.binding.resource, ring.bound_GBps) == ("PCIe", pytest.approx(20))


def test_an_nvlink_domain_of_several_nodes_is_one_island():
    racks = read_cluster("gb200-nvl72")
    one, four = shape_of(racks, 18), shape_of(racks, 72)
    assert (one.islands, one.inside, four.islands, four.nics) == (1, 72, 4, 72)
    uneven = shape_of(racks, 20)
    assert (uneven.islands, uneven.inside, uneven.smallest, uneven.nics) == (2, 72, 8, 8)
    assert of(racks, "all_reduce", 20, "ring").bound_GBps == pytest.approx(400)
    assert of(racks, "sendrecv", 18, "direct", pattern="pairs").bound_GBps == pytest.approx(900)


def test_what_does_not_exist_somewhere_is_not_estimated():
    names = {e.form.name for e in estimates(H100, "all_reduce", shape_of(H100, 1))}
    assert "nvls" in names
    assert not names & {"nvls_tree", "hierarchical"}
    assert "pat" in {e.form.name for e in estimates(H100, "all_gather", shape_of(H100, 4, 4))}
    assert "pat" not in {e.form.name for e in estimates(H100, "all_gather", shape_of(H100, 4))}
    a100 = read_cluster("a100")
    assert not {"nvls", "nvls_tree"} & {
        e.form.name for n in (1, 2) for e in estimates(a100, "all_reduce", shape_of(a100, n))
    }
    assert estimates(H100, "all_reduce", shape_of(H100, 1, 1)) == ()


@pytest.mark.parametrize(
    ("nodes", "ranks", "named"),
    [(0, None, "--nodes 0"), (65, None, "65"), (2, 3, "--ranks 3"), (1, 9, "9"), (2, 0, "--ranks 0")],
)  # fmt: skip
def test_a_job_that_the_cluster_has_not_is_refused(nodes, ranks, named):
    with pytest.raises(UsageError, match=named):
        shape_of(H100, nodes, ranks)


def test_an_algorithm_is_known_by_its_other_names():
    names = ("NVLSTree", "double-tree", " Ring", "Rabenseifner", "whatever")
    assert [spelled(n) for n in names] == [
        "nvls_tree",
        "tree",
        "ring",
        "halving_doubling",
        "whatever",
    ]


# closed forms of time -----------------------------------------------------------------------------------

PLAIN = Cluster(
    node=Node(launch_seconds=1e-5, nvlink_seconds=1e-6, nvlink_generation=None),
    fabric=Fabric(step_seconds=4e-6, hop_seconds=0.5e-6, leaf_nodes=64),
)


@pytest.mark.parametrize(
    ("operation", "algorithm", "inside", "between"),
    [
        ("all_reduce", "ring", 2 * 28, 2 * 3),  # 2 (32-1) steps, 2 (4-1) of them between nodes
        ("all_reduce", "recursive_doubling", 3, 2),
        ("all_reduce", "halving_doubling", 6, 4),
        ("all_reduce", "tree", 14, 4),
        ("all_reduce", "hierarchical", 14, 6),
        ("all_gather", "ring", 28, 3),
        ("alltoall", "pairwise", 7, 24),
        ("alltoall", "direct", 1, 3),
        ("broadcast", "binomial_tree", 3, 2),
        ("sendrecv", "direct", 0, 1),
    ],
)
def test_without_a_byte_steps_take_their_latency(operation, algorithm, inside, between):
    (line,) = of(PLAIN, operation, 4, algorithm).lines
    # up to a leaf and down from it: 2 hops
    latency = 1e-5 + inside * 1e-6 + between * (4e-6 + 2 * 0.5e-6)
    assert line.curve(np.array([1.0])).alpha[0] == pytest.approx(latency)
    assert line.curve(np.array([1.0])).beta[0] < 1e-9


def test_phases_after_one_another_add_up_and_those_at_once_do_not():
    def beta(algorithm):
        return of(PLAIN, "all_reduce", 4, algorithm).lines[0].curve(np.array([1e9])).beta[0]

    inside = 1e9 * 1.75 / (450e9 * 0.8)
    assert beta("hierarchical") == pytest.approx(inside + 1e9 * 1.5 / (400e9 * 0.96))
    assert beta("tree") == pytest.approx(max(inside, 1e9 * 2 / (400e9 * 0.96)))


CLUSTERS = ("a100", "dragonfly", "fat-tree", "gb200-nvl72", "h100", "h100-infiniband")


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(CLUSTERS),
    operation=st.sampled_from(sorted(FORMS.keys() - {"flows"})),
    nodes=st.integers(1, 64),
    share=st.integers(0, 7),
    size=st.integers(1, 1 << 36),
)
def test_no_time_is_below_the_bound_and_none_falls_as_sizes_grow(
    name, operation, nodes, share, size
):
    cluster = read_cluster(name)
    nodes = min(nodes, cluster.nodes)
    shape = shape_of(cluster, nodes, nodes * (1 + share % cluster.node.gpus))
    sizes = np.sort([float(size), size + 1.0, size * 1.5, size * 2.0])
    for estimate in estimates(cluster, operation, shape):
        for line in estimate.lines:
            told = line.curve(sizes)
            took = told.alpha + told.beta
            assert np.all(told.alpha > 0)
            assert np.all(told.beta >= estimate.floor_seconds(sizes) * (1 - 1e-9))
            assert np.all(np.diff(took) >= -1e-15)
        assert (operation in WINDOWED or bool(shape.open)) == (not estimate.lines)


@settings(max_examples=40, deadline=None)
@given(
    nics=st.sampled_from([1, 2, 4, 8]),
    rate=st.floats(25, 1600),
    nodes=st.integers(2, 32),
    operation=st.sampled_from(["all_reduce", "all_gather", "alltoall", "broadcast", "sendrecv"]),
)
def test_more_rails_are_never_slower(nics, rate, nodes, operation):
    def bounds(count):
        cluster = Cluster(node=Node(nics=count, nic_Gbps=rate, nvlink_generation=4, nvls=True))
        found = estimates(cluster, operation, shape_of(cluster, nodes))
        sizes = np.array([64.0, 1e6, 1e10])
        times = [
            min((c.alpha + c.beta)[k] for e in found for c in [x.curve(sizes) for x in e.lines])
            for k in range(3)
        ]
        return {e.form.name: e.bound_GBps for e in found}, times

    (few, slow), (many, fast) = bounds(nics), bounds(2 * nics)
    assert all(many[name] >= few[name] * (1 - 1e-9) for name in few)
    assert all(b <= a * (1 + 1e-9) for a, b in zip(slow, fast, strict=True))
