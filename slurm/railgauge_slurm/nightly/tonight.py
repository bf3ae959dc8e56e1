"""A night as jobs of Slurm: one that measures and confirms, one that reports whatever became of it."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from railgauge.errors import RailgaugeError
from railgauge.launching.launchers import python_module
from railgauge_reports.history.lock import locked
from railgauge_slurm import jobs, scripts
from railgauge_slurm.commands.submit import command as submit_command
from railgauge_slurm.job_options import JobOptions
from railgauge_slurm.kept import fresh as submission
from railgauge_slurm.nightly import nights
from railgauge_slurm.nightly.nights import Night
from railgauge_slurm.nightly.schedule import (
    DAYS,
    REPORTING_MINUTES,
    check_line,
    schedule_name,
)
from railgauge_slurm.nightly.settings import Nightly
from railgauge_slurm.planning import Planned, planned

#: Settings that are options of `railgauge slurm submit`, where they are not empty.
_OPTIONS = (
    *("gpus_per_node", "partition", "account", "qos", "reservation", "exclude", "constraint"),
    *("backend", "mpi", "cluster", "leaves", "waivers"),
)
#: Where the jobs besides the night's own have their script and their output, inside the night.
REPORT, OTHER = "slurm-report", "slurm-other"
#: Seconds to wait for another process that changes the history.
PATIENCE_SECONDS = 120.0
#: The lock of whoever changes a history: makes a night, reports, removes.
LOCK = "nightly"
#: Minutes that a night may wait for its nodes beyond its own limit, where the morning is nearer.
LEAST_WAIT_MINUTES = 60
#: What a client of Slurm inside a job has of that job; only these are of the site.
_OF_THE_SITE = ("SLURM_CONF", "SLURM_CLUSTERS")


class Submitted(NamedTuple):
    """A night's folder and its record."""

    folder: Path
    night: Night


def is_deep(history: Path, settings: Nightly, asked: bool | None, now: datetime.datetime) -> bool:
    """As asked, else: is it the weekly day (of the time the night was planned for), and none was deep yet?

    `now` is local, as clocks on the wall: so are the times of the settings.
    """
    if asked is not None:
        return asked
    slot = settings.night_at.slot(now)
    if not settings.deep_day or DAYS[slot.weekday()] != settings.deep_day:
        return False
    records = nights.records_of(nights.nights_of(history))
    return not any(
        night.deep and night.job and slot.timestamp() <= night.submitted <= now.timestamp()
        for night in records.values()
    )


def submit_tonight(
    history: Path,
    settings: Nightly,
    asked: bool | None,
    now: datetime.datetime,
    tell: Callable[[str], None],
) -> Submitted:
    """Submit both jobs; raises RefusedError, UsageError or NotMeasuredError, and then the night says why.

    Two at once are made one after the other, each in a folder of its own; the second job waits for the end
    of the first one (singleton).
    """
    with locked(history, LOCK, PATIENCE_SECONDS):
        seconds = now.timestamp()
        late = nights.backwards(history, seconds)
        deep = is_deep(history, settings, asked, now)
        profile = settings.deep if deep else settings.profile
        folder = nights.make_folder(history, seconds, profile)
        night = nights.fresh(seconds, socket.gethostname(), profile, deep, settings.nodes).noted(
            late
        )
        nights.write_night(folder, night)
    try:
        with outside():
            night = msgspec.structs.replace(
                night, job=_measuring(history, settings, folder, deep, now)
            )
            nights.write_night(folder, night)
    except RailgaugeError as error:
        nights.write_night(folder, msgspec.structs.replace(night, refused=str(error)))
        raise
    if late:
        tell(f"note: {late}")
    with outside():
        report = reporting(history, settings, folder / REPORT, f"afterany:{night.job}")
    night = msgspec.structs.replace(night, report=report)
    nights.write_night(folder, night)
    return Submitted(folder, night)


def planned_night(
    history: Path, settings: Nightly, folder: Path, deep: bool, now: datetime.datetime
) -> Planned:
    """The job that measures, as `railgauge slurm submit` would make it; raises UsageError."""
    made = planned(_typed(history, settings, folder, deep, now))
    own = python_module("railgauge", "slurm", "nightly", "--history", str(history))
    options = msgspec.structs.replace(
        made.options,
        variables={**made.options.variables, **settings.variables},
        then=((*own, "--step", "confirm", "--night"),),
    )
    return made._replace(options=options, script=scripts.text(made.template, options))


