"""Ethernet and addresses: MTU, global pause, GID table, stall prevention."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from railgauge.auditing.checks import (
    Asked,
    Check,
    Judged,
    outside,
    per_device,
    per_netdev,
    per_port,
    rated,
    told,
)
from railgauge.auditing.machine import Inapplicable, Machine, Port, Unknown, line, number_in
from railgauge.linux.sysfs import entries

#: RoCE with an IB MTU of 4096 needs headers besides: GRH or IP, UDP, BTH, ICRC.
ROCE_MTU, MOST_GIDS = 4200, 256
ZERO = ipaddress.IPv6Address(0)


def _mtu(machine: Machine, netdev: str) -> Any:
    value = number_in(line(machine.net(netdev) / "mtu"))
    return value if isinstance(value, Unknown) else int(value)


def _judge_mtu(value: Any, asked: Asked) -> Judged:
    if asked.manifest.mtu is not None:
        return rated(value == asked.manifest.mtu, "FAIL", f"{asked.manifest.mtu} (manifest)")
    if not asked.roce:
        return told("the same everywhere")
    return rated(value >= ROCE_MTU, "FAIL", f"at least {ROCE_MTU}, for RoCE packets of 4096 bytes")


def _active_mtu(_: Machine, port: Port) -> Any:
    if port.ethernet:
        return Inapplicable("of RoCE it follows from the MTU of the network device")
    return Unknown(
        "sysfs does not show the MTU that the subnet manager gave",
        f"ibv_devinfo -d {port.device} -i {port.number} | grep active_mtu",
    )


def _judge_active_mtu(value: Any, _asked: Asked) -> Judged:
    return rated(value == 4096, "FAIL", "4096")


def _pause(machine: Machine, netdev: str) -> Any:
    try:
        found = machine.kernel.pause(netdev)
    except OSError as error:
        return Unknown(f"pause of {netdev}: {error.strerror}", f"ethtool -a {netdev}")
    state = machine.dcb(netdev)
    pfc = None if isinstance(state, Unknown) or state.pfc is None else list(state.pfc.enabled)
    return {"rx": found.rx, "tx": found.tx, "pfc": pfc}


def _judge_pause(value: Any, asked: Asked) -> Judged:
    found = f"rx {'on' if value['rx'] else 'off'}, tx {'on' if value['tx'] else 'off'}"
    running = value["rx"] or value["tx"]
    if not asked.roce:
        return outside(f"no Ethernet pause in {asked.profile}")
    if asked.lossless or value["pfc"]:
        return rated(not running, "FAIL", "off where PFC is on: it stops all classes", found)
    return rated(not running, "WARN", "off: it stops all classes", found)


def gids(port: Port) -> list[dict[str, Any]] | Unknown:
    """Entries of the GID table that are used: index, type, address; types may answer EINVAL."""
    folder = port.folder / "gids"
    names = sorted(int(n) for n in entries(folder) if n.isdecimal())[:MOST_GIDS]
    if not names:
        return Unknown(f"{folder} is empty")
    made = []
    for index in names:
        text = line(folder / str(index))
        if isinstance(text, Unknown):
            continue
        try:
            address = ipaddress.IPv6Address(text)
        except ValueError:
            continue
        kind = line(port.folder / f"gid_attrs/types/{index}")
        if address != ZERO and isinstance(kind, str):
            shown = address.ipv4_mapped or address
            made.append({"index": index, "type": kind, "address": str(shown)})
    return made


def usable_gid(table: list[dict[str, Any]]) -> int | None:
    """Index of the first RoCE v2 entry with an IPv4 address, which is what NCCL takes."""
    good = (e["index"] for e in table if e["type"] == "RoCE v2" and ":" not in e["address"])
    return next((i for i in good), None)


def _gid_table(_: Machine, port: Port) -> Any:
    if not port.ethernet:
        return Inapplicable("InfiniBand routes by LID")
    table = gids(port)
    if isinstance(table, Unknown):
        return table
    return {"table": table, "index": usable_gid(table)}


def _judge_gid_table(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no GIDs to choose in {asked.profile}")
    expected = "a RoCE v2 entry with an IPv4 address"
    if value["index"] is not None:
        entry = next(e for e in value["table"] if e["index"] == value["index"])
        return rated(True, "FAIL", expected, f"index {entry['index']}: {entry['address']}")
    routed = [e for e in value["table"] if e["type"] == "RoCE v2" and not _link_local(e["address"])]
    if routed:
        return Judged(
            "WARN", expected, f"IPv6 alone: index {routed[0]['index']}: {routed[0]['address']}"
        )
    kinds = sorted(
        {
            f"{e['type']} {'link-local' if _link_local(e['address']) else ''}".strip()
            for e in value["table"]
        }
    )
    return Judged("FAIL", expected, ", ".join(kinds) or "no entry")


def _link_local(address: str) -> bool:
    return ipaddress.ip_address(address).is_link_local


def _gid_index(machine: Machine, port: Port) -> Any:
    value = _gid_table(machine, port)
    return value if not isinstance(value, dict) else value["index"]


def _judge_gid_index(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no GIDs to choose in {asked.profile}")
    return told("the same on all nodes, where NCCL_IB_GID_INDEX is set", f"index {value}")


def _stall_prevention(machine: Machine, device: str) -> Any:
    path = machine.sysfs / "class/infiniband" / device / "settings/pfc_stall_prevention"
    value = line(path)
    if isinstance(value, Unknown) and not value.root_command:
        return Unknown(
            value.reason, f"sudo ethtool --get-tunable NETDEV pfc-prevention-tout  # of {device}"
        )
    return value


def _traffic_class(machine: Machine, port: Port) -> Any:
    """OFED's file holds text: `Global tclass=236`."""
    if not port.ethernet:
        return Inapplicable("InfiniBand has service levels")
    folder = machine.sysfs / "class/infiniband" / port.device
    text = line(folder / f"tc/{port.number}/traffic_class")
    if isinstance(text, Unknown):
        return text
    found = re.search(r"tclass=(\d+)", text)
    value: dict[str, Any] = {"tclass": int(found[1]) if found else None, "priority": None}
    state = machine.dcb(port.netdev) if port.netdev else Unknown("")
    if value["tclass"] is not None and not isinstance(state, Unknown):
        value["priority"] = state.dscp_priority.get(value["tclass"] >> 2, 0)
    return value


