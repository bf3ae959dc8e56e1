"""Links and routes of every topology, at sizes that fill nothing evenly, and what flows get on them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge import clusters, plugins
from railgauge.cluster import Cluster, Fabric, Node, read_cluster
from railgauge.errors import UsageError
from railgauge.simulation.maxmin import certificate, rates
from railgauge.simulation.networks import network_of
from railgauge.simulation.trees import fat_tree

TREES = ("rail_optimised", "fat_tree")
TOPOLOGIES = (*TREES, "dragonfly")


def built(topology="rail_optimised", nodes=10, nics=2, **fabric):
    return network_of(
        Cluster(nodes=nodes, node=Node(nics=nics), fabric=Fabric(topology=topology, **fabric))
    )


def switches(network):
    return [("leaf", k) for k in range(network.leaf_count)] + [
        ("spine", k) for k in range(network.spine_count)
    ]


def of(network, sources, targets, choices=None):
    """Routes without their -1, each a list of links."""
    if choices is not None:
        choices = np.array(choices, np.uint64)
    found = network.routes(np.array(sources), np.array(targets), choices)
    return [[link for link in row if link >= 0] for row in found.tolist()]


@st.composite
def any_network(draw):
    small = st.integers(1, 4)
    topology = draw(st.sampled_from(TOPOLOGIES))
    fabric = Fabric(
        topology=topology,
        leaf_nodes=draw(st.integers(1, 6)),
        pod_leaves=None if topology == "dragonfly" else draw(st.none() | small),
        group_leaves=draw(small),
        global_links=draw(small),
        oversubscription=draw(st.sampled_from([1, 1.5, 3, 100])),
    )
    nics = draw(st.sampled_from([1, 2, 4, 8]))
    return network_of(Cluster(nodes=draw(st.integers(1, 30)), node=Node(nics=nics), fabric=fabric))


def test_every_topology_of_a_cluster_has_its_module():
    assert plugins.names(plugins.TOPOLOGIES) == sorted(TOPOLOGIES)


# what holds on all of them ----------------------------------------------------------------------------


@given(any_network(), st.integers(0, 2**32 - 1), st.booleans())
def test_a_route_leads_from_its_source_to_its_target_and_visits_nothing_twice(network, seed, ecmp):
    random = np.random.default_rng(seed)
    sources, targets = random.integers(0, network.ports, (2, 50))
    choices = random.integers(0, 2**64, 50, np.uint64) if ecmp else None
    routes = network.routes(sources, targets, choices)
    assert routes.dtype == np.int32
    for source, target, row in zip(sources, targets, routes, strict=True):
        links = row[row >= 0]
        assert (row[len(links) :] == -1).all()
        if source == target:
            assert not len(links)
            continue
        visited = [source, *network.heads[links]]
        assert network.tails[links].tolist() == visited[:-1]
        assert visited[-1] == target
        assert len(set(visited)) == len(visited)
        assert (links[0], links[-1]) == (
            network.links_of_port(source)[0],
            network.links_of_port(target)[1],
        )
        assert visited[1] == network.ports + network.leaf_switch(source)


@given(any_network(), st.integers(0, 2**32 - 1), st.booleans())
def test_rates_over_any_fabric_are_max_min_fair(network, seed, ecmp):
    random = np.random.default_rng(seed)
    sources, targets = random.integers(0, network.ports, (2, 80))
    capacity = network.capacity * random.choice([0, 0.25, 1, 1], network.links)
    routes = network.routes(
        sources, targets, random.integers(0, 2**64, 80, np.uint64) if ecmp else None
    )
    assert certificate(capacity, routes, rates(capacity, routes)) < 1e-9


@given(any_network())
def test_every_link_has_its_opposite_and_hangs_on_the_switches_that_it_names(network):
    ends = np.stack([network.tails, network.heads])
    forth, back = (np.lexsort(e) for e in (ends, ends[::-1]))
    assert (ends[:, forth] == ends[::-1, back]).all()
    assert (network.capacity[forth] == network.capacity[back]).all()
    touched = np.zeros(network.links, int)
    for kind, number in [*switches(network), *(("core", k) for k in range(network.core_count))]:
        touched[network.links_of_switch(kind, number)] += 1
    nics = (network.tails < network.ports) | (network.heads < network.ports)
    assert (touched == np.where(nics, 1, 2)).all()
    assert len({network.describe(link) for link in range(network.links)}) == len(
        set(zip(*ends.tolist(), strict=True))
    )


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_leaves_go_by_the_names_that_the_cluster_gives_them(topology):
    fabric = Fabric(topology=topology, leaf_nodes=3)
    cluster = Cluster(nodes=10, node=Node(nics=2), fabric=fabric)
    network = network_of(cluster)
    for name, hosts in cluster.leaves:
        for host in hosts:
            port = cluster.hosts.index(host) * 2
            said = network.describe(network.links_of_port(port)[0])
            assert said.startswith(f"{host} nic 0 -> {name}")


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_an_incast_shares_the_receivers_link(topology):
    network = built(topology, leaf_nodes=3)
    sources = np.arange(1, network.ports)
    found = rates(network.capacity, network.routes(sources, np.zeros_like(sources), None))
    assert found == pytest.approx(network.capacity[0] / len(sources))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_static_route_stays_and_a_choice_moves_it(topology):
    network = built(topology, nodes=12, nics=1, leaf_nodes=3, group_leaves=2, global_links=3)
    static = of(network, [0, 0], [11, 11])
    assert static[0] == static[1]
    moved = of(network, [0] * 3, [11] * 3, range(3))
    assert len({tuple(route) for route in moved}) == 3
    assert of(network, [0], [11], [2**64 - 1]) == of(network, [0], [11], [(2**64 - 1) % 3])


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("nics", [1, 2])
def test_one_node_has_a_network(topology, nics):
    network = built(topology, nodes=1, nics=nics)
    assert network.ports == nics
    assert of(network, [0], [0]) == [[]]
    assert of(network, [0], [nics - 1])[0][-1:] == [2 * nics - 1][: nics - 1]


@pytest.mark.parametrize("name", sorted(clusters.names()))
def test_a_shipped_cluster_has_a_network_on_which_rails_are_rings_at_full_rate(name):
    cluster = read_cluster(name)
    network = network_of(cluster)
    ports = np.arange(network.ports)
    routes = network.routes(ports, (ports + network.nics) % network.ports, None)
    if cluster.fabric.topology == "rail_optimised":
        assert rates(network.capacity, routes) == pytest.approx(cluster.node.nic_GBps)
    else:
        assert rates(network.capacity, routes).min() > 0


# trees ------------------------------------------------------------------------------------------------


def test_a_rail_has_a_leaf_of_its_own_in_every_block_of_nodes():
    network = built(nodes=10, nics=2, leaf_nodes=4)
    assert (network.leaf_count, network.spine_count, network.core_count) == (6, 4, 0)
    assert [network.leaf_switch(port) for port in (0, 1, 7, 8, 19)] == [0, 1, 1, 2, 5]
    assert network.describe(5) == "node0002 nic 1 -> leaf0 rail 1"
    assert network.describe(network.links_between(3, 2)[0]) == "leaf1 rail 1 -> spine 2"
    assert network.describe(network.links_between(3, 2)[1]) == "spine 2 -> leaf1 rail 1"
    # full leaves have 4 NICs and 4 uplinks of two links each, those of the last two nodes 2 NICs
    assert [len(network.links_of_switch("leaf", k)) for k in range(6)] == [16] * 4 + [12] * 2
    assert len(network.links_of_switch("spine", 3)) == 12


def test_a_fat_trees_leaf_takes_all_nics_of_its_nodes():
    network = built("fat_tree", nodes=10, nics=2, leaf_nodes=4)
    assert (network.leaf_count, network.spine_count) == (3, 8)
    assert [network.leaf_switch(port) for port in (0, 7, 8, 19)] == [0, 0, 1, 2]
    assert network.describe(7) == "node0003 nic 1 -> leaf0"
    assert of(network, [0], [7]) == [[0, 20 + 7]]


@pytest.mark.parametrize("topology", TREES)
@pytest.mark.parametrize("oversubscription", [1, 1.5, 2, 3, 7, 1000])
def test_oversubscription_is_exact_whatever_the_number_of_uplinks(topology, oversubscription):
    network = built(topology, nodes=20, leaf_nodes=5, oversubscription=oversubscription)
    under = 5 * (network.nics if topology == "fat_tree" else 1)
    assert network.spine_count == max(1, round(under / oversubscription))
    leaf = network.ports + np.arange(network.leaf_count)
    for k in leaf:
        uplinks = network.capacity[(network.tails == k) & (network.heads > leaf[-1])].sum()
        assert under * network.capacity[0] / uplinks == pytest.approx(oversubscription)


@pytest.mark.parametrize(
    ("nodes", "pod_leaves", "counts"),
    [
        (1, None, (1, 0, 0)),  # one leaf needs no spine
        (4, None, (1, 0, 0)),
        (5, None, (2, 4, 0)),
        (256, None, (64, 4, 0)),  # all 64 ports of a spine lead down
        (257, None, (65, 12, 4 * 32)),  # or half of them
        (12, 3, (3, 4, 0)),
        (16, 3, (4, 8, 4 * 3)),
        (9, 1, (3, 12, 4)),
    ],
)
def test_more_leaves_than_a_pod_has_are_joined_by_cores(nodes, pod_leaves, counts):
    network = built("fat_tree", nodes=nodes, nics=1, leaf_nodes=4, pod_leaves=pod_leaves)
    assert (network.leaf_count, network.spine_count, network.core_count) == counts


def test_spines_of_another_pod_are_reached_over_cores_and_have_no_link_to_a_leaf():
    network = built("fat_tree", nodes=16, nics=1, leaf_nodes=4, pod_leaves=2)
    path = of(network, [0], [15])[0]
    assert [network.describe(link).split(" -> ")[1] for link in path] == [
        "leaf0",
        "spine 3",
        "core 7",
        "spine 7",
        "leaf3",
        "node0015 nic 0",
    ]
    with pytest.raises(UsageError, match=r"leaf0 and spine 4.*\n.*of its pod, spine 0 to spine 3"):
        network.links_between(0, 4)
    names = {network.describe(link) for link in network.links_between(2, 4)}
    assert names == {"leaf2 -> spine 4", "spine 4 -> leaf2"}


def test_static_routes_carry_every_shift_of_a_full_tree_at_full_rate():
    network = built("fat_tree", nodes=64, nics=1, leaf_nodes=4, pod_leaves=4)
    ports = np.arange(64)
    for shift in range(64):
        routes = network.routes(ports, (ports + shift) % 64, None)
        found = rates(network.capacity, routes)
        assert (found == (np.inf if shift == 0 else network.capacity[0])).all()


def test_a_flow_held_back_on_an_uplink_leaves_the_receivers_leaf_to_others():
    # leaf0 shares one uplink among three; an equal share of the link down to leaf1 would be a half
    network = built("fat_tree", nodes=8, nics=1, leaf_nodes=2, oversubscription=2)
    routes = network.routes(np.array([0, 1, 1, 4]), np.array([2, 4, 6, 3]), None)
    found = rates(network.capacity, routes) / network.capacity[0]
    assert found == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])


def test_choices_go_through_every_path_of_a_tree_once():
    network = built("fat_tree", nodes=18, nics=1, leaf_nodes=3, pod_leaves=2)
    near, far = (
        {tuple(route) for route in of(network, [0] * n, [target] * n, range(n))}
        for target, n in ((3, 3), (17, 6))
    )
    assert (len(near), len(far)) == (3, 6)
    assert {route[1] for route in far} == {route[1] for route in near}


def test_parallel_cables_are_all_used_and_end_at_the_same_switches():
    network = fat_tree((4, 3), (1, 2), (1, 2), rate=10.0)
    assert (network.ports, network.leaf_count, network.spine_count) == (12, 3, 2)
    assert network.links == 2 * (12 + 3 * 4)
    ways = of(network, [0] * 4, [4, 5, 6, 7])
    assert len({way[1] for way in ways}) == len({way[2] for way in ways}) == 4
    assert [network.describe(way[1]) for way in ways] == [
        f"leaf0 -> spine {k}" for k in (0, 1, 0, 1)
    ]
    assert {tuple(way[1:3]) for way in of(network, [0] * 4, [4] * 4, range(4))} == {
        tuple(way[1:3]) for way in ways
    }
    ports = np.arange(12)
    assert (rates(network.capacity, network.routes(ports, (ports + 4) % 12, None)) == 10).all()


@pytest.mark.parametrize(
    ("down", "up", "count"),
    [((), (), ()), ((4,), (1, 2), (1,)), ((4, 0), (1, 1), (1, 1)), ((4, 2), (2, 1), (1, 1))],
)
def test_numbers_that_describe_no_tree_are_refused(down, up, count):
    with pytest.raises(ValueError, match=r"down, up and count|one cable"):
        fat_tree(down, up, count, rate=1.0)


# dragonflies ------------------------------------------------------------------------------------------


def test_groups_are_full_meshes_joined_by_as_many_links_a_pair():
    network = built(
        "dragonfly", nodes=22, nics=1, leaf_nodes=2, group_leaves=4, global_links=3
    )  # 11 routers: 4, 4 and 3
    group_of = np.minimum(np.arange(network.leaf_count) // 4, 2)
    a, b = (ends - network.ports for ends in (network.tails, network.heads))
    between = (a >= 0) & (b >= 0)
    pairs = list(zip(a[between].tolist(), b[between].tolist(), strict=True))
    inside = [pair for pair in pairs if group_of[pair[0]] == group_of[pair[1]]]
    assert sorted(inside) == sorted(
        pair
        for pair in itertools.permutations(range(11), 2)
        if group_of[pair[0]] == group_of[pair[1]]
    )
    joined = [(group_of[x], group_of[y]) for x, y in pairs if group_of[x] != group_of[y]]
    assert {pair: joined.count(pair) for pair in joined} == dict.fromkeys(
        itertools.permutations(range(3), 2), 3
    )
    out = np.bincount([x for x, y in pairs if group_of[x] != group_of[y]], minlength=11)
    for group in range(3):  # six of them are spread evenly over the routers
        assert np.ptp(out[group_of == group]) <= 1


def test_a_minimal_route_takes_one_global_link_at_most():
    network = built("dragonfly", nodes=24, nics=1, leaf_nodes=2, group_leaves=4, global_links=2)
    group = [network.leaf_switch(port) // 4 for port in range(24)]
    for source, target in itertools.permutations(range(24), 2):
        route = of(network, [source], [target])[0]
        names = [network.describe(link) for link in route]
        crossing = [name for name in names if name.count("(group") == 2]
        far = [name for name in crossing if name.split("group ")[1][0] != name[-2]]
        assert len(far) == (group[source] != group[target])
        assert len(crossing) - len(far) <= 2
        if group[source] == group[target]:
            same = network.leaf_switch(source) == network.leaf_switch(target)
            assert len(route) == (2 if same else 3)


def test_links_between_routers_are_narrower_where_they_are_oversubscribed():
    network = built("dragonfly", nodes=8, leaf_nodes=1, group_leaves=2, oversubscription=4)
    assert (network.capacity[: 2 * network.ports] == network.capacity[0]).all()
    assert (network.capacity[2 * network.ports :] == network.capacity[0] / 4).all()
    assert (network.leaf_count, network.spine_count) == (8, 0)
    assert network.describe(network.links - 1) == "leaf7 (group 3) -> leaf5 (group 2)"


# what does not fit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "field"),
    [
        (Cluster(nodes=1 << 18, node=Node(gpus=1, nics=64)), "node.nics"),
        (
            Cluster(nodes=2, node=Node(nics=8), fabric=Fabric(leaf_nodes=1 << 20)),
            "fabric.leaf_nodes",
        ),
        (
            Cluster(
                nodes=20_000,
                fabric=Fabric(topology="dragonfly", leaf_nodes=1, group_leaves=1 << 20),
            ),
            "fabric.group_leaves",
        ),
        (
            Cluster(
                nodes=64, fabric=Fabric(topology="dragonfly", global_links=1 << 20, leaf_nodes=1)
            ),
            "fabric.global_links",
        ),
    ],
)
def test_a_field_by_which_there_would_be_too_many_links_is_named(cluster, field):
    with pytest.raises(UsageError, match=rf"{field} = \d+ does not fit: .* links\.\n.*at most"):
        network_of(cluster)


def test_a_switch_that_does_not_exist_is_named_with_those_that_do():
    network = built()
    with pytest.raises(UsageError, match=r"spine 99 does not exist\.\n  expected: spine 0 to 31"):
        network.links_of_switch("spine", 99)
    with pytest.raises(UsageError, match="leaf -1 does not exist"):
        network.links_of_switch("leaf", -1)
    with pytest.raises(UsageError, match=r"core 0 does not exist.*\n.*has none"):
        network.links_of_switch("core", 0)
    with pytest.raises(UsageError, match=r"spine 0 does not exist.*\n.*has none"):
        built("dragonfly").links_between(0, 0)


@settings(max_examples=20)
@given(any_network())
def test_a_route_does_not_depend_on_the_flows_beside_it(network):
    ports, targets = np.arange(network.ports), np.arange(network.ports)[::-1]
    together = network.routes(ports, targets, None)
    alone = [network.routes(ports[k : k + 1], targets[k : k + 1], None) for k in ports]
    assert (together == np.concatenate(alone)).all()
