"""An audit of several nodes and ranks, and what it is worth as a whole."""

from __future__ import annotations

import errno

import msgspec
import pytest

from railgauge.auditing.checks import Check, all_checks, checks_named, once, told
from railgauge.auditing.facts import facts_of
from railgauge.auditing.machine import Machine
from railgauge.auditing.manifest import Device, Manifest
from railgauge.auditing.reading import readings
from railgauge.auditing.records import Taken
from railgauge.auditing.table import table
from railgauge.errors import UsageError
from railgauge.linux import dcb


@pytest.fixture
def nodes(make_node):
    """Three healthy nodes."""
    return [make_node(f"node0{n}") for n in range(3)]


def audited(judge_all, nodes, **more):
    return judge_all(*(node.taken(rank) for rank, node in enumerate(nodes)), **more)


def outlier(audit, check):
    """The agreement that does not agree."""
    (found,) = [f for f in audit.of(check, agreement=True) if f.status != "PASS"]
    return found


@pytest.mark.parametrize(
    ("check", "change", "status", "words"),
    [
        (
            "firmware",
            lambda n: n.write("sys/class/infiniband/mlx5_1/fw_ver", "28.39.0"),
            "WARN",
            "node02 (mlx5_1): 28.39.0 where 3 nodes have 28.41.1000",
        ),
        (
            "kernel_release",
            lambda n: setattr(n.kernel, "uname", "5.15"),
            "WARN",
            "node02: 5.15 where 2",
        ),
        (
            "tcp_ecn",
            lambda n: n.write("proc/sys/net/ipv4/tcp_ecn", 1),
            "INFO",
            "node02: 1 (asks",
        ),
        (
            "gpus",
            lambda n: n.remove(f"{n.pci(0, 'gpu')}/class"),
            "FAIL",
            "node02: 1 (PCI device 0x2330)",
        ),
        (
            "rdma_devices",
            lambda n: n.write(f"{n.port(0)}/state", "1: DOWN"),
            "FAIL",
            "node02: 2 devices, 1",
        ),
        (
            "mtu",
            lambda n: n.write(f"{n.net(0)}/mtu", 4200),
            "FAIL",
            "node02 (eth0): 4200 where 3",
        ),
        (
            "device_binding",
            lambda n: (n.root / f"{n.pci(0)}/net/eth0").rename(n.root / f"{n.pci(0)}/net/eth7"),
            "WARN",
            "netdev eth7 where 2 nodes have pci 0000:13:00.0, netdev eth0",
        ),
        (
            "port_rate",
            lambda n: n.write(f"{n.port(0)}/rate", "200 Gb/sec (2X NDR)"),
            "FAIL",
            "node02 (mlx5_0 port 1): 200 Gb/s (2X) where 3 nodes have 400 Gb/s (4X)",
        ),
    ],
)
def test_the_node_that_differs_is_named(nodes, judge_all, check, change, status, words):
    if check == "device_binding":
        for node in nodes:
            node.remove(f"{node.pci(0)}/net/eth0/dev_port")
    change(nodes[2])
    found = outlier(audited(judge_all, nodes), check)
    assert found.status == status
    assert words in found.found
    assert found.hosts == ("node02",)


def test_priorities_that_differ_fail_over_a_lossless_fabric(nodes, judge_all):
    nodes[1].kernel.dcb_state = msgspec.structs.replace(
        nodes[1].kernel.dcb_state, pfc=dcb.Pfc(8, (5,), False, 0, (0,) * 8, (0,) * 8)
    )
    audit = audited(judge_all, nodes)
    found = outlier(audit, "pfc")
    assert (found.status, found.hosts) == ("FAIL", ("node01",))
    assert "on for 5 where 2 nodes have on for 3" in found.found
    assert audit.report.priorities == (3,)  # what most have
    assert audit.report.exit_code == 1


def test_two_nodes_that_differ_are_both_shown(nodes, judge_all):
    nodes[0].kernel.uname = "5.15"
    found = outlier(audited(judge_all, nodes[:2]), "kernel_release")
    assert "no majority" in found.found
    assert found.hosts == ("node00", "node01")


