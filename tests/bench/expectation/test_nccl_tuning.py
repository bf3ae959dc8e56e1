"""NCCL's model: its arithmetic by hand at a few points, and against the shapes that it was made for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from railgauge.cluster import read_cluster
from railgauge.expectation.nccl_tuning import (
    GENERATIONS,
    TREE_CORRECTION,
    nvlink_share,
    predictions,
)
from railgauge.expectation.shape import shape_of

H100, A100, NVL72 = map(read_cluster, ("h100", "a100", "gb200-nvl72"))


def predicted(shape, algorithm, protocol, operation="all_reduce", generation=4):
    found = predictions(generation, operation, algorithm, shape)
    return {p.protocol: p for p in found}[protocol]


def test_a_ring_on_one_node_takes_its_links_as_nccl_counts_them():
    told = predicted(shape_of(H100, 1), "RING", "Simple")
    assert told.latency == pytest.approx(8.4 + 14 * 3.4)
    assert told.algbw_GBps == pytest.approx(18 * 20.6 * 8 / 14)
    low = predicted(shape_of(H100, 1), "RING", "LL")
    assert (low.latency, low.algbw_GBps) == pytest.approx((6.6 + 14 * 0.6, 141 * 8 / 14))
    middle = predicted(shape_of(H100, 1), "RING", "LL128")
    assert middle.algbw_GBps == pytest.approx(18 * 20.6 * 0.92 * 8 / 14)


def test_a_ring_between_nodes_pays_the_network_for_the_hops_that_leave():
    told = predicted(shape_of(A100, 4), "RING", "Simple", generation=3)
    assert told.latency == pytest.approx(8.4 + (62 - 6) * 3.4 + 6 * 14)
    assert told.algbw_GBps == pytest.approx(8 * 24 * 32 / 62)
    low = predicted(shape_of(A100, 4), "RING", "LL", generation=3)
    assert low.latency == pytest.approx(6.6 + 56 * 1.0 + 6 * 2.7)  # posting takes 1 us a step
    assert low.algbw_GBps == pytest.approx(19 * 32 / 62)


def test_a_ring_has_a_plateau_between_nodes_from_64_bytes_a_channel_and_rank_on():
    told = predicted(shape_of(A100, 4), "RING", "Simple", generation=3)
    start = 64 * 2 * 8 * 32
    latency, _ = told.at(np.array([start - 1.0, start]))
    assert latency == pytest.approx([told.latency * 1e-6, told.latency * 1.4e-6])
    alone = predicted(shape_of(A100, 1), "RING", "Simple", generation=3)
    assert alone.at(np.array([1e9]))[0] == pytest.approx(alone.latency * 1e-6)


def test_a_tree_counts_nodes_in_doublings_and_moves_half_of_its_bus_bandwidth():
    told = predicted(shape_of(A100, 4), "TREE", "LL", generation=3)
    assert told.latency == pytest.approx(6.8 + 2 * (7 * 0.6 + 2 * 5.0))
    simple = predicted(shape_of(A100, 4), "TREE", "Simple", generation=3)
    assert simple.algbw_GBps == pytest.approx(min(192 * 0.92, 8 * 17.8) / 2)
    assert told.algbw_GBps == pytest.approx(min(8 * 17.8 / 3.8, 19.0) / 2)


def test_trees_are_corrected_as_nccl_does_at_powers_of_two_and_smoothly_in_between():
    told = predicted(shape_of(A100, 4), "TREE", "Simple", generation=3)
    sizes = 64.0 * 2.0 ** np.arange(23)
    assert told.at(sizes)[1] / told.algbw_GBps == pytest.approx(TREE_CORRECTION[2][:23])
    between = told.at(np.array([64 * 2**6.5]))[1] / told.algbw_GBps
    assert between == pytest.approx([(0.9 + 0.8) / 2])
    assert told.at(np.array([1e12]))[1] == pytest.approx(told.algbw_GBps)


def test_nvls_shares_its_link_with_one_more_than_its_ranks():
    told = predicted(shape_of(H100, 1), "NVLS", "Simple")
    assert told.latency == 25
    busbw = 8 * (18 * 20.6 / 9) * 0.85 * 7 / 8 * 2
    assert told.algbw_GBps * 14 / 8 == pytest.approx(busbw)
    gathered = predicted(shape_of(H100, 1), "NVLS", "Simple", "all_gather")
    assert gathered.algbw_GBps == pytest.approx(8 * (18 * 20.6 / 9) * 0.85 * 7 / 8 * 7 / 8)


@pytest.mark.parametrize(("nodes", "a_channel"), [(2, 57.7), (4, 45.5)])
def test_nvls_tree_is_capped_a_channel(nodes, a_channel):
    told = predicted(shape_of(H100, nodes), "NVLS_TREE", "Simple")
    ranks = nodes * 8
    assert told.algbw_GBps * 2 * (ranks - 1) / ranks == pytest.approx(8 * a_channel)
    assert told.latency == pytest.approx(25 + 2 * {2: 1, 4: 2}[nodes] * 20.9)


def test_pat_grows_with_its_ranks_and_the_logarithm_of_its_nodes():
    told = predicted(shape_of(H100, 8, 8), "PAT", "Simple", "all_gather")
    assert told.latency == pytest.approx(8 + 3 * 14 / 3.5 + 8 * 2.8)
    assert told.algbw_GBps == pytest.approx(0.75 * 48)


def test_broadcast_takes_a_step_a_rank():
    told = predicted(shape_of(A100, 4), "RING", "LL", "broadcast", 3)
    assert told.latency == pytest.approx(6.6 + 32 * 2.7)
    simple = predicted(shape_of(A100, 4), "RING", "Simple", "broadcast", 3)
    assert (simple.latency, simple.algbw_GBps) == pytest.approx((8.4 + 32 * 14, 192))


def test_a_domain_of_72_is_held_to_what_was_published_of_one():
    told = predicted(shape_of(NVL72, 18), "NVLS", "Simple", generation=5)
    assert told.algbw_GBps * 2 * 71 / 72 == pytest.approx(840, rel=0.01)


def test_nothing_is_predicted_where_nccl_has_no_constants():
    shape = shape_of(H100, 4)
    assert predictions(None, "all_reduce", "RING", shape) == ()
    assert predictions(9, "all_reduce", "RING", shape) == ()
    assert predictions(4, "all_reduce", "P2P", shape) == ()
    assert predictions(4, "all_reduce", "RING", dataclasses.replace(shape, nvlink_GBps=None)) == ()
    assert predictions(3, "all_reduce", "NVLS", shape_of(A100, 1)) == ()


def test_a_link_is_counted_at_about_four_fifths_of_its_wire():
    assert [round(nvlink_share(g), 3) for g in (2, 3, 4, 5, None)] == [0.8, 0.8, 0.824, 0.802, 0.8]
    for constants in GENERATIONS.values():
        assert len(constants.speeds) == len(set(constants.speeds))
        assert list(constants.speeds) == sorted(constants.speeds, reverse=True)
    assert {len(row) for row in TREE_CORRECTION} == {24}
