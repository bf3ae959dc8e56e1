"""NCCL's log, read as it is written: lines made here in the shapes of NCCL 2.18 to 2.32."""

from __future__ import annotations

import os

import pytest

from railgauge.nccl.log import NcclLog, transports, tuned
from railgauge.plan import Plan, cases
from railgauge.records import Choice

NUMBERS = "n0:7:9 [0] NCCL INFO AllReduce: 1024 Bytes -> Algo 1 proto 2 time 31.2\n"
NAMES = (
    "n0:7:9 [0] NCCL INFO AllReduce: 1024 Bytes -> Algo RING proto LL channel{Lo..Hi}={0..1}\n"
    "n0:7:9 [0] NCCL INFO AllReduce: 4096 Bytes -> Algo NVLS_TREE proto SIMPLE channel{Lo..Hi}={0..15}\n"
)
CHANNELS = (
    "n0:7:9 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM\n"
    "n0:7:9 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/CUMEM\n"
    "n0:7:9 [0] NCCL INFO Channel 00/0 : 3[3] -> 0[0] [receive] via NET/IB/0/GDRDMA\n"
    "n0:7:9 [0] NCCL INFO Connected all rings\n"
)


@pytest.fixture
def environment(monkeypatch):
    for name in ("NCCL_DEBUG", "NCCL_DEBUG_SUBSYS", "NCCL_DEBUG_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def plan(**more):
    return Plan(ranks=2, backend="nccl", memory="device", sizes=(1024,), **more)


def test_numbers_of_older_versions_become_names():
    assert tuned(NUMBERS, "AllReduce") == Choice(algorithm="RING", protocol="SIMPLE")


def test_the_last_line_of_the_operation_counts():
    assert tuned(NAMES, "AllReduce") == Choice(
        algorithm="NVLS_TREE", protocol="SIMPLE", channels="0-15"
    )
    assert tuned(NAMES, "Broadcast") is None


def test_transports_stand_once_each_the_most_frequent_first():
    assert transports(CHANNELS) == "P2P/CUMEM, NET/IB/0/GDRDMA"
    assert transports("nothing of the kind") == ""


@pytest.mark.usefixtures("environment")
def test_rank_0_reads_what_was_written_since_the_last_case_and_leaves_no_file():
    log = NcclLog(plan(explain=True), 0)
    log.begin()
    path = os.environ["NCCL_DEBUG_FILE"]
    assert os.environ["NCCL_DEBUG_SUBSYS"].split(",")[-1] == "TUNING"
    with open(path, "a") as written:  # as NCCL does at its first communicator
        written.write(CHANNELS)
        written.flush()
        log.open()
        assert not os.path.exists(path)
        case = cases(plan())[0]
        first = log.choice(case)
        assert first == Choice(transport="P2P/CUMEM, NET/IB/0/GDRDMA")
        written.write(NAMES)
        written.flush()
        second = log.choice(case)
    assert second is not None
    assert (second.algorithm, second.transport) == ("NVLS_TREE", "P2P/CUMEM, NET/IB/0/GDRDMA")
    log.close()


@pytest.mark.usefixtures("environment")
def test_a_log_that_nccl_never_opened_is_removed():
    log = NcclLog(plan(), 0)
    log.begin()
    path = os.environ["NCCL_DEBUG_FILE"]
    assert os.environ["NCCL_DEBUG_SUBSYS"] == "INIT"
    log.close()
    assert not os.path.exists(path)


@pytest.mark.parametrize(("rank", "wish"), [(1, None), (0, "WARN")])
def test_other_ranks_and_a_users_own_log_are_left_alone(environment, rank, wish):
    if wish:
        environment.setenv("NCCL_DEBUG", wish)
    log = NcclLog(plan(), rank)
    log.begin()
    assert "NCCL_DEBUG_FILE" not in os.environ
    assert log.choice(cases(plan())[0]) is None
