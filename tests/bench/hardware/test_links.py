"""What the hardware allows: against an NVML made here and sysfs trees made here, no GPU needed."""

import json
import os
import subprocess
import sys

import msgspec
import pytest

from railgauge.hardware import bounds, links, nvlink, pcie
from railgauge.hardware.links import Gpu, Hardware, Nic
from railgauge.hardware.pcie import Pcie

READ = """
import sys, msgspec
from pathlib import Path
if sys.argv[3] == "without":
    sys.modules["pynvml"] = None
from railgauge.hardware import links
sys.stdout.buffer.write(msgspec.json.encode(links.hardware(Path(sys.argv[1]), sys.argv[2])))
"""
CLUSTER = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
GEN5 = {"current_link_speed": "32.0 GT/s PCIe", "max_link_speed": "32.0 GT/s PCIe"}
X16 = {"current_link_width": "16", "max_link_width": "16"}
FULL = GEN5 | X16


class Sysfs:
    """A sysfs tree: PCI devices by their path below `devices`, RDMA devices beside them."""

    def __init__(self, root):
        self.root = root

    def device(self, path, **files):
        folder = self.root / "devices" / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(f"{text}\n")
        link = self.root / "bus/pci/devices" / folder.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(folder)
        return folder

    def gpu(self, path, bridges=FULL, numa_node=0, **files):
        """A GPU below its bridges, every link at full rate unless said otherwise."""
        parts = path.split("/")
        for n in range(2, len(parts)):
            self.device("/".join(parts[:n]), vendor="0x8086", **bridges)
        more = {"vendor": "0x10de", "class": "0x030200", "numa_node": numa_node}
        return self.device(path, **(FULL | more | files))

    def nic(self, name, path, port=1, state="4: ACTIVE", rate="400 Gb/sec (4X NDR)", **files):
        device = self.device(path, **({"numa_node": 0} | FULL | files))
        folder = self.root / "class/infiniband" / name
        (folder / "ports" / str(port)).mkdir(parents=True)
        if not (folder / "device").is_symlink():
            (folder / "device").symlink_to(device)
        for file, text in {"state": state, "rate": rate, "link_layer": "InfiniBand"}.items():
            (folder / "ports" / str(port) / file).write_text(f"{text}\n")
        return folder / "ports" / str(port)


@pytest.fixture
def sysfs(tmp_path):
    return Sysfs(tmp_path / "sys")


@pytest.fixture
def read(fake_nvml, sysfs):
    """`read(GPUS=4, TOPOLOGY="direct")`: the hardware of a host in a process of its own."""

    def run(host="n0", pynvml="with", **knobs):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FAKE_NVML_")}
        environment |= {f"FAKE_NVML_{name}": str(value) for name, value in knobs.items()}
        done = subprocess.run(
            [sys.executable, "-c", READ, sysfs.root, host, pynvml],
            env=environment | {"LD_PRELOAD": str(fake_nvml)},
            capture_output=True,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Hardware)

    return run


# NVML -------------------------------------------------------------------------------------------


def test_a_gpu_says_what_it_is(read):
    gpu, other = read().gpus
    assert (gpu.index, gpu.bus_id, other.bus_id) == (0, "0000:10:00.0", "0000:11:00.0")
    assert gpu.name == "NVIDIA H100 80GB HBM3"
    assert gpu.uuid == "GPU-00000000-0000-0000-0000-000000000000"
    assert (gpu.capability, gpu.memory_bytes, gpu.driver) == ((9, 0), 80 << 30, "580.95.05")
    assert (gpu.pcie_max_generation, gpu.pcie_max_width) == (5, 16)
    assert gpu.mig is False


def test_memory_bandwidth_is_that_of_the_data_sheet_and_a_copy_gets_half(read):
    gpu = read().gpus[0]
    assert gpu.memory_GBps == pytest.approx(3352, abs=1)  # H100 SXM: 3.35 TB/s
    bound = bounds.local_bound(gpu)
    assert bound.GBps == pytest.approx(1676, abs=1)
    assert "2 * 2619 MHz * 5120 bit / 8" in bound.words


