"""`railgauge slurm NAME` in this process, on the head of the rig: its clients of Slurm enter it there."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from railgauge import cli

CLIENTS = ("sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel")
#: Open MPI over TCP on the fabric alone, as ranks of the rig need it; jobs inherit it from who submits.
VARIABLES = {
    "UCX_TLS": "tcp,self",
    "UCX_NET_DEVICES": "fab0",
    "OMPI_MCA_pml": "ucx",  # ob1 crashes now and then where srun starts it (open-mpi/ompi issue 12495)
    "OMPI_MCA_pml_ucx_tls": "any",
    "OMPI_MCA_pml_ucx_devices": "any",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}


@dataclasses.dataclass(frozen=True)
class Said:
    """An ended command: exit code and both streams."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Said]:
    """`command("plan", "quick", "-N", "2")`: without any Slurm, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str) -> Said:
        capfd.readouterr()
        code = cli.main(["slurm", *arguments])
        return Said(code, *capfd.readouterr())

    return run


@pytest.fixture
def on_slurm(
    slurm: Any,
    command: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Callable[..., Said]:
    """The same with the clients of the rig's Slurm on the path."""
    clients = tmp_path / "clients"
    clients.mkdir()
    for name in CLIENTS:
        entering = " ".join(slurm.hosts.entering("head", [name]))
        (clients / name).write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]} exec {entering} "$@"\n')
        (clients / name).chmod(0o755)
    path = f"{clients}:{os.environ['PATH']}"

    def run(*arguments: str) -> Said:
        with (
            monkeypatch.context() as there
        ):  # what enters the rig from outside must not go by these clients
            there.setenv("PATH", path)
            for name, value in (slurm.variables | slurm.fabric | VARIABLES).items():
                there.setenv(name, value)
            return command(*arguments)

    return run
