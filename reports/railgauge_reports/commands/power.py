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
    "--follow/--no-follow",
    default=None,
    help="Verify whom a plan suspects (a profile always does, as accept --adaptive).  [default: follow]",
)
@click.option(
    "--apart", is_flag=True, help="Plant each fault of the file by itself, in --runs runs."
)
@click.option(
    "--set", "overrides", multiple=True, help="Of a profile: STAGE.FIELD=VALUE. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(plan: str, **typed: Any) -> int:
    """Run PLAN many times on a modelled cluster: a plan of pairs, or a profile of railgauge accept.

    Prints for each kind of fault how often it was named, how many suspects stand for nothing, and what
    a run costs. Faults are found by bandwidth alone: what counters show of them is scripted, and says
    nothing of how often a rule finds them.

    \b
    railgauge power tournament --faults faults.toml --nodes 64 --runs 300
    railgauge power quick --faults faults.toml --apart --runs 20
    """
    from railgauge.simulation.faults import read_faults
    from railgauge_reports.power.plans import trials_of
    from railgauge_reports.power.study import apart, study
    from railgauge_reports.power.table import as_object, as_text
    from railgauge_reports.progress import bar

    attempt, cluster = trials_of(plan, typed)
    file = read_faults(Path(typed["faults"])) if typed["faults"] else None
    runs, clean = typed["runs"], typed["clean"]
    clean_runs = runs if clean is None else clean
    if file is None and not clean_runs:
        raise UsageError("--clean 0 without --faults leaves nothing to try.\n  next: --faults FILE")
    files = [] if file is None else apart(file) if typed["apart"] else [file]
    with bar("trials", len(files) * runs + clean_runs) as done:
        made = study(attempt, cluster, files, runs, clean_runs, done)
    show = as_object if typed["as_json"] else as_text
    click.echo(show(attempt.words, cluster, made))
    return EXIT_PASS
