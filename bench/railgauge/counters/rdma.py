"""RDMA devices: IB port counters and the drivers' hw_counters, from sysfs.

Widths and arithmetic of the port counters: IB_PMA_PORT_ATTR in the kernel's
drivers/infiniband/core/sysfs.c; they saturate (IBTA volume 1, PortCounters). `*_data` counts 32-bit
words (Documentation/ABI/stable/sysfs-class-infiniband). mlx5's queue counters are 32-bit words of the
device that wrap (drivers/infiniband/hw/mlx5/counters.c); its congestion counters have 64 bits.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from railgauge.counting import ALL, Kind, Place, Reading, Roots, read_counters
from railgauge.linux.sysfs import entries, text

CLASS = "class/infiniband"
FOLDERS = ("counters", "counters_ext", "hw_counters")
_SETTINGS = ("lifespan",)  # a file beside the counters that is none
_PORT_BITS = {
    **dict.fromkeys(("symbol_error", "port_rcv_errors", "port_rcv_remote_physical_errors"), 16),
    **dict.fromkeys(("port_rcv_switch_relay_errors", "port_xmit_discards", "VL15_dropped"), 16),
    **dict.fromkeys(("link_error_recovery", "link_downed"), 8),
    **dict.fromkeys(("port_xmit_constraint_errors", "port_rcv_constraint_errors"), 8),
    **dict.fromkeys(("local_link_integrity_errors", "excessive_buffer_overrun_errors"), 4),
    "port_xmit_wait": 32,
}
#: PortRcvErrorDetails and PortXmitDiscardDetails (IBTA volume 1, 16.1.4), which sysfs does not show.
_DETAIL_BITS = dict.fromkeys(
    (
        *("port_local_physical_errors", "port_malformed_pkt_errors", "port_buffer_overrun_errors"),
        *("port_dlid_mapping_errors", "port_vl_mapping_errors", "port_looping_errors"),
        *("port_inactive_discards", "port_neighbor_mtu_discards"),
        *("port_sw_lifetime_limit_discards", "port_sw_hoq_lifetime_limit_discards"),
    ),
    16,
)
#: The attribute of the performance agent that a MAD asked for (facts["attribute"]), where it was not
#: sysfs that was read: the one has 32 bits for data and packets, the other 64 for everything.
NARROW, EXTENDED = "PortCounters", "PortCountersExtended"
_TRAFFIC = ("port_rcv_data", "port_xmit_data", "port_rcv_packets", "port_xmit_packets")
_MLX5_FREE = (
    *("np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled", "rp_cnp_ignored"),
    *("rx_icrc_encapsulated", "cc_rx_ce_pkts", "cc_rx_cnp_pkts", "cc_tx_cnp_pkts"),
    *("rdma_tx_packets", "rdma_rx_packets", "rdma_tx_bytes", "rdma_rx_bytes"),
)
_GAUGES = ("db_fifo_register",)
#: What a driver calls the events that all of them count (np: notification point, the receiver, which
#: sends CNPs; rp: reaction point, the sender, which gets them; IEEE 802.1Qau, DCQCN).
ALIASES: Mapping[str, tuple[str, ...]] = {
    "oos_rx": (
        *("out_of_sequence", "oos_drop_count", "Rcvd Out of order packets"),
        *("resp_rx_outouf_seq", "out_of_seq_request"),
    ),
    "seq_nak_rx": (
        *("packet_seq_err", "seq_err_naks_rcvd", "Nak Sequence Error", "req_rx_pkt_seq_err"),
        "rcvd_seq_err",
    ),
    "implied_nak": (
        *("implied_nak_seq_err", "Nak Sequence Error Implied", "req_rx_impl_nak_seq_err"),
    ),
    "ack_timeout": (
        *("local_ack_timeout_err", "to_retransmits", "RTO", "tx_rdma_ack_timeout"),
        "retrans_timeout_events",
    ),
    "retransmits": (
        *("roce_adp_retrans", "to_retransmits", "RetransSegs", "tx_rdma_retx_pkts"),
        *("retrans_pkts", "completer_retry_err"),
    ),
    "retry_exceeded": (
        *("req_transport_retries_exceeded", "max_retry_exceeded", "req_tx_retry_excd_err"),
        *("unresponsive_remote_events", "retry_exceeded_err"),
    ),
    "rnr_rx": (
        *("rnr_nak_retry_err", "rnr_naks_rcvd", "RNR received", "req_rx_rnr_retry_err"),
        "rcvd_rnr_err",
    ),
    "no_recv_wqe": (
        *("out_of_buffer", "rx_out_of_buffer", "RNR sent", "resp_rx_outof_buf", "rx_drops"),
        "send_rnr_err",
    ),
    "dup_rx": ("duplicate_request", "dup_req", "resp_rx_dup_request"),
    "ecn_rx": (
        *("np_ecn_marked_roce_packets", "rx_ecn_marked_pkts", "RxECNMrkd", "rx_rdma_ecn_pkts"),
    ),
    "cnp_tx": ("np_cnp_sent", "np_cnp_pkts", "tx_cnp_pkts", "cnpSent", "tx_rdma_cnp_pkts"),
    "cnp_rx": ("rp_cnp_handled", "rx_cnp_pkts", "cnpHandled", "rx_rdma_cnp_pkts"),
    "cnp_ignored": ("rp_cnp_ignored", "cnpIgnored"),
    "mtu_drop": ("rx_rdma_mtu_discard_pkts",),
    "icrc_error": ("rx_icrc_encapsulated", "CRC errors"),
    "impaired_remote": ("impaired_remote_conn_events",),
    "unresponsive_remote": ("unresponsive_remote_events",),
    "cqe_error": (*("req_cqe_error", "resp_cqe_error", "req_rx_cqe_err", "resp_rx_cqe_err"),),
    "cqe_flush": (
        *("req_cqe_flush_error", "resp_cqe_flush_error", "req_rx_cqe_flush", "resp_rx_cqe_flush"),
    ),
    "link_down": ("link_downed",),
    "link_recovery": ("link_error_recovery",),
    "symbol_error": ("symbol_error",),
    "receive_error": ("port_rcv_errors",),
    "remote_physical_error": ("port_rcv_remote_physical_errors",),
    "xmit_discard": ("port_xmit_discards",),
    "xmit_wait": ("port_xmit_wait",),
    "data_tx": ("port_xmit_data", "tx_rdma_ucast_bytes"),
    "data_rx": ("port_rcv_data", "rx_rdma_ucast_bytes"),
    "packets_tx": ("port_xmit_packets", "tx_rdma_ucast_pkts"),
}
#: Words that mean this with EFA and may mean something else with other drivers.
_EFA: Mapping[str, str] = {"tx_bytes": "data_tx", "rx_bytes": "data_rx", "tx_pkts": "packets_tx"}


@functools.cache
def _canonical(name: str) -> tuple[str, ...]:
    return tuple(event for event, names in ALIASES.items() if name in names)


def driver_of(device: str) -> str:
    """The kernel's driver, where only one names its devices so; else empty."""
    return "mlx5_core" if device.startswith("mlx5_") else ""


