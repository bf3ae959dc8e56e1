"""Devices: are all RDMA devices there, each in its slot, and as many as the GPUs want?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from railgauge.auditing.checks import (
    NO_RDMA,
    Asked,
    Check,
    Item,
    Judged,
    good,
    none_of,
    outside,
    rated,
    told,
)
from railgauge.auditing.machine import Inapplicable, Machine, line, number_in

#: NVIDIA's PCI device ids -> (ports, Gb/s each) that nodes with such GPUs are built with: gpud's
#: defaults (components/accelerator/nvidia/infiniband, threshold_default.go).
NIC_MINIMA = {
    **dict.fromkeys(("0x20b0", "0x20b2", "0x20b3", "0x20b5", "0x20f1"), (1, 200)),  # A100
    **dict.fromkeys(("0x2330", "0x2331", "0x2336", "0x2339", "0x233a"), (8, 400)),  # H100
    **dict.fromkeys(("0x2335", "0x233b"), (8, 400)),  # H200
    **dict.fromkeys(("0x2901", "0x2920", "0x2941"), (8, 400)),  # B200, GB200
}


def _present(machine: Machine) -> Iterable[Item]:
    found = {
        "devices": sorted({p.device for p in machine.all_ports}),
        "active": sorted(p.where for p in machine.ports if p.active),
    }
    wanted = sorted(machine.manifest.devices)
    unused = sorted({p.where for p in machine.all_ports} - {p.where for p in machine.ports})
    value = {
        **found,
        "unused": unused,
        "missing": [name for name in wanted if name not in found["devices"]],
    }
    return (Item("", value, vote=[len(found["devices"]), len(found["active"])]),)


def _judge_present(value: Any, asked: Asked) -> Judged:
    devices, active = value["devices"], value["active"]
    shown = f"{len(devices)} devices, {len(active)} ports active"
    if value["unused"]:
        shown += f"; not in use, as it seems: {', '.join(value['unused'])}"
    if value["missing"]:
        return Judged(
            "FAIL", "every device of the manifest", f"missing: {', '.join(value['missing'])}"
        )
    wanted = asked.manifest.nics
    if wanted is not None:
        right = len(active) >= wanted
        return rated(right, "FAIL", f"{wanted} ports ACTIVE (manifest)", shown)
    if not asked.rdma:
        return outside("no RDMA device, and no profile that wants one")
    return rated(bool(active), "FAIL", f"RDMA ports that are ACTIVE ({asked.profile})", shown)


def _bound(machine: Machine) -> Iterable[Item]:
    for port in machine.ports:
        guid = line(port.folder.parent.parent / "node_guid")
        value: Any = {
            "pci": _pci(machine, port.device),
            "netdev": port.netdev,
            "guid": guid if isinstance(guid, str) else "",
        }
        named = machine.manifest.devices.get(port.device)
        wanted = {} if named is None else {k: getattr(named, k) for k in value}
        value["wanted"] = {k: v for k, v in wanted.items() if v is not None}
        value["late"] = [
            d for d in _before(machine, port.device) if _pci(machine, d) > value["pci"]
        ]
        vote = [value["pci"].rpartition(":")[0], value["netdev"]]
        yield Item(port.where, value, group=port.where, vote=vote)
    if not machine.ports:
        yield from none_of(NO_RDMA)


def _pci(machine: Machine, device: str) -> str:
    return machine.pci(device).resolve().name


def _before(machine: Machine, device: str) -> list[str]:
    """Devices of that name with a smaller number: the kernel counts in the order of PCI addresses."""
    name = device.rstrip("0123456789")
    if name == device:
        return []
    alike = [d for d in machine.devices if d.rstrip("0123456789") == name != d]
    return [d for d in alike if int(d[len(name) :]) < int(device[len(name) :])]


def _judge_bound(value: Any, _asked: Asked) -> Judged:
    wrong = {k: v for k, v in value["wanted"].items() if v.lower() != value[k].lower()}
    found = ", ".join(f"{k} {value[k]}" for k in ("pci", "netdev") if value[k])
    if wrong:
        found = ", ".join(f"{k} {value[k] or 'none'}" for k in wrong)
        return Judged("FAIL", ", ".join(f"{k} {v}" for k, v in wrong.items()), found)
    if value["wanted"]:
        return good("the manifest's", found)
    if value["late"]:
        found += f", before {', '.join(value['late'])}"
        return Judged("WARN", "devices numbered in the order of their slots, or a manifest", found)
    return told("a manifest would say", found)


def _rails_for_gpus(machine: Machine) -> Any:
    minima = [NIC_MINIMA[gpu.model] for gpu in machine.gpus if gpu.model in NIC_MINIMA]
    if not minima:
        return Inapplicable("no GPU of a kind whose usual number of NICs is known")
    ports, rate = minima[0]
    fast = 0
    for port in machine.ports:
        found = number_in(line(port.folder / "rate"))
        fast += port.active and isinstance(found, float) and found >= rate
    return {"fast": fast, "ports": ports, "Gbps": rate}


def _judge_rails(value: Any, asked: Asked) -> Judged:
    if asked.manifest.devices or asked.manifest.nics is not None:
        return outside("the manifest says it")
    expected = f"{value['ports']} ports of {value['Gbps']} Gb/s, as such nodes are built"
    return rated(value["fast"] >= value["ports"], "WARN", expected, f"{value['fast']} such ports")


CHECKS = (
    Check(
        *("rdma_devices", "number of RDMA devices and active ports", _present, _judge_present),
        "lspci | grep -i -e mellanox -e infiniband; dmesg: a NIC fell off the bus, or has no driver",
        "GCM; site manifest",
        alike="FAIL",
    ),
    Check(
        *("device_binding", "device in its slot, with its netdev", _bound, _judge_bound),
        "check udev naming rules and the slot of {where} (ibdev2netdev)",
        "GCM, misbound interface",
        alike="WARN",
    ),
    Check(
        *(
            "rails_for_gpus",
            "as many fast ports as the GPUs want",
            lambda m: (Item("", _rails_for_gpus(m)),),
            _judge_rails,
        ),
        "railgauge audit --manifest FILE says what this site's nodes have",
        "gpud, threshold_default.go",
        worst="WARN",
    ),
)
