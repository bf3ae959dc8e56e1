"""torchrun's variables without any MPI launcher: rank 0 brings the process manager that MPICH needs."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from railgauge.errors import EXIT_HANG, EXIT_PASS, EXIT_USAGE, UsageError
from railgauge.launching import pmi
from railgauge.launching.launch import find_launcher

SHORT = ("--sizes", "8,1K", "--iterations", "10")
pytestmark = pytest.mark.skipif(
    find_launcher().family != "mpich", reason="the MPI of this environment is not MPICH"
)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def variables(rank, size, port):
    found = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "MASTER_PORT": port}
    return {name: str(value) for name, value in found.items()} | {"MASTER_ADDR": "127.0.0.1"}


@pytest.fixture
def torchrun(jobs):
    """Starts those ranks as torchrun does, all at once: plain processes with its variables."""

    def start(ranks, *arguments, size=2, python=sys.executable, port=None, **around):
        words = [python, "-m", "railgauge", "run", "--output", "{output}", *arguments]
        port = port or free_port()
        return [jobs(words, **variables(rank, size, port), **around) for rank in ranks]

    return start


@pytest.mark.mpi
@pytest.mark.parametrize("size", [2, 3])
def test_ranks_of_torchrun_form_one_world(torchrun, size):
    jobs = torchrun(range(size), *SHORT, size=size)
    endings = [job.end() for job in jobs]
    assert [ended.code for ended in endings] == [EXIT_PASS] * size, endings
    assert jobs[0].records[0].ranks == size
    assert len(jobs[0].results) == 2
    assert "run folder" in endings[0].stderr
    assert not any(ended.stdout for ended in endings[1:])
    for job in jobs:
        job.until_nothing_is_left()


@pytest.mark.mpi
def test_torchrun_inside_a_step_of_pmix_forms_one_world(torchrun):
    step = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}
    step |= {"PMIX_RANK": "0", "PMIX_NAMESPACE": "slurm.pmix.7.0"}
    jobs = torchrun([0, 1], *SHORT, **step, TORCHELASTIC_RUN_ID="none")
    assert [job.end().code for job in jobs] == [EXIT_PASS] * 2
    assert jobs[0].records[0].ranks == 2


@pytest.mark.parametrize("port", ["abc", "-1", "0", "65535", "65536", ""])
def test_a_port_that_no_other_can_follow_is_refused(port):
    with pytest.raises(UsageError, match=f"MASTER_PORT={port}: ") as error:
        pmi.ports({"MASTER_PORT": port})
    assert "next: torchrun --master-port" in str(error.value)


def test_the_last_ports_are_tried_too():
    assert list(pmi.ports({"MASTER_PORT": "65534"})) == [65535]


@pytest.mark.mpi
def test_a_wrong_port_is_said_once(torchrun):
    endings = [job.end() for job in torchrun([0, 1], *SHORT, port="abc")]
    assert [ended.code for ended in endings] == [EXIT_USAGE] * 2
    assert [ended.errors for ended in endings] == [1, 0]
    assert "Traceback" not in endings[0].stderr + endings[1].stderr


@pytest.mark.mpi
def test_two_jobs_whose_ports_overlap_do_not_meet(torchrun, jobs, tmp_path):
    port = free_port()
    first = torchrun([0, 1], *SHORT, port=port)
    words = [sys.executable, "-m", "railgauge", "run", "--output", str(tmp_path / "b"), *SHORT]
    second = [jobs(words, **variables(rank, 2, port + 1)) for rank in (0, 1)]
    assert [job.end().code for job in first + second] == [EXIT_PASS] * 4


@pytest.mark.mpi
@pytest.mark.parametrize("arguments", [("--operation", "all_redux"), ("-n", "3")])
def test_usage_errors_under_torchrun_are_said_once(torchrun, arguments):
    endings = [job.end() for job in torchrun([0, 1], *SHORT, *arguments)]
    assert [ended.code for ended in endings] == [EXIT_USAGE] * 2
    assert [ended.errors for ended in endings] == [1, 0]


@pytest.mark.mpi
@pytest.mark.parametrize(("there", "missing", "speaker"), [([0, 2], 1, 0), ([1, 2], 0, 1)])
def test_a_rank_that_does_not_arrive_is_named(torchrun, there, missing, speaker):
    jobs = dict(zip(there, torchrun(there, *SHORT, "--timeout", "8", size=3), strict=True))
    endings = {rank: job.end() for rank, job in jobs.items()}
    assert {ended.code for ended in endings.values()} == {EXIT_HANG}, endings
    assert sum(ended.errors for ended in endings.values()) == 1, endings
    assert "no start within 8 s" in endings[speaker].stderr
    named = f"1 of 3 ranks did not arrive: {missing}" if missing else "rank 0 did not arrive"
    assert named in endings[speaker].stderr
    for job in jobs.values():
        job.until_nothing_is_left()


@pytest.mark.mpi
def test_open_mpi_under_torchrun_says_what_to_do(torchrun):
    python = os.environ.get("RAILGAUGE_TEST_OPENMPI")
    if not python:
        pytest.skip("RAILGAUGE_TEST_OPENMPI does not name the python of Open MPI")
    endings = [job.end() for job in torchrun([0, 1], *SHORT, python=python)]
    assert [ended.code for ended in endings] == [EXIT_USAGE] * 2
    assert [ended.errors for ended in endings] == [1, 0]
    assert "torchrun cannot start ranks of Open MPI" in endings[0].stderr
    assert "next: mpirun -n N railgauge run" in endings[0].stderr


# the server --------------------------------------------------------------------------------------


@pytest.fixture
def server():
    """A running server for two ranks, and what makes a greeted connection to it."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    made = pmi.Server(listening, 2, 5.0, "key")
    codes = []
    thread = threading.Thread(target=lambda: codes.append(made.serve()))
    thread.start()
    connections = []

    def connect(hello):
        connections.append(socket.create_connection(("127.0.0.1", port), 5))
        connections[-1].sendall(hello)
        return connections[-1].makefile("rb")

    yield connect
    for connection in connections:
        connection.close()
    thread.join(10)
    assert not thread.is_alive()