def test_without_a_memory_clock_the_memory_bandwidth_is_unknown_and_says_why(read):
    gpu = read(MEMORY=0).gpus[0]
    assert gpu.memory_GBps is None
    bound = bounds.local_bound(gpu)
    assert bound.GBps is None
    assert bound.words == "unknown: memory clock: Not Supported"


def test_through_switches_a_pair_has_all_links_of_a_gpu(read):
    a, b = read().gpus
    assert len(a.nvlinks) == 18
    assert {link.remote_kind for link in a.nvlinks} == {"switch"}
    assert a.nvlink_GBps == 450
    bound = bounds.nvlink_bound(a, b)
    assert bound.GBps == 450
    assert bound.raw_GBps == pytest.approx(18 * 26.562)
    assert "18 links" in bound.words
    assert "through NVSwitch" in bound.words


def test_a_dead_link_is_named_and_narrows_its_gpu_and_every_pair_with_it(read):
    a, b, c = read(GPUS=3, DEAD="1:3,1:17").gpus
    assert b.dead_nvlinks == (3, 17)
    assert b.nvlink_GBps == 400
    assert bounds.nvlink_bound(a, b).GBps == bounds.nvlink_bound(b, a).GBps == 400
    assert bounds.nvlink_bound(a, c).GBps == 450
    assert "16 links of GPU 0000:11:00.0 on n0" in bounds.nvlink_bound(a, b).words


def test_direct_links_count_between_the_two_that_they_join(read):
    gpus = read(GPUS=4, TOPOLOGY="direct", LINKS=12, CAPABILITY=80, SPEED=25000).gpus
    assert gpus[0].nvlink_GBps == 300
    bound = bounds.nvlink_bound(gpus[0], gpus[3])
    assert bound.GBps == 100
    assert "4 links of GPU 0000:10:00.0 on n0 directly" in bound.words


def test_a_direct_link_that_one_end_calls_dead_does_not_count(read):
    a, b = read(GPUS=2, TOPOLOGY="direct", LINKS=4, DEAD="1:0").gpus
    assert bounds.nvlink_bound(a, b).GBps == bounds.nvlink_bound(b, a).GBps == 75


def test_gpus_that_only_others_join_have_one_domain_and_no_nvlink_between_them(read):
    gpus = read(GPUS=3, TOPOLOGY="direct", LINKS=2, DEAD="0:1,2:0").gpus  # 0 - 1 - 2
    assert {gpu.domain for gpu in gpus} == {("n0", 0)}
    assert bounds.path_between(gpus[0], gpus[1]) == "nvlink"
    assert bounds.path_between(gpus[0], gpus[2]) == "pcie"
    assert bounds.nvlink_bound(gpus[0], gpus[2]).GBps is None


def test_a_card_without_nvlink_is_a_domain_of_its_own_and_says_so(read):
    a, b = read(TOPOLOGY="pcie").gpus
    assert (a.nvlinks, a.nvlink_GBps) == ((), None)
    assert "NVLink: NVML shows no link" in a.reasons
    assert (a.domain, b.domain) == (("n0", 0), ("n0", 1))
    assert bounds.path_between(a, b) == "pcie"
    assert "no active NVLink joins" in bounds.nvlink_bound(a, b).words


def test_a_card_whose_links_are_all_dead_differs_from_one_without(read):
    a, b = read(LINKS=2, DEAD="0:0,0:1").gpus
    assert a.dead_nvlinks == (0, 1)
    assert a.nvlink_GBps is None
    assert "NVLink: NVML shows no link" not in a.reasons
    assert bounds.path_between(a, b) == "pcie"


def test_switches_that_a_guest_cannot_see_still_join_its_gpus(read):
    a, b = read(HIDDEN=1).gpus
    assert {link.remote for link in a.nvlinks} == {None}
    assert a.domain == b.domain == ("n0", 0)
    assert bounds.nvlink_bound(a, b).GBps == 450


