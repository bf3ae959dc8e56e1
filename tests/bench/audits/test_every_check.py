"""Every check: good on a healthy node, found out where one thing is broken, unknown where it is hidden."""

from __future__ import annotations

import errno
import shutil

import msgspec
import pytest

from railgauge.auditing.checks import all_checks
from railgauge.auditing.manifest import Device, Manifest
from railgauge.linux import dcb, ethtool

DENIED = OSError(errno.EPERM, "no permission")
ODD = ValueError("a DCB structure of 2 bytes, expected 136")
#: Nobody but the firmware, the vendor's tool, verbs or the kernel's log can tell.
NEVER_READ = {"nic_profile", "peer_memory_errors", "ib_mtu"}
#: A property of the process: the kernel always answers.
ALWAYS_READ = {
    *(
        "affinity",
        "memlock",
        "nofile",
        "stack",
        "kernel_release",
        "gpus",
        "gpu_nic_distance",
        "rdma_devices",
    ),
    *("device_binding", "module_version", "ucx_net_devices", "ucx_tls", "nccl_ib_hca"),
    *("nccl_socket_ifname", "rails_for_gpus"),
}


def write(path, content, rail=0):
    """Breaks a file: `{port}`, `{net}`, `{nic}`, `{gpu}`, `{up}`, `{down}` are places of that rail."""

    def change(node):
        where = {"port": node.port(rail), "net": node.net(rail)}
        where |= {what: node.pci(rail, what) for what in ("nic", "gpu", "root", "up", "down")}
        node.write(path.format(**where), content)

    return change


def remove(path):
    def change(node):
        where = {
            "port": node.port(0),
            "net": node.net(0),
            "nic": node.pci(0),
            "gpu": node.pci(0, "gpu"),
        }
        node.remove(path.format(**where))

    return change


def environ(**values):
    return lambda node: node.environ.update(values)


def kernel(**values):
    return lambda node: [setattr(node.kernel, name, value) for name, value in values.items()]


def limit(name, value):
    return lambda node: node.kernel.limits.update({name: value})


def state(**changes):
    """Another DCB state of all devices."""
    return lambda node: setattr(
        node.kernel, "dcb_state", msgspec.structs.replace(node.kernel.dcb_state, **changes)
    )


def manifest(**fields):
    return lambda node: setattr(node, "manifest", Manifest(**fields))


def both(*changes):
    return lambda node: [change(node) for change in changes]


def pfc(*enabled):
    return state(pfc=dcb.Pfc(8, enabled, False, 0, (0,) * 8, (0,) * 8))


def config(**controls):
    def change(node):
        node.write(f"{node.pci(0, 'down')}/config", node.configuration(acs=controls.get("acs", 0)))
        node.write(
            f"{node.pci(0)}/config",
            node.configuration(**{k: v for k, v in controls.items() if k != "acs"}),
        )

    return change


def gids(**entries):
    """Only these entries: index=(address, type)."""

    def change(node):
        for index in range(5):
            address, kind = entries.get(f"i{index}", ("::", ""))
            node.write(f"{node.port(0)}/gids/{index}", address)
            node.write(f"{node.port(0)}/gid_attrs/types/{index}", kind)

    return change


def no_links(node):
    for path in node.root.glob("sys/devices/pci0000:10/**/*link*"):
        path.unlink()


def no_network(node):
    shutil.rmtree(node.root / "sys/class/net")


def no_modules(node):
    node.remove("proc/modules")
    node.remove("sys/module/*/*")
    (node.sysfs / "module/mlx5_core").rmdir()


def swapped(node):
    """Each of two devices sits in the other's slot."""
    for rail in (0, 1):
        link = node.sysfs / f"class/infiniband/mlx5_{rail}/device"
        link.unlink()
        link.symlink_to(node.root / node.pci(1 - rail))
        (node.root / node.pci(1 - rail) / "net" / node.netdev(1 - rail)).rename(
            node.root / node.pci(1 - rail) / "net" / f"{node.netdev(rail)}_"
        )
    for rail in (0, 1):
        folder = node.root / node.pci(1 - rail) / "net"
        (folder / f"{node.netdev(rail)}_").rename(folder / node.netdev(rail))


