"""Where and with what a run was made, in words."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

from railgauge.records import Run
from railgauge.units import NANOSECONDS, format_seconds
from railgauge_reports.cells import some
from railgauge_reports.stored import StoredRun

MOST_HOSTS = 32


def machine_facts(stored: StoredRun) -> list[tuple[str, str]]:
    """(what, value) pairs about where and with what the last start ran."""
    run = stored.last
    nodes = stored.environment.get("nodes") or []
    node: dict[str, Any] = nodes[0] if nodes else {}
    memory = node.get("memory_bytes")
    started = datetime.datetime.fromtimestamp(run.started, datetime.timezone.utc)
    facts = {
        "run": str(stored.called),
        "started": started.isoformat(timespec="seconds"),
        "railgauge": run.version,
        "ranks": stored.where,
        "hosts": " ".join(some(list(dict.fromkeys(run.hosts)), MOST_HOSTS, "in the run folder")),
        "backend": f"{run.backend}: {stored.library}",
        "thread level": run.thread_level,
        "processor": f"{node.get('processors')} x {node.get('processor')}" if node else "",
        "GPUs": _gpus(stored),
        "memory": f"{memory / 2**30:.1f} GiB a host" if memory else "",
        "kernel": node.get("kernel", ""),
        "versions": _pairs(node.get("versions", {})),
        "variables": _pairs(node.get("variables", {})),
        **({} if stored.imported else _ours(run)),
    }
    return [(what, str(value)) for what, value in facts.items() if value]


def _ours(run: Run) -> dict[str, str]:
    """What only a run of ours knows."""
    return {
        "clocks": _clocks(run),
        "start-up": f"MPI_Init {format_seconds(run.init_seconds)},"
        f" communicator {format_seconds(run.communicator_seconds)}",
        "time stamp": f"costs {format_seconds(run.stamp_nanoseconds * NANOSECONDS)}",
    }


def _gpus(stored: StoredRun) -> str:
    """`8 x NVIDIA H100 80GB HBM3 (sm_90, 132 multiprocessors, 79.1 GiB), driver for CUDA 13.0`."""
    gpus = {gpu["uuid"]: gpu for gpu in stored.gpus.values()}
    kinds = Counter(
        f"{gpu['name']} (sm_{''.join(map(str, gpu['capability']))}, {gpu['multiprocessors']}"
        f" multiprocessors, {gpu['memory_bytes'] / 2**30:.1f} GiB), driver for CUDA"
        f" {gpu['driver'] // 1000}.{gpu['driver'] % 1000 // 10}"
        for gpu in gpus.values()
    )
    return "; ".join(f"{count} x {kind}" for kind, count in kinds.items())


def _clocks(run: Run) -> str:
    if run.clock_uncertainty_ns is None:
        return "not synchronised"
    if run.clock_uncertainty_ns == 0:
        return "one: all ranks run under the same kernel"
    return f"synchronised within {format_seconds(run.clock_uncertainty_ns * NANOSECONDS)}"


def _pairs(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
