"""Firmware, boards and drivers: the same on all nodes, by majority of the same kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from railgauge.auditing.checks import NO_RDMA, Asked, Check, Item, Judged, none_of, told
from railgauge.auditing.machine import Machine, Unknown, line
from railgauge.linux.sysfs import entries

SAME = "the same for all of this board"
MODULES = (
    "mlx5_core",
    "mlx5_ib",
    "bnxt_en",
    "bnxt_re",
    "ice",
    "irdma",
    "ionic",
    "efa",
    "nvidia",
    "amdgpu",
)


def _of_board(name: str) -> Any:
    """A reader of that file of each RDMA device, compared among devices of one board."""

    def read(machine: Machine) -> Iterable[Item]:
        for device in machine.devices:
            folder = machine.sysfs / "class/infiniband" / device
            board = line(folder / "board_id")
            yield Item(device, line(folder / name), group=board if isinstance(board, str) else "")
        if not machine.devices:
            yield from none_of(NO_RDMA)

    return read


def _board(machine: Machine) -> Iterable[Item]:
    for device in machine.devices:
        folder = machine.sysfs / "class/infiniband" / device
        board, kind = line(folder / "board_id"), line(folder / "hca_type")
        value: Any = f"{board} ({kind})" if isinstance(kind, str) else board
        yield Item(device, board if isinstance(board, Unknown) else value, group=device)
    if not machine.devices:
        yield from none_of(NO_RDMA)


def _driver(machine: Machine) -> Iterable[Item]:
    for netdev in machine.netdevs:
        try:
            found = machine.kernel.driver(netdev)
        except OSError as error:
            yield Item(
                netdev, Unknown(f"driver of {netdev}: {error.strerror}", f"ethtool -i {netdev}")
            )
            continue
        value = {"driver": found.name, "version": found.version, "firmware": found.firmware}
        yield Item(netdev, value, group=found.name, vote=[found.name, found.version])
    if not machine.netdevs:
        yield from none_of("no network device belongs to an RDMA port")


def _judge_driver(value: Any, _asked: Asked) -> Judged:
    return told(
        "the same on all nodes",
        f"{value['driver']} {value['version']}, firmware {value['firmware'] or '?'}",
    )


def _modules(machine: Machine) -> Iterable[Item]:
    there = [name for name in MODULES if name in entries(machine.sysfs / "module")]
    for name in there:
        version = line(machine.sysfs / "module" / name / "version")
        if isinstance(version, str):  # those that come with the kernel have none of their own
            yield Item(name, version, group=name)
    if not any((machine.sysfs / "module" / name / "version").exists() for name in there):
        yield from none_of("no driver here that has a version of its own")


def _judge_same(value: Any, _asked: Asked) -> Judged:
    return told(SAME, str(value))


CHECKS = (
    Check(
        *("firmware", "firmware of RDMA devices", _of_board("fw_ver"), _judge_same),
        "mlxfwmanager --online -u, or the vendor's tool, on the nodes that differ",
        "sichek; sysfs-class-infiniband fw_ver",
        worst="INFO",
        alike="WARN",
    ),
    Check(
        *("board", "board of each RDMA device", _board, _judge_same),
        "ibdev2netdev -v: another card sits in that slot, or devices are numbered otherwise",
        "sysfs-class-infiniband board_id",
        worst="INFO",
        alike="WARN",
    ),
    Check(
        *("driver", "driver of the network devices", _driver, _judge_driver),
        "ethtool -i {where}; install the others' driver",
        "ETHTOOL_GDRVINFO",
        worst="INFO",
        alike="WARN",
    ),
    Check(
        *("module_version", "versions of drivers' modules", _modules, _judge_same),
        "modinfo {where}",
        "sysfs-module",
        worst="INFO",
        alike="WARN",
    ),
)
