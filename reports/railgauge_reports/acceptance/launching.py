"""How a run, or an audit, of an acceptance is made: in this process on a modelled cluster, else launched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from railgauge.auditing.records import FILE
from railgauge.errors import EXIT_NOT_MEASURED, EXIT_PASS, RailgaugeError
from railgauge.journal import PLAN, Folder, write_synced
from railgauge.launching.launchers import python_module
from railgauge.plan import Plan
from railgauge_reports.launched import journal_bytes, measure, run_command
from railgauge_reports.processes import execute, quoted
from railgauge_reports.stored import read_run


class Ended(NamedTuple):
    """The exit code, and what was said where it is not 0."""

    exit_code: int
    message: str = ""


class Launching(Protocol):
    """Makes runs. A folder that holds the beginning of one is gone on with."""

    def run(self, plan: Plan, folder: Path) -> Ended:
        """A run of the plan into the folder."""

    def audit(self, folder: Path, profile: str | None) -> Ended:
        """An audit of the configuration of all nodes, its audit.json into the folder."""


class Modelled:
    """Runs on a modelled cluster; `interrupted` is asked between two measurements."""

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted

    def run(self, plan: Plan, folder: Path) -> Ended:
        from railgauge.simulation.run import Simulation

        made = Folder(folder)
        try:
            simulation = Simulation(plan, made, self._interrupted, lambda *_: None)
            return Ended(simulation.run((folder / PLAN).exists()))
        except RailgaugeError as error:
            return Ended(error.exit_code, str(error).splitlines()[0])
        finally:
            made.release()

    def audit(self, folder: Path, profile: str | None) -> Ended:
        """Never asked for: planning leaves the audit out."""
        del folder, profile
        return Ended(EXIT_NOT_MEASURED, "a modelled cluster has no configuration")


class Launched:
    """Runs by `railgauge run`, under a launcher where there is one; `timeout` seconds each may take.

    `python` is that of the ranks where it is another one than this.
    """

    def __init__(
        self, launcher: Sequence[str], ranks: int, timeout: float, python: str = ""
    ) -> None:
        self._launcher, self._ranks, self._timeout = tuple(launcher), ranks, timeout
        self._python = python

    def run(self, plan: Plan, folder: Path) -> Ended:
        """A launcher whose ranks did not come as far as the journal is tried once more.

        Now and then MPI does not start under srun, by pmi2 (Slurm 22.05 with MPICH 5.0.2 on busy hosts:
        slurmstepd says that it cannot parse a request) and by pmix (open-mpi/ompi issue 12495):
        no fault of the fabric.
        """
        before = journal_bytes(folder)
        first = self._run(plan, folder)
        began = journal_bytes(folder) > before or not self._launcher
        if began or first.exit_code != EXIT_NOT_MEASURED:
            return first
        code, message = self._run(plan, folder)
        return Ended(code, message or f"at the second try; the first: {first.message}")

    def _run(self, plan: Plan, folder: Path) -> Ended:
        file = folder.parent / f"{folder.name}.{PLAN}"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_synced(file, msgspec.json.format(msgspec.json.encode(plan), indent=1))
        more = ["--resume"] if (folder / PLAN).exists() else []
        command = run_command(self._launcher, ["--plan", str(file), *more], folder, self._python)
        limit = self._timeout + (plan.duration or 0.0)
        again = "railgauge accept --resume with the same --output"
        try:
            code, error = measure(command, folder, limit, read_run, again)
        except RailgaugeError as late:
            return Ended(late.exit_code, str(late))
        # a launcher's own codes mean nothing here: the error has one that does
        return Ended(code) if error is None else Ended(error.exit_code, str(error))

    def audit(self, folder: Path, profile: str | None) -> Ended:
        words = python_module("railgauge", "audit", "--output", str(folder), python=self._python)
        words += ["--profile", profile] if profile else []
        words += [] if self._launcher else ["-n", str(self._ranks)]
        try:
            done = execute([*self._launcher, *words], os.environ, self._timeout)
        except RailgaugeError as late:
            return Ended(late.exit_code, str(late))
        except OSError as missing:
            return Ended(EXIT_NOT_MEASURED, f"{self._launcher[0]}: {missing.strerror or missing}")
        if (folder / FILE).exists():
            return Ended(EXIT_PASS)  # its verdict is in the file
        said = quoted(done.stderr or done.stdout)
        return Ended(done.returncode or EXIT_NOT_MEASURED, f"the audit left no answer:\n{said}")
