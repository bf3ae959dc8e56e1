"""Health: what of a node breaks while it is in use, and not how it was set up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from railgauge.auditing.checks import (
    Asked,
    Check,
    Item,
    Judged,
    attempt,
    good,
    none_of,
    once,
    per_port,
    rated,
    told,
)
from railgauge.auditing.machine import (
    NVIDIA_VENDOR,
    Inapplicable,
    Machine,
    Port,
    Unknown,
    line,
    number_in,
)
from railgauge.audits.pcie import NOTHING, config, endpoints
from railgauge.counting import ALL, Reading

DAY_SECONDS, HOUR_SECONDS = 86400.0, 3600.0
#: Errors of a port -> how many a day are borne: the error_thresholds of infiniband-diags (ibqueryerrors),
#: which count since the counters were last cleared; here the time is since boot, one day at least.
PORT_ERRORS = {
    **dict.fromkeys(("symbol_error", "link_error_recovery", "link_downed", "port_rcv_errors"), 10),
    **dict.fromkeys(("local_link_integrity_errors", "excessive_buffer_overrun_errors"), 10),
    **dict.fromkeys(("port_rcv_remote_physical_errors", "port_xmit_discards"), 100),
    **dict.fromkeys(("port_rcv_constraint_errors", "port_xmit_constraint_errors"), 100),
}
#: Share of /dev/shm that has to be free: NCCL, MPI and data loaders put their buffers there.
SHARED_FREE = 0.05
#: Clocks that the kernel falls back to where it found the processor's unstable
#: (Documentation/admin-guide/kernel-parameters.txt, clocksource=, tsc=): each reading costs a microsecond.
SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit")
#: Reasons of nvmlClocksEventReasons that only broken hardware, power or cooling gives (nvml.h).
HELD_DOWN = ("hw_slowdown", "hw_thermal", "hw_power_brake")
#: Xid errors after which a GPU has to be reset or replaced (NVIDIA, "XID Errors"): see counters.nvml.XIDS.
GRAVE_XIDS = frozenset((48, 64, 74, 79, 95, 119, 120, 140))
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)")


def _network(machine: Machine) -> Iterable[Item]:
    """The network devices that the site names."""
    for netdev in machine.manifest.netdevs:
        folder = machine.net(netdev)
        state = line(folder / "operstate")
        if isinstance(state, Unknown):
            there = (machine.sysfs / "class/net").is_dir()
            yield Item(netdev, {"operstate": "absent"} if there else state)
            continue
        speed = attempt(number_in, line(folder / "speed"))
        fast = speed / 1000 if isinstance(speed, float) and speed > 0 else None
        yield Item(netdev, {"operstate": state, "Gbps": fast})
    if not machine.manifest.netdevs:
        yield from none_of("a manifest would name the network devices (netdevs)")


def _judge_network(value: Any, _asked: Asked) -> Judged:
    found = value["operstate"]
    if value.get("Gbps"):
        found += f", {value['Gbps']:g} Gb/s"
    return rated(value["operstate"] == "up", "FAIL", "up (manifest)", found)


def _errors(machine: Machine, port: Port) -> Any:
    counts, refused = {}, None
    for name in PORT_ERRORS:
        found = number_in(line(port.folder / "counters" / name))
        if isinstance(found, float):
            counts[name] = int(found)
        refused = refused or (found if isinstance(found, Unknown) else None)
    uptime = number_in(line(machine.proc / "uptime"))
    if isinstance(uptime, Unknown):
        return uptime
    return {"counts": counts, "seconds": uptime} if counts else refused


def _judge_errors(value: Any, asked: Asked) -> Judged:
    """A limit that a site has set fails; the usual ones are a warning."""
    own = asked.manifest.errors_per_day
    days = max(1.0, value["seconds"] / DAY_SECONDS)
    rates = {name: count / days for name, count in value["counts"].items()}
    limits = {name: most if own is None else own for name, most in PORT_ERRORS.items()}
    found = ", ".join(f"{n} {r:.3g} a day" for n, r in rates.items() if r > limits[n])
    expected = f"at most {own:g} a day of each (manifest)" if own is not None else "10 to 100 a day"
    return rated(
        not found, "FAIL" if own is not None else "WARN", expected, found or "none to speak of"
    )


def _answers(machine: Machine) -> Iterable[Item]:
    """A device that has fallen off the bus reads as all ones (PCI Local Bus Specification 3.0, 6.2.1)."""
    found = endpoints(machine)
    for name, folder in found.items():
        read = attempt(lambda folder=folder: config(folder)[:4])
        if isinstance(read, bytes):
            read = (
                "nothing"
                if read == b"\xff" * 4
                else "vendor"
                if len(read) == 4
                else Unknown("empty")
            )
        yield Item(name, read)
    if not found:
        yield from none_of(NOTHING)


def _judge_answers(value: Any, _asked: Asked) -> Judged:
    words = (
        "answers" if value == "vendor" else "fallen off the bus: its configuration reads as ones"
    )
    return rated(value == "vendor", "FAIL", "every device answers", words)


def _free(machine: Machine) -> Any:
    free, size = machine.kernel.filesystem_free(machine.dev / "shm")
    return {"free": free, "size": size} if size else Unknown(f"{machine.dev / 'shm'} has no size")


def _judge_free(value: Any, _asked: Asked) -> Judged:
    share = value["free"] / value["size"]
    found = f"{value['free'] / 1e9:.1f} of {value['size'] / 1e9:.1f} GB free"
    return rated(share >= SHARED_FREE, "FAIL", f"{SHARED_FREE:.0%} free", found)


def _clock(machine: Machine) -> Any:
    return line(machine.sysfs / "devices/system/clocksource/clocksource0/current_clocksource")


def _judge_clock(value: Any, asked: Asked) -> Judged:
    wanted = asked.manifest.clocksource
    if wanted is not None:
        return rated(value == wanted, "FAIL", f"{wanted} (manifest)", value)
    return rated(
        value not in SLOW_CLOCKS, "WARN", "the processor's own (tsc, or a virtual one)", value
    )


# GPUs -------------------------------------------------------------------------------------------------


def _gpus(machine: Machine) -> dict[str, Reading] | Unknown | Inapplicable:
    """NVML's counters by PCI address, of every NVIDIA GPU that PCI shows."""
    if not any(gpu.vendor == NVIDIA_VENDOR for gpu in machine.gpus):
        return Inapplicable("no NVIDIA GPU here")
    return machine.nvml


