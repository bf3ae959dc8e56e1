"""Leaves from Slurm's controller: `scontrol show topology`, asked once for a whole run."""

from __future__ import annotations

import os
import shutil
import subprocess

from railgauge.errors import NotMeasuredError

#: Clients try for MessageTimeout (10 s) and again before they give a controller up.
PATIENCE_SECONDS = 60.0
#: Cuts the lines of `scontrol show topology` off (scontrol(1)).
CUTS = "SLURM_TOPO_LEN"
QUOTED_LINES = 4
NEXT = "  next: --leaves FILE, as /etc/slurm/topology.conf, or lines like `leaf0: node[0-3]`"


def shown(topology: str) -> str:
    """What Slurm says of its topology of that name ("": its default one); raises NotMeasuredError."""
    argv = ["scontrol", "show", "topology", *filter(None, [topology])]
    if shutil.which(argv[0]) is None:
        raise NotMeasuredError(f"--leaves slurm: scontrol is not on the path.\n{NEXT}")
    environment = {name: value for name, value in os.environ.items() if name != CUTS}
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or f"no answer within {PATIENCE_SECONDS:g} s"
        raise NotMeasuredError(f"--leaves slurm: {' '.join(argv)}: {why}.\n{NEXT}") from None
    if done.returncode or not done.stdout.strip():
        lines = (done.stderr or done.stdout).splitlines()[-QUOTED_LINES:]
        said = "".join(f"\n  | {line}" for line in lines) or "\n  | (it printed nothing)"
        raise NotMeasuredError(f"--leaves slurm: {' '.join(argv)} shows no topology:{said}\n{NEXT}")
    return done.stdout
