"""Measure every night: install the schedule, submit tonight's jobs, report in the morning."""

from __future__ import annotations

import datetime
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from railgauge.errors import EXIT_PASS, RailgaugeError, UsageError
from railgauge.launching.rank_process import say

if TYPE_CHECKING:
    from railgauge_slurm.nightly.schedule import Schedule
    from railgauge_slurm.nightly.settings import Nightly

_STEPS = ("confirm", "confirm-other")
#: Settings that are files where there is one of that name: kept from the root, for schedules start elsewhere.
_FILES = ("profile", "deep", "cluster", "leaves", "waivers")
_COUNT = click.IntRange(min=1)


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--history",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder of all nights, which this host and all nodes share.",
)
@click.option("--nodes", "-N", type=_COUNT, help="Nodes of a night.")
@click.option("--ranks-per-node", type=_COUNT, help="Ranks on each.  [default: 1]")
@click.option("--gpus-per-node", help="GPUs on each: 8, or h100:8.")
@click.option("--partition", "-p", help="As sbatch.")
@click.option("--account", "-A", help="As sbatch.")
@click.option("--qos", "-q", help="As sbatch.")
@click.option("--reservation", help="As sbatch.")
@click.option("--exclude", "-x", help="As sbatch: none of these.")
@click.option("--constraint", "-C", help="As sbatch.")
@click.option("--backend", help="What moves the data (railgauge list).  [default: mpi]")
@click.option("--mpi", help="srun's plug-in.  [default: of srun --mpi=list, what the MPI speaks]")
@click.option("--cluster", help="What it is held against, as railgauge accept --cluster.")
@click.option("--leaves", help="Leaf switches and their hosts, as railgauge accept --leaves.")
@click.option("--profile", help="Of a night.  [default: nightly]")
@click.option("--deep", help="The profile of the weekly deep night.  [default: full]")
@click.option("--set", "sets", multiple=True, help="STAGE.FIELD=VALUE, as accept. Repeatable.")
@click.option("--variable", "variables", multiple=True, help="NAME=VALUE of the jobs. Repeatable.")
@click.option("--waivers", help="A TOML file of waivers.")
@click.option("--option", "options", multiple=True, help="Of railgauge slurm submit. Repeatable.")
@click.option(
    "--adaptive/--no-adaptive", default=None, help="Look closer at suspects.  [default: do]"
)
@click.option(
    "--drain", metavar="advise|apply|off", help="Nodes that a night is sure of.  [default: advise]"
)
@click.option("--max-drain", type=float, help="Percent of the partition.  [default: 2]")
@click.option("--at", help="When a night begins.  [default: 02:00]")
@click.option("--morning", help="When it is reported, come what may.  [default: 07:00]")
@click.option("--weekly", help="The day of the deep night, or never.  [default: sun]")
@click.option("--minutes", type=_COUNT, help="Time limit of a night.  [default: 30]")
@click.option("--deep-minutes", type=_COUNT, help="Of a deep one.  [default: 360]")
@click.option("--keep", type=click.IntRange(min=0), help="Days of raw samples.  [default: 30]")
@click.option("--keep-nights", type=_COUNT, help="Nights that are kept.  [default: 400]")
@click.option("--price", type=click.FloatRange(min=0, max=1e6), help="Of a GPU-hour.")
@click.option(
    "--print", "printed", metavar="cron|systemd|scrontab", help="Print it, install nothing."
)
@click.option("--remove", is_flag=True, help="Take the entry out of scrontab; the history stays.")
@click.option("--now", is_flag=True, help="Submit tonight's jobs: what the schedule runs.")
@click.option(
    "--as-deep/--as-plain", "as_deep", default=None, help="With --now: whatever day it is."
)
@click.option(
    "--report", "reports", is_flag=True, help="Judge and report now: the morning's entry."
)
@click.option(
    "--dry-run", is_flag=True, help="Show tonight's script and what retention would remove."
)
@click.option("--step", type=click.Choice(_STEPS), hidden=True, help="A part of a night's job.")
@click.option("--night", type=click.Path(path_type=Path), hidden=True, help="Whose part it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(history: Path, **typed: Any) -> int:
    """Set up a nightly in HISTORY, and install it where there is a scrontab.

    \b
    railgauge slurm nightly --history /shared/nights -N 64 --gpus-per-node 8 --backend nccl
    railgauge slurm nightly --history /shared/nights --print cron
    railgauge slurm nightly --history /shared/nights --now
    railgauge slurm nightly --history /shared/nights --report
    railgauge slurm nightly --history /shared/nights --dry-run

    HISTORY/nightly.toml keeps the settings and may be edited; options change what is in it. --report exits
    as railgauge gate: 0 PASS, 1 REGRESSION, 3 nothing to judge, 4 wrong data, 5 hang, 6 LEARNING, CHANGED,
    or a night that did not happen. --now: 0 submitted, 2 refused, 3 no Slurm.
    """
    _check(typed)
    folder = Path(os.path.abspath(history))
    if typed["step"]:
        return _step(folder, typed)
    if typed["reports"]:
        return _report(folder, typed["as_json"])
    if typed["now"]:
        return _now(folder, typed)
    if typed["dry_run"]:
        return _dry_run(folder, typed)
    return _set_up(folder, typed)


def _check(typed: Mapping[str, Any]) -> None:
    """One thing at a time; raises UsageError."""
    asked = [
        name for name in ("now", "reports", "dry_run", "remove", "printed", "step") if typed[name]
    ]
    if len(asked) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in asked[:2])
        raise UsageError(f"{first} and {second}: one of them at a time".replace("printed", "print"))
    if typed["as_deep"] is not None and not (typed["now"] or typed["dry_run"]):
        raise UsageError("--as-deep is of --now.\n  next: add --now")
    given = [name for name in _names() if typed[name] not in (None, ())]
    if given and asked and asked[0] not in ("printed",):
        option = {"sets": "set", "variables": "variable", "options": "option"}.get(
            given[0], given[0]
        )
        raise UsageError(
            f"--{option.replace('_', '-')}: a setting of the nightly, and not of --{asked[0]}.\n"
            "  next: without it; settings are changed by the command alone, or in nightly.toml"
        )


