"""PCIe: links of NICs, GPUs and every bridge above them, and what root alone can read of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from railgauge.auditing.checks import (
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
from railgauge.auditing.machine import Inapplicable, Machine, Unknown, lines
from railgauge.hardware import pci_config
from railgauge.hardware.pcie import PcieDevice, pcie_of

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
        if isinstance(path, Unknown):
            yield Item(name, path)
            continue
        real = [device for device in path.devices if not device.emulated]
        links = [_link(d, below) for d, below in itertools.zip_longest(real, real[1:])]
        known = [link for link in links if link]
        if not known:
            yield Item(name, Unknown(path.reason or f"no link state of {name}"))
            continue
        for link in known:  # a device's own link: a GPU at rest may slow it down
            link["own"] = link["bus_id"] in [device.bus_id for device in real[-2:]]
        unread = [d.bus_id for d, link in zip(real, links, strict=True) if link is None]
        worst = min(known, key=lambda k: (k["width"] / k["width_max"], k["speed"] / k["speed_max"]))
        slow = [link for link in known if _short(link)]
        value = {"worst": worst, "slow": slow, "unread": unread, "gpu": name.startswith("GPU")}
        yield Item(name, value | {"last": known[-1], "links": len(real)})
    if not found:
        yield from none_of(NOTHING)


def _link(device: PcieDevice, below: PcieDevice | None) -> dict[str, Any] | None:
    """Lanes and GT/s of a device's own link, and at most; None: unknown.

    A bridge's own link leads down where it is a root port or a switch's downstream port, and up where
    it is the upstream port: it is compared with what it and its neighbour below can do together,
    whichever is less.
    """
    speed, width = device.max_speed_GTps, device.max_width
    if not (speed and width and device.speed_GTps and device.width):
        return None
    if below is not None:
        speed = min(speed, below.max_speed_GTps or speed)
        width = min(width, below.max_width or width)
    now = {"bus_id": device.bus_id, "width": device.width, "speed": device.speed_GTps}
    return now | {"width_max": width, "speed_max": speed}


def _short(link: dict[str, Any]) -> str:
    """`x8 of x16, 8 of 32 GT/s`: what is less than it could be."""
    words = []
    if link["width"] < link["width_max"]:
        words.append(f"x{link['width']} of x{link['width_max']}")
    if link["speed"] < link["speed_max"]:
        words.append(f"{link['speed']:g} of {link['speed_max']:g} GT/s")
    return ", ".join(words)


def _judge_links(value: Any, _asked: Asked) -> Judged:
    slow, last = value["slow"], value["last"]
    found = "; ".join(f"{link['bus_id']} {_short(link)}" for link in slow)
    expected = "every link to the root at its maximum"
    resting = value["gpu"] and all(k["own"] and k["width"] >= k["width_max"] for k in slow)
    if slow and resting:
        return told("full speed under load (GPUs slow an idle link down)", found)
    if slow:
        return Judged("FAIL", expected, found)
    if value["unread"]:
        return Judged("UNKNOWN", expected, f"no link state of {', '.join(value['unread'])}")
    return good(expected, f"{last['speed']:g} GT/s x{last['width']}, {value['links']} links")


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