def test_limits_and_variables_are_read_by_every_rank_and_settings_of_the_node_once(node, judge_all):
    taken = [node.taken(rank, leads=rank == 0) for rank in range(3)]
    node.environ["NCCL_IB_HCA"] = "=mlx5_0"
    node.kernel.limits["MEMLOCK"] = 65536
    audit = judge_all(*taken, node.taken(3, leads=False))
    found = {f.status: f.ranks for f in audit.of("memlock")}
    assert found == {"PASS": "0-2", "FAIL": "3"}
    assert outlier(audit, "nccl_variables").ranks == "3"
    assert len(audit.of("mtu")) == 2  # two devices, read by one rank
    assert audit.of("mtu")[0].ranks == ""


def test_ranks_of_one_node_may_have_their_own_nic(node, judge_all):
    audit = judge_all(*(node.taken(r, r == 0, UCX_NET_DEVICES=f"mlx5_{r}:1") for r in range(2)))
    assert {f.status for f in audit.of("ucx_net_devices")} == {"PASS"}


# the profile --------------------------------------------------------------------------------------


def pfc_off(node):
    node.kernel.dcb_state = msgspec.structs.replace(
        node.kernel.dcb_state, pfc=dcb.Pfc(8, (), False, 0, (0,) * 8, (0,) * 8)
    )


def no_ecn(node):
    pfc_off(node)
    node.remove("sys/class/net/*/ecn/*/enable/*")


def no_dcb(node):
    node.kernel.dcb_state = OSError(errno.EOPNOTSUPP, "not supported by the driver")


def efa(node):
    for rail in (0, 1):
        node.write(f"{node.port(rail)}/link_layer", "Unknown")


@pytest.mark.parametrize(
    ("change", "profile"),
    [
        (lambda _: None, "roce-lossless"),
        (pfc_off, "roce-ecn-only"),
        (no_ecn, "roce-lossy"),
        (no_dcb, "roce-lossless"),
        (efa, "efa"),
    ],
)
def test_the_profile_is_what_was_seen(node, change, profile):
    change(node)
    assert node.audit().report.profile == profile


@pytest.mark.parametrize("profile", ["roce-ecn-only", "roce-lossy", "ib", "efa"])
def test_pfc_is_not_asked_of_a_fabric_that_does_without(node, profile):
    pfc_off(node)
    node.environ.clear()
    audit = node.audit(profile)
    assert {f.status for f in audit.of("pfc")} <= {"INFO", "NOT APPLICABLE"}
    assert audit.worst("nccl_traffic_class").status in ("INFO", "NOT APPLICABLE")


def test_a_manifest_says_profile_priority_and_devices(node):
    node.manifest = Manifest(
        "roce-lossless", (4,), 34, 9000, 2, devices={"mlx5_0": Device(rate_Gbps=400)}
    )
    audit = node.audit()
    assert audit.report.priorities == (4,)
    assert audit.report.profile_because == "the manifest says so"
    assert audit.worst("pfc").status == "FAIL"
    assert {f.where for f in audit.of("port_state")} == {"mlx5_0 port 1"}
    assert audit.worst("port_rate").status == "PASS"
    assert audit.worst("gpus").status == "PASS"


# the verdict --------------------------------------------------------------------------------------


def test_unknown_where_it_might_have_failed_leaves_the_audit_open(node):
    node.kernel.paused = OSError(errno.EPERM, "no permission")
    report = node.audit().report
    assert (report.verdict, report.exit_code) == ("INCONCLUSIVE", 6)
    assert "global_pause" in report.because


def test_a_failure_wins_over_what_is_unknown(node):
    node.kernel.paused = OSError(errno.EPERM, "no permission")
    node.write(f"{node.net(0)}/mtu", 1500)
    assert node.audit().report.exit_code == 1


def test_without_an_rdma_device_nothing_is_said_of_a_fabric(make_node):
    report = make_node(rails=0).audit().report
    assert (report.profile, report.exit_code) == ("none", 6)
    assert "no RDMA device" in report.because


def test_a_profile_that_wants_rdma_fails_where_there_is_none(make_node):
    audit = make_node(rails=0).audit("ib")
    assert audit.worst("rdma_devices").status == "FAIL"
    assert audit.report.exit_code == 1


def test_some_checks_alone_are_judged_by_themselves(make_node):
    report = make_node(rails=0).audit(checks=("limits",)).report
    assert {f.subject for f in report.findings} == {"limits"}
    assert report.exit_code == 0
    assert make_node("other", rails=0).audit(checks=("pfc",)).report.exit_code == 6


# a reader's own faults ----------------------------------------------------------------------------


