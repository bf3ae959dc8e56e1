"""How long a schedule of 16,384 ranks takes to compute, and how much memory a round takes."""

from __future__ import annotations

import tracemalloc

import pytest

from railgauge.patterns import PATTERNS, rounds
from railgauge.schedules import Pattern
from railgauge.topology import Topology

RANKS = 16_384
SHAPES = {
    "2048 nodes x 8": Topology(
        tuple(rank // 8 for rank in range(RANKS)), tuple(node // 16 for node in range(RANKS // 8))
    ),
    "16384 nodes": Topology(tuple(range(RANKS)), tuple(node // 16 for node in range(RANKS))),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PATTERNS)
def bench_three_rounds(benchmark, name, shape):
    def made():
        return list(rounds(Pattern(name, rounds=3), SHAPES[shape]))

    tracemalloc.start()
    kept = made()
    benchmark.extra_info["bytes_a_rank"] = tracemalloc.get_traced_memory()[0] / RANKS / len(kept)
    tracemalloc.stop()
    benchmark.pedantic(made, rounds=3, warmup_rounds=1)
