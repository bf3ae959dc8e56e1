"""NCCL's variables of this rank: against each other, against the devices, and against the fabric."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from railgauge.checks import NO_RDMA, Asked, Check, Item, Judged, good, once, outside, rated, told
from railgauge.counting import entries
from railgauge.machine import Inapplicable, Machine, Unknown, line, number_in
from railgauge.variables import selection, strangers

#: Defaults: NCCL 2.30, src/transport/net_ib.
TIMEOUT, RETRIES = 20, 7
GID_PICKED = (2, 21)
#: What NCCL_NET_GDR_LEVEL may say, from near to far (src/graph/topo.h; numbers are the old way).
LEVELS = ("LOC", "PIX", "PXB", "PHB", "SYS")
#: Set for everybody, each keeps NCCL from choosing; variables that turn a part of it off.
FORCED = (
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NCCL_MIN_NCHANNELS",
    "NCCL_MAX_NCHANNELS",
    "NCCL_NTHREADS",
    "NCCL_BUFFSIZE",
    "NCCL_TOPO_FILE",
    "NCCL_GRAPH_FILE",
)
DISABLING = (
    *("NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE", "NCCL_NVB_DISABLE", "NCCL_PXN_DISABLE"),
    *("NCCL_NET_DISABLE_INTRA", "NCCL_GDR_FLUSH_DISABLE"),
)
#: These differ from rank to rank by design.
OWN = (
    "NCCL_HOSTID",
    "NCCL_COMM_ID",
    "NCCL_DEBUG_FILE",
    "NCCL_GRAPH_DUMP_FILE",
    "NCCL_TOPO_DUMP_FILE",
)


def number_of(machine: Machine, name: str) -> int | Unknown | None:
    """A variable as the number that NCCL makes of it, None where it is not set."""
    text = machine.variable(name)
    if text is None:
        return None
    value = number_in(text.strip())
    return Unknown(f"{name}={text}: not a number") if isinstance(value, Unknown) else int(value)


def _settings(*names: str) -> Callable[[Machine], Any]:
    """What is set of these variables, with where."""

    def read(machine: Machine) -> Any:
        return {n: list(machine.variables[n]) for n in names if machine.variable(n) is not None}

    return read


def _shown(value: dict[str, list[str]]) -> str:
    return (
        ", ".join(
            f"{name}={text}" + (f" ({by})" if by != "environment" else "")
            for name, (text, by) in value.items()
        )
        or "not set"
    )


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
    if not value["taken"]:
        return Judged("FAIL", "a device", f"{name} selects none")
    if value["odd"]:
        return Judged("FAIL", "NAME[:PORT], comma separated", f"{name}: {', '.join(value['odd'])}")
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


# switches ---------------------------------------------------------------------------------------


def _judge_retries(value: Any, _asked: Asked) -> Judged:
    return told(f"default {TIMEOUT} and {RETRIES}; longer ones hide loss", _shown(value))


def _judge_qps(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return told("", _shown(value))
    return told("more than 1 where ECMP spreads flows (default 1)", _shown(value))


def _judge_routing(value: Any, _asked: Asked) -> Judged:
    return told("default: on over InfiniBand, off over RoCE; threshold 8192", _shown(value))


def _judge_ordering(value: Any, _asked: Asked) -> Judged:
    off = value.get("NCCL_IB_PCI_RELAXED_ORDERING", ["2"])[0] == "0"
    return rated(not off, "WARN", "on, or 2 (where it is supported)", _shown(value))


def _judge_gdr(value: Any, _asked: Asked) -> Judged:
    level = value.get("NCCL_NET_GDR_LEVEL", [""])[0].strip()
    near = int(level) if level.isdecimal() else LEVELS.index(level) if level in LEVELS else None
    off = [n for n in ("NCCL_DMABUF_ENABLE", "NCCL_NET_GDR_READ") if value.get(n, ["1"])[0] == "0"]
    if level and near is None:
        return Judged("FAIL", ", ".join(LEVELS), f"NCCL_NET_GDR_LEVEL={level}")
    weak = near is not None and near < LEVELS.index("PXB")
    return rated(not weak and not off, "WARN", "not nearer than PXB, dma-buf on", _shown(value))


def _judge_disabled(value: Any, asked: Asked) -> Judged:
    set_to = {n: text.strip() for n, (text, _) in value.items()}
    if set_to.get("NCCL_IB_DISABLE", "0") != "0" or set_to.get("NCCL_NET", "").lower() == "socket":
        bad = "FAIL" if asked.rdma and asked.profile != "efa" else "INFO"
        return Judged(
            "FAIL" if bad == "FAIL" else "INFO", "RDMA", f"{_shown(value)}: TCP carries it all"
        )
    off = [n for n in DISABLING if set_to.get(n, "0") != "0"]
    return rated(
        not off, "WARN", "nothing turned off", ", ".join(f"{n}={set_to[n]}" for n in off) or "none"
    )


def _judge_forced(value: Any, _asked: Asked) -> Judged:
    return rated(not value, "WARN", "not set for everybody: NCCL chooses by size", _shown(value))


def _unknown_names(machine: Machine) -> Any:
    return strangers(machine.variables)


def _judge_names(value: Any, _asked: Asked) -> Judged:
    found = [f"{name} (did you mean {close}?)" if close else name for name, close in value.items()]
    return rated(not value, "WARN", "names that NCCL reads", ", ".join(found) or "all known")


def _all_set(machine: Machine) -> Iterable[Item]:
    value = {
        n: text
        for n, (text, _) in sorted(machine.variables.items())
        if n.startswith("NCCL_") and n not in OWN
    }
    yield Item("", value)


def _judge_all_set(value: Any, _asked: Asked) -> Judged:
    return told(
        "the same on all ranks", ", ".join(f"{n}={v}" for n, v in value.items()) or "none set"
    )


def _check(
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
NET_IB = "NCCL, src/transport/net_ib"
CHECKS = (
    _check(
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
    _check(
        *("nccl_ib_hca", "NCCL_IB_HCA selects every rail", once(_hca), _judge_hca),
        "export NCCL_IB_HCA==mlx5_0:1,mlx5_1:1,... (= takes names whole)",
        "NCCL, src/misc/utils.cc",
        "FAIL",
        "WARN",
    ),
    _check(
        *("nccl_gid_index", "NCCL_IB_GID_INDEX", once(_gid_index), _judge_gid_index),
        UNSET,
        "NCCL user guide",
        "FAIL",
    ),
    _check(
        *("nccl_socket_ifname", "NCCL_SOCKET_IFNAME exists", once(_interfaces), _judge_interfaces),
        "ip -br link; export NCCL_SOCKET_IFNAME=NAME",
        "NCCL, src/os/linux.cc",
        "FAIL",
    ),
    _check(
        *(
            "nccl_disabled",
            "parts of NCCL that are turned off",
            once(_settings("NCCL_IB_DISABLE", "NCCL_NET", *DISABLING)),
            _judge_disabled,
        ),
        UNSET,
        "NCCL user guide, environment variables",
        "FAIL",
    ),
    _check(
        *(
            "nccl_gdr",
            "GPUDirect RDMA is let through",
            once(_settings("NCCL_NET_GDR_LEVEL", "NCCL_DMABUF_ENABLE", "NCCL_NET_GDR_READ")),
            _judge_gdr,
        ),
        UNSET,
        "NCCL, src/graph/paths.cc",
        "FAIL",
    ),
    _check(
        *("nccl_forced", "choices taken from NCCL", once(_settings(*FORCED)), _judge_forced),
        UNSET,
        "NCCL user guide, environment variables",
        "WARN",
    ),
    _check(
        *(
            "nccl_relaxed_ordering",
            "relaxed ordering",
            once(_settings("NCCL_IB_PCI_RELAXED_ORDERING")),
            _judge_ordering,
        ),
        UNSET,
        NET_IB,
        "WARN",
    ),
    _check(
        *(
            "nccl_retries",
            "timeout and retries",
            once(_settings("NCCL_IB_TIMEOUT", "NCCL_IB_RETRY_CNT")),
            _judge_retries,
        ),
        UNSET,
        NET_IB,
        "INFO",
    ),
    _check(
        *(
            "nccl_qps",
            "queue pairs of a connection",
            once(_settings("NCCL_IB_QPS_PER_CONNECTION", "NCCL_IB_SPLIT_DATA_ON_QPS")),
            _judge_qps,
        ),
        "try: railgauge run --backend nccl --sweep NCCL_IB_QPS_PER_CONNECTION=1,4",
        f"{NET_IB}; Gangidi et al., SIGCOMM 2024",
        "INFO",
    ),
    _check(
        *(
            "nccl_adaptive_routing",
            "adaptive routing",
            once(_settings("NCCL_IB_ADAPTIVE_ROUTING", "NCCL_IB_AR_THRESHOLD", "NCCL_IB_OOO_RQ")),
            _judge_routing,
        ),
        UNSET,
        NET_IB,
        "INFO",
    ),
    _check(
        *(
            "nccl_rails",
            "crossing and merging of rails",
            once(_settings("NCCL_CROSS_NIC", "NCCL_IB_MERGE_NICS")),
            lambda v, _: told("", _shown(v)),
        ),
        UNSET,
        "NCCL user guide, environment variables",
        "INFO",
    ),
    _check(
        *("nccl_names", "names that NCCL knows", once(_unknown_names), _judge_names),
        "correct the name: NCCL ignores what it does not know, without a word",
        "NCCL 2.30",
        "WARN",
    ),
    _check(
        *("nccl_variables", "NCCL's variables", _all_set, _judge_all_set),
        "export them where the job is launched (srun --export, mpirun -x), or in /etc/nccl.conf on all nodes",
        "NCCL, src/misc/param.cc",
        "INFO",
        "WARN",
    ),
)
