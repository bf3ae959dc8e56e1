"""What a snapshot of all counters costs on a host with 8 NICs and 8 GPUs: the budget is 20 ms."""

import ctypes
import os

import pytest

from railgauge import counting
from railgauge.counters import ethtool
from railgauge.counting import Roots
from railgauge.hardware import nvml

NICS = GPUS = 8
PORT = {"counters": 22, "hw_counters": 26}  # of an mlx5 port
STATISTICS = 23  # of a network device
ETHTOOL = {f"rx{k}_packets": k for k in range(750)}  # as many as mlx5 has
AER = {
    "aer_dev_correctable": "RxErr 0\nBadTLP 0\nBadDLLP 0\nRollover 0\nTimeout 0\nNonFatalErr 0\n"
    "CorrIntErr 0\nHeaderOF 0\nTOTAL_ERR_COR 0",
    "aer_dev_fatal": "Undefined 0\nDLP 0\nSDES 0\nTLP 0\nFCP 0\nCmpltTO 0\nTOTAL_ERR_FATAL 0",
    "aer_dev_nonfatal": "Undefined 0\nDLP 0\nSDES 0\nTLP 0\nFCP 0\nCmpltTO 0\nTOTAL_ERR_NONFATAL 0",
}
LINK = {"speed": "32.0 GT/s PCIe", "width": "16"}


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def pci(root, path, code, **files):
    """A PCI device below its bridges."""
    folder = root / "devices" / path
    links = {
        f"{which}_link_{name}": text for name, text in LINK.items() for which in ("current", "max")
    }
    write(folder, **AER, **links, **{"class": code, "vendor": "0x10de"}, **files)
    link = root / "bus/pci/devices" / folder.name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(folder)
    return folder


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A sysfs of NICs and GPUs in pairs below 8 root ports and switches."""
    root = tmp_path_factory.mktemp("sys")
    for k in range(NICS):
        port = f"pci0000:{k}0/0000:{k}0:01.0"
        switch = f"{port}/0000:{k}1:00.0"
        pci(root, port, "0x060400")
        pci(root, switch, "0x060400")
        for way in range(2):
            pci(root, f"{switch}/0000:{k}2:0{way}.0", "0x060400")
        nic = pci(root, f"{switch}/0000:{k}2:00.0/0000:{k}3:00.0", "0x020000")
        pci(root, f"{switch}/0000:{k}2:01.0/0000:{k}4:00.0", "0x030200")
        write(nic / f"net/eth{k}", mtu="9000", speed="400000", operstate="up")
        write(nic / f"net/eth{k}/statistics", **{f"rx_{n}": n for n in range(STATISTICS)})
        write(
            nic / f"net/eth{k}", carrier_changes="2", carrier_up_count="1", carrier_down_count="1"
        )
        (nic / f"net/eth{k}/device").symlink_to(nic)
        rdma = nic / f"infiniband/mlx5_{k}"
        write(rdma, board_id="MT_0000000838", fw_ver="28.43.1014")
        (rdma / "device").symlink_to(nic)
        state = {"state": "4: ACTIVE", "rate": "400 Gb/sec (4X NDR)", "link_layer": "Ethernet"}
        write(rdma / "ports/1", **state)
        for name, count in PORT.items():
            write(rdma / "ports/1" / name, **{f"{name}_{n}": 10**9 + n for n in range(count)})
        for kind, folder in (("net", nic / f"net/eth{k}"), ("infiniband", rdma)):
            there = root / "class" / kind
            there.mkdir(parents=True, exist_ok=True)
            (there / folder.name).symlink_to(folder)
    return Roots(root)


@pytest.fixture(scope="module", autouse=True)
def _gpus(fake_nvml):
    """NVML is loaded into this process, with 8 GPUs of 18 links that have every field."""
    os.environ |= {
        "FAKE_NVML_GPUS": str(GPUS),
        "FAKE_NVML_POWER": "700000",
        "FAKE_NVML_FILLED": "1",
    }
    ctypes.CDLL(str(fake_nvml), ctypes.RTLD_GLOBAL)
    nvml.session.cache_clear()


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch):
    """Drivers are not here: ethtool's ioctl is stubbed with as many names as mlx5 has."""
    monkeypatch.setattr(ethtool, "statistics", lambda _: dict(ETHTOOL))


@pytest.mark.parametrize("source", ["all", *counting.sources()])
def test_a_snapshot_of_eight_nics_and_eight_gpus(benchmark, host, source):
    names = None if source == "all" else [source]
    made = benchmark(counting.snapshot, host, names)
    assert not made.problems


def test_what_moved_between_two_snapshots(benchmark, host):
    sources = ["ethtool", "netdev", "rdma"]  # whose files stand still
    first, last = counting.snapshot(host, sources), counting.snapshot(host, sources)
    assert not benchmark(lambda: list(counting.changes(first, last, still=False)))
