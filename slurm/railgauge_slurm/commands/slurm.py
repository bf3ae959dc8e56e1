"""Run under Slurm: plan and submit jobs, the nightly and its report, drain what is at fault."""

from __future__ import annotations

import click

from railgauge.cli import Commands


class SlurmCommands(Commands):
    """`railgauge slurm NAME`; each is an entry point of the group `railgauge.slurm`."""

    entry_points = "railgauge.slurm"


@click.group(
    name="slurm", cls=SlurmCommands, epilog="Each explains itself: railgauge slurm NAME --help"
)
def command() -> None:
    """Measure under Slurm, from a login node or inside an allocation: no ssh, no daemon, no root."""
