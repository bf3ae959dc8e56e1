"""Times on a modelled cluster, against closed forms and against what each fault must do."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from railgauge import patterns
from railgauge.cluster import Cluster, Fabric, Node, Noise, topology_of
from railgauge.expectation.nccl_tuning import nvlink_share
from railgauge.plan import Plan, cases
from railgauge.schedules import Group, Pattern, Round
from railgauge.simulation import faults
from railgauge.simulation.effects import effects_of
from railgauge.simulation.machine import Machine
from railgauge.simulation.times import loaded, times
from railgauge.units import GIGA

LARGE = 1 << 34
CLUSTER = Cluster(nodes=64, noise=Noise(transient=0))
NIC = CLUSTER.node.nic_GBps
RING = CLUSTER.node.nvlink_GBps * nvlink_share(CLUSTER.node.nvlink_generation)


def case_of(operation, ranks, nbytes=LARGE, algorithm=None, pattern="world"):
    plan = Plan(
        ranks=ranks,
        operations=(operation,),
        backend="simulated",
        memory="device",
        cluster=CLUSTER,
        sizes=(nbytes,),
        pattern=pattern,
        algorithms=None if algorithm is None else (algorithm,),
    )
    return cases(plan)[0]


def solved(cluster, operation, round_, ranks=None, planted=(), **more):
    """(times, the loaded flows) of a case in a round on a cluster with these faults."""
    machine = Machine(cluster, ranks or cluster.ranks)
    case = case_of(operation, len(round_.groups[0].ranks), **more)
    effects = effects_of(machine, planted)
    choices = loaded(machine, effects, case, round_, 1, seed=1)
    return times(machine, effects, case.nbytes, choices, round_.groups), case, choices


def busbw(cluster, operation, ranks, planted=(), **more):
    """GB/s of one group of the first ranks."""
    group = Group(tuple(range(ranks)))
    made, case, _ = solved(cluster, operation, Round((group,)), ranks, planted, **more)
    return case.nbytes / made.groups[0] / GIGA * case.bus_factor(ranks)


def world_round(cluster, pattern, index=0, **more):
    schedule = patterns.rounds(Pattern(pattern, **more), topology_of(cluster, cluster.ranks))
    return list(zip(range(index + 1), schedule, strict=False))[-1][1]


# closed forms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["all_reduce", "all_gather", "reduce_scatter"])
@pytest.mark.parametrize("nodes", [2, 4, 64])
def test_a_ring_over_nodes_reaches_the_sum_of_the_nics(operation, nodes):
    algorithm = "ring" if operation == "all_reduce" else None
    found = busbw(CLUSTER, operation, 8 * nodes, algorithm=algorithm)
    assert found == pytest.approx(min(8 * NIC, RING / (7 / 8)), rel=0.02)


def test_within_a_node_a_ring_runs_at_its_share_of_nvlink():
    assert busbw(CLUSTER, "all_reduce", 8) == pytest.approx(RING, rel=0.01)


def test_nodes_of_one_nvlink_domain_need_no_nic():
    racks = Cluster(nodes=36, node=Node(gpus=4, nics=4, nvlink_GBps=900, domain_nodes=18))
    assert busbw(racks, "all_reduce", 72) == pytest.approx(900 * nvlink_share(None), rel=0.01)
    assert busbw(racks, "all_reduce", 144) == pytest.approx(
        900 * nvlink_share(None) / (71 / 72), rel=0.01
    )


def test_without_nvlink_gpus_exchange_over_pcie():
    plain = Cluster(node=Node(nvlink_GBps=None, pcie_GBps=50.0))
    assert busbw(plain, "all_reduce", 8) == pytest.approx(50, rel=0.01)


def test_between_two_nodes_a_tree_exceeds_the_sum_of_the_nics_and_between_four_it_does_not():
    fast = Cluster(node=Node(nvlink_GBps=1800.0))
    assert busbw(fast, "all_reduce", 16, algorithm="tree") > 1.5 * 8 * NIC
    assert busbw(fast, "all_reduce", 32, algorithm="tree") == pytest.approx(
        0.92 * 8 * NIC, rel=0.01
    )


def test_small_messages_go_by_the_tree_and_large_ones_by_the_ring():
    groups = (Group(tuple(range(512))),)
    small, *_ = solved(CLUSTER, "all_reduce", Round(groups), nbytes=1024)
    large, *_ = solved(CLUSTER, "all_reduce", Round(groups), nbytes=LARGE)
    assert (small.algorithm, large.algorithm) == ("tree", "ring")


def test_a_broadcast_passes_everybody_once():
    assert busbw(CLUSTER, "broadcast", 32) == pytest.approx(min(8 * NIC, RING / (7 / 8)), rel=0.01)


@pytest.mark.parametrize("operation", ["gather", "scatter"])
def test_into_or_out_of_one_everything_passes_its_nic_or_its_nvlink(operation):
    # seven of 31 come over NVLink at the same time
    made, case, choices = solved(CLUSTER, operation, Round((Group(tuple(range(32))),)))
    across = case.nbytes * 24 / 32 / (NIC * GIGA)
    assert made.groups[0] == pytest.approx(across, rel=0.01)
    assert len(choices[0][1].rates) == 31


def test_an_all_to_all_is_held_by_the_nics():
    found = busbw(CLUSTER, "alltoall", 512)
    assert found == pytest.approx(NIC, rel=0.15)


def test_a_message_to_another_node_has_the_rate_of_a_nic():
    made, case, _ = solved(CLUSTER, "sendrecv", Round((Group((3, 11)),)))
    assert case.nbytes / made.groups[0] / GIGA == pytest.approx(NIC, rel=0.001)


@pytest.mark.parametrize(("senders", "index"), [(1, 0), (2, 1), (16, 4)])
def test_an_incast_shares_one_nic(senders, index):
    round_ = world_round(CLUSTER, "incast", index)
    made, case, _ = solved(CLUSTER, "flows", round_, pattern="incast")
    rates = case.nbytes / made.flows / GIGA
    assert rates == pytest.approx(np.full(8 * senders, NIC / senders), rel=0.01)


def test_small_messages_cost_their_latency_alone():
    made, *_ = solved(CLUSTER, "sendrecv", Round((Group((0, 8)), Group((16, 17)))), nbytes=8)
    node, fabric = CLUSTER.node, CLUSTER.fabric
    # up from the NIC and down to the other: one leaf
    outside = node.launch_seconds + fabric.step_seconds + 2 * fabric.hop_seconds
    assert made.groups == pytest.approx(
        [outside, node.launch_seconds + node.nvlink_seconds], rel=0.01
    )


def test_a_barrier_takes_as_many_rounds_as_doublings():
    made, *_ = solved(CLUSTER, "barrier", Round((Group(tuple(range(512))),)))
    node, fabric = CLUSTER.node, CLUSTER.fabric
    expected = node.launch_seconds + 3 * node.nvlink_seconds + 6 * fabric.step_seconds
    assert made.groups[0] == pytest.approx(expected)


def test_a_ping_pong_takes_both_ways():
    made, *_ = solved(CLUSTER, "latency", Round((Group((0, 8)),)), nbytes=8)
    fabric = CLUSTER.fabric
    both = CLUSTER.node.launch_seconds + 2 * (fabric.step_seconds + 2 * fabric.hop_seconds)
    assert made.groups[0] == pytest.approx(both, rel=0.01)


# routing ------------------------------------------------------------------------------------------


def permuted(routing, **more):
    cluster = Cluster(nodes=64, fabric=Fabric(leaf_nodes=8, routing=routing, **more))
    made, case, _ = solved(
        cluster, "flows", world_round(cluster, "permutation"), pattern="permutation"
    )
    return case.nbytes / made.flows / GIGA


def test_adaptive_routing_keeps_a_permutation_at_full_rate_and_hashing_does_not():
    assert permuted("adaptive").min() == pytest.approx(NIC, rel=0.01)
    assert permuted("ecmp").min() < 0.6 * NIC
    assert permuted("ecmp").mean() < 0.9 * NIC


def test_an_oversubscribed_leaf_gives_its_share():
    shifted = Cluster(nodes=16, fabric=Fabric(leaf_nodes=8, oversubscription=4.0))
    made, case, _ = solved(shifted, "flows", world_round(shifted, "shift", 3), pattern="shift")
    assert case.nbytes / made.flows / GIGA == pytest.approx(np.full(128, NIC / 4), rel=0.01)


def test_a_load_takes_its_part_of_the_links():
    alone = world_round(CLUSTER, "victim", 0)
    beside = world_round(CLUSTER, "victim", 1)
    assert beside.load == "alltoall"
    quiet, *_ = solved(CLUSTER, "alltoall", alone)
    tight = msgspec.structs.replace(CLUSTER, fabric=Fabric(leaf_nodes=4, oversubscription=4.0))
    first, *_ = solved(tight, "alltoall", alone)
    second, *_ = solved(tight, "alltoall", beside)
    assert quiet.groups[0] < first.groups[0] < second.groups[0]


# faults -------------------------------------------------------------------------------------------


def pair_rates(planted, cluster=CLUSTER, index=0):
    """(node, node, rail) -> GB/s of every pair of a round."""
    round_ = world_round(cluster, "pairs", index)
    made, case, _ = solved(cluster, "sendrecv", round_, planted=planted)
    return {
        (group.ranks[0] // 8, group.ranks[1] // 8, group.rail): case.nbytes / seconds / GIGA
        for group, seconds in zip(round_.groups, made.groups.tolist(), strict=True)
    }


def odd(planted, **more):
    """Pairs that are slower than all others, with their share of the rate."""
    found = pair_rates(planted, **more)
    return {pair: rate / NIC for pair, rate in found.items() if rate < 0.999 * max(found.values())}


def test_a_healthy_cluster_has_no_odd_pair():
    assert odd(()) == {}


def test_a_slow_nic_slows_its_pair_on_its_rail_alone():
    found = odd([faults.SlowNic(node="node0005", nic=3, share=0.4)])
    ((pair, share),) = found.items()
    assert 5 in pair[:2]
    assert pair[2] == 3
    assert share == pytest.approx(0.4, rel=0.01)


def test_the_next_nic_carries_what_a_dead_one_did():
    found = odd([faults.DeadNic(node="node0005", nic=7)])
    assert {pair[2] for pair in found} == {7, 0}
    assert list(found.values()) == pytest.approx([0.5, 0.5], rel=0.01)


def test_a_dead_rail_is_dead_on_every_node():
    found = odd([faults.DeadRail(rail=2)])
    assert {pair[2] for pair in found} == {2, 3}
    assert len(found) == 2 * 32


def test_a_node_without_any_nic_is_cut_off():
    dead = [faults.DeadNic(node="node0005", nic=nic) for nic in range(8)]
    assert set(odd(dead).values()) == {0.0}


def test_a_degraded_cable_between_switches_takes_from_what_its_leaf_shares():
    tight = Cluster(nodes=64, fabric=Fabric(leaf_nodes=8))
    cable = faults.DegradedCable(leaf=0, spine=0, share=0.0)
    found = odd([cable], cluster=tight, index=10)
    assert found
    assert {min(pair[:2]) // 8 for pair in found} == {0}
    assert {pair[2] for pair in found} == {0}  # leaf 0 is that of rail 0
    assert min(found.values()) == pytest.approx(7 / 8, rel=0.01)


def test_a_bad_leaf_pair_slows_what_passes_between_its_leaves():
    four = Cluster(nodes=64, fabric=Fabric(leaf_nodes=16))
    fault = faults.BadLeafPair(leaves=("leaf1", "leaf3"), share=0.9)
    found = odd([fault], cluster=four, index=8)
    assert len(found) == 16 * 8
    assert {tuple(sorted(node // 16 for node in pair[:2])) for pair in found} == {(1, 3)}
    assert list(found.values()) == pytest.approx([0.9] * len(found), rel=0.01)


@pytest.mark.parametrize("fault", [faults.WrongPfcClass, faults.EcnOff])
def test_a_wrong_setting_slows_all_rails_of_its_node(fault):
    found = odd([fault(node="node0009", share=0.4)])
    assert {pair[2] for pair in found} == set(range(8))
    assert all(9 in pair[:2] for pair in found)


def test_ecn_that_is_off_everywhere_leaves_no_pair_odd_but_all_slower():
    everywhere = pair_rates([faults.EcnOff(share=0.5)])
    assert odd([faults.EcnOff(share=0.5)]) == {}
    assert max(everywhere.values()) == pytest.approx(NIC / 4, rel=0.01)  # at both ends


def test_a_hot_spine_takes_from_those_that_pass_it():
    static = Cluster(nodes=64, fabric=Fabric(leaf_nodes=8, routing="static"))
    before, after = (
        pair_rates((), static, 10),
        pair_rates([faults.HotSpine(spine=1, share=0.1)], static, 10),
    )
    slower = [pair for pair, rate in after.items() if rate < 0.9 * before[pair]]
    assert slower
    assert all(pair[0] // 8 != pair[1] // 8 for pair in slower)


def test_a_slow_gpu_is_late_and_slows_its_neighbours():
    slow = faults.SlowGpu(node="node0000", gpu=2, late_seconds=0.5, share=0.5)
    group = Round((Group(tuple(range(8))),))
    healthy, *_ = solved(CLUSTER, "all_reduce", group)
    made, *_ = solved(CLUSTER, "all_reduce", group, planted=[slow])
    assert made.groups[0] == pytest.approx(2 * healthy.groups[0] + 0.5, rel=0.01)
    assert effects_of(Machine(CLUSTER, 8), [slow]).late.tolist() == [0, 0, 0.5, 0, 0, 0, 0, 0]