TCLASS = "sys/class/infiniband/mlx5_0/tc/1/traffic_class"
GOVERNOR = "sys/devices/system/cpu/*/cpufreq/scaling_governor"
#: check, what is broken, the status that it must get, and words of the finding (found or expected).
BROKEN = [
    # links
    ("rdma_devices", manifest(devices={"mlx5_7": Device()}), "FAIL", "missing: mlx5_7"),
    (
        "device_binding",
        manifest(devices={"mlx5_0": Device(pci="0000:ff:00.0")}),
        "FAIL",
        "0000:13:00.0",
    ),
    ("device_binding", manifest(devices={"mlx5_0": Device(netdev="eth7")}), "FAIL", "netdev eth0"),
    ("device_binding", swapped, "WARN", "pci 0000:13:00.0, netdev eth1, before mlx5_0"),
    ("port_state", write("{port}/state", "1: DOWN"), "FAIL", "DOWN, LinkUp"),
    ("port_state", write("{port}/state", "2: INIT"), "FAIL", "INIT, LinkUp"),
    ("port_state", write("{port}/phys_state", "3: Disabled"), "FAIL", "ACTIVE, Disabled"),
    ("port_rate", manifest(devices={"mlx5_0": Device(rate_Gbps=800)}), "FAIL", "400 Gb/s (4X)"),
    ("rails_for_gpus", lambda _: None, "WARN", "2 such ports"),
    ("netdev_speed", write("{net}/speed", "200000"), "FAIL", "eth0 200 Gb/s, RDMA port 400 Gb/s"),
    ("netdev_speed", write("{port}/rate", "100 Gb/sec (4X EDR)"), "FAIL", "RDMA port 100 Gb/s"),
    (
        "netdev_operstate",
        write("{net}/operstate", "down"),
        "FAIL",
        "though the physical link is up",
    ),
    ("netdev_operstate", write("{net}/operstate", "lowerlayerdown"), "FAIL", "eth0 lowerlayerdown"),
    ("link_flaps", write("{port}/counters/link_downed", 3), "WARN", "link_downed 3"),
    ("link_flaps", write("{net}/carrier_down_count", 9), "WARN", "carrier_down_count 9"),
    ("link_layer", write("{port}/link_layer", "InfiniBand"), "FAIL", "InfiniBand"),
    # priorities
    ("pfc", pfc(), "FAIL", "on for none"),
    ("pfc", pfc(3, 4), "FAIL", "on for 3, 4"),
    ("pfc", pfc(5), "FAIL", "on for 5"),
    ("trust", write("{net}/qos/trust", "pcp"), "FAIL", "pcp (qos/trust)"),
    ("dscp_priority", state(applications=()), "FAIL", "priority 3: DSCP none"),
    ("dscp_priority", manifest(dscp=46), "FAIL", "to 5"),
    (
        "ets",
        state(ets=dcb.Ets(False, 8, (0,) * 8, ("ets",) * 8, (0,) * 8)),
        "WARN",
        "share class 0 with 3",
    ),
    (
        "ets",
        state(ets=dcb.Ets(False, 8, (0,) * 8, ("ets",) * 8, tuple(range(8)))),
        "WARN",
        "priority 6 of CNPs is ets",
    ),
    (
        "receive_buffer",
        state(buffer=dcb.Buffer((0,) * 8, (9,) * 8, 72)),
        "WARN",
        "a buffer for priority 3",
    ),
    (
        "receive_buffer",
        state(buffer=dcb.Buffer((0, 0, 0, 1, 0, 0, 0, 0), (9, 999) + (0,) * 6, 99)),
        "WARN",
        "999 B",
    ),
    # Ethernet
    ("mtu", write("{net}/mtu", 1500), "FAIL", "1500"),
    ("mtu", manifest(mtu=9216), "FAIL", "9216 (manifest)"),
    ("global_pause", kernel(paused=ethtool.Pause(True, True, False)), "FAIL", "rx on, tx off"),
    ("gid_table", gids(i0=("fe80::1", "RoCE v2")), "FAIL", "RoCE v2 link-local"),
    ("gid_table", gids(i0=("::ffff:10.0.0.1", "IB/RoCE v1")), "FAIL", "IB/RoCE v1"),
    ("gid_table", gids(i0=("2001:db8::1", "RoCE v2")), "WARN", "IPv6 alone"),
    (
        "traffic_class",
        write(TCLASS, "Global tclass=0"),
        "WARN",
        "priority 0",
    ),
    # congestion
    ("ecn_np", write("{net}/ecn/roce_np/enable/3", 0), "WARN", "on for 0, 1, 2, 4, 5, 6, 7"),
    ("ecn_rp", write("{net}/ecn/roce_rp/enable/3", 0), "WARN", "on for 0, 1, 2, 4"),
    ("cnp_dscp", write("{net}/ecn/roce_np/cnp_dscp", 0), "WARN", "0"),
    # NCCL
    (
        "nccl_traffic_class",
        environ(NCCL_IB_TC="0"),
        "FAIL",
        "DSCP 0 -> priority 0 on eth0: a lossy class",
    ),
    (
        "nccl_traffic_class",
        environ(NCCL_GIN_IB_TC="160"),
        "FAIL",
        "NCCL_GIN_IB_TC=160 = DSCP 40 -> priority 5",
    ),
    (
        "nccl_traffic_class",
        environ(NCCL_IB_TC="lossless"),
        "FAIL",
        "NCCL_IB_TC=lossless: not a number",
    ),
    ("nccl_ib_hca", environ(NCCL_IB_HCA="=mlx5_0:1"), "WARN", "leaves out mlx5_1 port 1"),
    ("nccl_ib_hca", environ(NCCL_IB_HCA="^mlx5_1"), "WARN", "leaves out mlx5_1 port 1"),
    ("nccl_ib_hca", environ(NCCL_IB_HCA="=mlx5_9"), "FAIL", "selects none"),
    ("nccl_ib_hca", environ(NCCL_IB_HCA="mlx5,:1"), "FAIL", ":1"),
    ("nccl_ib_hca", environ(NCCL_IB_HCA="mlx5,bnxt"), "WARN", "there is no bnxt"),
    ("nccl_gid_index", environ(NCCL_IB_GID_INDEX="3"), "WARN", "NCCL_IB_GID_INDEX=3"),
    (
        "nccl_gid_index",
        environ(NCCL_IB_GID_INDEX="0"),
        "FAIL",
        "index 0 is mlx5_0 port 1: IB/RoCE v1",
    ),
    ("nccl_socket_ifname", environ(NCCL_SOCKET_IFNAME="bond0"), "FAIL", "selects none"),
    (
        "nccl_socket_ifname",
        both(environ(NCCL_SOCKET_IFNAME="eth0"), write("{net}/flags", 2)),
        "FAIL",
        "eth0",
    ),
    ("nccl_disabled", environ(NCCL_IB_DISABLE="1"), "FAIL", "TCP carries it all"),
    ("nccl_disabled", environ(NCCL_NET="Socket"), "FAIL", "TCP carries it all"),
    ("nccl_disabled", environ(NCCL_P2P_DISABLE="1"), "WARN", "NCCL_P2P_DISABLE=1"),
    ("nccl_gdr", environ(NCCL_NET_GDR_LEVEL="LOC"), "WARN", "NCCL_NET_GDR_LEVEL=LOC"),
    ("nccl_gdr", environ(NCCL_NET_GDR_LEVEL="1"), "WARN", "NCCL_NET_GDR_LEVEL=1"),
    ("nccl_gdr", environ(NCCL_NET_GDR_LEVEL="NEAR"), "FAIL", "NCCL_NET_GDR_LEVEL=NEAR"),
    ("nccl_gdr", environ(NCCL_DMABUF_ENABLE="0"), "WARN", "NCCL_DMABUF_ENABLE=0"),
    ("nccl_forced", environ(NCCL_ALGO="Ring", NCCL_PROTO="Simple"), "WARN", "NCCL_ALGO=Ring"),
    ("nccl_relaxed_ordering", environ(NCCL_IB_PCI_RELAXED_ORDERING="0"), "WARN", "=0"),
    (
        "nccl_names",
        environ(NCCL_IB_HCAS="mlx5"),
        "WARN",
        "NCCL_IB_HCAS (did you mean NCCL_IB_HCA?)",
    ),
    # UCX
    ("ucx_net_devices", environ(UCX_NET_DEVICES="mlx5_9:1"), "FAIL", "there is no mlx5_9:1"),
    (
        "ucx_net_devices",
        environ(UCX_NET_DEVICES="mlx5_1:1", NCCL_IB_HCA="=mlx5_0"),
        "WARN",
        "not mlx5_1:1",
    ),
    ("ucx_tls", environ(UCX_TLS="tcp,self,sm"), "WARN", "UCX_TLS=tcp,self,sm"),
    ("ucx_tls", environ(UCX_TLS="^rc,ud"), "WARN", "UCX_TLS=^rc,ud"),
    (
        "ucx_classes",
        environ(UCX_IB_TRAFFIC_CLASS="0"),
        "WARN",
        "UCX_IB_TRAFFIC_CLASS=0, NCCL_IB_TC=106",
    ),
    (
        "ucx_classes",
        lambda n: n.environ.pop("UCX_IB_TRAFFIC_CLASS"),
        "WARN",
        "is not set, NCCL_IB_TC is",
    ),
    # PCIe and GPUs
    ("pcie_link", write("{nic}/current_link_width", 8), "FAIL", "0000:13:00.0 x8 of x16"),
    ("pcie_link", write("{up}/current_link_width", 8), "FAIL", "0000:11:00.0 x8 of x16"),
    (
        "pcie_link",
        write("{root}/current_link_speed", "8.0 GT/s PCIe"),
        "FAIL",
        "0000:10:00.0 8 of 32 GT/s",
    ),
    ("pcie_link", write("{gpu}/current_link_width", 4), "FAIL", "0000:14:00.0 x4 of x16"),
    ("acs", config(acs=0b0011100), "FAIL", "request_redirect"),
    ("acs", config(acs=0b0000001), "WARN", "source_validation"),
    ("pcie_read_request", config(control=0x2936), "WARN", "MaxReadReq 512"),
    ("pcie_read_request", config(control=0x5926), "WARN", "relaxed ordering off"),
    ("gpus", manifest(gpus=8), "FAIL", "8 (manifest)"),
    (
        "peer_memory",
        both(
            write("proc/modules", "ib_core 1 0 - Live 0x0"),
            write(
                "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module 550"
            ),
        ),
        "FAIL",
        "neither",
    ),
    ("iommu", write("sys/kernel/iommu_groups/0/type", "DMA-FQ"), "WARN", "DMA-FQ"),
    ("numa_node", write("{gpu}/numa_node", -1), "WARN", "-1"),
    # the process and the system
    ("memlock", limit("MEMLOCK", 64 << 10), "FAIL", "64 KiB"),
    ("nofile", limit("NOFILE", 1024), "WARN", "1024"),
    ("stack", limit("STACK", None), "WARN", "unlimited"),
    ("affinity", kernel(cpus=frozenset({4, 5})), "WARN", "2 CPUs on node 1"),
    ("shared_memory", kernel(shm=64 << 20), "WARN", "0.1 GB"),
    ("remove_ipc", write("etc/systemd/logind.conf", "[Login]\nRemoveIPC=yes"), "WARN", "yes"),
    (
        "governor",
        write(GOVERNOR.replace("*", "cpu3"), "powersave"),
        "WARN",
        "powersave: 1 CPUs",
    ),
    (
        "sleep_states",
        write("sys/devices/system/cpu/cpu0/cpuidle/state2/disable", 0),
        "WARN",
        "C6 on 1 CPUs",
    ),
    ("modules", write("proc/modules", "ib_core 1 0 - Live 0x0"), "FAIL", "rdma_cm"),
]

