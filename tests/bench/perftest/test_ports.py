"""Which RDMA port a rank takes, and what is said where there is none for it."""

from __future__ import annotations

import pytest

from railgauge.errors import HostError, NotMeasuredError, UsageError
from railgauge.hardware.links import Nic, nic_facts
from railgauge.hardware.pcie import Pcie
from railgauge.perftest.ports import active_ports, fabric_address, port_of_rank


def nic(name: str, port: int = 1, state: str | None = "ACTIVE") -> Nic:
    return Nic(
        name=name, port=port, rail=0, host="n0", rate_Gbps=100.0, state=state,
        link_layer="Ethernet", numa_node=0, pcie=Pcie(),
    )  # fmt: skip


NICS = [nic("mlx5_0"), nic("mlx5_1", state="DOWN"), nic("mlx5_2"), nic("mlx5_10"), nic("ib0", 2)]


def chosen(asked: str) -> list[str]:
    return [f"{port.name}:{port.port}" for port in active_ports(NICS, asked)]


@pytest.mark.parametrize(
    ("asked", "ports"),
    [
        ("", ["mlx5_0:1", "mlx5_2:1", "mlx5_10:1", "ib0:2"]),
        ("mlx5", ["mlx5_0:1", "mlx5_2:1", "mlx5_10:1"]),
        ("mlx5_1", ["mlx5_10:1"]),
        ("=mlx5_1", []),
        ("=mlx5_10,mlx5_0", ["mlx5_10:1", "mlx5_0:1"]),
        ("mlx5_2:1,mlx5_0", ["mlx5_2:1", "mlx5_0:1"]),
        ("mlx5_0:2", []),
        ("^mlx5_1", ["mlx5_0:1", "mlx5_2:1", "ib0:2"]),
        ("^=mlx5_1,ib0", ["mlx5_0:1", "mlx5_2:1", "mlx5_10:1"]),
        ("mlx5_0,mlx5", ["mlx5_0:1", "mlx5_2:1", "mlx5_10:1"]),
        (" , ", ["mlx5_0:1", "mlx5_2:1", "mlx5_10:1", "ib0:2"]),
    ],
)
def test_nccl_ib_hca_admits_ports_as_nccl_reads_it(asked, ports):
    assert chosen(asked) == ports


def port(
    local_rank: int, devices: str = "", number: int | None = None, hca: str = "", nics=NICS
) -> str:
    return port_of_rank(nics, local_rank, devices, number, hca, "n0").name


def test_a_rank_takes_the_port_of_its_order_on_the_node():
    assert [port(k) for k in range(4)] == ["mlx5_0", "mlx5_2", "mlx5_10", "ib0"]
    assert [port(k, hca="mlx5_10,mlx5_0") for k in range(2)] == ["mlx5_10", "mlx5_0"]
    assert port(0, number=2) == "ib0"


def test_a_device_that_is_named_is_for_all_ranks_and_a_list_for_each():
    assert [port(k, "mlx5_2") for k in (0, 3)] == ["mlx5_2", "mlx5_2"]
    assert [port(k, "mlx5_10,mlx5_0") for k in (0, 1)] == ["mlx5_10", "mlx5_0"]
    with pytest.raises(UsageError, match="2 devices, and rank 2 of the 3 on n0 has none"):
        port(2, "mlx5_10,mlx5_0")


def test_more_ranks_than_ports_are_refused_with_what_to_type():
    with pytest.raises(
        UsageError, match=r"rank 4 .* 4 \(mlx5_0:1, .*\n.*at most 4.*\n.*device=mlx5_0"
    ):
        port(4)


@pytest.mark.parametrize(
    ("devices", "number", "why"),
    [
        ("mlx5_1", None, "is DOWN, not ACTIVE"),
        ("mlx5_7", None, r"does not exist \(there: mlx5_0, mlx5_1"),
        ("mlx5_0", 2, "mlx5_0 port 2 on n0 does not exist"),
    ],
)
def test_a_device_that_cannot_be_taken_is_named_with_the_reason(devices, number, why):
    with pytest.raises(HostError, match=why):
        port(0, devices, number)


def test_a_host_without_a_port_says_what_it_has():
    with pytest.raises(HostError, match="n0 has no RDMA device"):
        port(0, nics=[])
    with pytest.raises(
        HostError, match=r"that NCCL_IB_HCA=hfi admits: mlx5_0:1 ACTIVE, mlx5_1:1 DOWN"
    ):
        port(0, hca="hfi")


def test_the_fabric_address_is_that_of_the_devices_interface(tmp_path):
    for device, interface in (("mlx5_0", "lo"), ("mlx5_1", "nothere0")):
        (tmp_path / "class/infiniband" / device / "device/net" / interface).mkdir(parents=True)
    assert fabric_address(nic("mlx5_0"), tmp_path) == "127.0.0.1"
    with pytest.raises(NotMeasuredError, match=r"mlx5_1 on n0 has no IPv4 address .*nothere0"):
        fabric_address(nic("mlx5_1"), tmp_path)
    with pytest.raises(NotMeasuredError, match="interfaces: none"):
        fabric_address(nic("mlx5_9"), tmp_path)


def test_the_stand_ins_sysfs_is_read_like_the_kernels(rig, tmp_path):
    rig("perftest_stand_in").sysfs(tmp_path, {"mlx5_10": "4: ACTIVE", "mlx5_9": "1: DOWN"})
    found = nic_facts(tmp_path, "n0")
    assert [(n.name, n.state, n.rate_Gbps) for n in found] == [
        ("mlx5_9", "DOWN", None),
        ("mlx5_10", "ACTIVE", 100.0),
    ]
