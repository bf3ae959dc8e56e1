"""Priorities: PFC, trust, the map from DSCP to priority, traffic classes and receive buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from railgauge.auditing.checks import Asked, Check, Judged, good, outside, per_netdev, rated, told
from railgauge.auditing.machine import Inapplicable, Machine, Unknown, line, number_in
from railgauge.linux import dcb

#: Meters of cable that mlx5 assumes where nobody has said (MLX5E_DEFAULT_CABLE_LEN).
CABLE_METERS = 7


def _of_dcb(value: Callable[[dcb.Dcb], Any], what: str) -> Callable[[Machine, str], Any]:
    """Reads something of a device's DCB state; what the driver leaves out is unknown."""

    def read(machine: Machine, netdev: str) -> Any:
        state = machine.dcb(netdev)
        if isinstance(state, Unknown):
            return state
        found = value(state)
        if found is None:
            return Unknown(
                f"the driver of {netdev} says nothing of {what}", f"sudo mlnx_qos -i {netdev}"
            )
        return found

    return read


def _pfc(state: dcb.Dcb) -> Any:
    return None if state.pfc is None else list(state.pfc.enabled)


def _priorities(values: Any) -> str:
    return ", ".join(map(str, values)) or "none"


def _judge_pfc(value: Any, asked: Asked) -> Judged:
    found = f"on for {_priorities(value)}"
    if not asked.roce:
        return outside(f"no PFC in {asked.profile}")
    if asked.lossless:
        return rated(
            tuple(value) == asked.priorities,
            "FAIL",
            f"on for {_priorities(asked.priorities)} alone",
            found,
        )
    return told(f"{asked.profile} does without it", found)


def _pfc_frames(state: dcb.Dcb) -> Any:
    if state.pfc is None:
        return None
    return {"requests": list(state.pfc.requests), "indications": list(state.pfc.indications)}


def _judge_pfc_frames(value: Any, _asked: Asked) -> Judged:
    sent, received = sum(value["requests"]), sum(value["indications"])
    return told("since the driver was loaded", f"{sent} pauses sent, {received} received")


def _trust(machine: Machine, netdev: str) -> Any:
    """The vendor's file; the kernel's order of trust; else whether there are entries for DSCPs."""
    said = line(machine.net(netdev) / "qos/trust")
    if isinstance(said, str) and said:
        return {"trust": said, "by": "qos/trust"}
    state = machine.dcb(netdev)
    if isinstance(state, Unknown):
        return state
    if state.trusted is not None:
        return {"trust": state.trusted[0] if state.trusted else "none", "by": "apptrust"}
    return {
        "trust": "dscp" if state.dscp_priority else "pcp",
        "by": "DSCP entries in the APP table",
    }


