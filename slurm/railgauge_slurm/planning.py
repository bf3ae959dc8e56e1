"""From what was typed to a job: its options, its script, what it costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from railgauge.errors import UsageError
from railgauge_slurm import scripts
from railgauge_slurm.cost import Cost, cost, duration
from railgauge_slurm.job_options import JobOptions
from railgauge_slurm.launchers import Container, Launch, launch
from railgauge_slurm.nodes import names_in, names_of
from railgauge_slurm.work import Work, is_modelled, work_of

#: Templates of several jobs, a block of nodes each; the second takes what is idle.
ARRAY, ROLLING = "array", "rolling"
SINGLE = "acceptance"
#: Options of plan and submit that are the job's as they are.
_AS_TYPED = (
    *("partition", "account", "qos", "reservation", "nodelist", "exclude", "constraint"),
    *("dependency", "begin", "deadline", "nice", "gpus_per_node", "at_once", "requeues"),
)


class Planned(NamedTuple):
    """A job that could be submitted; `notes` are for people."""

    template: str
    options: JobOptions
    cost: Cost
    script: str
    notes: tuple[str, ...]


def planned(typed: Mapping[str, Any]) -> Planned:
    """The job of what was typed (`asking.options`); raises UsageError, NotMeasuredError.

    Slurm is asked what starts the MPI in use unless that was said, and, of a rolling sweep, which nodes are
    idle; nothing is written.
    """
    modelled = is_modelled(typed)
    nodes, each = (1, 1) if modelled else (typed["nodes"], ranks_per_node(typed))
    folder = _folder(typed["output"])
    made = _launch(typed, each, folder)
    work = work_of(typed, made, each)
    blocks = _blocks(typed, nodes)
    price = cost(work.needed, nodes * max(1, blocks), typed["time"])
    options = _options(typed, work, made, folder, (nodes, each, blocks), price)
    notes = [made.why]
    if modelled:
        notes = [f"a model of {typed['nodes']} nodes runs on one node: nothing is measured"]
    template = typed["template"] or (ARRAY if blocks else SINGLE)
    return Planned(template, options, price, scripts.text(template, options), tuple(notes))


def ranks_per_node(typed: Mapping[str, Any]) -> int:
    """As typed, else one a GPU (`8`, `h100:8`), else one; raises UsageError."""
    if typed["ranks_per_node"] is not None:
        return int(typed["ranks_per_node"])
    count = (typed["gpus_per_node"] or "1").rpartition(":")[2]
    if not (count.isascii() and count.isdigit() and int(count)):
        raise UsageError(f"--gpus-per-node {typed['gpus_per_node']}: expected 8 or h100:8")
    return int(count)


def _folder(output: Path | None) -> str:
    """The job's folder from the root of all hosts; links in it stay as they are."""
    name = time.strftime("runs/%Y%m%dT%H%M%SZ-slurm", time.gmtime())
    return str(Path.cwd() / (output or name))


def _options(
    typed: Mapping[str, Any],
    work: Work,
    made: Launch,
    folder: str,
    shape: tuple[int, int, int],
    price: Cost,
) -> JobOptions:
    nodes, each, blocks = shape
    return JobOptions(
        name=typed["job_name"] or f"railgauge-{work.name}",
        folder=folder,
        command=tuple(work.command),
        again=tuple(work.again),
        begun=work.begun,
        judge=tuple(work.judge),
        nodes=nodes,
        ranks_per_node=each,
        minutes=price.minutes,
        warning_seconds=price.warning_seconds,
        blocks=blocks,
        variables={**made.variables, "PYTHONSAFEPATH": "1"},  # in place of -P, for any Python
        **{name: typed[name] for name in _AS_TYPED},
    )


def _launch(typed: Mapping[str, Any], each: int, folder: str) -> Launch:
    if is_modelled(typed):
        return Launch(words=(), variables={}, why="")
    container = None
    if typed["container"] is not None:
        container = Container(
            image=typed["container"],
            runtime=typed["container_runtime"],
            mounts=typed["container_mounts"],
            folder=folder,
            gpus=typed["gpus_per_node"] is not None,
        )
    return launch(
        typed["launcher"], typed["mpi"], typed["nodes"], each, typed["cpu_bind"], container
    )


def _blocks(typed: Mapping[str, Any], nodes: int) -> int:
    """Jobs of an array: as typed, else as many as the idle nodes make; 0: no array."""
    template = Path(typed["template"] or "").name.removesuffix(scripts.SUFFIX)
    if typed["blocks"] is not None:
        return int(typed["blocks"])
    if template == ARRAY:
        raise UsageError(f"--template {ARRAY}: how many blocks of -N nodes?\n  next: --blocks 8")
    if template != ROLLING:
        return 0
    idle = len(_idle(typed))
    if idle < nodes:
        raise UsageError(
            f"--template {ROLLING}: {idle} nodes are idle, and a block takes {nodes}.\n"
            "  next: sinfo --states=idle, a smaller -N, or --blocks 1 to wait for them"
        )
    return idle // nodes


def _idle(typed: Mapping[str, Any]) -> set[str]:
    """Names of the nodes that are idle now and may be taken."""
    idle = names_in("idle", typed["partition"])
    if typed["nodelist"]:
        idle &= names_of(typed["nodelist"])
    return idle - names_of(typed["exclude"])


# what is said of it -----------------------------------------------------------------------------------


def as_json(made: Planned) -> str:
    """One object: the script, what it costs, the options."""
    return msgspec.json.format(msgspec.json.encode(made._asdict()), indent=1).decode()


def in_words(made: Planned) -> list[str]:
    """What it costs, for people."""
    price, options = made.cost, made.options
    count = f"an array of {options.blocks} jobs, each of " if options.blocks else ""
    nodes = f"{options.nodes} node{'s' * (options.nodes > 1)}"
    lines = [f"{count}{nodes}, {options.ranks_per_node} rank(s) a node"]
    if price.seconds is None:
        lines.append("time: not known beforehand (a fixed number of iterations)")
    else:
        bound = "of a model" if price.exact else "at most"
        lines.append(
            f"time: {price.runs} launched run(s), {bound} {duration(price.seconds)} of measuring,"
            f" {price.node_hours:.3g} node-hours"
        )
    if price.suspected_seconds:
        lines.append(f"if suspected: + {duration(price.suspected_seconds)} in each job")
    limit = f"limit: {price.minutes} min, {price.limit_node_hours:.3g} node-hours"
    return [*lines, f"{limit} ({price.limit})", *filter(None, made.notes)]
