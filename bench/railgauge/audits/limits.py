"""Limits of the rank: locked memory, files, stack, shared memory, and the CPUs that it may use."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from railgauge.auditing.checks import Asked, Check, Item, Judged, once, rated, told
from railgauge.auditing.machine import Machine, Unknown, line, lines
from railgauge.linux.sysfs import entries, numa_node

FILES, SHARED_NBYTES = 131072, 10**9
UNLIMITED = "unlimited"


def _limit(name: str) -> Callable[[Machine], Any]:
    def read(machine: Machine) -> Any:
        value = machine.kernel.limit(name)
        return UNLIMITED if value is None else value

    return read


def _nbytes(value: Any) -> str:
    return value if value == UNLIMITED else f"{value // 1024} KiB"


def _judge_memlock(value: Any, asked: Asked) -> Judged:
    if not asked.rdma:
        return told("unlimited, for RDMA", _nbytes(value))
    return rated(value == UNLIMITED, "FAIL", UNLIMITED, _nbytes(value))


def _judge_nofile(value: Any, _asked: Asked) -> Judged:
    return rated(value == UNLIMITED or value >= FILES, "WARN", f"at least {FILES}", f"{value}")


def _judge_stack(value: Any, _asked: Asked) -> Judged:
    return rated(
        value != UNLIMITED, "WARN", "limited: with none, glibc gives threads 2 MiB", _nbytes(value)
    )


def _shared(machine: Machine) -> Any:
    return machine.kernel.filesystem_nbytes(machine.dev / "shm")


def _judge_shared(value: Any, _asked: Asked) -> Judged:
    return rated(value >= SHARED_NBYTES, "WARN", "at least 1 GB", f"{value / 1e9:.1f} GB")


def _remove_ipc(machine: Machine) -> Any:
    """systemd's default is yes; drop-in files come after the file, in the order of their names."""
    main = machine.etc / "systemd/logind.conf"
    parts = [
        main,
        *(main.parent / "logind.conf.d" / n for n in entries(main.parent / "logind.conf.d")),
    ]
    value, seen = "", False
    for path in parts:
        found = lines(path)
        if isinstance(found, Unknown):
            continue
        seen = True
        for text in found:
            if set_to := re.match(r"\s*RemoveIPC\s*=\s*(\w+)", text):
                value = set_to[1].lower()
    if not seen:
        return Unknown(
            f"{main}: not there: no systemd-logind, or its defaults",
            "systemd-analyze cat-config systemd/logind.conf",
        )
    return value or "default"


def _judge_remove_ipc(value: Any, _asked: Asked) -> Judged:
    right = value in ("no", "false", "off", "0")
    return rated(
        right, "WARN", "no: else /dev/shm is emptied when the user's last session ends", value
    )


# CPUs ---------------------------------------------------------------------------------------------


def cpus_of(text: str) -> set[int]:
    """`0-3,8`: a CPU list; raises ValueError."""
    made: set[int] = set()
    for item in filter(None, text.strip().split(",")):
        first, _, last = item.partition("-")
        made.update(range(int(first), int(last or first) + 1))
    return made


def _affinity(machine: Machine) -> Any:
    mine = machine.kernel.affinity()
    nodes = {}
    folder = machine.sysfs / "devices/system/node"
    for name in entries(folder):
        text = line(folder / name / "cpulist")
        if re.fullmatch(r"node\d+", name) and isinstance(text, str):
            nodes[int(name[4:])] = cpus_of(text)
    gpu = _gpu_of(machine)
    return {
        "cpus": len(mine),
        "nodes": sorted(n for n, cpus in nodes.items() if cpus & mine),
        "all_nodes": sorted(n for n, cpus in nodes.items() if cpus),
        "gpu": gpu and gpu.bus_id,
        "gpu_node": numa_node(gpu.folder) if gpu else None,
        "nic_nodes": {d: numa_node(machine.pci(d)) for d in machine.devices},
    }


def _gpu_of(machine: Machine) -> Any:
    """The GPU that this rank takes: of those visible to it, the one of its order on the node."""
    order, visible = machine.local_rank, machine.environ.get("CUDA_VISIBLE_DEVICES", "")
    if order is None or not machine.gpus:
        return None
    numbers = visible.split(",") if visible else [str(n) for n in range(len(machine.gpus))]
    if not all(n.strip().isdecimal() for n in numbers):
        return None  # named by UUID, which sysfs does not know
    place = int(numbers[order % len(numbers)])
    return machine.gpus[place] if place < len(machine.gpus) else None


def _judge_affinity(value: Any, _asked: Asked) -> Judged:
    on = f"{value['cpus']} CPUs on node {', '.join(map(str, value['nodes'])) or '?'}"
    if value["gpu_node"] is not None:
        right = value["gpu_node"] in value["nodes"]
        return rated(right, "WARN", f"node {value['gpu_node']}, where GPU {value['gpu']} is", on)
    nics = {n for n in value["nic_nodes"].values() if n is not None}
    if not nics:
        return told("the node of the NIC and the GPU", on)
    where = ", ".join(map(str, sorted(nics)))
    return rated(bool(nics & set(value["nodes"])), "WARN", f"node {where}, where NICs are", on)


LIMITS = "/etc/security/limits.d, {} in slurmd's unit, --ulimit of the container"

CHECKS = (
    Check(
        *("memlock", "locked memory", once(_limit("MEMLOCK")), _judge_memlock),
        f"ulimit -l unlimited: {LIMITS.format('LimitMEMLOCK=infinity')}",
        "NCCL user guide; ibv_reg_mr(3)",
        each_rank=True,
        alike="WARN",
    ),
    Check(
        *("nofile", "open files", once(_limit("NOFILE")), _judge_nofile),
        f"ulimit -n {FILES}: {LIMITS.format(f'LimitNOFILE={FILES}')}",
        "NCCL user guide",
        worst="WARN",
        each_rank=True,
        alike="WARN",
    ),
    Check(
        *("stack", "stack", once(_limit("STACK")), _judge_stack),
        "ulimit -s 8192",
        "NCCL user guide; pthread_create(3)",
        worst="WARN",
        each_rank=True,
        alike="WARN",
    ),
    Check(
        *("affinity", "CPUs near the NIC and the GPU", once(_affinity), _judge_affinity),
        "srun --cpu-bind=... or mpirun --bind-to numa, so that each rank is on its GPU's node",
        "sched_setaffinity(2); sysfs-bus-pci numa_node",
        worst="WARN",
        each_rank=True,
    ),
    Check(
        *("shared_memory", "size of /dev/shm", once(_shared), _judge_shared),
        "mount -o remount,size=32G /dev/shm; docker run --shm-size=32g",
        "NCCL user guide",
        worst="WARN",
        alike="INFO",
    ),
    Check(
        *(
            "remove_ipc",
            "shared memory outlives the session",
            lambda m: (Item("", _remove_ipc(m)),),
            _judge_remove_ipc,
        ),
        "RemoveIPC=no in /etc/systemd/logind.conf; systemctl restart systemd-logind",
        "NCCL user guide; logind.conf(5)",
        worst="WARN",
        alike="WARN",
    ),
)