def _measuring(
    history: Path, settings: Nightly, folder: Path, deep: bool, now: datetime.datetime
) -> str:
    """Submit the job that measures; its id."""
    made = planned_night(history, settings, folder, deep, now)
    kept = submission(made.template, made.options, made.cost, made.script)
    kept = kept.submitted(jobs.submit(made.script, folder), now.timestamp())
    kept.write(folder)
    return kept.numbers[-1]


def _typed(
    history: Path, settings: Nightly, folder: Path, deep: bool, now: datetime.datetime
) -> dict[str, Any]:
    """The options of `railgauge slurm submit`; raises UsageError for `options` that it has not."""
    words = [settings.deep if deep else settings.profile]
    words += [f"--nodes={settings.nodes}", f"--ranks-per-node={settings.ranks_per_node}"]
    for name in _OPTIONS:
        if value := getattr(settings, name):
            words.append(f"--{name.replace('_', '-')}={value}")
    words += [f"--set={text}" for text in settings.sets]
    words += ["--adaptive"] * settings.adaptive
    limit = settings.deep_minutes if deep else settings.minutes
    words += [f"--time={limit}", "--template=nightly", f"--job-name={schedule_name(history)}"]
    words += [f"--deadline=now+{waits(settings, now, limit)}minutes", f"--output={folder}"]
    with submit_command.make_context("railgauge slurm submit", [*words, *settings.options]) as made:
        return {k: v for k, v in made.params.items() if k not in ("as_json", "here")}


def waits(settings: Nightly, now: datetime.datetime, limit: int) -> int:
    """Minutes until the morning, or what the night needs and an hour: who has not begun then never does."""
    next_morning = settings.morning_at.slot(now) + datetime.timedelta(days=1)
    return max(int((next_morning - now).total_seconds() // 60), limit + LEAST_WAIT_MINUTES)


def reporting(history: Path, settings: Nightly, folder: Path, dependency: str | None) -> str:
    """Submit the job that reports, after others whatever became of them; its id."""
    step = ("--report",)
    return _one_command(history, settings, folder, "report", step, REPORTING_MINUTES, dependency)


def confirming_on_others(
    history: Path, settings: Nightly, night: Path, hosts: str, minutes: int
) -> str:
    """Submit the job that confirms a night on none of its own `hosts`; its id."""
    step = ("--step", "confirm-other", "--night", str(night))
    without = ",".join(filter(None, (settings.exclude, hosts)))
    return _one_command(
        history, settings, night / OTHER, "other", step, minutes, None,
        nodes=settings.nodes, ranks_per_node=settings.ranks_per_node, exclude=without,
        gpus_per_node=settings.gpus_per_node or None, constraint=settings.constraint or None,
        deadline=f"now+{minutes + LEAST_WAIT_MINUTES * 8}minutes",
    )  # fmt: skip


def _one_command(
    history: Path,
    settings: Nightly,
    folder: Path,
    name: str,
    step: tuple[str, ...],
    minutes: int,
    dependency: str | None,
    **more: Any,
) -> str:
    own = python_module("railgauge", "slurm", "nightly", "--history", str(history))
    options = JobOptions(
        **{
            "name": f"{schedule_name(history)}-{name}",
            "folder": check_line(str(folder)),
            "command": (*own, *step),
            "again": (),
            "begun": "",
            "nodes": 1,
            "ranks_per_node": 1,
            "minutes": minutes,
            "dependency": dependency,
            "partition": settings.partition or None,
            "account": settings.account or None,
            "qos": settings.qos or None,
            "variables": {"PYTHONSAFEPATH": "1", **settings.variables},
            **more,
        }
    )
    return jobs.submit(scripts.text("command", options), folder)


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Slurm's variables of the job around this process put away: sbatch would hand them on to another job."""
    names = [name for name in os.environ if name.startswith(("SLURM", "SBATCH_", "SRUN_"))]
    kept = {name: os.environ.pop(name) for name in names if name not in _OF_THE_SITE}
    try:
        yield
    finally:
        os.environ.update(kept)
