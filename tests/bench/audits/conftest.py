"""Nodes made of files: a healthy one, which a test then breaks in one place."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from railgauge.auditing.checks import all_checks
from railgauge.auditing.judging import judge
from railgauge.auditing.machine import Kernel, Machine
from railgauge.auditing.manifest import EMPTY, Manifest
from railgauge.auditing.reading import readings
from railgauge.auditing.records import Finding, Report, Taken
from railgauge.counting import Place, Reading
from railgauge.linux import dcb, ethtool

GEN5 = {"current_link_speed": "32.0 GT/s PCIe", "max_link_speed": "32.0 GT/s PCIe"}
LINK = GEN5 | {"current_link_width": "16", "max_link_width": "16"}
PFC3 = dcb.Pfc(8, (3,), False, 0, (0,) * 8, (0,) * 8)
ETS = dcb.Ets(
    willing=False,
    classes=8,
    bandwidth=(12, 12, 12, 12, 13, 13, 0, 13),
    algorithm=("ets",) * 6 + ("strict", "ets"),
    priority_class=(0, 1, 2, 3, 4, 5, 6, 7),
)
BUFFER = dcb.Buffer((0, 0, 0, 1, 0, 0, 0, 0), (200_000, 400_000, 0, 0, 0, 0, 0, 0), 600_000)
DSCPS = tuple(dcb.Application("dscp", code, code >> 3) for code in range(64))
LOSSLESS = dcb.Dcb(
    pfc=PFC3, ets=ETS, applications=DSCPS, buffer=BUFFER, dcbx=("host", "ieee"), trusted=("dscp",)
)
MODULES = ("ib_core", "ib_uverbs", "rdma_cm", "rdma_ucm", "ib_umad", "mlx5_ib", "nvidia_peermem")


def configuration(acs: int = 0, ats: int = 0, control: int = 0x5936) -> bytes:
    """4096 bytes: PCI Express with Device Control 0x5936 (MRRS 4096), ACS and ATS controls."""
    data = bytearray(4096)
    data[0x34] = 0x60
    data[0x60:0x62] = bytes((0x10, 0))
    struct.pack_into("<H", data, 0x68, control)
    struct.pack_into("<I", data, 0x100, 0x0D | 1 << 16 | 0x140 << 20)
    struct.pack_into("<H", data, 0x106, acs)
    struct.pack_into("<I", data, 0x140, 0x0F | 1 << 16)
    struct.pack_into("<H", data, 0x146, ats)
    return bytes(data)


def gpu_reading(address: str, unknown: dict[str, str] | None = None, **values: int) -> Reading:
    """What NVML says of a GPU; a value that is not named stands at 0."""
    names = (
        *("ecc_uncorrected", "remapping_pending", "retirement_pending", "remapping_failed"),
        *("reason_hw_slowdown", "reason_hw_thermal", "reason_hw_power_brake", "reason_idle"),
    )
    zero = {} if unknown else dict.fromkeys(names, 0)
    return Reading(Place("nvml", address), zero | values, unknown or {})


class FakeKernel(Kernel):
    """Answers as told; an exception among the answers is raised."""

    def __init__(self) -> None:
        self.dcb_state: Any = LOSSLESS
        self.paused: Any = ethtool.Pause(False, False, False)
        self.driven: Any = ethtool.Driver("mlx5_core", "24.10", "28.41.1000", "")
        self.correction: Any = "RS"
        self.limits: dict[str, int | None] = {"MEMLOCK": None, "NOFILE": 1 << 20, "STACK": 8 << 20}
        self.cpus = frozenset(range(4))
        self.shm: Any = 64 << 30
        self.free: Any = (60 << 30, 64 << 30)
        self.log: Any = [(5.0, "NVRM: loading NVIDIA UNIX Open Kernel Module"), (6.0, "eth0: up")]
        self.gpus: Any = None
        self.uname = "6.8.0-50-generic"
        self.nccl = "2.27.3"

    @staticmethod
    def _told(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def dcb(self, netdev: str) -> dcb.Dcb:
        state = self.dcb_state[netdev] if isinstance(self.dcb_state, dict) else self.dcb_state
        return self._told(state)

    def pause(self, _netdev: str) -> ethtool.Pause:
        return self._told(self.paused)

    def driver(self, _netdev: str) -> ethtool.Driver:
        return self._told(self.driven)

    def fec(self, _netdev: str) -> str:
        return self._told(self.correction)

    def limit(self, name: str) -> int | None:
        return self.limits[name]

    def affinity(self) -> frozenset[int]:
        return self.cpus

    def filesystem_nbytes(self, _path: Path) -> int:
        return self._told(self.shm)

    def filesystem_free(self, _path: Path) -> tuple[int, int]:
        return self._told(self.free)

    def messages(self) -> list[tuple[float, str]]:
        return self._told(self.log)

    def nvml(self, sysfs: Path) -> list[Reading]:
        every = sorted((sysfs / "bus/pci/devices").glob("*/class"))
        gpus = [file.parent.name for file in every if file.read_text().startswith("0x0302")]
        return self._told([gpu_reading(a) for a in gpus] if self.gpus is None else self.gpus)

    def release(self) -> str:
        return self.uname

    def nccl_version(self) -> str:
        return self.nccl


class Node:
    """A node in a folder: `rails` NICs of 400 Gb/s, each below one switch with an H100."""

    def __init__(self, root: Path, host: str, rails: int, layer: str) -> None:
        self.root, self.host, self.layer = root, host, layer
        self.sysfs, self.proc, self.etc = root / "sys", root / "proc", root / "etc"
        self.kernel = FakeKernel()
        self.environ = {"NCCL_IB_TC": "106", "NCCL_GIN_IB_TC": "106", "UCX_IB_TRAFFIC_CLASS": "106"}
        self.manifest: Manifest = EMPTY
        for rail in range(rails):
            self._rail(rail)
        self._system()

    def write(self, path: str, content: Any) -> None:
        """A file below the root; text gets its end of line."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())

    def files(self, folder: str, **contents: Any) -> None:
        for name, content in contents.items():
            self.write(f"{folder}/{name}", content)

    def remove(self, path: str) -> None:
        for file in self.root.glob(path):
            file.unlink()

    def port(self, rail: int = 0) -> str:
        return f"sys/class/infiniband/mlx5_{rail}/ports/1"

    def net(self, rail: int = 0) -> str:
        return f"sys/class/net/{self.netdev(rail)}"

    def netdev(self, rail: int = 0) -> str:
        return f"{'eth' if self.layer == 'Ethernet' else 'ib'}{rail}"

    def pci(self, rail: int = 0, what: str = "nic") -> str:
        """root, up, down (of the NIC), gpu_down, nic, gpu: where its files are."""
        bus = 0x10 + 8 * rail
        places = {
            "root": [0],
            "up": [0, 1],
            "down": [0, 1, 2],
            "nic": [0, 1, 2, 3],
            "gpu_down": [0, 1, 2],
            "gpu": [0, 1, 2, 4],
        }[what]
        names = [f"0000:{bus + n:02x}:0{int(n == 2 and 'gpu' in what)}.0" for n in places]
        return f"sys/devices/pci0000:{bus:02x}/" + "/".join(names)

    def _device(self, path: str, **files: Any) -> None:
        self.files(
            path, **(LINK | {"vendor": "0x15b3", "numa_node": 0, "config": configuration()} | files)
        )
        link = self.sysfs / "bus/pci/devices" / path.rpartition("/")[2]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(self.root / path)

    def _rail(self, rail: int) -> None:
        for what in ("root", "up", "down", "gpu_down"):
            self._device(self.pci(rail, what), vendor="0x1000")
        self._device(
            self.pci(rail, "gpu"), vendor="0x10de", device="0x2330", **{"class": "0x030200"}
        )
        self._device(self.pci(rail, "nic"), **{"class": "0x020000"})
        group = self.root / f"sys/kernel/iommu_groups/{rail}"
        self.write(f"sys/kernel/iommu_groups/{rail}/type", "identity")
        for what in ("nic", "gpu"):
            (self.root / self.pci(rail, what) / "iommu_group").symlink_to(group)
        device, netdev = f"mlx5_{rail}", self.netdev(rail)
        folder = f"sys/class/infiniband/{device}"
        self.files(folder, board_id="MT_0000000838", fw_ver="28.41.1000", hca_type="MT4129")
        self.files(folder, node_guid=f"a088:c203:00ab:000{rail}")
        (self.root / folder / "device").symlink_to(self.root / self.pci(rail))
        self.write(f"{folder}/settings/pfc_stall_prevention", "auto")
        self.write(f"{folder}/tc/1/traffic_class", "Global tclass=106")
        self.files(
            self.port(rail), state="4: ACTIVE", phys_state="5: LinkUp", rate="400 Gb/sec (4X NDR)"
        )
        self.files(self.port(rail), link_layer=self.layer, lid="0x12", sm_lid="0x1", sm_sl="0")
        for counter in ("link_downed", "symbol_error", "port_xmit_discards"):
            self.write(f"{self.port(rail)}/counters/{counter}", 0)
        self.write(f"sys/kernel/config/rdma_cm/{device}/ports/1/default_roce_tos", "106")
        gids = {0: ("fe80::1", "IB/RoCE v1"), 1: ("fe80::1", "RoCE v2")}
        gids |= {
            2: ("::ffff:10.0.0.1", "IB/RoCE v1"),
            3: ("::ffff:10.0.0.1", "RoCE v2"),
            4: ("::", ""),
        }
        for index, (address, kind) in gids.items():
            self.write(f"{self.port(rail)}/gids/{index}", address)
            self.write(f"{self.port(rail)}/gid_attrs/types/{index}", kind)
        (self.root / self.pci(rail) / "net" / netdev).mkdir(parents=True)
        self.files(f"{self.pci(rail)}/net/{netdev}", dev_port=0)
        self.files(self.net(rail), operstate="up", speed="400000", mtu="9000", flags="0x1003")
        self.files(self.net(rail), carrier_down_count=1)
        self.write(f"{self.net(rail)}/qos/trust", "dscp")
        for priority in range(8):
            for point in ("roce_np", "roce_rp"):
                self.write(f"{self.net(rail)}/ecn/{point}/enable/{priority}", 1)
        self.write(f"{self.net(rail)}/ecn/roce_np/cnp_dscp", 48)

    def _system(self) -> None:
        self.write("proc/modules", "\n".join(f"{name} 1 0 - Live 0x0" for name in MODULES))
        self.write("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module 570")
        self.write("proc/cmdline", "BOOT_IMAGE=/vmlinuz iommu=pt quiet")
        self.write("proc/cpuinfo", "flags\t: fpu vme sse2")
        self.write("proc/uptime", "90000.00 1.00")
        self.write(
            "proc/meminfo", "MemTotal: 100 kB\nHugePages_Total:       0\nHugepagesize:    2048 kB"
        )
        self.write("proc/sys/net/ipv4/tcp_ecn", 2)
        self.write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never")
        self.write("sys/module/mlx5_core/version", "24.10-1.1.4")
        self.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc")
        self.write("etc/systemd/logind.conf", "[Login]\n#RemoveIPC=yes\nRemoveIPC=no")
        self.write("sys/devices/system/node/node0/cpulist", "0-3")
        self.write("sys/devices/system/node/node1/cpulist", "4-7")
        for cpu in range(4):
            place = f"sys/devices/system/cpu/cpu{cpu}"
            self.write(f"{place}/cpufreq/scaling_governor", "performance")
            self.files(f"{place}/cpuidle/state1", name="C1", latency=1, disable=0)
            self.files(f"{place}/cpuidle/state2", name="C6", latency=170, disable=1)

    def machine(self, **more: Any) -> Machine:
        return Machine(
            *(self.sysfs, self.proc, self.etc, self.root / "dev"),
            environ=more.pop("environ", self.environ),
            kernel=self.kernel,
            manifest=self.manifest,
            host=self.host,
        )

    def taken(self, rank: int = 0, leads: bool = True, **more: str) -> Taken:
        machine = self.machine(environ=self.environ | more)
        made = readings(machine, all_checks().values(), leads)
        return msgspec.structs.replace(made, rank=rank)

    def audit(self, profile: str = "auto", **more: Any) -> Audit:
        return Audit(judge([self.taken()], profile, manifest=self.manifest, **more))


