"""Would this plan find it? Recall and false suspects of a plan on a modelled cluster with planted faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from railgauge.errors import EXIT_PASS, UsageError


@click.command(context_settings={"max_content_width": 100})
@click.argument("plan")
@click.option(
    "--faults", help="A TOML file of faults; targets that it leaves out are drawn anew each time."
)
@click.option(
    "--cluster", help="What is modelled: a TOML file, or a name (railgauge list).  [default: h100]"
)
@click.option(
    "--nodes", type=click.IntRange(min=1), help="Its nodes, instead of what the cluster says."
)
@click.option(
    "--runs", type=click.IntRange(min=1), default=100, help="Runs with faults.  [default: 100]"
)
@click.option(
    "--clean", type=click.IntRange(min=0), help="Runs without faults.  [default: as many]"
)
@click.option(
    "--follow/--no-follow", default=True, help="Verify whom a run suspects, as accept --adaptive."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(
    plan: str,
    faults: str | None,
    cluster: str | None,
    nodes: int | None,
    runs: int,
    clean: int | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Run PLAN (a plan of pairs: a file, or a name) many times on a modelled cluster.

    Prints for each kind of fault how often it was named, how many suspects stand for nothing, and what
    a run costs. Faults are found by bandwidth alone: what counters show of them is scripted, and says
    nothing of how often a rule finds them.
    """
    from railgauge.simulation.faults import read_faults
    from railgauge_reports.power.plans import modelled_plan
    from railgauge_reports.power.study import study
    from railgauge_reports.power.table import as_object, as_text
    from railgauge_reports.progress import bar

    asked = modelled_plan(plan, cluster, nodes)
    file = read_faults(Path(faults)) if faults else None
    clean_runs = runs if clean is None else clean
    if file is None and not clean_runs:
        raise UsageError("--clean 0 without --faults leaves nothing to try.\n  next: --faults FILE")
    total = (runs if file else 0) + clean_runs
    with bar("trials", total) as done:
        made = study(asked, file, runs, clean_runs, follow=follow, done=done)
    printed: Any = as_object(asked, made) if as_json else as_text(asked, made)
    click.echo(printed)
    return EXIT_PASS