CLOCK = "sys/devices/system/clocksource/clocksource0/current_clocksource"
GPUS = ("0000:14:00.0", "0000:1c:00.0")


def gpus(unknown=None, **values):
    """NVML says so of the second GPU."""

    def change(node):
        node.kernel.gpus = [node.gpu_reading(GPUS[0]), node.gpu_reading(GPUS[1], unknown, **values)]

    return change


def xid(seconds, number):
    text = f"NVRM: Xid (PCI:0000:14:00): {number}, pid='<unknown>', name=<unknown>"
    return lambda node: setattr(node.kernel, "log", [(seconds, text)])


BROKEN += [
    ("rdma_devices", manifest(nics=3), "FAIL", "2 ports active"),
    ("port_rate", manifest(rate_Gbps=800), "FAIL", "400 Gb/s"),
    (
        "network_devices",
        both(manifest(netdevs=("eth0", "eth1")), write("{net}/operstate", "lowerlayerdown")),
        *("FAIL", "lowerlayerdown, 400 Gb/s"),
    ),
    ("network_devices", manifest(netdevs=("bond0",)), "FAIL", "absent"),
    ("port_errors", write("{port}/counters/symbol_error", 11), "WARN", "symbol_error 10.6 a day"),
    (
        "port_errors",
        both(manifest(errors_per_day=5), write("{port}/counters/port_xmit_discards", 6)),
        *("FAIL", "port_xmit_discards 5.76 a day"),
    ),
    ("pci_answers", write("{gpu}/config", b"\xff" * 64), "FAIL", "fallen off the bus"),
    ("shared_memory_free", kernel(free=(3 << 30, 64 << 30)), "FAIL", "3.2 of 68.7 GB free"),
    ("clocksource", write(CLOCK, "hpet"), "WARN", "hpet"),
    ("clocksource", manifest(clocksource="kvm-clock"), "FAIL", "tsc"),
    ("gpus_answer", gpus({"*": "GPU is lost"}), "FAIL", "1 of 2; 0000:1c:00.0: GPU is lost"),
    ("gpus_answer", kernel(gpus=[]), "WARN", "0 of 2; 0000:14:00.0: not shown"),
    ("gpu_memory", gpus(ecc_uncorrected=2), "FAIL", "ecc_uncorrected 2"),
    ("gpu_memory", gpus(remapping_pending=1), "FAIL", "remapping_pending 1"),
    ("gpu_clocks", gpus(reason_hw_power_brake=1), "FAIL", "hw_power_brake 1"),
    ("gpu_xid", xid(89000, 79), "FAIL", "Xid 79 on 0000:14:00 1 times"),
    ("gpu_xid", xid(80000, 79), "WARN", "Xid 79"),
]

