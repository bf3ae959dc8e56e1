"""PCIe: links of NICs, GPUs and every bridge above them, and what root alone can read of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from railgauge import pci_config
from railgauge.checks import (
    Asked,
    Check,
    Item,
    Judged,
    attempt,
    good,
    none_of,
    outside,
    rated,
    told,
)
from railgauge.machine import Inapplicable, Machine, Unknown, lines
from railgauge.pcie import PcieDevice, pcie_of

NOTHING = "no RDMA device and no GPU here"
READ_REQUEST = 4096
#: On bare metal none of these may be on (rdma-core, rdma_topo: xx000x0), in a VM all (1x111x1).
REDIRECTS = ("request_redirect", "completion_redirect", "upstream_forwarding")
VIRTUAL = (*REDIRECTS, "source_validation", "direct_translated")


def endpoints(machine: Machine) -> dict[str, Path]:
    """NICs of the fabric and GPUs: name -> PCI folder."""
    made = {device: machine.pci(device) for device in machine.devices}
    return made | {f"GPU {gpu.bus_id}": gpu.folder for gpu in machine.gpus}


def _links(machine: Machine) -> Iterable[Item]:
    """Both ends of each link count: the slower of what they can do is what it should run at."""
    found = endpoints(machine)
    for name, folder in found.items():
        path = attempt(pcie_of, folder)
        if isinstance(path, Unknown) or not path.devices:
            yield Item(name, path if isinstance(path, Unknown) else Unknown(path.reason))
            continue
        real = [device for device in path.devices if not device.emulated]
        slow, unread = [], []
        for at, device in enumerate(real):
            state = _judged_link(device, real[at + 1] if at + 1 < len(real) else None)
            if state is None:
                unread.append(device.bus_id)
            elif state:
                slow.append(state | {"own": at >= len(real) - 2})
        value: Any = {
            "slow": slow,
            "unread": unread,
            "gpu": name.startswith("GPU"),
            "links": len(real),
        }
        if len(unread) == len(real):
            value = Unknown(path.reason or f"no link state of {name}")
        last = real[-1] if real else None
        shown = (
            last and f"{last.speed_GTps:g} GT/s x{last.width}" if last and last.speed_GTps else ""
        )
        yield Item(name, value if isinstance(value, Unknown) else value | {"link": shown})
    if not found:
        yield from none_of(NOTHING)


def _judged_link(device: PcieDevice, below: PcieDevice | None) -> dict[str, Any] | None:
    """What is less than it could be, {} where nothing is; None: unknown.

    A bridge's own link leads down where it is a root port or a switch's downstream port, and up where
    it is the upstream port: it is compared with what it and its neighbour below can do together,
    whichever is less.
    """
    if None in (device.speed_GTps, device.width, device.max_speed_GTps, device.max_width):
        return None
    speed, width = device.max_speed_GTps or 0, device.max_width or 0
    if below is not None:
        speed, width = (
            min(speed, below.max_speed_GTps or speed),
            min(width, below.max_width or width),
        )
    made: dict[str, Any] = {}
    if (device.width or 0) < width:
        made["width"] = f"x{device.width} of x{width}"
    if (device.speed_GTps or 0) < speed:
        made["speed"] = f"{device.speed_GTps:g} of {speed:g} GT/s"
    return made | {"bus_id": device.bus_id} if made else {}


def _judge_links(value: Any, _asked: Asked) -> Judged:
    words = [
        f"{s['bus_id']} {', '.join(s[k] for k in ('width', 'speed') if k in s)}"
        for s in value["slow"]
    ]
    expected = "every link to the root at its maximum"
    # a GPU at rest may slow its own link down, but never narrows it
    resting = [s for s in value["slow"] if value["gpu"] and s["own"] and "width" not in s]
    if value["slow"] and len(resting) == len(value["slow"]):
        return told("full speed under load (GPUs slow an idle link down)", "; ".join(words))
    if words:
        return Judged("FAIL", expected, "; ".join(words))
    if value["unread"]:
        return Judged("UNKNOWN", expected, f"no link state of {', '.join(value['unread'])}")
    return good(expected, f"{value['link']}, {value['links']} links")


# what root alone can read -------------------------------------------------------------------------


def config(folder: Path) -> bytes:
    """The device's configuration space, as far as this user may read it; raises OSError."""
    with (folder / "config").open("rb", buffering=0) as file:
        return file.read(pci_config.WHOLE) or b""


def _root_only(read: Any, folder: Path, command: str) -> Any:
    made = attempt(lambda: read(config(folder)))
    return Unknown(made.reason, command) if isinstance(made, Unknown) else made


