"""Congestion control: does the NIC answer ECN marks, obey CNPs, and send them where they arrive?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from railgauge.auditing.checks import Asked, Check, Judged, outside, per_netdev, rated
from railgauge.auditing.machine import Machine, Unknown, line, number_in

#: What vendors ship, and map to a strict class.
CNP_DSCP = 48
PARAMETERS = "sudo grep -r . /sys/kernel/debug/mlx5/*/cc_params"


def _enabled(point: str) -> Callable[[Machine, str], Any]:
    """By priority; the files are of the vendor's driver alone."""

    def read(machine: Machine, netdev: str) -> Any:
        folder = machine.net(netdev) / f"ecn/{point}/enable"
        found = {str(p): number_in(line(folder / str(p))) for p in range(8)}
        if isinstance(found["0"], Unknown) and all(isinstance(v, Unknown) for v in found.values()):
            return Unknown(found["0"].reason, PARAMETERS)
        return {p: int(v) for p, v in found.items() if isinstance(v, float)}

    return read


def _judge_enabled(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no DCQCN in {asked.profile}")
    found = "on for " + (", ".join(p for p, on in value.items() if on) or "none")
    missing = [p for p in asked.priorities if not value.get(str(p))]
    expected = f"on for {', '.join(map(str, asked.priorities))}"
    return rated(not missing, "WARN", expected, found)


def _cnp_dscp(machine: Machine, netdev: str) -> Any:
    value = number_in(line(machine.net(netdev) / "ecn/roce_np/cnp_dscp"))
    return Unknown(value.reason, PARAMETERS) if isinstance(value, Unknown) else int(value)


def _judge_cnp_dscp(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no CNPs in {asked.profile}")
    return rated(value == CNP_DSCP, "WARN", f"{CNP_DSCP}, which switches treat first")


CHECKS = (
    Check(
        *(
            "ecn_np",
            "receivers answer ECN marks with CNPs",
            per_netdev(_enabled("roce_np")),
            _judge_enabled,
        ),
        "echo 1 > /sys/class/net/{where}/ecn/roce_np/enable/{priority}",
        "spiderpool roce-qos; DCQCN",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("ecn_rp", "senders slow down for CNPs", per_netdev(_enabled("roce_rp")), _judge_enabled),
        "echo 1 > /sys/class/net/{where}/ecn/roce_rp/enable/{priority}",
        "spiderpool roce-qos; DCQCN",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("cnp_dscp", "DSCP of CNPs", per_netdev(_cnp_dscp), _judge_cnp_dscp),
        "echo 48 > /sys/class/net/{where}/ecn/roce_np/cnp_dscp",
        "spiderpool roce-qos",
        worst="WARN",
        alike="WARN",
    ),
)
