"""Links: are all ports up, at full rate, without flaps and with addresses?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from railgauge.auditing.checks import (
    NO_RDMA,
    Asked,
    Check,
    Item,
    Judged,
    none_of,
    outside,
    per_netdev,
    per_port,
    rated,
    told,
)
from railgauge.auditing.machine import Inapplicable, Machine, Port, Unknown, line, number_in

#: A link may go down while a host boots (carrier_down_count is 1 after it).
BOOT_SECONDS, BOOT_FLAPS = 1800, 1


def _board(port: Port) -> str:
    board = line(port.folder.parent.parent / "board_id")
    return board if isinstance(board, str) else ""


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


def _judge_rate(value: Any, asked: Asked) -> Judged:
    found = f"{value['Gbps']:g} Gb/s" + (f" ({value['width']})" if value["width"] else "")
    wanted = asked.manifest.rate_Gbps if value["wanted"] is None else value["wanted"]
    if wanted is None:
        return told("a manifest would say", found)
    return rated(value["Gbps"] >= wanted, "FAIL", f"{wanted:g} Gb/s", found)


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
