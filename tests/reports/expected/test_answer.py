"""What a number should be: the choice, the band, the words, the traps and what is unknown."""

from __future__ import annotations

import re

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge import cli
from railgauge.cluster import Cluster, Fabric, Node, read_cluster
from railgauge.errors import UsageError
from railgauge_reports.expected.answer import expected
from railgauge_reports.expected.question import (
    curve,
    dead_rails,
    question_of,
    reached_GBps,
    slowest_share,
)
from railgauge_reports.expected.traps import PREDICATES, catalogue

H100 = read_cluster("h100")
LARGE = 16 << 30


@pytest.mark.parametrize(
    ("nodes", "nbytes", "algorithm"),
    [(1, LARGE, "nvls"), (2, LARGE, "nvls_tree"), (4, LARGE, "ring"), (1, 8, "ring"), (64, 8, "tree")],
)  # fmt: skip
def test_the_algorithm_is_the_one_that_nccl_predicts_to_be_fastest(nodes, nbytes, algorithm):
    told = expected(H100, "all_reduce", nbytes, nodes)
    assert told.algorithm == algorithm
    every = {e.form.name for e in question_of(H100, "all_reduce", nodes).chosen}
    times = [expected(H100, "all_reduce", nbytes, nodes, algorithm=name).seconds for name in every]
    assert told.seconds == pytest.approx(min(times))


def test_an_answer_says_what_binds_and_how_it_is_derived():
    told = expected(H100, "all_reduce", LARGE, 4, algorithm="ring")
    assert (told.bound_GBps, told.binding, told.regime) == (400, "NICs", "bandwidth")
    assert told.bound_algbw_GBps == pytest.approx(400 * 32 / 62)
    assert told.busbw_low_GBps < told.busbw_GBps < told.busbw_high_GBps < 400
    assert told.seconds == pytest.approx(LARGE / told.algbw_GBps / 1e9)
    assert told.busbw_GBps == pytest.approx(told.algbw_GBps * 62 / 32)
    words = "\n".join(told.words)
    assert "8 NICs of a node x 400 Gb/s / 8 = 400 GB/s; 1.938 B go there for each byte" in words
    assert "bound: 400 GB/s busbw, by NICs" in words
    assert "98.0% of it can be data (Ethernet headers, MTU 4096): 392 GB/s" in words
    assert "NCCL 2.30.7's own model (src/graph/tuning.cc), constants of Hopper" in words
    assert told.words[0] == "4 nodes, 8 GPUs each, 32 ranks"


def test_the_largest_published_figures_of_two_nodes_lie_in_the_band_and_above_the_nics():
    told = expected(H100, "all_reduce", LARGE, 2)
    assert told.busbw_low_GBps < 469 < 471 < 487 < told.busbw_high_GBps
    assert told.bound_GBps == pytest.approx(750)
    (trap,) = [t for t in told.traps if "busbw may exceed the NICs' sum (400 GB/s)" in t]
    assert "30.8 GB/s in each 400 Gb/s NIC" in trap
    assert "3 of 8 rails may be dead" in trap
    ring = expected(H100, "all_reduce", LARGE, 2, algorithm="ring")
    assert not [t for t in ring.traps if "exceed the NICs' sum" in t]


def test_nvls_is_told_apart_from_its_link():
    trap, dtypes = expected(H100, "all_reduce", LARGE, 1).traps
    assert "figures are of float32" in dtypes
    assert "busbw may reach 700 GB/s over NVLink of 450 GB/s" in trap
    assert "315 GB/s at the figure" in trap  # 490 / 1.75 x 9/8


def test_small_sizes_are_ruled_by_latency():
    told = expected(H100, "all_reduce", 8, 4)
    assert told.regime == "latency"
    assert any("compare seconds" in trap for trap in told.traps)
    assert told.seconds_low == pytest.approx(told.seconds / 2, rel=1e-3)


def trap_ids(cluster, operation, nodes, pattern="world", nbytes=LARGE):
    told = expected(cluster, operation, nbytes, nodes, pattern=pattern)
    return {
        trap.id
        for trap in catalogue()
        if any(
            line.endswith(f"Source: {trap.source}.") and trap.next in line for line in told.traps
        )
    }


@pytest.mark.parametrize(
    ("name", "operation", "nodes", "pattern", "there", "absent"),
    [
        ("h100", "all_reduce", 4, "world", "one_dead_rail", "two_nodes_above_line_rate"),
        ("h100", "sendrecv", 4, "world", "one_nic_carries_the_ring", "one_dead_rail"),
        ("h100", "sendrecv", 4, "pairs", "", "one_nic_carries_the_ring"),
        ("fat-tree", "alltoall", 64, "world", "oversubscribed", "pcie_binds"),
        ("fat-tree", "alltoall", 4, "world", "", "oversubscribed"),
        ("gb200-nvl72", "all_reduce", 18, "world", "large_domain", "two_nodes_above_line_rate"),
        ("h100", "flows", 8, "incast", "incast_shares", "one_dead_rail"),
    ],
)
def test_traps_are_set_where_their_condition_holds(name, operation, nodes, pattern, there, absent):
    found = trap_ids(read_cluster(name), operation, nodes, pattern)
    assert not there or there in found
    assert absent not in found


def test_hashed_paths_matter_where_flows_leave_their_leaf():
    for routing, nodes, there in (("ecmp", 64, True), ("ecmp", 4, False), ("static", 64, False)):
        hashed = Cluster(fabric=Fabric(routing=routing, leaf_nodes=4))
        assert ("hashed_paths" in trap_ids(hashed, "flows", nodes, "permutation")) is there