@pytest.mark.parametrize(
    ("capability", "code", "speed", "rate", "version"),
    [
        (60, 1, 0, 20, "1.0"),
        (70, 2, 25781, 25, "2.0"),
        (80, 5, 25000, 25, "3.0"),
        (86, 6, 14062, 14.062, "3.1"),
        (90, 6, 26562, 25, "4.0"),
        (90, 7, 0, 25, "4.0"),
        (100, 8, 53125, 50, "5.0"),
        (100, 7, 0, 50, "5.0"),
    ],
)
def test_a_link_carries_what_its_generation_does(read, capability, code, speed, rate, version):
    gpu = read(GPUS=1, LINKS=1, CAPABILITY=capability, VERSION=code, SPEED=speed).gpus[0]
    (link,) = gpu.nvlinks
    assert link.rate_GBps == rate
    assert (link.version, link.version_code) == (version, code)
    assert link.line_GBps == (speed / 1000 or None)
    assert ("table" in link.source) == (speed / 1000 != rate)


def test_the_speed_of_a_link_that_runs_slower_than_its_generation_is_its_rate(read):
    (link,) = read(GPUS=1, LINKS=1, SPEED=13281).gpus[0].nvlinks
    assert link.rate_GBps == 13.281
    assert link.source == "NVML: NVLINK_GET_SPEED"


@pytest.mark.parametrize(("field", "name"), [(84, "SPEED_MBPS_L0"), (90, "SPEED_MBPS_COMMON")])
def test_older_drivers_answer_older_fields(read, field, name):
    (link,) = read(GPUS=1, LINKS=1, SPEED=14062, SPEED_FIELD=field).gpus[0].nvlinks
    assert (link.rate_GBps, link.source) == (14.062, f"NVML: NVLINK_{name}")


def test_the_rate_of_a_generation_that_is_not_in_the_table_is_unknown_unless_nvml_says(read):
    a, b = read(CAPABILITY=107, SPEED=0).gpus
    assert a.nvlink_GBps is None
    assert {(k.rate_GBps, k.version) for k in a.nvlinks} == {(None, None)}
    bound = bounds.nvlink_bound(a, b)
    assert bound.GBps is None
    assert bound.words == "unknown: neither NVML nor a table has its speed"
    assert read(GPUS=1, CAPABILITY=107, LINKS=2, SPEED=100000).gpus[0].nvlink_GBps == 200


def test_gpus_of_two_hosts_in_one_rack_are_one_domain(read):
    rack = {"FABRIC": CLUSTER, "CLIQUE": 7, "CAPABILITY": 100, "SPEED": 53125, "GPUS": 4}
    gpus = [gpu for host in ("n0", "n1") for gpu in read(host, **rack).gpus]
    assert {gpu.domain for gpu in gpus} == {("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", 7)}
    assert bounds.path_between(gpus[0], gpus[7]) == "nvlink"
    assert bounds.path_between(gpus[0], gpus[4]) == "nvlink"  # the same index on the other host
    assert bounds.nvlink_bound(gpus[0], gpus[7]).GBps == 900


def test_another_clique_of_the_rack_is_another_domain(read):
    a, b = (read(f"n{clique}", FABRIC=CLUSTER, CLIQUE=clique).gpus[0] for clique in (0, 1))
    assert a.domain != b.domain
    assert bounds.path_between(a, b) == "network"


@pytest.mark.parametrize("fabric", [{"FABRIC": "0" * 32}, {"FABRIC": CLUSTER, "STATE": 2}])
def test_a_fabric_without_a_name_or_still_joining_ends_at_the_host(read, fabric):
    gpu = read(**fabric).gpus[0]
    assert gpu.fabric is not None
    assert gpu.domain == ("n0", 0)
    other = read("n1", **fabric).gpus[0]
    assert bounds.path_between(gpu, other) == "network"


def test_a_driver_that_knows_no_fabric_says_so(read):
    gpu = read().gpus[0]
    assert gpu.fabric is None
    assert "fabric: Not Supported" in gpu.reasons


def test_a_gpu_in_mig_mode_has_no_bound_that_its_instances_share(read):
    a, b = read(MIG=1).gpus
    assert a.mig is True
    assert read(MIG=0).gpus[0].mig is False
    assert bounds.nvlink_bound(a, b).words == "unknown: MIG instances have no peer access"
    assert bounds.local_bound(a).GBps is None


