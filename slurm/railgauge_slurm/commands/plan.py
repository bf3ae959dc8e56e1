"""Show the batch script of a job, what it costs and how long it may take; submit nothing."""

from __future__ import annotations

from typing import Any

import click

from railgauge_slurm.asking import options


def _show_template(context: click.Context, _option: click.Parameter, name: str | None) -> None:
    """Print a template and leave, whatever else is missing."""
    if name is not None:
        from railgauge_slurm import scripts

        click.echo(scripts.source(name), nl=False)
        context.exit()


@click.command(context_settings={"max_content_width": 100})
@options
@click.option(
    "--show-template",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_show_template,
    help="Print a template as it ships, to be edited: job, acceptance, nightly, rolling, array.",
)
def command(as_json: bool, **typed: Any) -> None:
    """Print the batch script that measures PROFILE (railgauge accept) or --run on -N nodes.

    \b
    railgauge slurm plan nightly -N 16 --gpus-per-node 8 --backend nccl --partition gpu
    railgauge slurm plan --run '--operation all_reduce -b 1M -e 1G' -N 2 > job.sh
    railgauge slurm plan quick -N 2 --template rolling --partition idle
    railgauge slurm plan --show-template job > site.sh.j2

    The script goes to stdout, node-hours and time to stderr. A job that the limit interrupts goes on
    in the same folder after a requeue. Exits with 0, 2 usage, 3 Slurm cannot be asked.
    """
    from railgauge_slurm.planning import as_json as whole
    from railgauge_slurm.planning import in_words, planned

    made = planned(typed)
    if as_json:
        click.echo(whole(made))
        return
    click.echo(made.script, nl=False)
    click.echo("\n".join(in_words(made)), err=True)
