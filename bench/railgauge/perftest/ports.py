"""Which RDMA port a rank takes: the k-th of its node's ports, as NCCL_IB_HCA or the names' order has them."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path

from railgauge.errors import HostError, NotMeasuredError, UsageError
from railgauge.hardware import links
from railgauge.hardware.links import Nic
from railgauge.linux.sysfs import entries
from railgauge.nccl.variables import selection

VARIABLE = "NCCL_IB_HCA"
SIOCGIFADDR = 0x8915  # linux/sockios.h


def active_ports(nics: Sequence[Nic], asked: str = "") -> tuple[Nic, ...]:
    """The ACTIVE ports in their natural order, or those that `asked` admits, in its order.

    `asked` is written as NCCL_IB_HCA.
    """
    chosen = selection(asked)
    taken = [n for n in nics if n.state == "ACTIVE" and chosen.takes(n.name, n.port)]
    return tuple(sorted(taken, key=lambda nic: chosen.place(nic.name, nic.port) or 0))


def port_of_rank(
    nics: Sequence[Nic], local_rank: int, devices: str, port: int | None, hca: str, host: str
) -> Nic:
    """The port of the rank that is the `local_rank`-th of its node.

    `devices` are names, comma separated: one for all ranks, or one for each; "" leaves it to `hca`
    (NCCL_IB_HCA) and the order of the names. `port` is the number on the device. Raises HostError where
    the node has no such port, UsageError where it has fewer than ranks.
    """
    if devices:
        names = [name.strip() for name in devices.split(",")]
        if 1 < len(names) <= local_rank:
            raise UsageError(
                f"--config device={devices}: {len(names)} devices, and rank {local_rank} of the"
                f" {local_rank + 1} on {host} has none.\n"
                "  expected: one device for all ranks of a node, or one for each"
            )
        return _named_port(nics, names[local_rank % len(names)], port, host)
    ports = [nic for nic in active_ports(nics, hca) if port in (None, nic.port)]
    if not ports:
        raise HostError(_none(nics, hca, host))
    if local_rank >= len(ports):
        shown = ", ".join(f"{nic.name}:{nic.port}" for nic in ports)
        raise UsageError(
            f"rank {local_rank} of those on {host} has no RDMA port of its own: there are"
            f" {len(ports)} ({shown}).\n"
            f"  expected: at most {len(ports)} ranks a node\n"
            f"  next: fewer ranks a node, or --config device={ports[0].name}, which all of them share"
        )
    return ports[local_rank]


def _named_port(nics: Sequence[Nic], name: str, port: int | None, host: str) -> Nic:
    of_device = [nic for nic in nics if nic.name == name and port in (None, nic.port)]
    active = [nic for nic in of_device if nic.state == "ACTIVE"]
    if active:
        return active[0]
    there = ", ".join(dict.fromkeys(nic.name for nic in nics)) or "none"
    where = f"{name}{f' port {port}' if port else ''} on {host}"
    why = (
        f"is {of_device[0].state}, not ACTIVE" if of_device else f"does not exist (there: {there})"
    )
    raise HostError(
        f"--config device={name}: {where} {why}.\n"
        "  next: ls /sys/class/infiniband, or rdma link show, on that host"
    )


def _none(nics: Sequence[Nic], hca: str, host: str) -> str:
    if not nics:
        return (
            f"{host} has no RDMA device: /sys/class/infiniband is empty.\n"
            "  next: lspci and lsmod on that host, or railgauge run --backend mpi"
        )
    states = ", ".join(f"{nic.name}:{nic.port} {nic.state}" for nic in nics)
    asked = f" that {VARIABLE}={hca} admits" if hca else ""
    return (
        f"{host} has no ACTIVE RDMA port{asked}: {states}.\n"
        f"  next: rdma link show on that host{f', or correct {VARIABLE}' if hca else ''}"
    )


def fabric_address(nic: Nic, sysfs: Path | None = None) -> str:
    """IPv4 address of the network interface of a device; raises NotMeasuredError where it has none."""
    names = entries((sysfs or links.SYSFS) / "class/infiniband" / nic.name / "device/net")
    for name in names:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked,
            contextlib.suppress(OSError),
        ):
            request = struct.pack("256s", name.encode()[:15])
            return socket.inet_ntoa(ioctl(asked, SIOCGIFADDR, request)[20:24])
    raise NotMeasuredError(
        f"--config address=fabric: {nic.name} on {nic.host} has no IPv4 address"
        f" (network interfaces: {', '.join(names) or 'none'}).\n"
        "  next: ip address on that host, or --config address=host"
    )
