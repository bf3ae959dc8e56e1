"""UCX's variables of this rank, against the devices and against NCCL's."""

from __future__ import annotations

from typing import Any

from railgauge.auditing.checks import Asked, Check, Judged, good, once, rated, told
from railgauge.auditing.machine import Machine, Unknown
from railgauge.audits.nccl import number_of
from railgauge.linux.sysfs import entries
from railgauge.nccl.variables import selection

#: Transports that use RDMA, or stand for those that do (`ucx_info -d`).
RDMA = (
    "all",
    "rc",
    "ib",
    "dc",
    "ud",
    "srd",
    "rc_v",
    "rc_x",
    "rc_verbs",
    "rc_mlx5",
    "dc_x",
    "dc_mlx5",
    "ud_v",
    "ud_x",
    "ud_verbs",
    "ud_mlx5",
)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _devices(machine: Machine) -> Any:
    """`mlx5_0:1`, `eth0`, `all`; a list that begins with ^ leaves out (UCX 1.14)."""
    text = machine.variable("UCX_NET_DEVICES")
    words = _words((text or "").removeprefix("^"))
    rdma = {f"{p.device}:{p.number}" for p in machine.all_ports}
    there = {
        *rdma,
        *(p.device for p in machine.all_ports),
        *entries(machine.sysfs / "class/net"),
        "all",
    }
    hca = machine.variable("NCCL_IB_HCA")
    chosen = selection(hca or "")
    ports = [f"{p.device}:{p.number}" for p in machine.ports if chosen.takes(p.device, p.number)]
    own = words if text and not text.startswith("^") and "all" not in words else []
    return {
        "text": text,
        "absent": [word for word in words if word not in there and "*" not in word],
        "rdma": sorted(w for w in own if w in rdma),
        "not_nccl": sorted(w for w in own if w in rdma and hca and w not in ports),
    }


def _judge_devices(value: Any, _asked: Asked) -> Judged:
    name = f"UCX_NET_DEVICES={value['text']}"
    if value["text"] is None:
        return good("", "not set: UCX takes the nearest")
    if value["absent"]:
        return Judged(
            "FAIL", "devices of this node", f"{name}: there is no {', '.join(value['absent'])}"
        )
    if value["not_nccl"]:
        return Judged(
            "WARN",
            "devices that NCCL_IB_HCA selects, too",
            f"{name}: not {', '.join(value['not_nccl'])}",
        )
    return good("devices of this node", name)


def _transports(machine: Machine) -> Any:
    return machine.variable("UCX_TLS")


def _judge_transports(value: Any, asked: Asked) -> Judged:
    if value is None:
        return good("", "not set: UCX picks")
    words = _words(value.removeprefix("^"))
    taken = any(word in RDMA for word in words)
    carries = taken != value.startswith("^")
    if not asked.rdma:
        return told("", f"UCX_TLS={value}")
    return rated(carries, "WARN", "a transport over RDMA (rc, dc, ud, all)", f"UCX_TLS={value}")


def _classes(machine: Machine) -> Any:
    made = {}
    for name in (
        "UCX_IB_TRAFFIC_CLASS",
        "NCCL_IB_TC",
        "UCX_IB_SL",
        "NCCL_IB_SL",
        "UCX_IB_GID_INDEX",
        "NCCL_IB_GID_INDEX",
    ):
        text = machine.variable(name)
        value = None if text in (None, "auto") else number_of(machine, name)
        if isinstance(value, Unknown):
            return value
        made[name] = value
    return made


def _judge_classes(value: Any, asked: Asked) -> Judged:
    pairs = (
        ("UCX_IB_TRAFFIC_CLASS", "NCCL_IB_TC"),
        ("UCX_IB_SL", "NCCL_IB_SL"),
        ("UCX_IB_GID_INDEX", "NCCL_IB_GID_INDEX"),
    )
    differ = [
        f"{a}={value[a]}, {b}={value[b]}"
        for a, b in pairs
        if None not in (value[a], value[b]) and value[a] != value[b]
    ]
    alone = (
        asked.lossless and value["UCX_IB_TRAFFIC_CLASS"] is None and (value["NCCL_IB_TC"] or 0) > 0
    )
    if alone:
        differ.append("UCX_IB_TRAFFIC_CLASS is not set, NCCL_IB_TC is")
    found = ", ".join(f"{n}={v}" for n, v in value.items() if v is not None)
    return rated(
        not differ, "WARN", "the same for UCX as for NCCL", "; ".join(differ) or found or "not set"
    )


CHECKS = (
    Check(
        *("ucx_net_devices", "UCX_NET_DEVICES", once(_devices), _judge_devices),
        "ucx_info -d | grep Device; export UCX_NET_DEVICES=mlx5_0:1,...",
        "UCX documentation",
        each_rank=True,
    ),
    Check(
        *("ucx_tls", "UCX_TLS takes RDMA", once(_transports), _judge_transports),
        "unset UCX_TLS, or add rc",
        "UCX documentation",
        worst="WARN",
        each_rank=True,
    ),
    Check(
        *(
            "ucx_classes",
            "traffic class, service level and GID as NCCL's",
            once(_classes),
            _judge_classes,
        ),
        "export UCX_IB_TRAFFIC_CLASS=$NCCL_IB_TC",
        "UCX documentation; NCCL issue 2383",
        worst="WARN",
        each_rank=True,
    ),
)