HIDDEN = [
    ("network_devices", both(manifest(netdevs=("eth0",)), no_network), "No such file"),
    ("port_errors", remove("{port}/counters/*"), "No such file"),
    ("port_errors", remove("proc/uptime"), "No such file"),
    ("pci_answers", remove("{gpu}/config"), "No such file"),
    ("shared_memory_free", kernel(free=DENIED), "no permission"),
    ("shared_memory_free", kernel(free=(0, 0)), "has no size"),
    ("clocksource", remove(CLOCK), "No such file"),
    ("gpus_answer", kernel(gpus=OSError(0, "NVML does not start", "NVML")), "does not start"),
    ("gpu_memory", gpus({"*": "GPU is lost"}), "GPU is lost"),
    ("gpu_clocks", kernel(gpus=OSError(0, "NVML does not start", "NVML")), "does not start"),
    ("gpu_xid", kernel(log=DENIED), "no permission"),
    ("gpu_xid", both(xid(80000, 79), remove("proc/uptime")), "No such file"),
    ("port_state", remove("{port}/state"), "No such file"),
    ("port_rate", write("{port}/rate", "unknown"), "not a number: 'unknown'"),
    ("netdev_speed", write("{net}/speed", -1), "gives no speed"),
    ("netdev_operstate", remove("{net}/operstate"), "No such file"),
    (
        "link_flaps",
        both(remove("{port}/counters/*"), remove("{net}/carrier_down_count")),
        "No such file",
    ),
    ("link_layer", remove("{port}/link_layer"), "No such file"),
    ("fec", kernel(correction=DENIED), "no permission"),
    ("pfc", kernel(dcb_state=DENIED), "no permission"),
    ("pfc", kernel(dcb_state=ODD), "2 bytes"),
    ("pfc", state(pfc=None), "says nothing of PFC"),
    ("pfc_frames", kernel(dcb_state=DENIED), "no permission"),
    ("trust", both(remove("{net}/qos/trust"), kernel(dcb_state=DENIED)), "no permission"),
    ("dscp_priority", kernel(dcb_state=DENIED), "no permission"),
    ("ets", state(ets=None), "says nothing of traffic classes"),
    ("dcbx_owner", state(dcbx=None), "says nothing of DCBX"),
    ("receive_buffer", state(buffer=None), "says nothing of buffers"),
    ("mtu", write("{net}/mtu", b"\xff\xfe"), "not a number"),
    ("global_pause", kernel(paused=DENIED), "no permission"),
    ("gid_table", remove("{port}/gids/*"), "is empty"),
    ("gid_index", remove("{port}/gids/*"), "is empty"),
    ("traffic_class", remove("sys/class/infiniband/mlx5_0/tc/1/*"), "No such file"),
    ("rdma_cm_tos", remove("sys/kernel/config/rdma_cm/mlx5_0/ports/1/*"), "No such file"),
    ("stall_prevention", remove("sys/class/infiniband/mlx5_0/settings/*"), "No such file"),
    ("ecn_np", remove("{net}/ecn/roce_np/enable/*"), "No such file"),
    ("ecn_rp", remove("{net}/ecn/roce_rp/enable/*"), "No such file"),
    ("cnp_dscp", remove("{net}/ecn/roce_np/cnp_dscp"), "No such file"),
    ("firmware", remove("sys/class/infiniband/mlx5_0/fw_ver"), "No such file"),
    ("board", remove("sys/class/infiniband/mlx5_0/board_id"), "No such file"),
    ("driver", kernel(driven=DENIED), "no permission"),
    (
        "peer_memory",
        both(remove("proc/modules"), remove("proc/driver/nvidia/version")),
        "No such file",
    ),
    ("iommu", remove("sys/kernel/iommu_groups/0/type"), "No such file"),
    ("numa_node", remove("{gpu}/numa_node"), "No such file"),
    ("remove_ipc", remove("etc/systemd/logind.conf"), "not there"),
    ("shared_memory", kernel(shm=DENIED), "no permission"),
    ("nccl_traffic_class", kernel(dcb_state=DENIED), "no permission"),
    ("nccl_gid_index", environ(NCCL_IB_GID_INDEX="three"), "not a number"),
    ("ucx_classes", environ(UCX_IB_SL="high"), "not a number"),
    (
        "pcie_link",
        no_links,
        "no link state",
    ),
    ("acs", write("{down}/config", b"\0" * 64), "only root reads more than 64 bytes"),
    ("ats", write("{nic}/config", b"\0" * 64), "only root reads more than 64 bytes"),
    ("pcie_read_request", write("{nic}/config", b"\0" * 64), "only root reads more than 64 bytes"),
    ("governor", remove(GOVERNOR), "no cpufreq"),
    ("sleep_states", remove("sys/devices/system/cpu/*/cpuidle/*/disable"), "no cpuidle"),
    (
        "transparent_hugepages",
        write("sys/kernel/mm/transparent_hugepage/enabled", "odd"),
        "not a choice",
    ),
    ("hugepages", remove("proc/meminfo"), "No such file"),
    (
        "modules",
        no_modules,
        "No such file",
    ),
    ("tcp_ecn", remove("proc/sys/net/ipv4/tcp_ecn"), "No such file"),
    ("kernel_command_line", remove("proc/cmdline"), "No such file"),
]