def bridges(machine: Machine) -> dict[str, Path]:
    """Every bridge above a NIC or a GPU: bus id -> PCI folder."""
    made: dict[str, Path] = {}
    for folder in endpoints(machine).values():
        path = pcie_of(folder)
        made |= {d.bus_id: machine.sysfs / "bus/pci/devices" / d.bus_id for d in path.devices[:-1]}
    return dict(sorted(made.items()))


def virtual(machine: Machine) -> bool:
    """Is this a virtual machine (the processor's flag `hypervisor`)?"""
    found = lines(machine.proc / "cpuinfo")
    return isinstance(found, list) and any(
        text.startswith("flags") and "hypervisor" in text.split() for text in found
    )


def _acs(machine: Machine) -> Iterable[Item]:
    inside, found = virtual(machine), bridges(machine)
    for bus_id, folder in found.items():
        on = _root_only(pci_config.acs, folder, f"sudo lspci -vvv -s {bus_id} | grep ACSCtl")
        if on is None:
            on = Inapplicable("no ACS")
        elif not isinstance(on, Unknown):
            on = {"on": list(on), "virtual": inside}
        yield Item(bus_id, on)
    if not found:
        yield from none_of("no bridge above a NIC or a GPU" if endpoints(machine) else NOTHING)


def _judge_acs(value: Any, _asked: Asked) -> Judged:
    found = ", ".join(value["on"]) or "all off"
    if value["virtual"]:
        right = all(name in value["on"] for name in VIRTUAL)
        return rated(right, "WARN", "on in a virtual machine, with ATS", found)
    if any(name in value["on"] for name in REDIRECTS):
        return Judged(
            "FAIL", "no redirection on bare metal: peers go through the root complex", found
        )
    return rated("source_validation" not in value["on"], "WARN", "off on bare metal", found)


def _ats(machine: Machine) -> Iterable[Item]:
    inside, found = virtual(machine), endpoints(machine)
    for name, folder in found.items():
        on = _root_only(
            pci_config.ats, folder, f"sudo lspci -vvv -s {folder.resolve().name} | grep ATSCtl"
        )
        if on is None:
            on = Inapplicable("no ATS")
        elif not isinstance(on, Unknown):
            on = {"on": on, "virtual": inside}
        yield Item(name, on)
    if not found:
        yield from none_of(NOTHING)


def _judge_ats(value: Any, _asked: Asked) -> Judged:
    right = value["on"] == value["virtual"]
    expected = "on in a virtual machine" if value["virtual"] else "off on bare metal"
    return told(expected, ("on" if value["on"] else "off") + ("" if right else " (!)"))


def _express(machine: Machine) -> Iterable[Item]:
    for device in machine.devices:
        folder = machine.pci(device)
        bus_id = folder.resolve().name
        found = _root_only(
            pci_config.express, folder, f"sudo lspci -vvv -s {bus_id} | grep MaxReadReq"
        )
        if found is None:
            found = Unknown(f"{device} shows no PCI Express capability")
        elif not isinstance(found, Unknown):
            found = found._asdict()
        yield Item(device, found)
    if not machine.devices:
        yield from none_of("no RDMA device here")


def _judge_express(value: Any, asked: Asked) -> Judged:
    found = f"MaxReadReq {value['read_request']}, MaxPayload {value['payload']}"
    found += ", relaxed ordering " + ("on" if value["relaxed_ordering"] else "off")
    if asked.profile == "efa":
        return outside("the provider's setting")
    right = value["read_request"] >= READ_REQUEST and value["relaxed_ordering"]
    return rated(right, "WARN", f"MaxReadReq {READ_REQUEST}, relaxed ordering on", found)


CHECKS = (
    Check(
        *("pcie_link", "width and speed of every link to the root", _links, _judge_links),
        "reseat the card; bifurcation and link speed in the BIOS; dmesg | grep 'available PCIe bandwidth'",
        "sysfs-bus-pci; sichek pcie_tree; Imbue",
    ),
    Check(
        *("acs", "ACS of the bridges", _acs, _judge_acs),
        "sudo setpci -s {where} ECAP_ACS+6.w=0000, or turn ACS off in the BIOS",
        "NCCL user guide, GPUDirect; rdma-core rdma_topo",
        needs_root=True,
    ),
    Check(
        *("ats", "address translation services", _ats, _judge_ats),
        "mlxconfig -d {where} set ATS_ENABLED=...",
        "NCCL user guide",
        worst="INFO",
        needs_root=True,
    ),
    Check(
        *("pcie_read_request", "size of read requests", _express, _judge_express),
        "sudo setpci -s BUS CAP_EXP+8.w=5000:7000 (4096 bytes)",
        "sichek pcie_mrr",
        worst="WARN",
        needs_root=True,
        alike="WARN",
    ),
)
