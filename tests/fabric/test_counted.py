"""What the fabric did to frames stands on the journal lines of the rounds in which it did it."""

import pytest

from railgauge.records import Run
from railgauge_reports.counters import counter_frame
from railgauge_reports.frames import case_frame
from railgauge_reports.stored import read_run

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

LOSSY, MARKING = "node1", "node2"
PAIRS = (
    *("--pattern", "pairs", "--operation", "sendrecv", "--sizes", "1M"),
    *("--warmup", "1", "--iterations", "20"),
)
CE_MARKS = "cat /proc/net/netstat"


def ce_marks(hosts, host):
    """IpExt.InCEPkts of a host, since it is there."""
    names, values = (
        line.split()
        for line in hosts.run(host, ["cat", "/proc/net/netstat"]).splitlines()
        if line.startswith("IpExt:")
    )
    return int(values[names.index("InCEPkts")])


@pytest.fixture
def met(cluster_of, library):
    """Three hosts after a run in which frames towards LOSSY were lost, those towards MARKING marked."""
    if library.family != "mpich":
        pytest.skip("counters are the kernel's, whatever library sends")
    cluster = cluster_of(3)
    cluster.hosts.lose(LOSSY, 10)
    cluster.hosts.mark(MARKING, 20)
    job = cluster.measure(*PAIRS)
    return cluster.hosts, read_run(job.folder)