@pytest.fixture(autouse=True)
def _configuration(node, configuration, gpu_reading):
    node.configuration, node.gpu_reading = configuration, gpu_reading


def test_a_healthy_node_has_no_failure_and_no_warning_but_for_its_number_of_rails(node):
    audit = node.audit()
    assert audit.report.profile == "roce-lossless"
    bad = {f.check for f in audit.report.findings if f.status in ("FAIL", "WARN")}
    assert bad == {"rails_for_gpus"}  # a real node of such GPUs has eight
    unknown = {f.check for f in audit.report.findings if f.status == "UNKNOWN"}
    assert unknown == {"peer_memory_errors"}
    assert (audit.report.verdict, audit.report.exit_code) == ("PASS", 0)


def test_network_devices_that_the_site_names_are_up(node):
    node.manifest = Manifest(netdevs=("eth0", "eth1"), nics=2, rate_Gbps=400)
    audit = node.audit()
    for check in ("network_devices", "rdma_devices", "port_rate"):
        assert audit.worst(check).status == "PASS"
    assert audit.worst("rails_for_gpus").status == "NOT APPLICABLE"


def test_a_node_of_eight_rails_has_what_its_gpus_want(make_node):
    audit = make_node("large", rails=8).audit()
    assert audit.worst("rails_for_gpus").status == "PASS"
    assert not {"FAIL", "WARN"} & {f.status for f in audit.report.findings}


