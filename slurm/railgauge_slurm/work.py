"""What a job measures: the commands of an acceptance or of a run, and how long they take."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from railgauge.backends import offers_of
from railgauge.errors import UsageError
from railgauge.journal import PLAN
from railgauge.launching.launchers import python_module
from railgauge.plan_options import plan_from
from railgauge_reports.acceptance import KEPT, profiles
from railgauge_reports.acceptance.asking import asked_from
from railgauge_reports.acceptance.planning import planned as planned_stages
from railgauge_reports.acceptance.profile import overridden, parse, read_text
from railgauge_reports.processes import shell_words
from railgauge_slurm.cost import Needed, of_plan, of_stages
from railgauge_slurm.launchers import Launch

#: Options of `railgauge run` that the job itself decides.
_NOT_IN_RUN = ("output", "resume", "dry_run", "sweep", "ranks")
#: Options of a profile alone.
_NOT_WITH_RUN = ("backend", "cluster", "leaves", "waivers", "overrides", "adaptive")


class Work(NamedTuple):
    """Fields of a job (see `JobOptions`), and what it needs; `name` is a part of the job's name."""

    name: str
    command: list[str]
    again: list[str]
    begun: str
    judge: list[str]
    needed: Needed


def is_modelled(typed: Mapping[str, Any]) -> bool:
    """Is a profile asked of a modelled cluster, which needs no launcher?"""
    return typed["profile"] is not None and offers_of(typed["backend"] or "mpi").alone


def work_of(typed: Mapping[str, Any], made: Launch, each: int) -> Work:
    """The work of a PROFILE or of --run on `each` ranks a node; raises UsageError."""
    if (typed["profile"] is None) == (typed["run"] is None):
        raise UsageError(
            "which PROFILE, or --run 'ARGUMENTS' (one of them)?\n"
            "  next: railgauge slurm plan nightly -N 4, or --run '--operation all_reduce'"
        )
    return _run(typed, made, each) if typed["profile"] is None else _accept(typed, made, each)


def _accept(typed: Mapping[str, Any], made: Launch, each: int) -> Work:
    """`railgauge accept PROFILE` on the batch host, whose runs the launcher starts on all nodes."""
    called = typed["profile"]
    name, text = read_text(called)
    given = _asked(typed, made, each)
    asked = asked_from({**given, "faults": None, "overrides": typed["overrides"]})
    stages = planned_stages(overridden(parse(name, text), asked.overrides), asked)
    needed = of_stages(stages, asked, typed["adaptive"])
    words = [word for option, value in given.items() for word in _words(option, value)]
    words += [word for override in typed["overrides"] for word in ("--set", override)]
    words += ["--adaptive"] * typed["adaptive"] + _words("waivers", _rooted(typed["waivers"]))
    late = _words("timeout", f"{typed['timeout']:g}")
    if called not in profiles.names():
        called = str(Path(called).absolute())
    return Work(
        name=Path(name).stem,
        command=python_module("railgauge", "accept", called, *words, *late),
        again=python_module("railgauge", "accept", "--resume", *late),
        begun=KEPT,
        judge=[],
        needed=needed,
    )


def _asked(typed: Mapping[str, Any], made: Launch, each: int) -> dict[str, Any]:
    """Options of accept that say on what: the job, or the model."""
    modelled = is_modelled(typed)
    return {
        "backend": typed["backend"],
        "cluster": _rooted(typed["cluster"]),
        "leaves": _rooted(typed["leaves"]),
        "nodes": typed["nodes"] if modelled else None,
        "launcher": shlex.join(made.words) or None,
        "python": (python_of(typed) or None) if made.words else None,
        "ranks": None if modelled else typed["nodes"] * each,
        "ranks_per_node": None if modelled else each,
    }


def _run(typed: Mapping[str, Any], made: Launch, each: int) -> Work:
    """`railgauge run ARGUMENTS` as the ranks themselves; the folder tells how it ended."""
    for name in _NOT_WITH_RUN:
        if typed[name]:
            option = "set" if name == "overrides" else name
            raise UsageError(
                f"--{option} is of a PROFILE.\n  next: --run '--{option} ...' where run has it"
            )
    arguments = list(shell_words(typed["run"], "--run"))
    given = _parsed(arguments)
    plan, _ = plan_from(given, typed["nodes"] * each)
    command = [*made.words, *python_module("railgauge", "run", python=python_of(typed))]
    command += [*arguments, "--ranks", str(plan.ranks)]
    return Work(
        name="run",
        command=command,
        again=[*command, "--resume"],
        begun=PLAN,
        judge=python_module("railgauge", "report") if made.words else [],
        needed=of_plan(plan, each),
    )


def _parsed(arguments: list[str]) -> dict[str, Any]:
    """What `railgauge run` makes of them; raises UsageError for what the job decides."""
    from railgauge.commands.run import command

    with command.make_context("railgauge run", list(arguments)) as context:
        given = dict(context.params)
    for name in _NOT_IN_RUN:
        if given[name]:
            raise UsageError(
                f"--run: --{name.replace('_', '-')} is the job's own.\n  next: leave it out of --run"
            )
    if offers_of(given["backend"] or "mpi").alone:
        raise UsageError(
            "--run: a modelled cluster needs no job.\n  next: railgauge run, the same arguments"
        )
    return given


def python_of(typed: Mapping[str, Any]) -> str:
    """The ranks' Python: as typed, that of an image, or ("") the one that runs this."""
    return str(typed["python"] or ("python3" if typed["container"] is not None else ""))


def _rooted(value: object) -> str | None:
    """A file by its path from the root: the job starts elsewhere; what is no file is a name that ships."""
    if value is None:
        return None
    return str(Path(str(value)).absolute()) if Path(str(value)).exists() else str(value)


def _words(name: str, value: object) -> list[str]:
    return [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
