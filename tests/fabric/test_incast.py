"""All send to one: through a deep queue at its switch port, and through a shallow one that drops."""

import numpy as np
import pytest

from railgauge_reports.counters import counter_frame
from railgauge_reports.frames import sample_frame
from railgauge_reports.stored import read_run

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

RECEIVER = "node0"
DEEP, SHALLOW = "4m", "16k"


@pytest.fixture
def incast(cluster_of, tmp_path):
    """`incast(queue)`: (run, host -> frames dropped on the way to it, seconds of every iteration)."""
    matrix = tmp_path / "incast.txt"
    matrix.write_text("0 0 0 0\n1 0 0 0\n1 0 0 0\n1 0 0 0\n")

    def run(queue):
        cluster = cluster_of(4)
        cluster.hosts.queue(RECEIVER, queue)
        job = cluster.measure(
            *("--operation", "alltoallv", "--matrix", str(matrix), "--sizes", "384K"),
            *("--warmup", "2", "--iterations", "30"),
        )
        dropped = {name: cluster.hosts.dropped(name) for name in cluster.hosts.names}
        folder = job.folder.rename(tmp_path / queue)
        return read_run(folder), dropped, sample_frame(folder)["seconds"].to_numpy()

    return run


def retransmits(stored):
    """host -> segments sent again."""
    frame = counter_frame(stored)
    return frame[frame["event"] == "tcp_retransmits"].groupby("host")["delta"].sum().to_dict()


# The kernel counts and queues for all libraries; MPICH's alltoallv lets all senders send at once.
@pytest.mark.parametrize("library", ["embedded"], indirect=True)
def test_an_incast_loses_nothing_through_a_deep_queue_and_pays_for_a_shallow_one(incast):
    deep, none, calm = incast(DEEP)
    assert set(none.values()) == {0}
    assert retransmits(deep) == {}

    shallow, dropped, restless = incast(SHALLOW)
    drops = dropped.pop(RECEIVER)
    assert drops > 300
    assert set(dropped.values()) == {0}
    again = retransmits(shallow)
    # of what is dropped, nearly all is data, which is sent once more; a timeout sends a little besides
    assert sum(again.values()) == pytest.approx(drops, rel=0.05)
    assert again.pop(RECEIVER, 0) <= 0.05 * drops
    assert min(again.values()) > 0.1 * drops  # of all three senders
    # a lost tail waits for the retransmission timer, 200 ms at least (TCP_RTO_MIN of Linux), where the
    # deep queue lets 3 x 128 KiB through in the 16 ms that they take at 200 Mbit/s, or little more
    assert np.percentile(restless, 99) > 2 * np.percentile(calm, 50)

    # here the verdicts of `deep` and `shallow` are to be compared, once rules judge an incast