def test_a_healthy_infiniband_node_has_no_failure_either(ib_node):
    audit = ib_node.audit()
    assert audit.report.profile == "ib"
    bad = {f.check for f in audit.report.findings if f.status in ("FAIL", "WARN")}
    assert bad == {"rails_for_gpus"}
    assert audit.worst("subnet_manager").status == "PASS"
    assert audit.worst("pfc").status == "NOT APPLICABLE"


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=lambda n: f"{BROKEN[n][0]}-{n}")
def test_one_broken_thing_is_found(node, number):
    check, change, status, words = BROKEN[number]
    change(node)
    finding = node.audit("roce-lossless", priorities=(3,)).worst(check)
    assert finding.status == status, finding
    assert words in f"{finding.found} {finding.expected}"
    assert finding.remedy
    assert "{" not in finding.remedy


@pytest.mark.parametrize("number", range(len(HIDDEN)), ids=lambda n: f"{HIDDEN[n][0]}-{n}")
def test_what_cannot_be_read_is_unknown_with_its_reason(node, number):
    check, change, words = HIDDEN[number]
    change(node)
    found = node.audit("roce-lossless", priorities=(3,)).of(check)
    unknown = [f for f in found if f.status == "UNKNOWN"]
    assert unknown, found
    assert any(words in f.reason for f in unknown), unknown