def _names() -> list[str]:
    from railgauge_slurm.nightly.settings import Nightly

    return [
        name for name in Nightly.__struct_fields__ if name not in ("adaptive", "drain", "max_drain")
    ]


# setting up ---------------------------------------------------------------------------------------------


def _set_up(folder: Path, typed: Mapping[str, Any]) -> int:
    from railgauge_slurm.nightly import scrontab
    from railgauge_slurm.nightly.nights import LOGS
    from railgauge_slurm.nightly.schedule import PRINTED

    if typed["printed"] and typed["printed"] not in PRINTED:
        from railgauge.errors import unknown

        raise unknown("schedule of --print", typed["printed"], PRINTED, "--print cron")
    if typed["remove"]:
        return _remove(folder)
    settings = _settings(folder, typed)
    schedule = _schedule(folder, settings)
    why = "" if typed["printed"] else scrontab.lacking()
    (folder / LOGS).mkdir(exist_ok=True)
    if typed["printed"]:
        click.echo(PRINTED[typed["printed"]](schedule), nl=False)
    elif why:
        say(f"{why}: nothing is installed; these lines are for crontab -e (or --print systemd)")
        click.echo(PRINTED["cron"](schedule), nl=False)
    else:
        fresh = scrontab.change(schedule)
        click.echo(f"scrontab: {'installed' if fresh else 'as it was'}: {schedule.name}")
    return EXIT_PASS


def _remove(folder: Path) -> int:
    from railgauge_slurm.nightly import scrontab
    from railgauge_slurm.nightly.schedule import Schedule

    if why := scrontab.lacking():
        raise UsageError(
            f"--remove: {why}.\n  next: take the lines of {folder} out of where you put them"
        )
    gone = scrontab.change(Schedule(folder, (), {}), remove=True)
    click.echo("scrontab: removed" if gone else "scrontab: there was no entry of this history")
    return EXIT_PASS


def _settings(folder: Path, typed: Mapping[str, Any]) -> Nightly:
    """The settings with what was typed, written where anything changed."""
    from railgauge_slurm.nightly import settings as kept

    before = kept.read_settings(folder) if kept.path_of(folder).exists() else None
    given = {name: typed[name] for name in _names() if typed[name] not in (None, ())}
    for name in _FILES:
        if given.get(name) and Path(given[name]).is_file():
            given[name] = os.path.abspath(given[name])
    if "variables" in given:
        pairs = [text.partition("=") for text in given["variables"]]
        given["variables"] = {name: value for name, _, value in pairs}
    made = kept.changed(before, given, "railgauge slurm nightly")
    if made != before:
        say(f"settings: {kept.write_settings(folder, made)}")
    return made


