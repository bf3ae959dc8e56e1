"""Max-min fair rates and completions: by hand, against exact arithmetic, and by their certificate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.simulation.maxmin import certificate, completion, rates


def solve(capacity, *routes):
    """`rates` of routes of any lengths."""
    return rates(np.array(capacity, float), rows(routes))


def rows(routes):
    hops = max(map(len, routes), default=0)
    return np.array([[*r, *[-1] * (hops - len(r))] for r in routes], np.int32).reshape(
        len(routes), hops
    )


# by hand ----------------------------------------------------------------------------------------------


def test_a_flow_held_back_elsewhere_leaves_its_part_to_the_others():
    # an equal share of the second link would be 10 each
    assert solve([10, 20], [0, 1], [0], [1]).tolist() == [5, 5, 15]


def test_what_is_left_over_goes_on_from_link_to_link():
    routes = [[0], [0], [0, 1], [1, 2], [2, 3], [3]]
    assert solve([3, 4, 10, 100], *routes).tolist() == [1, 1, 1, 3, 7, 93]


def test_the_order_of_links_and_flows_does_not_matter():
    routes = [[3, 2], [2, 0], [1, 3], [1], [0]]
    found = solve([9, 2, 8, 5], *routes)
    # link 1 gives 1 each; link 3 leaves 4 to flow 0, with which 4 of link 2 and then 5 of link 0 are left
    assert found.tolist() == [4, 4, 1, 1, 5]
    assert solve([9, 2, 8, 5], *routes[::-1]).tolist() == found[::-1].tolist()


def test_a_flow_over_a_dead_link_stands_still_and_takes_nothing_from_others():
    assert solve([0, 10], [0, 1], [1]).tolist() == [0, 10]


def test_a_flow_that_takes_no_link_is_unlimited():
    assert solve([10], [], [0]).tolist() == [np.inf, 10]
    assert rates(np.ones(3), np.full((2, 4), -1, np.int32)).tolist() == [np.inf, np.inf]
    assert rates(np.ones(3), np.zeros((2, 0), np.int32)).tolist() == [np.inf, np.inf]


def test_no_flows_have_no_rates():
    assert rates(np.ones(3), np.zeros((0, 4), np.int32)).shape == (0,)
    assert completion(np.ones(3), np.zeros((0, 4), np.int32), np.zeros(0)).shape == (0,)
    assert certificate(np.ones(3), np.zeros((0, 4), np.int32), np.zeros(0)) == 0


def test_gaps_may_stand_anywhere_in_a_route():
    routes = np.array([[-1, 0, -1], [0, -1, 1]], np.int32)
    assert rates(np.array([10.0, 1.0]), routes).tolist() == [9, 1]


def test_a_link_taken_twice_counts_twice():
    assert solve([12], [0, 0], [0]).tolist() == [4, 4]
    assert certificate(np.array([12.0]), rows([[0, 0], [0]]), np.array([4.0, 4.0])) == 0


@pytest.mark.parametrize("capacity", [[np.nan], [-1.0], [np.inf]])
def test_a_capacity_that_is_none_is_refused(capacity):
    with pytest.raises(ValueError, match="capacities must be finite"):
        solve(capacity, [0])


@pytest.mark.parametrize("link", [1, -2])
def test_a_link_that_does_not_exist_is_refused(link):
    with pytest.raises(ValueError, match="links 0 to 0, or -1"):
        solve([1.0], [0], [link])


@pytest.mark.parametrize("routes", [np.zeros(3, np.int32), np.zeros((3, 1))])
def test_routes_of_another_shape_or_type_are_refused(routes):
    with pytest.raises(ValueError, match="routes must be integers"):
        rates(np.ones(1), routes)


# completions ------------------------------------------------------------------------------------------


def complete(capacity, routes, gigabytes):
    return completion(np.array(capacity, float), rows(routes), np.array(gigabytes, float)).tolist()


def test_a_flow_goes_faster_once_another_has_ended():
    assert complete([2], [[0], [0]], [1, 3]) == [1, 2]


def test_flows_that_end_do_so_on_all_their_links():
    # flow 1 has 1 GB/s beside flow 0 until that ends after 1 s, then 2
    assert complete([2, 9], [[0], [0, 1], [1]], [1, 5, 8]) == [1, 3, 1]


def test_completion_leaves_the_sizes_as_they_were():
    gigabytes = np.array([1.0, 3.0])
    completion(np.array([2.0]), rows([[0], [0]]), gigabytes)
    assert gigabytes.tolist() == [1, 3]


def test_what_takes_no_link_or_has_no_data_ends_at_once():
    assert complete([2], [[], [0], [0]], [7, 0, 4]) == [0, 0, 2]


def test_a_flow_over_a_dead_link_never_ends_and_the_others_do():
    assert complete([0, 2], [[0, 1], [1]], [1, 4]) == [np.inf, 2]
    assert complete([0], [[0]], [0]) == [0]


def test_equal_flows_end_at_the_same_moment():
    random = np.random.default_rng(3)
    routes = np.stack([random.permutation(64), 64 + np.arange(64) // 7], axis=1).astype(np.int32)
    ends = completion(np.full(80, 0.1), routes, np.full(64, 0.3))
    assert len(set(ends[:63].tolist())) == 1


@pytest.mark.parametrize("gigabytes", [[-1.0], [np.nan], [np.inf], [1.0, 1.0]])
def test_sizes_that_are_none_are_refused(gigabytes):
    with pytest.raises(ValueError, match="gigabytes must be 1 finite"):
        complete([1], [[0]], gigabytes)


# against exact arithmetic -----------------------------------------------------------------------------


def exact_rates(capacity, routes):
    """Progressive filling in fractions, all flows of the tightest link at a time."""
    found = {}
    while growing := [f for f, route in enumerate(routes) if route and f not in found]:
        shares = {}
        for link in {link for f in growing for link in routes[f]}:
            used = sum(found[f] * routes[f].count(link) for f in found)
            shares[link] = (capacity[link] - used) / sum(routes[f].count(link) for f in growing)
        tightest = min(shares, key=shares.get)
        found |= {f: shares[tightest] for f in growing if tightest in routes[f]}
    return [found.get(f, np.inf) for f in range(len(routes))]


def exact_completion(capacity, routes, sizes):
    left, now, ends = dict(enumerate(sizes)), Fraction(0), [np.inf] * len(sizes)
    while left:
        flows = list(left)
        speeds = dict(zip(flows, exact_rates(capacity, [routes[f] for f in flows]), strict=True))
        steps = [
            Fraction(0) if speeds[f] == np.inf or left[f] == 0 else left[f] / speeds[f]
            for f in flows
            if speeds[f] > 0 or left[f] == 0
        ]
        if not steps:
            break
        step = min(steps)
        now += step
        for f in flows:
            left[f] = 0 if speeds[f] == np.inf else left[f] - speeds[f] * step
            if left[f] <= 0:
                ends[f] = float(now)
                del left[f]
    return ends


numbers = st.integers(0, 40).map(Fraction)


@st.composite
def networks(draw):
    capacity = draw(st.lists(numbers, min_size=1, max_size=8))
    links = st.integers(0, len(capacity) - 1)
    return capacity, draw(st.lists(st.lists(links, max_size=4), max_size=14))


@given(networks())
def test_rates_are_those_of_exact_arithmetic(network):
    capacity, routes = network
    expected = [float(rate) for rate in exact_rates(capacity, routes)]
    found = solve([float(c) for c in capacity], *routes)
    assert found == pytest.approx(expected, rel=1e-9)
    assert certificate(np.array(capacity, float), rows(routes), found) < 1e-9


@given(networks(), st.lists(numbers, min_size=14, max_size=14))
def test_completions_are_those_of_exact_arithmetic(network, sizes):
    capacity, routes = network
    sizes = sizes[: len(routes)]
    found = complete([float(c) for c in capacity], routes, [float(size) for size in sizes])
    assert found == pytest.approx(exact_completion(capacity, routes, sizes), rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(0.0, 6.0))
def test_the_certificate_holds_whatever_the_capacities(seed, flows, decades):
    random = np.random.default_rng(seed)
    capacity = 10 ** random.uniform(-decades, decades, 60)
    routes = random.integers(-1, 60, (flows, 5)).astype(np.int32)
    assert certificate(capacity, routes, rates(capacity, routes)) < 1e-9


# the certificate itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([5, 5, 15], 0),
        ([5, 5, 16], 0.05),  # 21 of 20
        ([5, 5, 10], 0.25),  # a quarter of the second link is free
        ([4, 6, 16], 1 / 3),  # the first flow could have more at the cost of the second
        ([6, 6, 14], 0.2),
        ([5, 5, np.nan], np.inf),
        ([5, 5, np.inf], np.inf),
        ([0, 0, 0], 1),
    ],
)
def test_the_certificate_says_by_how_much_rates_are_not_fair(changed, expected):
    routes = rows([[0, 1], [0], [1]])
    assert certificate(np.array([10.0, 20.0]), routes, np.array(changed, float)) == pytest.approx(
        expected
    )


def test_the_certificate_wants_nothing_over_dead_links_and_no_limit_without_links():
    capacity, routes = np.array([0.0, 1.0]), rows([[0], []])
    assert certificate(capacity, routes, np.array([0.0, np.inf])) == 0
    assert certificate(capacity, routes, np.array([0.1, np.inf])) == np.inf
    assert certificate(capacity, routes, np.array([0.0, 1.0])) == np.inf