def test_every_check_has_a_case_that_passes_one_that_is_bad_and_one_that_is_unknown(node, ib_node):
    every = all_checks()
    healthy = node.audit().statuses()
    over_ib = ib_node.audit().statuses()
    good = {name for name in every if {"PASS", "INFO"} & (healthy[name] | over_ib[name])}
    bad = {check for check, *_ in BROKEN} | {
        "subnet_manager",
        "gpu_nic_distance",
    }  # tests of their own
    unknown = {check for check, *_ in HIDDEN} | {"subnet_manager", "gpu_nic_distance"}
    # one wants eight, the other a manifest
    assert set(every) - good == NEVER_READ | {"rails_for_gpus", "network_devices"}
    assert {n for n, c in every.items() if c.worst != "INFO"} - bad == NEVER_READ | {"dcbx_owner"}
    switches = {name for name in every if name.startswith("nccl_")}  # variables can always be read
    assert set(every) - unknown - switches - NEVER_READ <= ALWAYS_READ


@pytest.mark.parametrize(
    ("name", "text", "status", "words"),
    [
        ("sm_lid", "0x0", "FAIL", "sm_lid 0"),
        ("lid", "0x0", "FAIL", "lid 0"),
        ("lid", "lid", "UNKNOWN", "not a number: 'lid'"),
    ],
)
def test_without_a_subnet_manager_there_are_no_addresses(ib_node, name, text, status, words):
    ib_node.write(f"{ib_node.port()}/{name}", text)
    finding = ib_node.audit().worst("subnet_manager")
    assert finding.status == status
    assert words in finding.found + finding.reason