def test_a_lost_gpu_keeps_its_index_and_says_so(read):
    a, b = read(LOST=0).gpus
    assert (a.index, a.bus_id, a.uuid, a.nvlink_GBps) == (0, None, None, None)
    assert a.reasons == ("handle: GPU is lost",)
    assert a.pcie.reason == "no PCI bus id"
    assert b.nvlink_GBps == 450
    assert bounds.nvlink_bound(a, b).GBps is None


def test_a_link_to_the_processor_is_the_way_to_the_host(read):
    gpu = read(C2C="10:44712").gpus[0]
    assert gpu.c2c_GBps == pytest.approx(447.12)
    assert bounds.host_bound(gpu).GBps == gpu.c2c_GBps
    assert "NVLink-C2C" in bounds.host_bound(gpu).words


@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        ({"INIT": 12}, "NVML does not start: NVML Shared Library Not Found"),
        ({"INIT": 9}, "NVML does not start: Driver Not Loaded"),
        ({"GPUS": 0}, "NVML shows no GPU to this process"),
        ({"pynvml": "without"}, "nvidia-ml-py is not installed"),
    ],
)
def test_without_nvml_sysfs_shows_the_gpus_and_the_reason_is_kept(read, sysfs, knobs, reason):
    assert read(**knobs).gpus == ()
    sysfs.gpu("pci0000:00/0000:00:01.0/0000:10:00.0", numa_node=1)
    sysfs.device("pci0000:00/0000:00:02.0", vendor="0x10de", **{"class": "0x068000"})  # a switch
    found = read(**knobs)
    assert found.reason.startswith(reason)
    (gpu,) = found.gpus
    assert (gpu.index, gpu.bus_id, gpu.numa_node) == (0, "0000:10:00.0", 1)
    assert (gpu.name, gpu.uuid, gpu.nvlink_GBps, gpu.domain) == (None, None, None, None)
    assert gpu.reasons == (found.reason,)
    assert gpu.pcie.payload_GBps == pytest.approx(57.6, abs=0.1)
    assert bounds.nvlink_bound(gpu, gpu).GBps is None
    assert reason in bounds.local_bound(gpu).words


# PCIe -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("speed", "width", "raw", "payload"),
    [
        (2.5, 1, 0.25, 0.2286),
        (5.0, 8, 4.0, 3.657),
        (8.0, 16, 15.754, 14.404),
        (16.0, 16, 31.508, 28.807),
        (32.0, 16, 63.015, 57.614),
        (64.0, 16, 121.0, 111.06),
    ],
)
def test_a_pcie_link_carries_its_speed_less_coding_and_headers(speed, width, raw, payload):
    assert pcie.pcie_rates(speed, width) == pytest.approx((raw, payload), rel=1e-3)


def test_a_speed_that_pcie_does_not_have_has_no_rate():
    assert pcie.pcie_rates(3.0, 16) == (None, None)
    assert pcie.pcie_rates(32.0, 0) == (None, None)


DEEP = "pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:10:00.0"


def test_on_a_healthy_path_the_root_port_is_named(read, sysfs):
    sysfs.gpu(DEEP)
    pcie = read(GPUS=1).gpus[0].pcie
    assert pcie.path == tuple(DEEP.split("/"))
    assert [d.bus_id for d in pcie.devices] == DEEP.split("/")[1:]
    assert (pcie.narrowest, pcie.speed_GTps, pcie.width) == ("0000:00:01.0", 32, 16)
    assert pcie.reason == ""


def test_a_degraded_bridge_is_named_and_bounds_host_and_peers(read, sysfs):
    sysfs.gpu(DEEP)
    sysfs.device(DEEP.rpartition("/0000:02")[0], current_link_width="8")
    sysfs.gpu("pci0000:80/0000:80:01.0/0000:11:00.0")
    gpu, other = read().gpus
    assert (gpu.pcie.narrowest, gpu.pcie.width) == ("0000:01:00.0", 8)
    assert gpu.pcie_width == 16  # NVML sees the GPU's own link only
    assert gpu.pcie.devices[1].max_width == 16
    assert bounds.host_bound(gpu).GBps == pytest.approx(28.8, abs=0.1)
    assert bounds.host_bound(other).GBps == pytest.approx(57.6, abs=0.1)
    bound = bounds.pcie_bound(other, gpu)
    assert (bound.GBps, bound.raw_GBps) == pytest.approx((28.807, 31.508), abs=0.01)
    assert "32 GT/s x8 at 0000:01:00.0" in bound.words


