"""The options that `plan` and `submit` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_FILE = click.Path(path_type=Path)
_ONE = click.IntRange(min=1)
#: What is measured.
_WORK: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--run",), {"metavar": "ARGUMENTS", "help": "Instead of a PROFILE: one railgauge run."}),
    (("--backend",), {"help": "What moves the data (railgauge list).  [default: mpi]"}),
    (("--cluster",), {"help": "What it is held against, as railgauge accept --cluster."}),
    (("--leaves",), {"help": "Leaf switches and their hosts, as railgauge accept --leaves."}),
    (("--set", "overrides"), {"multiple": True, "help": "STAGE.FIELD=VALUE. Repeatable."}),
    (("--waivers",), {"type": _FILE, "help": "A TOML file of waivers."}),
    (("--adaptive",), {"is_flag": True, "help": "Look closer at suspects by further runs."}),
    (
        ("--timeout",),
        {
            "type": click.FloatRange(min=0, min_open=True),
            "default": 3600.0,
            "show_default": True,
            "help": "Seconds that one launched run of a PROFILE may take.",
        },
    ),
)
#: What is asked of Slurm, in the words of sbatch.
_JOB: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--nodes", "-N"), {"type": _ONE, "required": True, "help": "Nodes of the job, or a block."}),
    (
        ("--ranks-per-node",),
        {"type": _ONE, "help": "Ranks on each.  [default: one a GPU, else one]"},
    ),
    (("--gpus-per-node",), {"help": "GPUs on each: 8, or h100:8."}),
    (("--partition", "-p"), {"help": "As sbatch."}),
    (("--account", "-A"), {"help": "As sbatch."}),
    (("--qos", "-q"), {"help": "As sbatch."}),
    (("--reservation",), {"help": "As sbatch."}),
    (("--nodelist", "-w"), {"help": "As sbatch: these nodes."}),
    (("--exclude", "-x"), {"help": "As sbatch: none of these."}),
    (("--constraint", "-C"), {"help": "As sbatch."}),
    (("--dependency", "-d"), {"help": "As sbatch: afterok:1234, singleton."}),
    (("--begin",), {"help": "As sbatch: not before."}),
    (("--deadline",), {"help": "As sbatch: not at all where it cannot end by then."}),
    (("--nice",), {"type": int, "help": "As sbatch: how far behind others."}),
    (("--job-name", "-J"), {"help": "[default: railgauge-PROFILE]"}),
    (
        ("--time", "-t"),
        {"help": "Limit in minutes, or as sbatch.  [default: derived from the plan]"},
    ),
    (
        ("--requeues",),
        {
            "type": click.IntRange(min=0),
            "default": 10,
            "show_default": True,
            "help": "How often a job that its limit interrupts begins again, and goes on.",
        },
    ),
    (("--blocks",), {"type": _ONE, "help": "An array of so many jobs of -N nodes each."}),
    (("--at-once",), {"type": _ONE, "help": "Jobs of the array that may run at a time."}),
)
#: How ranks start.
_START: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--launcher",),
        {
            "type": click.Choice(["srun", "mpirun", "local"]),
            "help": "What starts the ranks.  [default: srun where it speaks to the MPI, else mpirun]",
        },
    ),
    (("--mpi",), {"help": "srun's plug-in.  [default: of srun --mpi=list, what the MPI speaks]"}),
    (("--cpu-bind",), {"help": "As srun, or what mpirun binds to."}),
    (("--container",), {"metavar": "IMAGE", "help": "Run the ranks in this image."}),
    (
        ("--container-runtime",),
        {
            "type": click.Choice(["pyxis", "apptainer"]),
            "default": "pyxis",
            "show_default": True,
            "help": "What opens the image: srun's plug-in, or apptainer exec.",
        },
    ),
    (
        ("--container-mounts",),
        {"multiple": True, "metavar": "FROM:TO", "help": "Besides the output folder. Repeatable."},
    ),
    (("--python",), {"help": "The ranks' Python.  [default: this one; python3 of an image]"}),
    (
        ("--template",),
        {"metavar": "NAME|FILE", "help": "The script.  [default: acceptance; array with --blocks]"},
    ),
    (
        ("--output",),
        {"type": _FILE, "help": "A folder that all nodes share.  [default: runs/TIME-slurm]"},
    ),
    (("--json", "as_json"), {"is_flag": True, "help": "Print one JSON object."}),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command PROFILE and all options of a job; it gets them as keywords."""
    for names, more in reversed((*_WORK, *_JOB, *_START)):
        command = click.option(*names, **more)(command)
    return click.argument("profile", required=False)(command)
