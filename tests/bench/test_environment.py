"""Facts about the machine: never the whole environment, and sentences where ranks disagree."""

import os

import pytest

from railgauge import environment, memory
from railgauge.world import Place

PLACES = [Place(rank, f"n{rank // 2}", rank // 2, rank % 2, 100 + rank) for rank in range(4)]


def facts(**more):
    return {"library": "MPICH", "versions": {"numpy": "2"}, "cpus": [0], "time": 100.0} | more


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "HOME",
        "SLURM_JWT",
        "SLURM_JOB_USER",
        "FI_OPX_AUTH_KEY",
        "I_MPI_HYDRA_HOST_FILE",
        "MY_NCCL_DEBUG",
        "PATH",
        "SSH_AUTH_SOCK",
    ],
)
def test_what_is_not_on_the_list_is_not_recorded(monkeypatch, name):
    monkeypatch.setenv(name, "secret")
    assert name not in environment.variables()
    assert "secret" not in str(environment.node_facts())


@pytest.mark.parametrize(
    "name",
    ["OMPI_MCA_pml", "MPIR_CVAR_X", "UCX_TLS", "NCCL_ALGO", "SLURM_JOB_ID", "OMP_NUM_THREADS"],
)
def test_what_changes_a_measurement_is_recorded(monkeypatch, name):
    monkeypatch.setenv(name, "value")
    assert environment.variables()[name] == "value"


def test_a_node_says_what_it_is():
    found = environment.node_facts()
    assert found["processors"] == os.cpu_count()
    assert found["memory_bytes"] > 1 << 20
    assert found["versions"]["numba"]
    assert 0 < memory.available_memory() <= found["memory_bytes"]


def test_ranks_that_agree_are_not_mentioned():
    assert environment.disagreements([facts() for _ in PLACES], PLACES) == []


def test_the_odd_library_is_named_with_rank_and_host():
    everybody = [facts() for _ in PLACES]
    everybody[2]["library"] = "Open MPI"
    (sentence,) = environment.disagreements(everybody, PLACES)
    assert "library differs on 1 of 4 ranks, first rank 2 on n1" in sentence
    assert "Open MPI there, MPICH elsewhere" in sentence


def test_a_host_whose_time_is_off_is_named():
    everybody = [facts(time=100.0 + 7 * (rank == 3)) for rank in range(4)]
    (sentence,) = environment.disagreements(everybody, PLACES)
    assert "host time differs by +7.0 s on n1 (rank 3)" in sentence


def test_ranks_that_share_a_processor_are_mentioned():
    shared = environment.shared_cpus([facts() for _ in PLACES], PLACES)
    assert shared is not None
    assert "2 ranks on n0 share 1 CPU(s)" in shared
    apart = [facts(cpus=[p.local_rank]) for p in PLACES]
    assert environment.shared_cpus(apart, PLACES) is None


def test_the_time_of_a_rank_is_taken_before_anything_slow(monkeypatch):
    clock = [100.0]

    def slow():
        clock[0] += 5
        return {}

    monkeypatch.setattr(environment, "versions", slow)
    monkeypatch.setattr(environment.time, "time", lambda: clock[0])
    assert environment.rank_facts("MPICH")["time"] == 100.0


# memory ----------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path):
    """`machine({path: text})`: a root folder with 8 GiB available."""

    def make(files):
        for path, text in {"proc/meminfo": "MemAvailable: 8388608 kB\n", **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return memory.available_memory(tmp_path)

    return make


V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


def test_without_a_limit_the_memory_is_what_the_host_has(machine):
    assert machine({}) == 8 << 30
    files = {"proc/self/cgroup": "0::/job\n", f"{V2}/job/memory.max": "max\n"}
    assert machine(files | {f"{V2}/job/memory.current": "5\n"}) == 8 << 30


def test_the_tightest_limit_above_a_process_counts(machine):
    files = {
        "proc/self/cgroup": "0::/job/step/task\n",
        f"{V2}/job/step/memory.max": "5000\n",
        f"{V2}/job/step/memory.current": "1000\n",
        f"{V2}/job/memory.max": "4000\n",
        f"{V2}/job/memory.current": "1500\n",
    }
    assert machine(files) == 2500


def test_cached_files_do_not_count_as_used(machine):
    files = {
        "proc/self/cgroup": "0::/\n",
        f"{V2}/memory.max": "5000\n",
        f"{V2}/memory.current": "4900\n",
        f"{V2}/memory.stat": "anon 900\ninactive_file 4000\n",
    }
    assert machine(files) == 4100


def test_a_container_that_sees_the_path_of_its_host_is_limited_by_its_own_folder(machine):
    files = {
        "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/1234\n0::/\n",
        f"{V1}/memory.limit_in_bytes": "5000\n",
        f"{V1}/memory.usage_in_bytes": "2000\n",
    }
    assert machine(files) == 3000