def _judge_traffic_class(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no traffic class in {asked.profile}")
    if value["tclass"] is None:
        return told("none is forced: the application's counts", "not set")
    found = f"tclass {value['tclass']} = DSCP {value['tclass'] >> 2}, priority {value['priority']}"
    if not asked.lossless or value["priority"] is None:
        return told("", found)
    wanted = f"priority {', '.join(map(str, asked.priorities))}"
    return rated(value["priority"] in asked.priorities, "WARN", wanted, found)


def _cm_tos(machine: Machine, port: Port) -> Any:
    if not port.ethernet:
        return Inapplicable("InfiniBand has service levels")
    inside = f"kernel/config/rdma_cm/{port.device}/ports/{port.number}/default_roce_tos"
    value = number_in(line(machine.sysfs / inside))
    if isinstance(value, Unknown):
        return Unknown(value.reason, f"sudo cma_roce_tos -d {port.device} -p {port.number}")
    return int(value)


def _judge_cm_tos(value: Any, _asked: Asked) -> Judged:
    return told("the DSCP of RDMA traffic", f"TOS {value} = DSCP {value >> 2}")


CHECKS = (
    Check(
        *("mtu", "MTU of the network device", per_netdev(_mtu, roce=False), _judge_mtu),
        "ip link set dev {where} mtu 9000, and no less on the switch",
        "perftest; RoCE headers",
        alike="FAIL",
    ),
    Check(
        *("ib_mtu", "active MTU of the port", per_port(_active_mtu), _judge_active_mtu),
        "raise the partition's MTU in the subnet manager (partitions.conf: mtu=5)",
        "IBTA, PortInfo:NeighborMTU",
        needs_root=True,
        alike="FAIL",
    ),
    Check(
        *("global_pause", "802.3x pause of the whole link", per_netdev(_pause), _judge_pause),
        "ethtool -A {where} rx off tx off autoneg off",
        "ETHTOOL_GPAUSEPARAM; 308 of 400 Gb/s were left with it",
        alike="WARN",
    ),
    Check(
        *("gid_table", "a routable RoCE v2 address", per_port(_gid_table), _judge_gid_table),
        "give the port's network device an IPv4 address; show_gids",
        "NCCL user guide",
    ),
    Check(
        *("gid_index", "index of that address", per_port(_gid_index), _judge_gid_index),
        "leave NCCL_IB_GID_INDEX out (NCCL 2.21 and later pick it)",
        "NCCL user guide",
        worst="INFO",
        alike="INFO",
    ),
    Check(
        *(
            "traffic_class",
            "traffic class forced on all QPs",
            per_port(_traffic_class),
            _judge_traffic_class,
        ),
        "echo TC > /sys/class/infiniband/DEVICE/tc/1/traffic_class, with TC = DSCP * 4",
        "NCCL issue 2383; spiderpool roce-qos",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("rdma_cm_tos", "TOS of connections by rdma_cm", per_port(_cm_tos), _judge_cm_tos),
        "cma_roce_tos -d DEVICE -t TOS",
        "spiderpool roce-qos",
        worst="INFO",
        needs_root=True,
    ),
    Check(
        *(
            "stall_prevention",
            "PFC stall prevention",
            per_device(_stall_prevention),
            lambda v, _: told("auto or default", v),
        ),
        "ethtool --set-tunable NETDEV pfc-prevention-tout auto",
        "mlx5, 100 ms to 8 s",
        worst="INFO",
        alike="INFO",
    ),
)