@dataclasses.dataclass(frozen=True)
class Audit:
    """A report, with the findings of a check at hand."""

    report: Report

    def of(self, check: str, agreement: bool = False) -> list[Finding]:
        every = self.report.findings
        return [f for f in every if f.check == check and f.agreement == agreement]

    def worst(self, check: str) -> Finding:
        order = ("FAIL", "WARN", "UNKNOWN", "INFO", "PASS", "NOT APPLICABLE")
        return min(self.of(check), key=lambda f: order.index(f.status))

    def statuses(self) -> dict[str, set[str]]:
        made: dict[str, set[str]] = {}
        for finding in self.report.findings:
            made.setdefault(finding.check, set()).add(finding.status)
        return made


@pytest.fixture(name="gpu_reading")
def _gpu_reading() -> Callable[..., Reading]:
    """`gpu_reading("0000:14:00.0", ecc_uncorrected=1)`: what NVML says of a GPU."""
    return gpu_reading


@pytest.fixture(name="configuration")
def _configuration() -> Callable[..., bytes]:
    """`configuration(acs=0, ats=0, control=0x5936)`: a configuration space as root reads it."""
    return configuration


@pytest.fixture
def make_node(tmp_path: Path) -> Callable[..., Node]:
    """`make_node(host, rails=2, layer="Ethernet")`: a healthy node."""

    def make(host: str = "node01", rails: int = 2, layer: str = "Ethernet") -> Node:
        return Node(tmp_path / host, host, rails, layer)

    return make


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    """A healthy RoCE node of two rails."""
    return make_node()


@pytest.fixture
def ib_node(make_node: Callable[..., Node]) -> Node:
    """A healthy InfiniBand node of two rails, with no variables set."""
    made = make_node("node02", layer="InfiniBand")
    made.environ = {}
    return made


@pytest.fixture
def judge_all() -> Callable[..., Audit]:
    """`judge_all(taken, taken, ...)`: an audit of what several ranks have read."""
    return lambda *taken, **more: Audit(judge(list(taken), **more))
