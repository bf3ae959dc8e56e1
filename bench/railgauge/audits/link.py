"""Links: are all ports there, in their place, up, at full rate and without flaps?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from railgauge.checks import (
    NO_RDMA,
    Asked,
    Check,
    Item,
    Judged,
    good,
    none_of,
    outside,
    per_netdev,
    per_port,
    rated,
    told,
)
from railgauge.machine import Inapplicable, Machine, Port, Unknown, line, number_in

#: A link may go down while a host boots (carrier_down_count is 1 after it).
BOOT_SECONDS, BOOT_FLAPS = 1800, 1
#: NVIDIA's PCI device ids -> (ports, Gb/s each) that nodes with such GPUs are built with: gpud's
#: defaults (components/accelerator/nvidia/infiniband, threshold_default.go).
NIC_MINIMA = {
    **dict.fromkeys(("0x20b0", "0x20b2", "0x20b3", "0x20b5", "0x20f1"), (1, 200)),  # A100
    **dict.fromkeys(("0x2330", "0x2331", "0x2336", "0x2339", "0x233a"), (8, 400)),  # H100
    **dict.fromkeys(("0x2335", "0x233b"), (8, 400)),  # H200
    **dict.fromkeys(("0x2901", "0x2920", "0x2941"), (8, 400)),  # B200, GB200
}


def _board(port: Port) -> str:
    board = line(port.folder.parent.parent / "board_id")
    return board if isinstance(board, str) else ""


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


def _state(_: Machine, port: Port) -> Any:
    state, physical = line(port.folder / "state"), line(port.folder / "phys_state")
    if isinstance(state, Unknown) or isinstance(physical, Unknown):
        return state if isinstance(state, Unknown) else physical
    return {
        "state": state.rpartition(":")[2].strip(),
        "physical": physical.rpartition(":")[2].strip(),
    }


def _judge_state(value: Any, _asked: Asked) -> Judged:
    right = value == {"state": "ACTIVE", "physical": "LinkUp"}
    return rated(right, "FAIL", "ACTIVE, LinkUp", f"{value['state']}, {value['physical']}")


def _rate(machine: Machine) -> Iterable[Item]:
    for port in machine.ports:
        text = line(port.folder / "rate")
        rate = number_in(text)
        named = machine.manifest.devices.get(port.device)
        value: Any = rate
        if isinstance(rate, float):
            width = re.search(r"\((\d+X)[^)]*\)", str(text))
            value = {
                "Gbps": rate,
                "width": width[1] if width else "",
                "wanted": named.rate_Gbps if named else None,
            }
            if not port.active:  # the kernel shows the lowest rate of a port that is down
                value = Inapplicable(f"{port.where} is not ACTIVE")
        yield Item(
            port.where, value, group=_board(port), vote=rate if isinstance(rate, float) else None
        )
    if not machine.ports:
        yield from none_of(NO_RDMA)


def _judge_rate(value: Any, _asked: Asked) -> Judged:
    found = f"{value['Gbps']:g} Gb/s" + (f" ({value['width']})" if value["width"] else "")
    if value["wanted"] is None:
        return told("a manifest would say", found)
    return rated(value["Gbps"] >= value["wanted"], "FAIL", f"{value['wanted']:g} Gb/s", found)


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
    if asked.manifest.devices:
        return outside("the manifest says it")
    expected = f"{value['ports']} ports of {value['Gbps']} Gb/s, as such nodes are built"
    return rated(value["fast"] >= value["ports"], "WARN", expected, f"{value['fast']} such ports")


def _speeds(_machine: Machine, port: Port) -> Any:
    if not port.netdev:
        return Inapplicable(f"{port.where} has no network device")
    if not port.active:
        return Inapplicable(f"{port.where} is not ACTIVE")
    speed = number_in(line(_machine.net(port.netdev) / "speed"))
    rate = number_in(line(port.folder / "rate"))
    if isinstance(speed, Unknown) or isinstance(rate, Unknown):
        return speed if isinstance(speed, Unknown) else rate
    if speed <= 0:
        return Unknown(f"the driver of {port.netdev} gives no speed ({speed:g})")
    return {"netdev": port.netdev, "speed_Gbps": speed / 1000, "rate_Gbps": rate}


def _judge_speeds(value: Any, _asked: Asked) -> Judged:
    found = f"{value['netdev']} {value['speed_Gbps']:g} Gb/s, RDMA port {value['rate_Gbps']:g} Gb/s"
    return rated(value["speed_Gbps"] == value["rate_Gbps"], "FAIL", "both the same", found)


def _operstate(machine: Machine, port: Port) -> Any:
    if not port.netdev:
        return Inapplicable(f"{port.where} has no network device")
    operstate, physical = (
        line(machine.net(port.netdev) / "operstate"),
        line(port.folder / "phys_state"),
    )
    if isinstance(operstate, Unknown):
        return operstate
    return {
        "netdev": port.netdev,
        "operstate": operstate,
        "physical": str(physical).rpartition(": ")[2],
    }


def _judge_operstate(value: Any, _asked: Asked) -> Judged:
    stuck = " though the physical link is up" if value["physical"] == "LinkUp" else ""
    found = f"{value['netdev']} {value['operstate']}"
    if value["operstate"] == "unknown":
        return told("up", found)
    return rated(
        value["operstate"] == "up",
        "FAIL",
        "up",
        found + (stuck if value["operstate"] != "up" else ""),
    )


def _flaps(machine: Machine, port: Port) -> Any:
    names = {"link_downed": port.folder / "counters/link_downed"}
    if port.netdev:
        names["carrier_down_count"] = machine.net(port.netdev) / "carrier_down_count"
    found = {name: number_in(line(path)) for name, path in names.items()}
    value = {name: int(count) for name, count in found.items() if isinstance(count, float)}
    if not value:
        return next(iter(found.values()))
    uptime = number_in(line(machine.proc / "uptime"))
    return value | {"uptime_seconds": uptime if isinstance(uptime, float) else None}


def _judge_flaps(value: Any, _asked: Asked) -> Judged:
    counts = {k: v for k, v in value.items() if k != "uptime_seconds"}
    found = ", ".join(f"{name} {count}" for name, count in counts.items())
    calm = counts.get("link_downed", 0) == 0 and counts.get("carrier_down_count", 0) <= BOOT_FLAPS
    uptime = value["uptime_seconds"]
    if not calm and uptime is not None and uptime < BOOT_SECONDS:
        return told("judged half an hour after boot", found)
    return rated(calm, "WARN", "no link lost since boot", found)


def _layer(_: Machine, port: Port) -> Any:
    return line(port.folder / "link_layer")


def _judge_layer(value: Any, asked: Asked) -> Judged:
    wanted = {"ib": "InfiniBand", "efa": "Unknown"}.get(asked.profile, "Ethernet")
    return rated(value == wanted, "FAIL", f"{wanted} ({asked.profile})")


def _subnet(_: Machine, port: Port) -> Any:
    if port.ethernet:
        return Inapplicable("RoCE has no subnet manager")
    made = {name: number_in(line(port.folder / name)) for name in ("lid", "sm_lid", "sm_sl")}
    bad = next((value for value in made.values() if isinstance(value, Unknown)), None)
    return bad or {name: int(value) for name, value in made.items() if isinstance(value, float)}


def _judge_subnet(value: Any, asked: Asked) -> Judged:
    if asked.profile == "efa":
        return outside("EFA has no subnet manager")
    found = ", ".join(f"{name} {number}" for name, number in value.items())
    right = value["lid"] != 0 and value["sm_lid"] != 0
    return rated(right, "FAIL", "lid and sm_lid not 0", found)


def _fec(machine: Machine, netdev: str) -> Any:
    return machine.kernel.fec(netdev)


def _judge_fec(value: Any, _asked: Asked) -> Judged:
    return told("RS from 50 Gb/s a lane on (IEEE 802.3)", value)


CABLE = "reseat or replace cable and module; look at the switch port; dmesg | grep {where}"

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
        *("port_state", "port is up", per_port(_state), _judge_state),
        CABLE,
        "Documentation/ABI/stable/sysfs-class-infiniband",
    ),
    Check(
        *("port_rate", "rate of the port", _rate, _judge_rate),
        "a lane is missing or the module is slow: reseat; compare with the switch port's speed",
        "site manifest; majority of the same board",
        alike="FAIL",
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
    Check(
        *(
            "netdev_speed",
            "network device as fast as its RDMA port",
            per_port(_speeds),
            _judge_speeds,
        ),
        "ethtool NETDEV; reload the driver, update the firmware: one of the two layers is stale",
        "GCM, bad rate",
    ),
    Check(
        *("netdev_operstate", "network device is up", per_port(_operstate), _judge_operstate),
        "ip link set dev NETDEV up; a link that is stuck wants a driver reload or a new cable",
        "GCM, stuck and operstate down",
    ),
    Check(
        *("link_flaps", "links lost since boot", per_port(_flaps), _judge_flaps),
        CABLE,
        "oci-hpc rdma_link_flapping.py (1800 s of grace); gpud",
        worst="WARN",
    ),
    Check(
        *("link_layer", "link layer of the profile", per_port(_layer), _judge_layer),
        "--profile names another fabric, or the port is in the wrong mode (mlxconfig LINK_TYPE_P1)",
        "NCCL user guide, troubleshooting",
        alike="FAIL",
    ),
    Check(
        *(
            "subnet_manager",
            "the subnet manager has given addresses",
            per_port(_subnet),
            _judge_subnet,
        ),
        "sudo sminfo; sudo ibstat: no subnet manager, or it does not see this port",
        "Documentation/ABI/stable/sysfs-class-infiniband",
    ),
    Check(
        *("fec", "error correction of the link", per_netdev(_fec), _judge_fec),
        "ethtool --show-fec {where}; both ends must run the same",
        "ETHTOOL_GFECPARAM",
        worst="INFO",
        alike="WARN",
    ),
)
