"""The operating system: governor, sleep states, pages, modules, ECN of TCP."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from railgauge.auditing.checks import NO_RDMA, Asked, Check, Judged, once, rated, told
from railgauge.auditing.machine import Inapplicable, Machine, Unknown, line, lines, number_in
from railgauge.linux.sysfs import entries

#: sichek's default specification; the driver of the NIC itself is asked for by prefix.
MODULES = ("ib_core", "ib_uverbs", "rdma_cm", "rdma_ucm", "ib_umad")
PROVIDERS = (
    "mlx5_ib",
    "mlx4_ib",
    "bnxt_re",
    "irdma",
    "ionic_rdma",
    "efa",
    "hns_roce_hw_v2",
    "hfi1",
    "rdma_rxe",
)
DEEP_MICROSECONDS = 10  # a state that takes longer to leave than a small message takes


def _cpus(machine: Machine) -> list[str]:
    return [n for n in entries(machine.sysfs / "devices/system/cpu") if re.fullmatch(r"cpu\d+", n)]


def _governor(machine: Machine) -> Any:
    folder, found = machine.sysfs / "devices/system/cpu", Counter[str]()
    for cpu in _cpus(machine):
        text = line(folder / cpu / "cpufreq/scaling_governor")
        if isinstance(text, str):
            found[text] += 1
    return dict(found) or Unknown(
        "no cpufreq: a virtual machine, or the firmware governs", "cpupower frequency-info"
    )


def _judge_governor(value: Any, _asked: Asked) -> Judged:
    found = ", ".join(f"{name}: {count} CPUs" for name, count in value.items())
    return rated(set(value) == {"performance"}, "WARN", "performance", found)


def _sleep(machine: Machine) -> Any:
    """States that take long to leave and are not turned off, on CPU 0 and on how many more."""
    folder, found = machine.sysfs / "devices/system/cpu", Counter[str]()
    seen = False
    for cpu in _cpus(machine):
        for state in entries(folder / cpu / "cpuidle"):
            place = folder / cpu / "cpuidle" / state
            latency, off = number_in(line(place / "latency")), number_in(line(place / "disable"))
            seen = seen or isinstance(off, float)
            if isinstance(latency, float) and latency > DEEP_MICROSECONDS and off == 0:
                name = line(place / "name")
                found[name if isinstance(name, str) else state] += 1
    return dict(found) if seen else Unknown("no cpuidle", "cpupower idle-info")


def _judge_sleep(value: Any, _asked: Asked) -> Judged:
    found = ", ".join(f"{name} on {count} CPUs" for name, count in value.items())
    return rated(
        not value,
        "WARN",
        f"no state that takes over {DEEP_MICROSECONDS} us to leave",
        found or "none",
    )


def _pages(machine: Machine) -> Any:
    text = line(machine.sysfs / "kernel/mm/transparent_hugepage/enabled")
    if isinstance(text, Unknown):
        return text
    chosen = re.search(r"\[(\w+)\]", text)
    return chosen[1] if chosen else Unknown(f"not a choice: {text[:40]!r}")


def _huge(machine: Machine) -> Any:
    found = lines(machine.proc / "meminfo")
    if isinstance(found, Unknown):
        return found
    pairs = (text.partition(":") for text in found if text.startswith("Huge"))
    made = {name: number_in(value.strip()) for name, _, value in pairs}
    total = made.get("HugePages_Total", Unknown("/proc/meminfo has no HugePages_Total"))
    size = made.get("Hugepagesize", Unknown("/proc/meminfo has no Hugepagesize"))
    if isinstance(total, Unknown) or isinstance(size, Unknown):
        return total if isinstance(total, Unknown) else size
    return {"pages": int(total), "KiB": int(size)}


def _judge_huge(value: Any, _asked: Asked) -> Judged:
    return told("the site's, the same on all nodes", f"{value['pages']} of {value['KiB']} KiB")


def _modules(machine: Machine) -> Any:
    if not machine.all_ports:
        return Inapplicable(NO_RDMA)
    found = lines(machine.proc / "modules")
    loaded = {text.split(" ")[0] for text in found} if isinstance(found, list) else set()
    builtin = set(entries(machine.sysfs / "module"))
    if not loaded and not builtin:
        return (
            found if isinstance(found, Unknown) else Unknown(f"{machine.proc / 'modules'} is empty")
        )
    there = loaded | builtin
    return {
        "missing": [name for name in MODULES if name not in there],
        "providers": [name for name in PROVIDERS if name in there],
    }


def _judge_modules(value: Any, asked: Asked) -> Judged:
    missing = value["missing"]
    if asked.profile == "efa":
        missing = [name for name in missing if name in ("ib_core", "ib_uverbs")]
    if missing:
        return Judged("FAIL", ", ".join(MODULES), f"missing: {', '.join(missing)}")
    return rated(
        bool(value["providers"]),
        "WARN",
        "a driver of RDMA devices",
        ", ".join(value["providers"]) or "none",
    )


def _tcp_ecn(machine: Machine) -> Any:
    value = number_in(line(machine.proc / "sys/net/ipv4/tcp_ecn"))
    return value if isinstance(value, Unknown) else int(value)


def _judge_tcp_ecn(value: Any, _asked: Asked) -> Judged:
    words = {0: "off", 1: "asks and answers", 2: "answers"}
    return told("the site's, the same on all nodes", f"{value} ({words.get(value, 'unknown')})")


def _release(machine: Machine) -> Any:
    return machine.kernel.release()


def _command_line(machine: Machine) -> Any:
    text = line(machine.proc / "cmdline")
    if isinstance(text, Unknown):
        return text
    kept = (
        "iommu",
        "intel_iommu",
        "amd_iommu",
        "pci",
        "isolcpus",
        "nohz_full",
        "mitigations",
        "idle",
        "processor.max_cstate",
        "intel_idle.max_cstate",
    )
    return sorted(w for w in text.split() if w.partition("=")[0] in kept)


def _judge_words(value: Any, asked: Asked) -> Judged:
    del asked
    return told("the same on all nodes", " ".join(value) or "nothing that matters here")


CHECKS = (
    Check(
        *("governor", "CPU frequency governor", once(_governor), _judge_governor),
        "sudo cpupower frequency-set -g performance",
        "perftest prints a conflict of frequencies into its table",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("sleep_states", "deep sleep of CPUs", once(_sleep), _judge_sleep),
        "sudo cpupower idle-set -D 10",
        "sysfs-devices-system-cpu",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *(
            "transparent_hugepages",
            "transparent huge pages",
            once(_pages),
            lambda v, _: told("the site's, the same on all nodes", v),
        ),
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        "site policy",
        worst="INFO",
        alike="INFO",
    ),
    Check(
        *("hugepages", "huge pages set aside", once(_huge), _judge_huge),
        "vm.nr_hugepages",
        "site policy",
        worst="INFO",
        alike="INFO",
    ),
    Check(
        *("modules", "kernel modules of RDMA", once(_modules), _judge_modules),
        "sudo modprobe ib_uverbs rdma_ucm ib_umad; systemctl status openibd rdma-ndd",
        "sichek default specification",
        alike="WARN",
    ),
    Check(
        *("tcp_ecn", "ECN of TCP", once(_tcp_ecn), _judge_tcp_ecn),
        "sysctl net.ipv4.tcp_ecn",
        "ip-sysctl.rst",
        worst="INFO",
        alike="INFO",
    ),
    Check(
        *(
            "kernel_release",
            "kernel",
            once(_release),
            lambda v, _: told("the same on all nodes", v),
        ),
        "boot the nodes that differ into the others' image",
        "uname(2)",
        worst="INFO",
        alike="WARN",
    ),
    Check(
        *(
            "kernel_command_line",
            "kernel options for IOMMU, PCI and CPUs",
            once(_command_line),
            _judge_words,
        ),
        "/etc/default/grub, the same on all nodes",
        "kernel-parameters.rst",
        worst="INFO",
        alike="WARN",
    ),
)