def test_the_distance_of_a_gpu_to_its_nearest_nic_is_named(node):
    (node.sysfs / "class/infiniband/mlx5_1/device").unlink()
    (node.sysfs / "class/infiniband/mlx5_1/device").symlink_to(node.root / node.pci(0))
    found = {f.where: f for f in node.audit("roce-lossless").of("gpu_nic_distance")}
    assert found["GPU 0000:14:00.0"].status == "PASS"
    far = found["GPU 0000:1c:00.0"]
    assert (far.status, far.value["distance"]) == ("WARN", "NODE")
    node.write(f"{node.pci(1, 'gpu')}/numa_node", 1)
    found = {f.where: f for f in node.audit("roce-lossless").of("gpu_nic_distance")}
    assert (found["GPU 0000:1c:00.0"].status, found["GPU 0000:1c:00.0"].value["distance"]) == (
        "FAIL",
        "SYS",
    )


def test_a_gpu_at_rest_may_slow_its_link_but_not_narrow_it(node):
    for what in ("gpu", "gpu_down"):
        node.write(f"{node.pci(0, what)}/current_link_speed", "2.5 GT/s PCIe")
    finding = node.audit().worst("pcie_link")
    assert finding.status == "INFO"
    assert "under load" in finding.expected


def test_a_slot_that_can_less_than_its_card_narrows_the_card_and_not_itself(node):
    for name, value in (("max_link_width", 8), ("current_link_width", 8)):
        node.write(f"{node.pci(0, 'down')}/{name}", value)
    node.write(f"{node.pci(0)}/current_link_width", 8)
    finding = node.audit().worst("pcie_link")
    assert finding.status == "FAIL"
    assert [s["bus_id"] for s in finding.value["slow"]] == ["0000:13:00.0"]


def test_in_a_virtual_machine_acs_and_ats_are_wanted(node):
    node.write("proc/cpuinfo", "flags\t: fpu hypervisor")
    assert node.audit().worst("acs").status == "WARN"
    for path in node.root.glob("sys/devices/**/config"):
        path.write_bytes(node.configuration(acs=0b1011101, ats=1 << 15))
    audit = node.audit()
    assert audit.worst("acs").status == "PASS"
    assert audit.worst("ats").found == "on"


def test_what_only_root_can_read_comes_with_the_command(node):
    node.write(f"{node.pci(0, 'down')}/config", b"\0" * 64)
    finding = next(f for f in node.audit().of("acs") if f.status == "UNKNOWN")
    assert finding.root_command == "sudo lspci -vvv -s 0000:12:00.0 | grep ACSCtl"
    assert node.audit().report.exit_code == 0  # nobody else can: it does not leave the audit open


def test_a_port_that_nobody_means_to_use_is_not_of_the_fabric(node):
    node.files(node.port(1), state="1: DOWN", phys_state="3: Disabled")
    node.write(f"{node.net(1)}/flags", "0x1002")
    audit = node.audit()
    assert {f.where for f in audit.of("port_state")} == {"mlx5_0 port 1"}
    node.write(f"{node.net(1)}/flags", "0x1003")  # the administrator wants it up: it is dead
    assert node.audit().worst("port_state").status == "FAIL"


def test_a_port_without_a_subnet_manager_is_of_the_fabric(ib_node):
    ib_node.write(f"{ib_node.port(1)}/state", "2: INIT")
    ib_node.write(f"{ib_node.net(1)}/flags", "0x1002")
    finding = ib_node.audit().worst("port_state")
    assert (finding.status, finding.found) == ("FAIL", "INIT, LinkUp")


def test_ports_that_seem_unused_are_named(node):
    node.files(node.port(1), state="1: DOWN", phys_state="2: Polling")
    node.write(f"{node.net(1)}/flags", "0x1002")
    assert "not in use, as it seems: mlx5_1 port 1" in node.audit().worst("rdma_devices").found


def test_half_an_hour_after_boot_lost_links_are_not_judged(node):
    node.write(f"{node.port()}/counters/link_downed", 3)
    node.write("proc/uptime", "600.0 1.0")
    assert node.audit().worst("link_flaps").status == "INFO"