def test_nvml_is_named_where_it_knows_a_narrower_link(read, sysfs):
    sysfs.gpu(DEEP)
    gpu = read(GPUS=1, PCIE="4:16").gpus[0]
    assert (gpu.pcie.narrowest, gpu.pcie.speed_GTps) == ("NVML", 16)


def test_an_idle_gpu_whose_link_sleeps_is_rated_awake(read, sysfs):
    asleep = {"current_link_speed": "2.5 GT/s PCIe"}
    sysfs.gpu(DEEP, **asleep)
    sysfs.device(DEEP.rpartition("/0000:10")[0], **asleep)
    idle = read(GPUS=1, PCIE="1:16", PSTATE=8).gpus[0]
    assert idle.pcie.speed_GTps == 32
    assert idle.pcie.devices[-1].speed_GTps == 2.5


@pytest.mark.parametrize("state", [0, 2, 32])
def test_a_slow_link_of_a_gpu_that_works_or_does_not_say_is_rated_as_it_is(read, sysfs, state):
    slow = {"current_link_speed": "2.5 GT/s PCIe"}
    sysfs.gpu(DEEP, **slow)
    sysfs.device(DEEP.rpartition("/0000:10")[0], **slow)
    busy = read(GPUS=1, PCIE="1:16", PSTATE=state).gpus[0]
    assert (busy.pcie.speed_GTps, busy.pcie.narrowest) == (2.5, "0000:02:00.0")


def test_the_made_up_link_of_a_virtual_bridge_counts_for_nothing(read, sysfs):
    root = {"current_link_speed": "2.5 GT/s PCIe", "current_link_width": "1"}
    sysfs.gpu("pci0000:00/0000:00:05.0/0000:10:00.0", bridges=FULL | root)
    sysfs.device("pci0000:00/0000:00:05.0", vendor="0x1b36")
    pcie = read(GPUS=1).gpus[0].pcie
    assert pcie.devices[0].emulated
    assert (pcie.narrowest, pcie.speed_GTps) == ("0000:10:00.0", 32)


@pytest.mark.parametrize("text", ["Unknown", "Unknown speed", ""])
def test_an_unknown_link_state_is_named_and_the_rest_of_the_path_counts(read, sysfs, text):
    sysfs.gpu(DEEP)
    sysfs.device(DEEP.rpartition("/0000:01")[0], current_link_speed=text)
    pcie = read(GPUS=1).gpus[0].pcie
    assert pcie.devices[0].speed_GTps is None
    assert pcie.narrowest == "0000:01:00.0"
    assert pcie.reason == "no link state of 0000:00:01.0"


def test_a_gpu_that_sysfs_does_not_show_has_nvmls_link(read):
    gpu = read(GPUS=1).gpus[0]
    assert gpu.pcie.narrowest == "NVML"
    assert gpu.pcie.reason.endswith("0000:10:00.0 does not exist")
    assert gpu.numa_node is None


def test_gpus_of_two_hosts_share_no_pcie(read):
    a, b = (read(host, GPUS=1, TOPOLOGY="pcie").gpus[0] for host in ("n0", "n1"))
    assert bounds.pcie_bound(a, b).words == "unknown: n0 and n1 share no PCIe"


# NICs -------------------------------------------------------------------------------------------


def test_nics_are_rails_in_the_order_of_their_names(sysfs):
    sysfs.nic("mlx5_10", "pci0000:00/0000:00:03.0")
    sysfs.nic("mlx5_2", "pci0000:00/0000:00:02.0", rate="800 Gb/sec (4X XDR)")
    found = links.nic_facts(sysfs.root, "n0")
    assert [(nic.name, nic.rail) for nic in found] == [("mlx5_2", 0), ("mlx5_10", 1)]
    assert [nic.rate_Gbps for nic in found] == [800, 400]
    nic = found[1]
    assert (nic.state, nic.link_layer, nic.host) == ("ACTIVE", "InfiniBand", "n0")
    assert nic.pcie.path == ("pci0000:00", "0000:00:03.0")
    assert nic.reason == ""