def ask(connection, line):
    connection.raw._sock.sendall(line + b"\n")
    return connection.readline().strip()


def test_ranks_of_another_job_and_strangers_are_turned_away(server):
    stranger, other = server(b"GET / HTTP/1.0\r\n"), server(b"railgauge guess 1 2\n")
    first, second = server(b"railgauge key 0 2\n"), server(b"railgauge key 1 2\n")
    assert (stranger.readline(), other.readline()) == (b"", b"")
    assert [first.readline(), first.readline()] == [b"wait\n", b"go\n"]
    assert [second.readline(), second.readline()] == [b"wait\n", b"go\n"]
    for file in (stranger, other, first, second):
        file.close()


def test_values_put_before_a_barrier_are_there_after_it(server):
    first, second = server(b"railgauge key 0 2\n"), server(b"railgauge key 1 2\n")
    for file in (first, second):
        assert [file.readline(), file.readline()] == [b"wait\n", b"go\n"]
    answer = ask(first, b"cmd=init pmi_version=1 pmi_subversion=1")
    assert answer == b"cmd=response_to_init rc=0 pmi_version=1 pmi_subversion=1"
    put = ask(first, b"cmd=put kvsname=kvs_0 key=card value=a=b%20c")
    assert put == b"cmd=put_result rc=0 msg=success"
    first.raw._sock.sendall(b"cmd=barrier_in\n")
    assert ask(second, b"cmd=barrier_in") == b"cmd=barrier_out rc=0"
    assert first.readline() == b"cmd=barrier_out rc=0\n"
    got = ask(second, b"cmd=get kvsname=kvs_0 key=card")
    assert got == b"cmd=get_result rc=0 msg=success value=a=b%20c"
    missing = ask(second, b"cmd=get kvsname=kvs_0 key=other")
    assert missing.startswith(b"cmd=get_result rc=-1")
    assert ask(second, b"cmd=spawn") == b"cmd=spawn_result rc=-1 msg=not_supported"
    assert ask(second, b"cmd=finalize") == b"cmd=finalize_ack rc=0"
    for file in (first, second):
        file.close()


def test_the_process_of_the_server_loads_little():
    large = {"numpy", "numba", "click", "msgspec"}
    code = f"import sys, railgauge.launching.pmi; print({large} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_job_is_known_by_where_it_meets_and_how_often_it_was_restarted():
    first = variables(0, 2, 29500)
    assert pmi.job_key(first) == pmi.job_key(variables(1, 2, 29500))
    assert pmi.job_key(first) != pmi.job_key(variables(0, 2, 29501))
    assert pmi.job_key(first) != pmi.job_key(first | {"TORCHELASTIC_RESTART_COUNT": "1"})