def _per_gpu(names: tuple[str, ...]) -> Any:
    def read(machine: Machine) -> Iterable[Item]:
        found = _gpus(machine)
        if not isinstance(found, dict):
            yield Item("", found)
            return
        for address, reading in found.items():
            values = {name: reading.values[name] for name in names if name in reading.values}
            why = "; ".join(dict.fromkeys(reading.unknown.values())) or "NVML has none of it"
            yield Item(f"GPU {address}", values or Unknown(why))

    return read


def _answering(machine: Machine) -> Iterable[Item]:
    """GPUs that PCI shows against those that NVML hands out."""
    found = _gpus(machine)
    if not isinstance(found, dict):
        yield Item("", found)
        return
    lost = {name: reading.unknown[ALL] for name, reading in found.items() if ALL in reading.unknown}
    mine = [gpu.bus_id for gpu in machine.gpus if gpu.vendor == NVIDIA_VENDOR]
    absent = [address for address in mine if address not in found] if len(found) < len(mine) else []
    yield Item(
        "", {"gpus": len(found) - len(lost), "of": len(mine), "lost": lost, "absent": absent}
    )


def _judge_answering(value: Any, _asked: Asked) -> Judged:
    """One that NVML does not show at all may be kept from this process: a job has its own GPUs only."""
    lost = [f"{name}: {why}" for name, why in value["lost"].items()]
    absent = [f"{address}: not shown to this process" for address in value["absent"]]
    found = "; ".join([f"{value['gpus']} of {value['of']}", *lost, *absent])
    return rated(
        not lost + absent, "FAIL" if lost else "WARN", "NVML has every GPU that PCI shows", found
    )


_MEMORY = ("ecc_uncorrected", "remapping_pending", "retirement_pending", "remapping_failed")
_HELD = tuple(f"reason_{name}" for name in HELD_DOWN)