def test_a_narrow_slot_is_named():
    narrow = Cluster(node=Node(pcie_GBps=25, nvlink_generation=4))
    assert "pcie_binds" in trap_ids(narrow, "all_reduce", 4)


def test_every_trap_has_a_condition_a_source_and_a_next_step():
    assert {trap.when for trap in catalogue()} == PREDICATES.keys()
    assert len({trap.id for trap in catalogue()}) == len(catalogue())
    assert all(trap.words and trap.next and trap.source for trap in catalogue())


@pytest.mark.parametrize(
    ("operation", "pattern", "nodes", "ranks", "why"),
    [
        ("alltoallv", "world", 4, None, "traffic matrix"),
        ("barrier", "world", 4, None, "no data"),
        ("all_reduce", "victim", 4, None, "load of other ranks"),
        ("all_reduce", "world", 1, 1, "alone"),
    ],
)
def test_what_cannot_be_expected_has_a_reason_and_no_figure(operation, pattern, nodes, ranks, why):
    told = expected(H100, operation, 1 << 20, nodes, ranks, pattern=pattern)
    assert why in told.reason
    figures = (told.seconds, told.seconds_low, told.busbw_GBps, told.bound_GBps, told.regime)
    assert figures == (None,) * 5
    with pytest.raises(UsageError, match="no expectation"):
        curve(question_of(H100, operation, nodes, ranks, pattern=pattern), [8])


def test_of_a_window_only_the_bound_is_known():
    told = expected(H100, "bandwidth", LARGE, 2)
    assert (told.seconds, told.busbw_GBps, told.bound_GBps) == (None, None, pytest.approx(50))
    assert told.model == "bound"
    assert any("messages a second" in text for text in told.unknown)


def test_without_a_generation_nccl_is_not_quoted():
    unknown = Cluster(node=Node(nvlink_generation=None))
    told = expected(unknown, "all_reduce", LARGE, 4)
    assert told.model == "closed form"
    assert any("node.nvlink_generation" in text for text in told.unknown)
    assert not any("NCCL 2" in text for text in told.words)
    assert not any(
        "nvlink_generation" in text for text in expected(H100, "all_reduce", 8, 4).unknown
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("all_reduc", 8, 4), "all_reduce"),
        (("all_reduce", 8, 4, None, "rings"), "ring"),
        (("all_reduce", 8, 4, None, "nvls"), "inside one NVLink domain"),
        (("all_reduce", 8, 4, None, None, "world2"), "unknown pattern"),
        (("all_reduce", 8, 4, None, None, "incast"), "one-way flows"),
        (("flows", 8, 4), "says nothing of who sends"),
        (("all_reduce", 0, 4), "1 B to 1 PiB"),
        (("all_reduce", 1 << 60, 4), "1 B to 1 PiB"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_by_name(arguments, named):
    with pytest.raises(UsageError, match=named):
        expected(H100, *arguments)


def test_dead_rails_and_slow_nics_are_found_by_taking_them_away():
    ring = question_of(H100, "all_reduce", 4, algorithm="ring")
    assert dead_rails(ring, "ring", 120) == 5  # 3 x 48 = 144 are left
    assert dead_rails(ring, "ring", 145) == 4
    assert dead_rails(ring, "ring", 330) == 1  # 7 x 48 = 336
    assert dead_rails(ring, "ring", 337) == 0
    assert slowest_share(ring, "ring", 120) == pytest.approx(0.32)
    assert slowest_share(ring, "ring", 192) == pytest.approx(0.5, abs=0.011)
    one = question_of(H100, "all_reduce", 1, algorithm="nvls")
    assert slowest_share(one, "nvls", 245) == pytest.approx(0.5, abs=0.011)
    assert reached_GBps(ring, "ring", ring.shape.with_nics(1)) == pytest.approx(48, rel=1e-3)
    assert ring.shape.with_nics(-3).nics == 1


NAMES = ("a100", "dragonfly", "fat-tree", "gb200-nvl72", "h100", "h100-infiniband")


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    operation=st.sampled_from(["all_reduce", "all_gather", "broadcast", "alltoall", "sendrecv"]),
    nodes=st.integers(1, 64),
    low=st.integers(1, 1 << 34),
)
def test_a_band_is_ordered_monotonic_and_within_the_bound(name, operation, nodes, low):
    cluster = read_cluster(name)
    question = question_of(cluster, operation, min(nodes, cluster.nodes))
    sizes = sorted({low, low + 1, low * 2, low * 2 + 1, low * 3, low * 64})
    band = curve(question, sizes)
    if band.open:
        assert np.isnan(band.seconds).all()
        return
    assert np.all(band.seconds_low <= band.seconds)
    assert np.all(band.seconds <= band.seconds_high)
    for series in (band.seconds_low, band.seconds, band.seconds_high):
        assert np.all(np.diff(series) >= -1e-15)
    assert np.all(band.busbw_GBps(band.seconds) <= band.bound_GBps * (1 + 1e-9))
    assert np.all(band.busbw_GBps(band.seconds_low) <= max(question.bounds.values()) * (1 + 1e-9))


def test_what_traps_tell_to_type_has_options_that_exist():
    for trap in catalogue():
        for name, rest in re.findall(r"railgauge ([a-z]+)([^:;]*)", trap.next):
            entry = cli.railgauge.get_command(click.Context(cli.railgauge), name)
            known = {option for parameter in entry.load().params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", rest)) <= known, trap.id
