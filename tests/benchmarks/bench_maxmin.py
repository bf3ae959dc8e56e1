"""How long it takes to share the links of a three-level fat tree among as many flows as it has hosts.

Each round has a random permutation of its own, under static routes (d-mod-k).
"""

from __future__ import annotations

import resource

import numpy as np
import pytest

from railgauge.simulation.maxmin import completion, rates
from railgauge.simulation.trees import fat_tree

ROUNDS = 20


@pytest.fixture(scope="module", params=[16, 32], ids=["4096 hosts", "32768 hosts"])
def network(request):
    """m = k, k, k and w = 1, k, k: k^3 hosts and 6 k^3 links of 50 GB/s."""
    k = request.param
    made = fat_tree((k, k, k), (1, k, k), (1, 1, 1), rate=50.0)
    assert (made.ports, made.links) == (k**3, 6 * k**3)
    return made


@pytest.fixture
def measured(benchmark, network):
    """`measured(work, arguments)`: `work` on what `arguments(sources, targets)` makes, not timed."""

    def run(work, arguments, rounds=ROUNDS):
        random = np.random.default_rng(1)
        sources = np.arange(network.ports)

        def fresh():
            return arguments(sources, random.permutation(network.ports)), {}

        work(*fresh()[0])  # compiled
        benchmark.pedantic(work, setup=fresh, rounds=rounds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        benchmark.extra_info["peak_MiB_of_the_process"] = peak / 1024

    return run


def test_routes(measured, network):
    measured(lambda *ends: network.routes(*ends, None), lambda *ends: ends)


def test_one_solve(measured, network):
    measured(rates, lambda *ends: (network.capacity, network.routes(*ends, None)))


def test_until_all_flows_have_ended(measured, network):
    gigabytes = np.full(network.ports, 0.016)
    measured(
        completion,
        lambda *ends: (network.capacity, network.routes(*ends, None), gigabytes),
        rounds=5,
    )
