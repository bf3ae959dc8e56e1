"""All send to one: through a deep queue at its switch port, and through a shallow one that drops."""

import numpy as np
import pytest

from railgauge_reports.counters import counter_frame
from railgauge_reports.frames import sample_frame
from railgauge_reports.loaded import load
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


# verdicts ---------------------------------------------------------------------------------------


@pytest.fixture
def flows(cluster_of, tmp_path):
    """`flows(queue)`: the folder of an incast of 1, 2 and 3 flows, each timed by the receiver."""

    def run(queue):
        cluster = cluster_of(4)
        cluster.hosts.queue(RECEIVER, queue)
        job = cluster.measure(
            *("--pattern", "incast", "--operation", "flows", "--sizes", "128K"),
            *("--warmup", "2", "--iterations", "30"),
        )
        return job.folder.rename(tmp_path / f"flows-{queue}")

    return run


# Open MPI's rendezvous over TCP sends what the receiver has asked for, one flow after the other.
@pytest.mark.parametrize("library", ["embedded"], indirect=True)
def test_a_lossless_fabric_fails_by_the_drops_of_a_shallow_queue_and_passes_through_a_deep_one(
    flows,
):
    deep, shallow = (load(flows(queue), "roce-lossless") for queue in (DEEP, SHALLOW))
    assert [result.result.name for result in deep.stored.results] == ["1 to 1", "2 to 1", "3 to 1"]
    assert deep.rows["flows"].tolist() == [1, 2, 3]
    assert deep.rows["jain"].min() > 0.9
    assert deep.verdict.word == "PASS"
    assert "T03" not in {finding.rule.id for finding in deep.fabric.judgement.findings}

    assert (shallow.verdict.word, shallow.verdict.exit_code) == ("FAIL", 1)
    lost = [f for f in shallow.fabric.judgement.findings if f.rule.id == "T03"]
    assert lost
    assert {finding.severity for finding in lost} == {"F"}
    assert shallow.rows["slowest_flow"].iloc[-1].endswith(">0")

    # where losses are allowed goodput judges: a share of a third each, or what timeouts leave of it
    allowed = load(shallow.stored.folder, "roce-lossy")
    assert "T03" not in {f.rule.id for f in allowed.fabric.judgement.findings if f.severity == "F"}
