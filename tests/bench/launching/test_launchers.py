"""What the variables of launchers say: who started us, as which rank, and whether that is right."""

import socket

import pytest

from railgauge.errors import UsageError
from railgauge.launching.launchers import (
    HOST_FILES,
    check_launcher,
    check_world,
    first_on_host,
    launched,
    launcher_rank,
    one_host,
    started,
)

STEP_OF_ONE = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}
STEP_OF_FOUR = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4"}
MPIRUN = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
HYDRA = {"PMI_RANK": "1", "PMI_SIZE": "2", "PMI_HOSTNAME": "n0", "HYDI_CONTROL_FD": "7"}
TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "3",
    "MASTER_ADDR": "n0",
    "MASTER_PORT": "29500",
}
ELASTIC = TORCHRUN | {"TORCHELASTIC_RUN_ID": "none"}


@pytest.mark.parametrize(
    ("environ", "rank", "size"),
    [
        (MPIRUN, 1, 2),
        (HYDRA, 1, 2),
        (STEP_OF_FOUR, 2, 4),
        (STEP_OF_FOUR | {"PMIX_RANK": "2"}, 2, 4),
        (STEP_OF_FOUR | {"PMI_RANK": "2", "PMI_SIZE": "4"}, 2, 4),
        (STEP_OF_FOUR | MPIRUN, 1, 2),  # mpirun inside a step
        (TORCHRUN, 3, 8),
        (TORCHRUN | MPIRUN, 1, 2),
        (STEP_OF_ONE | ELASTIC, 3, 8),  # torchrun typed in srun --pty bash
        (STEP_OF_ONE | ELASTIC | {"RANK": "0", "WORLD_SIZE": "1"}, 0, 1),
        (STEP_OF_FOUR | ELASTIC, 3, 8),  # srun --ntasks-per-node=1 torchrun
        (STEP_OF_FOUR | {"PMIX_RANK": "2"} | ELASTIC, 3, 8),
        (HYDRA | ELASTIC, 3, 8),
    ],
)
def test_the_innermost_launcher_gives_rank_and_size(environ, rank, size):
    found = started(environ)
    assert (found.rank, found.size) == (rank, size)
    assert launcher_rank(environ) == rank


@pytest.mark.parametrize(
    ("environ", "first"),
    [
        ({}, True),
        ({"SLURM_LOCALID": "0"}, True),
        ({"SLURM_LOCALID": "1"}, False),
        ({"SLURM_LOCALID": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}, True),  # mpirun inside a step
        ({"SLURM_LOCALID": "0", "MPI_LOCALRANKID": "2"}, False),
        ({"SLURM_LOCALID": "0", "LOCAL_RANK": "3"}, False),
    ],
)
def test_the_innermost_launcher_says_who_is_first_on_its_host(environ, first):
    assert first_on_host(environ) == first


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"},  # the script of sbatch
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},  # srun --pty bash
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "PMIX_RANK": "0"},
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", "PMI_RANK": "0", "PMI_SIZE": "1"},
        {"RANK": "3", "WORLD_SIZE": "8"},  # anybody's
        {"PMI_RANK": "one", "PMI_SIZE": "2"},
        {"PMI_RANK": "", "PMI_SIZE": ""},
    ],
)
def test_without_a_launcher_we_start_the_ranks_ourselves(environ):
    assert not launched(environ)
    assert launcher_rank(environ) == 0


@pytest.mark.parametrize(
    "mpirun",
    [
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        {"PMI_RANK": "0", "PMI_SIZE": "1", "PMI_HOSTNAME": "n0"},
    ],
)
def test_mpirun_of_one_rank_inside_a_step_of_one_task_is_joined(mpirun):
    assert launched({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"} | mpirun)


@pytest.mark.parametrize("environ", [MPIRUN, HYDRA, STEP_OF_FOUR, TORCHRUN])
def test_single_rank_worlds_that_a_launcher_meant_as_one_are_refused(environ):
    with pytest.raises(UsageError, match="processes were started") as error:
        check_world(1, None, environ)
    assert "next: srun --mpi=pmi2" in str(error.value)


def test_srun_without_a_process_manager_names_its_variable():
    with pytest.raises(UsageError, match=r"4 processes were started \(SLURM_STEP_NUM_TASKS=4\)"):
        check_world(1, None, STEP_OF_FOUR)


@pytest.mark.parametrize(
    ("size", "environ"),
    [
        (2, STEP_OF_FOUR | MPIRUN),  # mpirun -n 2 inside a larger allocation
        (1, STEP_OF_FOUR | {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}),
        (4, STEP_OF_FOUR),
        (1, {}),
        (8, TORCHRUN),
    ],
)
def test_a_world_that_some_launcher_explains_is_right(size, environ):
    check_world(size, None, environ)
    check_world(size, size, environ)


@pytest.mark.parametrize("asked", [1, 3])
def test_more_or_fewer_ranks_than_asked_are_refused(asked):
    with pytest.raises(UsageError, match=f"--ranks {asked}, but the launcher started 2") as error:
        check_world(2, asked, MPIRUN)
    assert f"start {asked} ranks" in str(error.value)


def test_the_process_manager_around_torchrun_is_not_that_of_its_ranks():
    check_launcher("mpich", STEP_OF_FOUR | {"PMIX_RANK": "2"} | ELASTIC)


@pytest.mark.parametrize(
    ("environ", "alone"),
    [
        ({}, True),
        ({"SLURM_NNODES": ""}, True),
        ({"SLURM_NNODES": "1", "SLURM_JOB_NUM_NODES": "1"}, True),
        ({"SLURM_NNODES": "2"}, False),
        ({"SLURM_NNODES": "two"}, False),
        ({"SLURM_NNODES": "1", "SLURM_JOB_NUM_NODES": "2"}, False),
        ({"LSB_HOSTS": "HERE HERE"}, True),
        ({"LSB_HOSTS": "HERE elsewhere"}, False),
        ({"PBS_NODEFILE": "/nowhere"}, False),
    ],
)
def test_an_allocation_of_several_hosts_is_known(environ, alone):
    here = socket.gethostname()
    assert one_host({n: value.replace("HERE", here) for n, value in environ.items()}) == alone


@pytest.mark.parametrize("name", HOST_FILES)
@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("", True),
        ("HERE\nHERE\n", True),
        ("# all\nHERE.example.org:2\nlocalhost 2\n\n", True),
        ("HERE 2 all.q@HERE UNDEFINED\nelsewhere 2 all.q@elsewhere UNDEFINED\n", False),
        ("elsewhere\n", False),
    ],
)
def test_an_allocation_is_read_from_its_file_of_hosts(tmp_path, name, text, alone):
    file = tmp_path / "hosts"
    file.write_text(text.replace("HERE", socket.gethostname().partition(".")[0]))
    assert one_host({name: str(file)}) == alone
