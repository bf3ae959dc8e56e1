"""What A and B ran with: plan fields, versions, variables and machines that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from railgauge.plan import Plan
from railgauge.units import format_size
from railgauge_reports.stored import StoredRun

#: Facts of a node or rank that name it, or that no two runs share.
_OWN = {
    *("host", "boot_id", "time", "rank", "node", "cpus", "counters", "audit"),
    *("uuid", "bus_id", "index", "SLURM_JOB_ID", "SLURM_RESTART_COUNT"),
}
#: Checks of the audit that count from boot on, or say again what `variables` says.
_COUNTED = {"pfc_frames", "link_flaps", "peer_memory_errors", "nccl_variables"}
_NOT_SET = "not set"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One fact and its value on either side; several values are split by ` | `."""

    what: str
    a: str
    b: str


def differences(a: Sequence[StoredRun], b: Sequence[StoredRun]) -> list[Difference]:
    """Every fact whose values on A are not those on B, plans first."""
    first, second = _facts(a), _facts(b)
    return [
        Difference(what=what, a=_told(first.get(what)), b=_told(second.get(what)))
        for what in dict.fromkeys((*first, *second))
        if first.get(what) != second.get(what)
    ]


def machines(a: Sequence[StoredRun], b: Sequence[StoredRun]) -> str:
    """A sentence where A and B ran on other hosts, or between reboots of the same; else empty."""
    first, second = _hosts(a), _hosts(b)
    if first != second:
        return (
            f"A ran on {_some(first)}, B on {_some(second)}: machine and configuration cannot be told"
            " apart; next: railgauge compare --interleave, inside one allocation"
        )
    boots = _boots(a), _boots(b)
    if all(boots) and not boots[0] & boots[1]:
        return "the hosts were started anew between A and B"
    return ""


def _hosts(runs: Sequence[StoredRun]) -> list[str]:
    return sorted({host for run in runs for start in run.starts for host in start.run.hosts})


def _some(hosts: Sequence[str], most: int = 4) -> str:
    more = f" and {len(hosts) - most} more" if len(hosts) > most else ""
    return " ".join(hosts[:most]) + more


def _boots(runs: Sequence[StoredRun]) -> set[str]:
    nodes = (node for run in runs for node in run.environment.get("nodes") or [])
    return {str(node["boot_id"]) for node in nodes if node.get("boot_id")}


# facts ----------------------------------------------------------------------------------------------


def _facts(runs: Sequence[StoredRun]) -> dict[str, set[str]]:
    """Fact -> its values over all runs, nodes and ranks of a side."""
    made: dict[str, set[str]] = {}
    for run in runs:
        for what, value in _of_run(run):
            made.setdefault(what, set()).add(value)
    return made


def _of_run(run: StoredRun) -> Iterator[tuple[str, str]]:
    for field in Plan.__struct_fields__:
        yield from _of_field(field, getattr(run.plan, field))
    yield "railgauge", run.last.version
    yield "library", run.library
    yield "backend", run.last.backend
    yield "thread level", run.last.thread_level
    yield "hosts", " ".join(dict.fromkeys(run.last.hosts))
    for node in run.environment.get("nodes") or []:
        yield from _leaves("", node)
        yield from _audited(node.get("audit"))
    for rank in run.environment.get("ranks") or []:
        yield from _leaves("", rank)


def _of_field(field: str, value: Any) -> Iterator[tuple[str, str]]:
    if field in ("variables", "config"):
        for name, what in value:
            yield f"plan: {field.rstrip('s')} {name}", str(what)
    elif field == "sizes":
        yield "plan: sizes", ",".join(map(format_size, value))
    elif isinstance(value, tuple):
        yield f"plan: {field}", ",".join(map(str, value))
    else:
        yield f"plan: {field}", "chosen by railgauge" if value is None else str(value)


def _audited(audit: Any) -> Iterator[tuple[str, str]]:
    """`audit: pfc` -> what was read there, check by check; why not, where nothing was."""
    reads = audit.get("reads") if isinstance(audit, dict) else None
    for read in reads if isinstance(reads, list) else []:
        if not isinstance(read, dict) or read.get("check") in _COUNTED or "inapplicable" in read:
            continue
        value = read.get("value")
        told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield f"audit: {read.get('check')}", str(read.get("unknown") or told)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """`versions mpich` -> `5.0.2` of a tree of facts, without what belongs to one host alone."""
    if not isinstance(value, dict):
        yield path, value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return
    for name, below in value.items():
        if name not in _OWN:
            yield from _leaves(f"{path} {name}".strip(), below)


def _told(values: set[str] | None) -> str:
    return _NOT_SET if values is None else " | ".join(sorted(values))