def _judge_set(expected: str) -> Any:
    """Every value has to be 0."""

    def judge(value: Mapping[str, int], _asked: Asked) -> Judged:
        found = ", ".join(f"{name.removeprefix('reason_')} {n}" for name, n in value.items() if n)
        return rated(not found, "FAIL", expected, found or "none")

    return judge


def _xids(machine: Machine) -> Any:
    if isinstance(none := _gpus(machine), Inapplicable):
        return none
    try:
        messages = machine.kernel.messages()
    except OSError as error:
        return Unknown(f"/dev/kmsg: {error.strerror or error}", "sudo dmesg | grep Xid")
    uptime = number_in(line(machine.proc / "uptime"))
    if isinstance(uptime, Unknown):
        return uptime
    found = [(seconds, _XID.search(text)) for seconds, text in messages]
    every = [(uptime - seconds, hit[1], int(hit[2])) for seconds, hit in found if hit]
    counted = Counter((bus_id, xid, age <= HOUR_SECONDS) for age, bus_id, xid in every)
    return [
        {"gpu": bus_id, "xid": xid, "recent": recent, "times": times}
        for (bus_id, xid, recent), times in sorted(counted.items())
    ]


def _judge_xids(value: Any, _asked: Asked) -> Judged:
    """One that was repaired by a reset stays in the log until the next boot."""
    grave = [entry for entry in value if entry["xid"] in GRAVE_XIDS]
    words = [f"Xid {e['xid']} on {e['gpu']} {e['times']} times" for e in grave or value]
    expected = "no Xid error of the hardware within an hour"
    if not grave:
        return told(expected, ", ".join(words)) if value else good(expected, "none")
    recent = any(entry["recent"] for entry in grave)
    return Judged("FAIL" if recent else "WARN", expected, ", ".join(words))


RESET = "nvidia-smi --gpu-reset -i {where}, or reboot; comes it again, replace it (nvidia-bug-report.sh)"

CHECKS = (
    Check(
        *("network_devices", "network devices of the site are up", _network, _judge_network),
        "ip link show {where}; reseat the cable; look at the switch port",
        "site manifest; Documentation/ABI/testing/sysfs-class-net",
    ),
    Check(
        *("port_errors", "errors of the port", per_port(_errors), _judge_errors),
        "clean or replace cable and module of {where}; railgauge counters --watch 1 shows whether it grows",
        "infiniband-diags, error_thresholds",
        worst="WARN",
    ),
    Check(
        *("pci_answers", "NICs and GPUs answer on the bus", _answers, _judge_answers),
        "dmesg | grep -i -e 'fallen off' -e AER; power-cycle the node, reseat the card",
        "PCI Local Bus Specification 3.0, 6.2.1",
    ),
    Check(
        *("shared_memory_free", "room in /dev/shm", once(_free), _judge_free),
        "ls -l /dev/shm: remove what ended jobs have left",
        "NCCL user guide",
        worst="FAIL",
    ),
    Check(
        *("clocksource", "clock of the kernel", once(_clock), _judge_clock),
        "dmesg | grep -i tsc: update the BIOS; tsc=reliable only where the clock is known to be",
        "kernel-parameters.txt",
        worst="WARN",
        alike="WARN",
    ),
    Check(
        *("gpus_answer", "GPUs answer through NVML", _answering, _judge_answering),
        "dmesg | grep -e Xid -e 'fallen off'; reset or power-cycle the node",
        "nvml.h; NVIDIA, XID Errors (79)",
    ),
    Check(
        *("gpu_memory", "memory of GPUs", _per_gpu(_MEMORY)),
        _judge_set("no uncorrected error, nothing that waits for a reset"),
        RESET,
        "NVIDIA GPU Memory Error Management",
    ),
    Check(
        *("gpu_clocks", "GPUs are not held down by hardware", _per_gpu(_HELD)),
        _judge_set(f"none of {', '.join(HELD_DOWN)}"),
        "nvidia-smi -q -d PERFORMANCE; look at power supplies, cables and fans",
        "nvml.h, nvmlClocksEventReasons",
    ),
    Check(
        *("gpu_xid", "errors of GPUs in the kernel's log", once(_xids), _judge_xids),
        RESET,
        "NVIDIA, XID Errors",
        needs_root=True,
    ),
)
