"""NCCL's variables of this rank that name devices and classes: against the node and the fabric."""

from __future__ import annotations

import re
from typing import Any

from railgauge.auditing.checks import (
    NO_RDMA,
    Asked,
    Check,
    Judged,
    good,
    once,
    outside,
    rated,
    told,
)
from railgauge.auditing.machine import Inapplicable, Machine, Unknown, line, number_in
from railgauge.linux.sysfs import entries
from railgauge.nccl.variables import selection

GID_PICKED = (2, 21)


def number_of(machine: Machine, name: str) -> int | Unknown | None:
    """A variable as the number that NCCL makes of it, None where it is not set."""
    text = machine.variable(name)
    if text is None:
        return None
    value = number_in(text.strip())
    return Unknown(f"{name}={text}: not a number") if isinstance(value, Unknown) else int(value)


# traffic class ----------------------------------------------------------------------------------


def _traffic_class(machine: Machine) -> Any:
    """From NCCL_IB_TC to the priority of each port, and whether PFC protects it."""
    if not machine.ports:
        return Inapplicable(NO_RDMA)
    made = {
        n: number_of(machine, n)
        for n in ("NCCL_IB_TC", "NCCL_GIN_IB_TC", "NCCL_IB_FIFO_TC", "NCCL_IB_SL")
    }
    odd = [v.reason for v in made.values() if isinstance(v, Unknown)]
    numbers = {n: v for n, v in made.items() if isinstance(v, int)}
    return {
        "set": numbers,
        "odd": odd,
        "ports": [_path(machine, p, numbers) for p in machine.ethernet_ports],
    }


def _path(machine: Machine, port: Any, numbers: dict[str, int]) -> dict[str, Any]:
    forced = line(
        machine.sysfs / "class/infiniband" / port.device / f"tc/{port.number}/traffic_class"
    )
    by_driver = re.search(r"tclass=(\d+)", forced) if isinstance(forced, str) else None
    classes = {n: v for n, v in numbers.items() if n.endswith("_TC") and v >= 0}
    if "NCCL_IB_TC" not in classes:
        classes["NCCL_IB_TC"] = int(by_driver[1]) if by_driver else 0
    state = machine.dcb(port.netdev)
    made: dict[str, Any] = {"netdev": port.netdev, "dscp": {n: v >> 2 for n, v in classes.items()}}
    if isinstance(state, Unknown):
        return made | {"unknown": state.reason}
    priorities = {n: state.dscp_priority.get(v >> 2, 0) for n, v in classes.items()}
    pfc = None if state.pfc is None else list(state.pfc.enabled)
    return made | {"priority": priorities, "pfc": pfc}


def _judge_traffic_class(value: Any, asked: Asked) -> Judged:
    numbers = ", ".join(f"{n}={v}" for n, v in value["set"].items()) or "NCCL_IB_TC is not set (0)"
    if value["odd"]:
        return Judged("FAIL", "a number", "; ".join(value["odd"]))
    if not asked.roce:
        return (
            told("", numbers)
            if asked.profile == "ib"
            else outside(f"no traffic class in {asked.profile}")
        )
    if not asked.lossless:
        return told("", numbers)
    wanted = f"priority {', '.join(map(str, asked.priorities))}, under PFC"
    for port in value["ports"]:
        for name, dscp in port["dscp"].items():
            path = f"{name}={value['set'].get(name, dscp << 2)} = DSCP {dscp}"
            if "priority" not in port:
                if asked.manifest.dscp is None:
                    return Judged("UNKNOWN", wanted, f"{path}; {port['unknown']}")
                if dscp != asked.manifest.dscp:
                    return Judged("FAIL", f"DSCP {asked.manifest.dscp} (manifest)", path)
                continue
            priority = port["priority"][name]
            found = f"{path} -> priority {priority} on {port['netdev']}"
            if priority not in asked.priorities:
                return Judged("FAIL", wanted, f"{found}: a lossy class")
            if port["pfc"] is not None and priority not in port["pfc"]:
                return Judged("FAIL", wanted, f"{found}, without PFC")
    if "NCCL_GIN_IB_TC" not in value["set"] and "NCCL_IB_TC" in value["set"]:
        return Judged("INFO", "NCCL_GIN_IB_TC as NCCL_IB_TC, where the device API is used", numbers)
    return good(wanted, numbers)


# devices ----------------------------------------------------------------------------------------


def _hca(machine: Machine) -> Any:
    if not machine.ports:
        return Inapplicable(NO_RDMA)
    text = machine.variable("NCCL_IB_HCA")
    rates = {p: number_in(line(p.folder / "rate")) for p in machine.ports}
    fastest = max((r for r in rates.values() if isinstance(r, float)), default=0.0)
    rails = [p for p, r in rates.items() if r == fastest]
    chosen = selection(text or "")
    return {
        "text": text,
        "odd": list(chosen.odd),
        "taken": [p.where for p in machine.all_ports if chosen.takes(p.device, p.number)],
        "rails_left": [p.where for p in rails if not chosen.takes(p.device, p.number)],
        "accident": chosen.by_accident(p.device for p in machine.all_ports)
        if not chosen.excludes
        else [],
        "absent": sorted(
            e.name
            for e in chosen.entries
            if not any(p.device.startswith(e.name) for p in machine.all_ports)
        ),
    }