def test_a_port_that_is_down_has_no_rate_and_keeps_its_rail(sysfs):
    sysfs.nic("mlx5_0", "pci0000:00/0000:00:02.0", state="1: DOWN", rate="10 Gb/sec (4X SDR)")
    sysfs.nic("mlx5_1", "pci0000:00/0000:00:03.0")
    down, up = links.nic_facts(sysfs.root, "n0")
    assert (down.rate_Gbps, down.reason, down.rail) == (None, "the port is DOWN", 0)
    assert (up.rate_Gbps, up.rail) == (400, 1)
    assert bounds.network_bound(down, up).words == "unknown: mlx5_0:1 on n0: the port is DOWN"


def test_ports_of_one_device_share_a_rail(sysfs):
    sysfs.nic("mlx4_0", "pci0000:00/0000:00:02.0", port=1, rate="40 Gb/sec (4X QDR)")
    sysfs.nic("mlx4_0", "pci0000:00/0000:00:02.0", port=2, rate="2.5 Gb/sec (1X SDR)")
    found = links.nic_facts(sysfs.root)
    assert [(nic.port, nic.rail, nic.rate_Gbps) for nic in found] == [(1, 0, 40), (2, 0, 2.5)]


def test_a_rate_that_cannot_be_read_is_unknown_with_its_file(sysfs):
    port = sysfs.nic("mlx5_0", "pci0000:00/0000:00:02.0")
    (port / "rate").unlink()
    (port / "rate").mkdir()  # reading it fails for root too
    (nic,) = links.nic_facts(sysfs.root, "n0")
    assert nic.rate_Gbps is None
    assert nic.reason == f"{port / 'rate'} says None"


def test_a_host_without_rdma_devices_has_no_nics(sysfs):
    assert links.nic_facts(sysfs.root) == ()


def test_the_nearest_nic_shares_the_longest_path(read, sysfs):
    switch = "pci0000:00/0000:00:01.0/0000:01:00.0"
    sysfs.gpu(f"{switch}/0000:02:00.0/0000:10:00.0")
    sysfs.gpu("pci0000:80/0000:80:01.0/0000:11:00.0", numa_node=1)
    sysfs.nic("mlx5_0", "pci0000:00/0000:00:02.0/0000:20:00.0")
    sysfs.nic("mlx5_1", f"{switch}/0000:02:01.0/0000:21:00.0")
    sysfs.nic("mlx5_2", f"{switch}/0000:02:02.0/0000:22:00.0")
    sysfs.nic("mlx5_3", "pci0000:c0/0000:c0:01.0/0000:23:00.0", numa_node=1)
    found = read()
    near, far = (links.nearest_nics(gpu, found.nics) for gpu in found.gpus)
    assert [nic.name for nic in near] == ["mlx5_1", "mlx5_2"]
    assert [nic.name for nic in far] == ["mlx5_3"]  # nothing in common but the NUMA node
    elsewhere = [msgspec.structs.replace(nic, host="n1") for nic in found.nics]
    assert links.nearest_nics(found.gpus[0], elsewhere) == ()


def test_where_nothing_tells_no_nic_is_nearest(read, sysfs):
    sysfs.gpu("pci0000:80/0000:80:01.0/0000:10:00.0", numa_node=-1)
    sysfs.nic("mlx5_0", "pci0000:00/0000:00:02.0", numa_node=-1)
    found = read(GPUS=1)
    assert found.nics[0].numa_node is None
    assert links.nearest_nics(found.gpus[0], found.nics) == ()


def test_between_hosts_the_slower_nic_bounds(sysfs):
    sysfs.nic("mlx5_0", "pci0000:00/0000:00:02.0")
    sysfs.nic("mlx5_1", "pci0000:00/0000:00:03.0", rate="200 Gb/sec (4X HDR)")
    fast, slow = links.nic_facts(sysfs.root, "n0")
    assert bounds.network_bound(fast, fast).GBps == 50
    bound = bounds.network_bound(fast, slow)
    assert bound.GBps == 25
    assert bound.words == "200 Gb/s / 8 of mlx5_1:1 on n0"