def _schedule(folder: Path, settings: Nightly) -> Schedule:
    from railgauge.launching.launchers import python_module
    from railgauge_slurm.nightly.schedule import scheduled

    return scheduled(
        folder,
        tuple(python_module("railgauge")),
        settings.night_at,
        settings.morning_at,
        _variables(),
        settings.partition,
        settings.account,
    )


def _variables() -> dict[str, str]:
    """What a schedule's own environment lacks: where Slurm's programs and its configuration are."""
    made = {name: os.environ[name] for name in ("SLURM_CONF",) if os.environ.get(name)}
    found = shutil.which("sbatch")
    place = str(Path(found).parent) if found else ""
    if place and place not in ("/usr/bin", "/bin"):
        made["PATH"] = f"{place}:/usr/bin:/bin"
    return made


# what the schedule runs -------------------------------------------------------------------------------------


def _now(folder: Path, typed: Mapping[str, Any]) -> int:
    import msgspec

    from railgauge_slurm.nightly.settings import read_settings
    from railgauge_slurm.nightly.tonight import submit_tonight

    settings = read_settings(folder)
    now = datetime.datetime.now().astimezone()
    made = submit_tonight(folder, settings, typed["as_deep"], now, say)
    if typed["as_json"]:
        facts = {"folder": str(made.folder), "job": made.night.job, "report": made.night.report}
        click.echo(msgspec.json.encode({**facts, "deep": made.night.deep}).decode())
    else:
        click.echo(str(made.folder))
        say(f"job {made.night.job} measures, job {made.night.report} reports; next: squeue --me")
    return EXIT_PASS


def _report(folder: Path, as_json: bool) -> int:
    import msgspec

    from railgauge_slurm.nightly.reporting import report
    from railgauge_slurm.nightly.settings import read_settings

    settings, alarms = None, []
    try:
        settings = read_settings(folder)
    except UsageError as error:  # the history can be judged all the same
        alarms = [f"settings cannot be read: {str(error).splitlines()[0]}"]
    code, files = report(folder, settings, time.time(), alarms, say)
    if as_json:
        click.echo(
            msgspec.json.encode({"exit_code": code, "files": list(map(str, files))}).decode()
        )
    else:
        click.echo("\n".join(map(str, files)))
    return code


def _dry_run(folder: Path, typed: Mapping[str, Any]) -> int:
    """Tonight's script, and what the morning would let go; nothing is written."""
    from railgauge_slurm.nightly import nights
    from railgauge_slurm.nightly.settings import read_settings
    from railgauge_slurm.nightly.tonight import is_deep, planned_night
    from railgauge_slurm.planning import in_words

    settings = read_settings(folder)
    now = datetime.datetime.now().astimezone()
    deep = is_deep(folder, settings, typed["as_deep"], now)
    profile = settings.deep if deep else settings.profile
    tonight = folder / f"{nights.stamp(now.timestamp())}-{Path(profile).stem}"
    made = planned_night(folder, settings, tonight, deep, now)
    for line in in_words(made):
        say(line)
    click.echo(made.script, nl=False)
    for line in _would_go(folder, settings, now.timestamp()):
        say(line)
    return EXIT_PASS


def _would_go(folder: Path, settings: Nightly, now: float) -> list[str]:
    from railgauge_reports.history.gate import gate_of
    from railgauge_slurm.nightly.reporting import planned_pruning

    try:
        plan = planned_pruning(folder, settings, gate_of(folder, now=now), now)
    except RailgaugeError as error:
        return [f"retention: nothing ({str(error).splitlines()[0]})"]
    lines = [f"retention: {night.name}: samples would be dropped" for night in plan.thin]
    lines += [f"retention: {night.name}: would be removed" for night in plan.remove]
    lines += [f"retention: {night.name}: stays, {why}" for night, why in plan.stay.items()]
    return lines or ["retention: nothing to remove"]


def _step(folder: Path, typed: Mapping[str, Any]) -> int:
    """A part of a job of the night: looking again at what it flags."""
    from railgauge_slurm.nightly import confirming
    from railgauge_slurm.nightly.settings import read_settings

    night = Path(typed["night"])
    if typed["step"] == "confirm":
        settings = read_settings(folder)
        return confirming.tried(
            night, lambda: confirming.confirm_same(folder, night, settings, say), say
        )
    return confirming.tried(night, lambda: confirming.confirm_other(folder, night, say), say)