def _judge_hca(value: Any, _asked: Asked) -> Judged:
    if value["text"] is None:
        return good("every rail", "not set: NCCL takes all")
    name = f"NCCL_IB_HCA={value['text']}"
    if value["odd"]:
        return Judged("FAIL", "NAME[:PORT], comma separated", f"{name}: {', '.join(value['odd'])}")
    if not value["taken"]:
        return Judged("FAIL", "a device", f"{name} selects none")
    if value["rails_left"]:
        return Judged("WARN", "every rail", f"{name} leaves out {', '.join(value['rails_left'])}")
    if value["accident"]:
        return Judged(
            "WARN",
            f"={value['text']}",
            f"{name} takes {', '.join(value['accident'])}, too (a prefix)",
        )
    if value["absent"]:
        return Judged(
            "WARN", "devices of this node", f"{name}: there is no {', '.join(value['absent'])}"
        )
    return good("every rail", name)


def _gid_index(machine: Machine) -> Any:
    made = number_of(machine, "NCCL_IB_GID_INDEX")
    if isinstance(made, Unknown):
        return made
    kinds = {}
    for port in machine.ethernet_ports if made is not None and made >= 0 else ():
        kind = line(port.folder / f"gid_attrs/types/{made}")
        kinds[port.where] = kind if isinstance(kind, str) else "empty"
    return {"index": made, "nccl": machine.kernel.nccl_version(), "types": kinds}


def _judge_gid_index(value: Any, _asked: Asked) -> Judged:
    index, types = value["index"], value["types"]
    if index is None or index < 0:
        return good("not set: NCCL 2.21 and later pick it", "not set")
    wrong = sorted(f"{where}: {kind}" for where, kind in types.items() if kind != "RoCE v2")
    if wrong:
        return Judged("FAIL", "RoCE v2 on every port", f"index {index} is {'; '.join(wrong[:4])}")
    old = _version(value["nccl"])
    if old and old < GID_PICKED:
        return good("set, for NCCL before 2.21", f"{index}, NCCL {value['nccl']}")
    return Judged("WARN", "not set: NCCL 2.21 and later pick it", f"NCCL_IB_GID_INDEX={index}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:2])


def _interfaces(machine: Machine) -> Any:
    text = machine.variable("NCCL_SOCKET_IFNAME")
    there = [
        n for n in entries(machine.sysfs / "class/net") if (machine.net(n) / "operstate").exists()
    ]
    chosen = selection(text or "")
    taken = [n for n in there if chosen.takes(n)]
    up = [n for n in taken if n == "lo" or machine.is_up(n)]
    return {"text": text, "there": there, "taken": taken, "up": up}


def _judge_interfaces(value: Any, _asked: Asked) -> Judged:
    if value["text"] is None:
        return told("an interface that all nodes reach each other by", "not set: NCCL picks one")
    name = f"NCCL_SOCKET_IFNAME={value['text']}"
    if not value["taken"]:
        return Judged("FAIL", f"one of {', '.join(value['there'])}", f"{name} selects none")
    if set(value["taken"]) <= {"lo"}:
        return Judged("WARN", "an interface that reaches other nodes", f"{name} is the loopback")
    return rated(
        bool(value["up"]), "FAIL", "an interface that is up", f"{name}: {', '.join(value['taken'])}"
    )


def rank_check(
    name: str,
    title: str,
    read: Any,
    judge: Any,
    remedy: str,
    source: str,
    worst: Any,
    alike: Any = None,
) -> Check:
    return Check(name, title, read, judge, remedy, source, worst, alike, each_rank=True)


UNSET = "unset it, or set it for the one job that needs it"
CHECKS = (
    rank_check(
        *(
            "nccl_traffic_class",
            "traffic class -> DSCP -> priority -> PFC",
            once(_traffic_class),
            _judge_traffic_class,
        ),
        "export NCCL_IB_TC=106 NCCL_GIN_IB_TC=106 (DSCP 26 * 4 + ECN), mapped to priority {priority}",
        "NCCL issue 2383",
        "FAIL",
    ),
    rank_check(
        *("nccl_ib_hca", "NCCL_IB_HCA selects every rail", once(_hca), _judge_hca),
        "export NCCL_IB_HCA==mlx5_0:1,mlx5_1:1,... (= takes names whole)",
        "NCCL, src/misc/utils.cc",
        "FAIL",
        "WARN",
    ),
    rank_check(
        *("nccl_gid_index", "NCCL_IB_GID_INDEX", once(_gid_index), _judge_gid_index),
        UNSET,
        "NCCL user guide",
        "FAIL",
    ),
    rank_check(
        *("nccl_socket_ifname", "NCCL_SOCKET_IFNAME exists", once(_interfaces), _judge_interfaces),
        "ip -br link; export NCCL_SOCKET_IFNAME=NAME",
        "NCCL, src/os/linux.cc",
        "FAIL",
    ),
)
