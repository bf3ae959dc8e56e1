"""What the fabric did to frames stands on the journal lines of the rounds in which it did it.

The rig counts what it drops and marks: the ground truth. Offloads are off, so that a frame is a
segment; only frames of bulk data are chosen, since nobody sends an acknowledgement again.
"""

import pytest

from railgauge_reports.counters import counter_frame
from railgauge_reports.frames import case_frame
from railgauge_reports.stored import read_run

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

LOSSY, MARKING = "node1", "node2"
PAIRS = (
    *("--pattern", "pairs", "--operation", "sendrecv", "--sizes", "1M"),
    *("--warmup", "1", "--iterations", "20"),
)


def ce_marks(hosts, host):
    """IpExt.InCEPkts of a host, since it is there."""
    lines = hosts.run(host, ["cat", "/proc/net/netstat"]).splitlines()
    names, values = (line.split() for line in lines if line.startswith("IpExt:"))
    return int(values[names.index("InCEPkts")])


def by_row(stored, event):
    """(round, host) -> how often that event was counted."""
    frame = counter_frame(stored)
    rows = frame[frame["event"] == event]
    return dict(zip(zip(rows["round"], rows["host"], strict=True), rows["delta"], strict=True))


def partners(stored, host):
    """round -> the host that the given one was paired with."""
    pairs = {row.round: row.hosts.split() for row in case_frame(stored).itertuples()}
    return {at: (set(pair) - {host}).pop() for at, pair in pairs.items() if host in pair}


@pytest.mark.parametrize("library", ["embedded"], indirect=True)  # the kernel counts for all
def test_drops_show_as_retransmits_of_the_right_sender_and_marks_where_they_arrived(cluster_of):
    cluster = cluster_of(3)
    hosts = cluster.hosts
    hosts.lose(LOSSY, 10)
    hosts.mark(MARKING, 20)
    job = cluster.measure(*PAIRS)
    stored = read_run(job.folder)
    assert list(stored.last.hosts) == hosts.names
    assert [node["host"] for node in stored.environment["nodes"]] == hosts.names
    lost, marked = hosts.counted(LOSSY, "lost"), hosts.counted(MARKING, "marked")
    assert lost > 100
    assert marked > 100

    retransmits = by_row(stored, "tcp_retransmits")
    senders = {(at, host) for at, host in partners(stored, LOSSY).items()}
    of_senders = sum(retransmits.get(row, 0) for row in senders)
    # each lost frame is sent once more. Beside that a timeout (the last frame of a message was lost)
    # may send frames again that had arrived, and a drop may fall between two measurements
    assert of_senders == pytest.approx(lost, rel=0.05)
    assert sum(retransmits.values()) - of_senders <= 0.05 * lost

    assert ce_marks(hosts, MARKING) == marked
    marks = by_row(stored, "ip_ce_marks")
    assert {host for _, host in marks} == {MARKING}
    assert {at for at, _ in marks} == set(partners(stored, MARKING))
    # but for those few among the bulk frames of the start and between two measurements
    assert 0.98 * marked <= sum(marks.values()) <= marked
