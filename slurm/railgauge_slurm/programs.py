"""Slurm's own programs: asked by lists of arguments, never through a shell; what they refuse is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from railgauge.errors import HangError, NotMeasuredError, UsageError
from railgauge.leaves.controller import CUTS
from railgauge_reports.processes import execute, quoted

#: Seconds after which a controller is taken not to answer: clients try for MessageTimeout (10 s), again.
PATIENCE = 60.0
#: Variables that change how Slurm's programs show things (scontrol(1)): cut lines off, other dates.
SHOWN_OTHERWISE = (CUTS, "SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN")


class RefusedError(UsageError):
    """Slurm said no: a partition that does not exist, an account, a limit. `said` is its own words."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


def ask(argv: Sequence[str], next_command: str, timeout: float = PATIENCE) -> str:
    """What one of Slurm's programs prints; `next_command` is what to type where it refuses.

    Raises NotMeasuredError where the program is not on the path or nobody answers, RefusedError (exit 2)
    where it ends with an error.
    """
    if shutil.which(argv[0]) is None:
        raise NotMeasuredError(
            f"{argv[0]} is not on the path.\n"
            "  expected: Slurm's programs, as on a login node\n"
            "  next: on a host that has them (module load slurm), the same command"
        )
    plain = {name: value for name, value in os.environ.items() if name not in SHOWN_OTHERWISE}
    try:
        done = execute(argv, plain, timeout)
    except HangError:
        raise NotMeasuredError(
            f"{argv[0]}: no answer within {timeout:g} s.\n"
            "  expected: a controller (slurmctld) that answers\n  next: scontrol ping"
        ) from None
    if done.returncode:
        said = quoted(done.stderr or done.stdout)
        if "Unable to contact slurm controller" in said:
            raise NotMeasuredError(
                f"the controller (slurmctld) does not answer:\n{said}\n  next: scontrol ping"
            )
        raise RefusedError(
            f"{argv[0]} refused ({done.returncode}):\n{said}\n"
            f"  command: {' '.join(argv)}\n  next: {next_command}",
            (done.stderr or done.stdout).strip(),
        )
    return done.stdout
