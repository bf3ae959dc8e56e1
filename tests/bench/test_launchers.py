"""What the variables of launchers say: who started us, as which rank, and whether that is right."""

import pytest

from railgauge.errors import UsageError
from railgauge.launchers import check_world, launched, launcher_rank, started

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
    ],
)
def test_the_innermost_launcher_gives_rank_and_size(environ, rank, size):
    found = started(environ)
    assert (found.rank, found.size) == (rank, size)
    assert launcher_rank(environ) == rank


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
