"""How long the localisation of a whole tournament of 1,024 nodes on 8 rails takes, and its peak memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from railgauge.schedules import circle

localiser = pytest.importorskip(
    "railgauge_reports.localise.localiser", reason="the reports are not installed"
)

NODES, RAILS, LEAF = 1024, 8, 32
ROWS = (NODES - 1) * NODES // 2 * RAILS


@pytest.fixture(scope="module")
def tournament():
    """4,190,208 rows: 5 bad nodes, 6 bad rails of nodes, a bad pair of leaves, 1 % noise and transients."""
    from railgauge_reports.localise.pairs import PairTable

    random = np.random.default_rng(1)
    met = np.array(list(circle(NODES)), np.int32)  # [rounds, pairs, 2]
    a, b = (np.repeat(met[:, :, side].ravel(), RAILS) for side in (0, 1))
    rail = np.tile(np.arange(RAILS, dtype=np.int16), met.shape[0] * met.shape[1])
    turn = np.repeat(np.arange(NODES - 1, dtype=np.int32), NODES // 2 * RAILS)
    leaf = np.arange(NODES) // LEAF
    loss = np.zeros((NODES, RAILS))
    loss[random.choice(NODES, 5, replace=False)] = 0.125
    loss[random.choice(NODES, 6, replace=False), random.integers(0, RAILS, 6)] = 0.3
    lost = np.maximum(loss[a, rail], loss[b, rail])
    ends = np.sort(np.stack([leaf[a], leaf[b]]), axis=0)
    lost = np.maximum(lost, 0.10 * ((ends[0] == 3) & (ends[1] == 17)))
    logs = np.log1p(-lost) + random.normal(0, 0.01, len(a))
    logs += (random.random(len(a)) < 0.01) * np.log1p(-random.uniform(0.1, 0.3, len(a)))
    return PairTable(
        a=a,
        b=b,
        rail=rail,
        round=turn,
        gbps=46 * np.exp(logs),
        nodes=tuple(f"node{k:04d}" for k in range(NODES)),
        leaf_of=leaf.astype(np.int32),
        leaf_names=tuple(f"leaf{k}" for k in range(NODES // LEAF)),
    )


def test_localise_four_million_rows(benchmark, tournament):
    assert len(tournament.gbps) == ROWS == 4_190_208
    found = benchmark.pedantic(localiser.localise, (tournament,), rounds=3)
    tracemalloc.start()
    localiser.localise(tournament)
    benchmark.extra_info["peak_MiB"] = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"\npeak {benchmark.extra_info['peak_MiB']:.0f} MiB beside the table")
    kinds = [suspect.kind for suspect in found.suspects]
    assert sorted(kinds) == ["leaf pair"] + ["nic"] * 6 + ["node"] * 5
