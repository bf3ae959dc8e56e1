"""A slow host among several: the pair matrix names it, and nobody else."""

import pytest

from railgauge_reports.frames import case_frame

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

THROTTLED = "20mbit"  # of 200
THROTTLED_GBPS = 20e6 / 8 / 1e9


@pytest.mark.parametrize(
    ("library", "slow"),
    [("embedded", "node1"), ("openmpi", "node2")],
    indirect=["library"],
)
def test_the_pair_matrix_finds_exactly_the_throttled_host(cluster_of, slow):
    cluster = cluster_of(4)
    cluster.hosts.rate(slow, THROTTLED)
    job = cluster.measure(
        *("--pattern", "pairs", "--operation", "sendrecv", "--sizes", "256K"),
        *("--warmup", "1", "--iterations", "4"),
    )
    frame = case_frame(job.folder)
    assert len(frame) == 4 * 3 / 2
    # the best iteration: other work on this machine's two CPUs may delay any of them
    rate = frame["nbytes"] / frame["min_seconds"] / 1e9
    found = frame[rate < rate.max() / 3]
    assert [slow in hosts.split() for hosts in found["hosts"]] == [True] * 3
    # burst included: the tokens of 32 KiB refill while the other direction waits
    assert rate[found.index].max() < 1.5 * THROTTLED_GBPS