def test_a_defect_of_a_check_is_unknown_and_hides_no_other(node, judge_all):
    def broken(_machine):
        raise KeyError("odd")

    check = Check("memlock", "odd", broken, lambda v, _: told("", v), "", "")
    made = readings(node.machine(), [check, all_checks()["nofile"]], leads=True)
    audit = judge_all(made)
    assert audit.worst("memlock").status == "UNKNOWN"
    assert "a defect of railgauge" in audit.worst("memlock").reason
    assert audit.worst("nofile").status == "PASS"


def test_a_value_that_no_judge_foresaw_is_unknown(node, judge_all):
    odd = Check(
        "nofile",
        "odd",
        once(lambda _: {"a": [1]}),
        lambda v, _: told("", v),
        "",
        "",
        each_rank=True,
    )
    audit = judge_all(readings(node.machine(), [odd], leads=True))
    assert audit.worst("nofile").status == "UNKNOWN"


def test_no_check_begins_when_the_time_is_over(node):
    made = readings(node.machine(), all_checks().values(), leads=True, seconds=-1)
    assert {read.check for read in made.reads} == set(all_checks())
    assert all("were over" in read.unknown for read in made.reads)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"9" * 100_000, b"\n\n,,,:::", b"-", b"0x"]
)
def test_files_full_of_anything_never_end_in_a_crash(node, content):
    for path in [
        *node.root.glob("sys/class/**/*"),
        *node.root.glob("proc/*"),
        *node.root.glob("etc/**/*"),
    ]:
        if path.is_file() and path.stat().st_size < 4096:
            path.write_bytes(content)
    for path in node.root.glob("sys/devices/system/**/*"):
        if path.is_file():
            path.write_bytes(content)
    text = table(node.audit("roce-lossless").report, everything=True)
    assert "a defect of railgauge" not in text
    assert msgspec.json.decode(msgspec.json.encode(node.taken()), type=Taken)


# facts and text -----------------------------------------------------------------------------------


def test_facts_for_rules_have_names_that_stay(node):
    node.write(f"{node.pci(1)}/current_link_width", 8)
    node.write(f"{node.net(1)}/ecn/roce_rp/enable/3", 0)
    facts = facts_of(node.audit().report)["node01"]
    assert facts["pfc:eth0"] == (3,)
    assert facts["trust:eth0"] == "dscp"
    assert facts["dscp_priority:eth0"].startswith("0:0,")
    assert facts["mtu:eth1"] == 9000
    assert facts["global_pause:eth0"] is False
    assert facts["np_enable:eth0"] == (0, 1, 2, 3, 4, 5, 6, 7)
    assert 3 not in facts["rp_enable:eth1"]
    names = ("pcie_width", "pcie_width_max", "pcie_speed", "pcie_speed_max")
    assert [facts[f"{name}:mlx5_0"] for name in names] == [16, 16, 32, 32]
    assert [facts[f"{name}:mlx5_1"] for name in names] == [8, 16, 32, 32]
    assert facts["netdev:mlx5_0"] == "eth0"
    assert facts["rate_Gbps:mlx5_0"] == 400


def test_what_is_unknown_is_no_fact(node):
    node.kernel.dcb_state = OSError(errno.EPERM, "no permission")
    assert not any(name.startswith("pfc:") for name in facts_of(node.audit().report)["node01"])


def test_the_text_puts_failures_first_and_fits_80_columns(nodes, judge_all):
    nodes[2].write(f"{nodes[2].port(0)}/state", "1: DOWN")
    nodes[1].write(f"{nodes[1].net(0)}/ecn/roce_np/enable/3", 0)
    text = table(audited(judge_all, nodes).report)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert text.index("FAIL (") < text.index("WARN (") < text.index("UNKNOWN (")
    assert "node02 mlx5_0 port 1: DOWN, LinkUp" in text
    assert "expected: ACTIVE, LinkUp" in text
    assert "next: reseat" in text
    assert "to see it: sudo dmesg" in text
    assert "FAIL: " in lines[-1] or "FAIL: " in lines[-2]


def test_checks_are_found_by_name_and_by_subject():
    assert [check.name for check in checks_named(["pfc"])] == ["pfc"]
    assert {check.subject for check in checks_named(["pcie", "limits"])} == {"pcie", "limits"}
    with pytest.raises(UsageError, match="Did you mean 'memlock'"):
        checks_named(["memlocks"])


def test_this_machine_can_be_read():
    made = readings(Machine(), all_checks().values(), leads=True)
    assert not [read for read in made.reads if "a defect of railgauge" in read.unknown]
