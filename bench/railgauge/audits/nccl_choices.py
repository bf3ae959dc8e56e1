"""Choices that NCCL's variables take from it, or parts of it that they turn off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from railgauge.auditing.checks import Asked, Item, Judged, once, rated, told
from railgauge.auditing.machine import Machine
from railgauge.audits.nccl import UNSET, rank_check
from railgauge.nccl.variables import strangers

NET_IB = "NCCL, src/transport/net_ib"
#: Defaults: NCCL 2.30, src/transport/net_ib.
TIMEOUT, RETRIES = 20, 7
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


CHECKS = (
    rank_check(
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
    rank_check(
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
    rank_check(
        *("nccl_forced", "choices taken from NCCL", once(_settings(*FORCED)), _judge_forced),
        UNSET,
        "NCCL user guide, environment variables",
        "WARN",
    ),
    rank_check(
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
    rank_check(
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
    rank_check(
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
    rank_check(
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
    rank_check(
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
    rank_check(
        *("nccl_names", "names that NCCL knows", once(_unknown_names), _judge_names),
        "correct the name: NCCL ignores what it does not know, without a word",
        "NCCL 2.30",
        "WARN",
    ),
    rank_check(
        *("nccl_variables", "NCCL's variables", _all_set, _judge_all_set),
        "export them where the job is launched (srun --export, mpirun -x), or in /etc/nccl.conf on all nodes",
        "NCCL, src/misc/param.cc",
        "INFO",
        "WARN",
    ),
)
