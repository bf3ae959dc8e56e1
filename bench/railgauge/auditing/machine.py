"""One node as a rank sees it: RDMA ports, GPUs, variables; what an audit reads them through.

Folders are parameters and the questions to the kernel an object, so that a test can bring its own
machine. What cannot be read is an `Unknown` that says why, and what root could type to see it.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import importlib.metadata
import os
import platform
import re
import resource
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from railgauge import counting
from railgauge.auditing.manifest import EMPTY, Manifest
from railgauge.counting import Reading
from railgauge.hardware.links import natural
from railgauge.launching.launchers import LOCAL_RANK_VARIABLES, launcher_rank
from railgauge.linux import dcb, ethtool, kernel_log
from railgauge.linux.sysfs import entries, raw

#: (PCI vendor, class) of GPUs: NVIDIA's, AMD's display controllers and processing accelerators.
GPU_CLASSES = (("0x10de", "0x03"), ("0x1002", "0x03"), ("0x1002", "0x12"))
NVIDIA_VENDOR = "0x10de"
MOST_DIGITS = 20  # those of 2^64
IFF_UP = 1  # include/uapi/linux/if.h


class Unknown(NamedTuple):
    """Could not be read, why, and what could be typed instead."""

    reason: str
    root_command: str = ""


class Inapplicable(NamedTuple):
    """There is nothing to read, and why."""

    reason: str


def line(path: Path) -> str | Unknown:
    """The text of a small file."""
    try:
        found = raw(path)
    except OSError as error:
        denied = error.errno in (errno.EACCES, errno.EPERM)
        return Unknown(f"{path}: {error.strerror or error}", f"sudo cat {path}" if denied else "")
    return found.decode(errors="replace").strip()


def lines(path: Path, most: int = 1 << 20) -> list[str] | Unknown:
    """The lines of a file, however long it pretends to be."""
    try:
        with path.open("rb", buffering=0) as file:
            found = b""
            while len(found) < most and (more := file.read(1 << 16)):
                found += more
    except OSError as error:
        return Unknown(f"{path}: {error.strerror or error}")
    return found.decode(errors="replace").splitlines()


def number_in(text: str | Unknown) -> float | Unknown:
    """The number that a text begins with: `400 Gb/sec (4X NDR)`, `0x12`, `-1`."""
    if isinstance(text, Unknown):
        return text
    if not text:
        return Unknown("the file is empty")
    found = re.match(r"0x[0-9a-fA-F]+|-?\d+(\.\d+)?", text)
    if not found:
        return Unknown(f"not a number: {text[:40]!r}")
    word = found[0]
    if len(word) > MOST_DIGITS:
        return Unknown(f"a number of {len(word)} digits")
    return float(int(word, 16)) if word.startswith("0x") else float(word)


class Port(NamedTuple):
    """A port of an RDMA device, with its network device ("" where it has none)."""

    device: str
    number: int
    folder: Path
    netdev: str

    @property
    def where(self) -> str:
        return f"{self.device} port {self.number}"

    @property
    def active(self) -> bool:
        state = line(self.folder / "state")
        return isinstance(state, str) and state.rpartition(":")[2].strip() == "ACTIVE"

    @property
    def linked(self) -> bool:
        """Is it ACTIVE, or at least physically up (a subnet manager may be what is missing)?"""
        physical = line(self.folder / "phys_state")
        return self.active or (isinstance(physical, str) and physical.endswith("LinkUp"))

    @property
    def ethernet(self) -> bool:
        return line(self.folder / "link_layer") == "Ethernet"


class Gpu(NamedTuple):
    """A GPU as PCI shows it; `model` is the PCI device id."""

    bus_id: str
    vendor: str
    model: str
    folder: Path


class Kernel:
    """Questions that only the running system can answer: a test brings an object of its own."""

    def dcb(self, netdev: str) -> dcb.Dcb:
        """Raises OSError and ValueError, as `railgauge.linux.dcb.state` does."""
        return dcb.state(netdev)

    def pause(self, netdev: str) -> ethtool.Pause:
        """Raises OSError."""
        return ethtool.pause(netdev)

    def driver(self, netdev: str) -> ethtool.Driver:
        """Raises OSError."""
        return ethtool.driver(netdev)

    def fec(self, netdev: str) -> str:
        """Raises OSError."""
        return ethtool.fec(netdev)

    def limit(self, name: str) -> int | None:
        """The soft limit of this process (RLIMIT_name); None: unlimited."""
        soft, _ = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        return None if soft == resource.RLIM_INFINITY else soft

    def affinity(self) -> frozenset[int]:
        """CPUs that this process may run on."""
        return frozenset(os.sched_getaffinity(0))

    def filesystem_nbytes(self, path: Path) -> int:
        """Size of the file system there; raises OSError."""
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize

    def filesystem_free(self, path: Path) -> tuple[int, int]:
        """(bytes that others than root may still use, size) of the file system there; raises OSError."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def messages(self) -> list[tuple[float, str]]:
        """The kernel's log; raises OSError."""
        return kernel_log.messages()

    def nvml(self, sysfs: Path) -> list[Reading]:
        """What NVML says of every GPU; raises OSError."""
        return list(counting.source_named("nvml").read(counting.Roots(sysfs)))

    def release(self) -> str:
        """`uname -r`."""
        return platform.release()

    def nccl_version(self) -> str:
        """Of the wheel in this Python environment, "" where there is none."""
        for name in ("nvidia-nccl-cu13", "nvidia-nccl-cu12"):
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return ""


