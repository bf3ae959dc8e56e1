"""GPUs and NICs together: how many, how near, and may the NIC reach the GPU's memory?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from railgauge.auditing.checks import (
    NO_GPU,
    NO_RDMA,
    Asked,
    Check,
    Item,
    Judged,
    none_of,
    once,
    rated,
    told,
)
from railgauge.auditing.machine import (
    NVIDIA_VENDOR,
    Inapplicable,
    Machine,
    Unknown,
    line,
    lines,
    number_in,
)
from railgauge.audits.pcie import endpoints
from railgauge.hardware.pcie import pcie_of
from railgauge.linux.sysfs import numa_node

#: dma-buf export of CUDA memory wants the open kernel module and Linux 5.12 (NCCL user guide).
DMABUF_KERNEL = (5, 12)
WANT = "identity or no IOMMU (iommu=pt)"


def _count(machine: Machine) -> Iterable[Item]:
    value = {"gpus": len(machine.gpus), "models": sorted({g.model for g in machine.gpus})}
    yield Item("", value, vote=[value["gpus"], value["models"]])


def _judge_count(value: Any, asked: Asked) -> Judged:
    found = f"{value['gpus']}" + (
        f" (PCI device {', '.join(value['models'])})" if value["models"] else ""
    )
    if asked.manifest.gpus is not None:
        return rated(
            value["gpus"] == asked.manifest.gpus, "FAIL", f"{asked.manifest.gpus} (manifest)", found
        )
    return told("the same on all nodes", found)


def _peer_memory(machine: Machine) -> Any:
    if not any(gpu.vendor == NVIDIA_VENDOR for gpu in machine.gpus):
        return Inapplicable("no NVIDIA GPU here")
    if not machine.ports:
        return Inapplicable(NO_RDMA)
    modules, version = lines(machine.proc / "modules"), line(machine.proc / "driver/nvidia/version")
    names = {text.split(" ")[0] for text in modules} if isinstance(modules, list) else None
    release = _version(machine.kernel.release())
    opened = None if isinstance(version, Unknown) else "Open" in version
    if names is None and opened is None:
        return modules
    return {
        "peermem": None if names is None else sorted({"nvidia_peermem", "nv_peer_mem"} & names),
        "open": opened,
        "kernel": list(release),
    }


def _version(text: str) -> tuple[int, ...]:
    numbers = text.partition("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())


def _judge_peer_memory(value: Any, _asked: Asked) -> Judged:
    dmabuf = bool(value["open"]) and tuple(value["kernel"]) >= DMABUF_KERNEL
    found = []
    if value["peermem"]:
        found.append(f"module {', '.join(value['peermem'])}")
    if dmabuf:
        found.append("dma-buf (open kernel module)")
    if not found and (value["peermem"] is None or value["open"] is None):
        return Judged("UNKNOWN", "nvidia_peermem or dma-buf", "only half of it could be read")
    return rated(bool(found), "FAIL", "nvidia_peermem or dma-buf", ", ".join(found) or "neither")


def _peer_errors(machine: Machine) -> Any:
    if not machine.gpus:
        return Inapplicable(NO_GPU)
    return Unknown(
        "the kernel's log is root's", "sudo dmesg | grep -i -e peermem -e 'insufficient power'"
    )


def _nearest(machine: Machine) -> Iterable[Item]:
    if not machine.gpus or not machine.devices:
        yield from none_of(NO_GPU if not machine.gpus else NO_RDMA)
        return
    nics = {device: pcie_of(machine.pci(device)).path for device in machine.devices}
    for gpu in machine.gpus:
        path = pcie_of(gpu.folder).path
        places = {n: distance(path, nic, _nodes(machine, gpu.folder, n)) for n, nic in nics.items()}
        best = min(places.values(), key=DISTANCES.index)
        near = [name for name, place in places.items() if place == best]
        yield Item(f"GPU {gpu.bus_id}", {"distance": best, "nics": near}, vote=[best, len(near)])


#: From near to far, as `nvidia-smi topo -m` and NCCL name them.
DISTANCES = ("PIX", "PXB", "PHB", "NODE", "SYS")


def _nodes(machine: Machine, gpu: Any, device: str) -> tuple[int | None, int | None]:
    return numa_node(gpu), numa_node(machine.pci(device))


def distance(a: tuple[str, ...], b: tuple[str, ...], nodes: tuple[int | None, int | None]) -> str:
    """PIX: one bridge or switch between; PXB: several; PHB: the host bridge; NODE; SYS: across sockets.

    Paths are those of `railgauge.hardware.pcie`, from the host bridge down to the device.
    """
    common = next(
        (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
    if common > 1:
        # below the last common bridge: a switch shows its upstream port, then one downstream port each
        return "PIX" if max(len(a), len(b)) - common <= 2 else "PXB"
    if common == 1:
        return "PHB"
    return "NODE" if nodes[0] is not None and nodes[0] == nodes[1] else "SYS"


def _judge_nearest(value: Any, asked: Asked) -> Judged:
    place = value["distance"]
    found = f"{place}: {', '.join(value['nics'])}"
    if asked.profile == "efa":
        return told("the provider's machines", found)
    bad = "FAIL" if place == "SYS" else "WARN"
    return rated(
        place in ("PIX", "PXB"), "FAIL" if bad == "FAIL" else "WARN", "a NIC at PIX or PXB", found
    )


def _iommu(machine: Machine) -> Iterable[Item]:
    command = line(machine.proc / "cmdline")
    options = (
        []
        if isinstance(command, Unknown)
        else [w for w in command.split() if "iommu" in w or "acs" in w]
    )
    found = endpoints(machine)
    for name, folder in found.items():
        group = folder / "iommu_group"
        if not group.exists():
            value: Any = {"type": "none", "options": options}
        else:
            kind = line(group.resolve() / "type")
            value = kind if isinstance(kind, Unknown) else {"type": kind, "options": options}
        yield Item(name, value)
    if not found:
        yield from none_of("no RDMA device and no GPU here")


def _judge_iommu(value: Any, asked: Asked) -> Judged:
    found = value["type"] + (f" ({' '.join(value['options'])})" if value["options"] else "")
    if asked.profile == "efa":
        return told("the provider's machines", found)
    return rated(value["type"] in ("identity", "none"), "WARN", WANT, found)


def _gpu_numa(machine: Machine) -> Iterable[Item]:
    for gpu in machine.gpus:
        value = number_in(line(gpu.folder / "numa_node"))
        yield Item(f"GPU {gpu.bus_id}", value if isinstance(value, Unknown) else int(value))
    for device in machine.devices:
        value = number_in(line(machine.pci(device) / "numa_node"))
        yield Item(device, value if isinstance(value, Unknown) else int(value), group=device)
    if not machine.gpus and not machine.devices:
        yield from none_of("no RDMA device and no GPU here")


def _judge_numa(value: Any, _asked: Asked) -> Judged:
    if value < 0:
        return Judged("WARN", "a NUMA node", "-1: the firmware does not say")
    return told("the node that its ranks run on", f"node {value}")


CHECKS = (
    Check(
        *("gpus", "number of GPUs", _count, _judge_count),
        "nvidia-smi -L; dmesg | grep -i -e nvrm -e xid: a GPU fell off the bus",
        "site manifest",
        alike="FAIL",
    ),
    Check(
        *("peer_memory", "a NIC may read a GPU's memory", once(_peer_memory), _judge_peer_memory),
        "sudo modprobe nvidia-peermem, or the open kernel module on Linux 5.12 and later",
        "NCCL user guide, GPU troubleshooting",
        alike="FAIL",
    ),
    Check(
        *(
            "peer_memory_errors",
            "errors of peer memory in the kernel's log",
            once(_peer_errors),
            lambda v, _: told("", v),
        ),
        "reload nvidia-peermem after the NIC's driver",
        "gpud, peermem",
        worst="WARN",
        needs_root=True,
    ),
    Check(
        *("gpu_nic_distance", "each GPU has a NIC nearby", _nearest, _judge_nearest),
        "nvidia-smi topo -m; move the NIC below the GPU's switch",
        "nvidia-smi topo -m",
        alike="WARN",
    ),
    Check(
        *("iommu", "IOMMU of NICs and GPUs", _iommu, _judge_iommu),
        "iommu=pt on the kernel's command line, or IOMMU off in the BIOS",
        "sysfs-kernel-iommu_groups",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("numa_node", "NUMA nodes of NICs and GPUs", _gpu_numa, _judge_numa),
        "BIOS: NUMA on, and a firmware that says where the slots are",
        "sysfs-bus-pci",
        worst="WARN",
    ),
)