@pytest.mark.parametrize(
    ("layer", "mtu", "nbytes", "written", "share"),
    [
        ("Ethernet", 4096, 4096, False, 4096 / 4178),
        ("Ethernet", 4096, 1 << 20, True, 2**20 / (2**20 + 256 * 82 + 16)),
        ("Ethernet", 1024, 4097, False, 4097 / (4097 + 5 * 82)),
        ("InfiniBand", 4096, 4096, False, 4096 / 4122),
        ("InfiniBand", 2048, 8, True, 8 / 50),
        ("Fibre Channel", 4096, 4096, False, None),
        (None, 4096, 4096, False, None),
        ("Ethernet", 0, 4096, False, None),
    ],
)
def test_what_headers_leave_of_a_line_depends_on_layer_mtu_and_size(
    layer, mtu, nbytes, written, share
):
    assert bounds.payload_share(layer, mtu, nbytes, written) == (share and pytest.approx(share))


def test_the_headers_of_the_network_come_off_the_rate_but_not_off_a_narrow_slot(sysfs):
    sysfs.nic("mlx5_0", "pci0000:00/0000:00:02.0")
    (nic,) = links.nic_facts(sysfs.root, "n0")
    bound = bounds.network_bound(nic, nic, 0.98)
    assert (bound.GBps, bound.raw_GBps) == (pytest.approx(49), 50)
    assert bound.words == "400 Gb/s / 8 of mlx5_0:1 on n0, 98.0% of it data"
    sysfs.nic("mlx5_1", "pci0000:00/0000:00:03.0", current_link_width="4")
    slow = links.nic_facts(sysfs.root, "n0")[1]
    narrow = bounds.network_bound(slow, slow)
    assert narrow.GBps is not None
    assert narrow.GBps < 49
    assert bounds.network_bound(nic, slow, 0.98) == narrow


def test_a_nic_in_a_narrow_slot_is_bound_by_it(sysfs):
    # as in a kernel's log: available PCIe bandwidth, limited by 8.0 GT/s PCIe x8 link
    narrow = {"current_link_speed": "8.0 GT/s PCIe", "current_link_width": "8"}
    sysfs.device("pci0001:40/0001:42:01.0", **(FULL | narrow))
    sysfs.nic("mlx5_0", "pci0001:40/0001:42:01.0/0001:43:00.0", rate="100 Gb/sec (4X EDR)")
    (nic,) = links.nic_facts(sysfs.root, "n0")
    bound = bounds.network_bound(nic, nic)
    assert bound.raw_GBps == pytest.approx(63.008 / 8, rel=1e-3)  # the kernel's own figure
    assert "8 GT/s x8 at 0001:42:01.0" in bound.words


# the whole --------------------------------------------------------------------------------------


def test_the_records_hold_no_zero_for_what_is_unknown():
    gpu = Gpu(index=0, host="n0", pcie=Pcie())
    written = json.loads(msgspec.json.encode(gpu))
    assert {name for name, value in written.items() if value == 0} == {"index"}
    for bound in (bounds.host_bound(gpu), bounds.local_bound(gpu), bounds.pcie_bound(gpu, gpu)):
        assert (bound.GBps, bound.raw_GBps) == (None, None)
        assert bound.words.startswith("unknown: ")
    assert bounds.path_between(gpu, gpu) == "local"


def test_a_nic_without_a_known_slot_is_bound_by_its_rate():
    nic = Nic(
        name="rxe0",
        port=1,
        rail=0,
        host="n0",
        rate_Gbps=100,
        state="ACTIVE",
        link_layer="Ethernet",
        numa_node=None,
        pcie=Pcie(reason="not on PCI"),
    )
    assert bounds.network_bound(nic, nic).GBps == 12.5


def test_the_table_of_generations_agrees_with_the_data_sheets():
    count = {"1.0": 4, "2.0": 6, "2.2": 2, "3.0": 12, "3.1": 4, "4.0": 18, "5.0": 18}
    both = {"1.0": 160, "2.0": 300, "2.2": 100, "3.0": 600, "3.1": 112.5, "4.0": 900, "5.0": 1800}
    for version, rate in nvlink.GENERATIONS.values():
        assert 2 * count[version] * rate == both[version]