@dataclasses.dataclass(frozen=True, eq=False)
class Machine:
    """A node (or a rank on it), read lazily and each thing once."""

    sysfs: Path = Path("/sys")
    proc: Path = Path("/proc")
    etc: Path = Path("/etc")
    dev: Path = Path("/dev")
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    kernel: Kernel = dataclasses.field(default_factory=Kernel)
    manifest: Manifest = EMPTY
    host: str = dataclasses.field(default_factory=socket.gethostname)

    @property
    def rank(self) -> int:
        return launcher_rank(self.environ)

    @property
    def local_rank(self) -> int | None:
        found = (self.environ[n] for n in LOCAL_RANK_VARIABLES if n in self.environ)
        text = next(found, "")
        return int(text) if text.isdecimal() else None

    @functools.cached_property
    def all_ports(self) -> tuple[Port, ...]:
        """Every port of every RDMA device, used or not."""
        devices = self.sysfs / "class/infiniband"
        return tuple(
            Port(device, int(port), devices / device / "ports" / port, self._netdev(device, port))
            for device in sorted(entries(devices), key=natural)
            for port in sorted(entries(devices / device / "ports"), key=natural)
            if port.isdecimal()
        )

    @functools.cached_property
    def ports(self) -> tuple[Port, ...]:
        """Ports of the fabric: those of the manifest, else those that are ACTIVE or meant to be.

        A device may show ports that nobody uses (planes, bridges inside the host): one that is not
        ACTIVE counts where its physical link is up, or its network device is by the administrator.
        """
        if named := self.manifest.devices:
            wanted = {(name, device.port) for name, device in named.items()}
            return tuple(p for p in self.all_ports if (p.device, p.number) in wanted)
        return tuple(p for p in self.all_ports if p.linked or self.is_up(p.netdev))

    @functools.cached_property
    def ethernet_ports(self) -> tuple[Port, ...]:
        """Ports of the fabric that carry RoCE, each network device once."""
        found = {p.netdev: p for p in self.ports if p.ethernet and p.netdev}
        return tuple(found.values())

    @functools.cached_property
    def devices(self) -> tuple[str, ...]:
        """RDMA devices that have a port of the fabric."""
        return tuple(dict.fromkeys(port.device for port in self.ports))

    @functools.cached_property
    def netdevs(self) -> tuple[str, ...]:
        """Network devices of the fabric's ports."""
        return tuple(dict.fromkeys(port.netdev for port in self.ports if port.netdev))

    @functools.cached_property
    def gpus(self) -> tuple[Gpu, ...]:
        """GPUs in the order of their bus ids."""
        found = []
        for name in entries(self.sysfs / "bus/pci/devices"):
            folder = self.sysfs / "bus/pci/devices" / name
            vendor, kind = line(folder / "vendor"), line(folder / "class")
            if (
                isinstance(vendor, str)
                and isinstance(kind, str)
                and (vendor, kind[:4]) in GPU_CLASSES
            ):
                model = line(folder / "device")
                found.append(Gpu(name, vendor, model if isinstance(model, str) else "", folder))
        return tuple(found)

    def pci(self, device: str) -> Path:
        """The PCI folder of an RDMA device."""
        return self.sysfs / "class/infiniband" / device / "device"

    def net(self, netdev: str) -> Path:
        return self.sysfs / "class/net" / netdev

    def is_up(self, netdev: str) -> bool:
        """Has the administrator brought it up (IFF_UP), whatever its link does?"""
        flags = number_in(line(self.net(netdev) / "flags")) if netdev else Unknown("")
        return isinstance(flags, float) and bool(int(flags) & IFF_UP)

    def _netdev(self, device: str, port: str) -> str:
        """RoCE says it in the GID table; else the device's netdev with that port number (from 0)."""
        folder = self.sysfs / "class/infiniband" / device
        named = line(folder / "ports" / port / "gid_attrs/ndevs/0")
        if isinstance(named, str) and named:
            return named
        beside = entries(folder / "device/net")
        for name in beside:
            if number_in(line(folder / "device/net" / name / "dev_port")) == int(port) - 1:
                return name
        return beside[0] if len(beside) == 1 else ""

    @functools.cache  # noqa: B019 (a machine lives as long as the command)
    def dcb(self, netdev: str) -> dcb.Dcb | Unknown:
        try:
            return self.kernel.dcb(netdev)
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return Unknown(f"DCB of {netdev}: {why}", f"sudo mlnx_qos -i {netdev}")

    @functools.cached_property
    def nvml(self) -> dict[str, Reading] | Unknown:
        """NVML's counters and states, by PCI address (`gpuN` of one that NVML does not hand out)."""
        try:
            return {reading.place.device: reading for reading in self.kernel.nvml(self.sysfs)}
        except OSError as error:
            return Unknown(f"NVML: {error.strerror or error}", "nvidia-smi")

    @functools.cached_property
    def variables(self) -> dict[str, tuple[str, str]]:
        """NCCL_ and UCX_ variables as NCCL sees them: name -> (value, where it is set).

        The environment wins over NCCL_CONF_FILE or ~/.nccl.conf, and that over /etc/nccl.conf; a
        line is NAME=VALUE, `#` begins a comment (NCCL, src/misc/param.cc).
        """
        made = {
            name: (value, "environment")
            for name, value in self.environ.items()
            if name.startswith(("NCCL_", "UCX_"))
        }
        own, home = self.environ.get("NCCL_CONF_FILE"), self.environ.get("HOME")
        files = [Path(own)] if own else [Path(home) / ".nccl.conf"] if home else []
        for file in (*files, self.etc / "nccl.conf"):
            found = lines(file)
            for text in found if isinstance(found, list) else ():
                name, equals, value = text.partition("=")
                if equals and not name.startswith("#"):
                    made.setdefault(name, (value, str(file)))
        return made

    def variable(self, name: str) -> str | None:
        """Its value; an empty one counts as unset, as with NCCL."""
        return self.variables.get(name, ("", ""))[0] or None