def _asked(name: str, attribute: str | None) -> Kind | None:
    """Of a counter that a MAD asked for, where it is not as in sysfs."""
    if name in _DETAIL_BITS:
        return Kind(bits=_DETAIL_BITS[name], arithmetic="saturate", canonical=_canonical(name))
    if attribute == NARROW and name in _TRAFFIC:
        unit, scale = ("B", 4) if name.endswith("_data") else ("", 1)
        return Kind(unit, 32, "saturate", scale, canonical=_canonical(name))
    if attribute == EXTENDED and name in _PORT_BITS:
        return Kind(bits=64, arithmetic="saturate", canonical=_canonical(name))
    return None


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    """Of any driver's counter; one that is unknown runs freely in 64 bits."""
    if asked := _asked(name, facts.get("attribute")):
        return asked
    canonical = _canonical(name)
    if name in _PORT_BITS:
        return Kind(bits=_PORT_BITS[name], arithmetic="saturate", canonical=canonical)
    if name in ("port_rcv_data", "port_xmit_data", "port_rcv_data_64", "port_xmit_data_64"):
        return Kind(unit="B", scale=4, canonical=canonical)
    if facts.get("driver") == "efa" and name in _EFA:
        canonical = (_EFA[name],)
    if name in _GAUGES:
        return Kind(arithmetic="gauge")
    unit = "B" if name.endswith("_bytes") else ""
    queue = facts.get("driver") == "mlx5_core" and not name.startswith(
        ("port_", "unicast_", "multicast_")
    )
    if queue and name not in _MLX5_FREE:
        return Kind(unit, bits=32, arithmetic="wrap", canonical=canonical)
    return Kind(unit, canonical=canonical)


def read(roots: Roots) -> Iterator[Reading]:
    """Every port of every device, and counters of a device as a whole (port 0)."""
    devices = roots.sysfs / CLASS
    for device in entries(devices):
        folder = devices / device
        try:
            yield from _device(device, folder)
        except OSError as error:
            yield Reading(Place("rdma", device), {}, {ALL: error.strerror or str(error)})


def _device(device: str, folder: Path) -> Iterator[Reading]:
    facts = {
        "driver": _driver(folder),
        "netdev": " ".join(entries(folder / "device/net")),
        "board_id": text(folder / "board_id"),
        "fw_ver": text(folder / "fw_ver"),
    }
    own = _reading(Place("rdma", device), folder, facts)
    if own.values or own.unknown:
        yield own
    for port in entries(folder / "ports"):
        if port.isdecimal():
            at = folder / "ports" / port
            more = {name: text(at / name) for name in ("state", "rate", "link_layer")}
            yield _reading(Place("rdma", device, int(port)), at, facts | more)


def _reading(place: Place, folder: Path, facts: Mapping[str, str | None]) -> Reading:
    values: dict[str, int] = {}
    why: dict[str, str] = {}
    for name in FOLDERS:
        read_counters(folder / name, None, values, why, _SETTINGS)
    return Reading(place, values, why, {name: told for name, told in facts.items() if told})


def _driver(folder: Path) -> str:
    """The kernel's driver, or what the device's name says of it where sysfs shows none."""
    try:
        return os.readlink(folder / "device/driver").rpartition("/")[2]
    except OSError:
        return driver_of(folder.name)
