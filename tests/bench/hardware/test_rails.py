"""Which NICs a rank uses: what its variables say, else the nearest by PCIe, else not known."""

from __future__ import annotations

import pytest

from railgauge.hardware.rails import Rank, rails
from railgauge.plan import Plan

MPI = Plan(ranks=2)
NCCL = Plan(ranks=2, backend="nccl", memory="device")


@pytest.fixture
def sysfs(tmp_path):
    """Two NICs and two GPUs in pairs, each pair below a root port of its own."""
    for k in range(2):
        port = tmp_path / f"devices/pci0000:{k}0/0000:{k}0:01.0"
        bus = tmp_path / "bus/pci/devices"
        bus.mkdir(parents=True, exist_ok=True)
        for name in (f"0000:{k}1:00.0", f"0000:{k}b:00.0"):
            (port / name).mkdir(parents=True)
            (bus / name).symlink_to(port / name)
        rdma = tmp_path / f"class/infiniband/mlx5_{k}"
        (rdma / "ports/1").mkdir(parents=True)
        (rdma / "ports/1/state").write_text("4: ACTIVE\n")
        (rdma / "ports/1/rate").write_text("400 Gb/sec\n")
        (rdma / "device").symlink_to(port / f"0000:{k}1:00.0")
        (tmp_path / f"class/net/eth{k}").mkdir(parents=True)
    return tmp_path


def of(plan, sysfs, bus_id=None, **variables):
    rank = Rank(rank=3, variables=variables, bus_id=bus_id, cpus=(0,))
    (rail,) = rails(plan, [rank], sysfs).values()
    return rail


def test_the_nic_nearest_to_the_gpu_is_a_ranks_own(sysfs):
    assert of(NCCL, sysfs, "0000:1b:00.0").names == ("mlx5_1",)
    assert of(NCCL, sysfs, "0000:0b:00.0").names == ("mlx5_0",)
    assert "0000:0b:00.0" in of(NCCL, sysfs, "0000:0b:00.0").why


def test_nccls_list_of_hcas_comes_first(sysfs):
    assert of(NCCL, sysfs, NCCL_IB_HCA="=mlx5_1:1").names == ("mlx5_1",)
    both = of(NCCL, sysfs, "0000:1b:00.0", NCCL_IB_HCA="mlx5")
    assert (both.names, both.why.startswith("of those of NCCL_IB_HCA")) == (("mlx5_1",), True)
    assert of(NCCL, sysfs, "0000:1b:00.0", NCCL_IB_HCA="^mlx5_1").names == ("mlx5_0",)


@pytest.mark.parametrize("plain", [{"NCCL_NET": "Socket"}, {"NCCL_IB_DISABLE": "1"}])
def test_over_sockets_it_is_nccls_list_of_interfaces(sysfs, plain):
    assert of(NCCL, sysfs, "0000:1b:00.0", NCCL_SOCKET_IFNAME="=eth1", **plain).names == ("eth1",)
    assert of(NCCL, sysfs, "0000:1b:00.0", **plain).names is None


def test_ucx_names_the_devices_of_mpi(sysfs):
    assert of(MPI, sysfs, UCX_NET_DEVICES="mlx5_0:1, eth1").names == ("mlx5_0", "eth1")
    for variables in ({}, {"UCX_NET_DEVICES": "all"}):
        rail = of(MPI, sysfs, **variables)
        assert rail.names is None
        assert "UCX_NET_DEVICES" in rail.why


def test_gpus_that_speak_through_their_memory_use_no_nic(sysfs):
    assert of(Plan(ranks=2, backend="peer", memory="device"), sysfs).names == ()


def test_where_nothing_tells_it_is_not_known(sysfs, tmp_path):
    assert of(NCCL, sysfs).names is None
    assert of(NCCL, sysfs, "0000:77:00.0").names is None
    assert of(NCCL, tmp_path / "none", "0000:1b:00.0").names is None
    assert of(Plan(ranks=2, backend="torch", memory="host"), sysfs).names is None