def _judge_trust(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no priorities in {asked.profile}")
    found = f"{value['trust']} ({value['by']})"
    bad = "FAIL" if asked.lossless else "WARN"
    if asked.profile == "roce-lossy":
        return told("", found)
    return rated(value["trust"] == "dscp", "FAIL" if bad == "FAIL" else "WARN", "dscp", found)


def _dscp_map(state: dcb.Dcb) -> Any:
    return {str(code): priority for code, priority in state.dscp_priority.items()}


def _judge_dscp_map(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no priorities in {asked.profile}")
    reached = {p: [int(c) for c, to in value.items() if to == p] for p in asked.priorities}
    found = "; ".join(f"priority {p}: DSCP {_priorities(codes)}" for p, codes in reached.items())
    if not asked.lossless:
        return told("", found)
    dscp = asked.manifest.dscp
    if dscp is not None:
        to = value.get(str(dscp), 0)
        return rated(
            to in asked.priorities,
            "FAIL",
            f"DSCP {dscp} to priority {_priorities(asked.priorities)}",
            f"to {to}",
        )
    return rated(all(reached.values()), "FAIL", "a DSCP for every lossless priority", found)


def _listed(values: Any) -> str:
    return ",".join(map(str, values))


def _ets(state: dcb.Dcb) -> Any:
    if state.ets is None:
        return None
    made: dict[str, Any] = msgspec.to_builtins(state.ets)
    return made | {"dscp_priority": {str(c): p for c, p in state.dscp_priority.items()}}


def _ets_and_cnp(machine: Machine, netdev: str) -> Any:
    value = _of_dcb(_ets, "traffic classes")(machine, netdev)
    if isinstance(value, Unknown):
        return value
    cnp = number_in(line(machine.net(netdev) / "ecn/roce_np/cnp_dscp"))
    return value | {"cnp_dscp": int(cnp) if isinstance(cnp, float) else None}


def _judge_ets(value: Any, asked: Asked) -> Judged:
    if not asked.roce:
        return outside(f"no traffic classes in {asked.profile}")
    classes, algorithm = value["priority_class"], value["algorithm"]
    found = f"classes {_listed(classes)} of priorities 0-7; {_listed(algorithm)}"
    if not asked.lossless:
        return told("", found)
    for priority in asked.priorities:
        others = [
            p for p, c in enumerate(classes) if c == classes[priority] and p not in asked.priorities
        ]
        if others:
            shares = (
                f"priorities {_priorities(others)} share class {classes[priority]} with {priority}"
            )
            return Judged("WARN", f"priority {priority} in a class of its own", shares)
    cnp = value["dscp_priority"].get(str(value["cnp_dscp"]))
    if cnp is not None and algorithm[classes[cnp]] not in ("strict", "vendor"):
        return Judged(
            "WARN", "CNPs in a strict class", f"priority {cnp} of CNPs is {algorithm[classes[cnp]]}"
        )
    return good("lossless priorities in classes of their own", found)


def _dcbx(state: dcb.Dcb) -> Any:
    return None if state.dcbx is None else list(state.dcbx)


def _judge_dcbx(value: Any, _asked: Asked) -> Judged:
    owner = "firmware" if "firmware" in value else "host" if "host" in value else "nobody"
    return told("the same owner on all nodes", f"{owner} ({', '.join(value) or 'no flags'})")


def _buffer(machine: Machine, netdev: str) -> Any:
    value = _of_dcb(lambda state: state.buffer and msgspec.to_builtins(state.buffer), "buffers")(
        machine, netdev
    )
    if isinstance(value, Unknown):
        return value
    speed, mtu = (number_in(line(machine.net(netdev) / name)) for name in ("speed", "mtu"))
    if isinstance(speed, float) and isinstance(mtu, float) and speed > 0:
        value["headroom"] = headroom_nbytes(speed / 1000, int(mtu))
    return value


def headroom_nbytes(rate_Gbps: float, mtu: int, meters: float = CABLE_METERS) -> int:  # noqa: N803
    """Bytes that arrive after a pause was sent: (301 + 2.16 length) rate + 2.72 MTU.

    Gb/s, m and bytes; drivers/net/ethernet/mellanox/mlx5/core/en/port_buffer.c, calculate_xoff.
    """
    return round((301 + 2.16 * meters) * rate_Gbps + 2.72 * mtu)


def _judge_buffer(value: Any, asked: Asked) -> Judged:
    if not asked.lossless:
        return outside("nothing needs headroom without PFC")
    places, sizes = value["priority_buffer"], value["sizes"]
    found = f"buffers {_listed(places)} of priorities 0-7; {_listed(sizes)} B"
    for priority in asked.priorities:
        own = places[priority]
        if any(place == own for p, place in enumerate(places) if p not in asked.priorities):
            return Judged("WARN", f"a buffer for priority {priority} alone", found)
        need, size = value.get("headroom", 1), sizes[own] if own < len(sizes) else 0
        if size < need:
            return Judged(
                "WARN",
                f"at least {need} B for priority {priority} ({CABLE_METERS} m cable)",
                f"{size} B",
            )
    return good("lossless priorities in buffers of their own, with headroom", found)


def _nic_profile(machine: Machine, netdev: str) -> Any:
    try:
        driver = machine.kernel.driver(netdev).name
    except OSError as error:
        return Unknown(f"driver of {netdev}: {error.strerror}")
    if not driver.startswith("bnxt"):
        return Inapplicable(f"{driver} has no such profile")
    return Unknown("only niccli shows the profile of a bnxt NIC", "sudo niccli -i 1 getqos")


SET_PFC = "mlnx_qos -i {where} --pfc {pfc} (or dcb pfc set dev {where}), to last, as on the switch"

CHECKS = (
    Check(
        *("pfc", "priorities that PFC protects", per_netdev(_of_dcb(_pfc, "PFC")), _judge_pfc),
        SET_PFC,
        "IEEE 802.1Qbb; DCB_CMD_IEEE_GET",
        alike="FAIL",
    ),
    Check(
        *(
            "pfc_frames",
            "pause frames so far",
            per_netdev(_of_dcb(_pfc_frames, "PFC")),
            _judge_pfc_frames,
        ),
        "railgauge counters --source dcb --watch 1",
        "struct ieee_pfc",
        worst="INFO",
    ),
    Check(
        *("trust", "what a packet's priority is taken from", per_netdev(_trust), _judge_trust),
        "mlnx_qos -i {where} --trust dscp",
        "spiderpool roce-qos; dcb-apptrust",
        alike="FAIL",
    ),
    Check(
        *(
            "dscp_priority",
            "DSCP to priority",
            per_netdev(_of_dcb(_dscp_map, "DSCPs")),
            _judge_dscp_map,
        ),
        "mlnx_qos -i {where} --dscp2prio set,26,{priority} (dcb app add dev {where} dscp-prio 26:{priority})",
        "IEEE 802.1Q annex D, selector 5",
        alike="FAIL",
    ),
    Check(
        *("ets", "traffic classes", per_netdev(_ets_and_cnp), _judge_ets),
        "mlnx_qos -i {where} -p 0,1,2,3,4,5,6,7 -s ets,ets,ets,ets,ets,ets,strict,ets",
        "IEEE 802.1Qaz",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("dcbx_owner", "who negotiates DCBX", per_netdev(_of_dcb(_dcbx, "DCBX")), _judge_dcbx),
        "mlnx_qos -i {where} -d os, where this host is to decide",
        "DCB_CMD_GDCBX",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *(
            "receive_buffer",
            "receive buffers of lossless priorities",
            per_netdev(_buffer),
            _judge_buffer,
        ),
        "mlnx_qos -i {where} --prio2buffer=... --buffer_size=...",
        "struct dcbnl_buffer; mlx5 port_buffer.c",
        worst="WARN",
    ),
    Check(
        *(
            "nic_profile",
            "RoCE profile of a bnxt NIC",
            per_netdev(_nic_profile),
            lambda v, _: told("", v),
        ),
        "niccli: PFC 3, DSCP 26 to 3 and 48 to 7",
        "AMD node-scraper",
        worst="WARN",
        needs_root=True,
    ),
)
