"""What NVML says of this host's GPUs, and what NVLink lets two of them exchange.

A fact that the driver does not give is None, and `reasons` says why; nothing raises for it.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import contextlib
import ctypes
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from railgauge.hardware.nvml import Asker, bus_id, load
from railgauge.units import GIGA

MEGA = 1e6
#: Of one link in one direction, by compute capability: (NVLink version, GB/s of data).
#: Source: NVIDIA's architecture whitepapers: P100 4 links 160 GB/s, V100 6 links 300 GB/s, TU102 2
#: links 100 GB/s, A100 12 links 600 GB/s, GA102 4 links 112.5 GB/s, H100 18 links 900 GB/s, B200 18
#: links 1,800 GB/s, each of both directions together.
#:
#: The key is not what nvmlDeviceGetNvLinkVersion answers: nvml.h counts 4.0 as 6 and 5.0 as 7, the
#: driver below it (ctrl2080nvlink.h of open-gpu-kernel-modules) 4.0 as 7 and 5.0 as 8, and drivers
#: have been seen to hand the latter through, so that 7 means either.
GENERATIONS = {
    (6, 0): ("1.0", 20.0),
    (7, 0): ("2.0", 25.0),
    (7, 5): ("2.2", 25.0),
    (8, 0): ("3.0", 25.0),
    (8, 6): ("3.1", 14.0625),
    (9, 0): ("4.0", 25.0),
    (10, 0): ("5.0", 50.0),
    (10, 3): ("5.0", 50.0),
}
REMOTES = {0: "gpu", 1: "cpu", 2: "switch"}  # NVML_NVLINK_DEVICE_TYPE_*; cpu: IBM's NPU
_STATES = {0: "not supported", 1: "not started", 2: "in progress", 3: "completed"}


class NvLink(msgspec.Struct, frozen=True, kw_only=True):
    """An active link. `remote` is the PCI bus id of what it ends at (`remote_kind`), if known.

    `rate_GBps` is what the link carries of data in one direction, `line_GBps` the speed that NVML
    answers: from version 4.0 on it counts the error correction too (26.5625 * 16/17 = 25, 53.125 *
    16/17 = 50), on V100 the 64b/66b coding (25.78 * 32/33 = 25). `source` says where the rate is
    from, `version_code` is NVML's number for the version (see GENERATIONS).
    """

    index: int
    version: str | None
    version_code: int | None
    remote: str | None
    remote_kind: str
    rate_GBps: float | None
    line_GBps: float | None
    source: str


class Fabric(msgspec.Struct, frozen=True, kw_only=True):
    """How the GPU is registered with the fabric manager of its NVLink domain."""

    state: str
    cluster_uuid: str
    clique: int
    status: int  # nvmlReturn_t of the registration; 0: success

    @property
    def joined(self) -> bool:
        """Whether cluster and clique name a domain; all zero is a domain of one node, unnamed."""
        named = uuid.UUID(self.cluster_uuid).int != 0
        return self.state == "completed" and self.status == 0 and named


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU as NVML describes it. None is unknown, and `reasons` says why.

    `memory_GBps` = 2 * clock * width / 8, the data sheet's figure: memory sends two bits a pin and
    clock as NVML counts it. `c2c_GBps` is NVLink-C2C to the host's processor, one direction.
    `nvlink_GBps` sums the active links, one direction. `performance_state` 0 is the fastest.
    """

    index: int
    bus_id: str | None = None
    uuid: str | None = None
    name: str | None = None
    capability: tuple[int, int] | None = None
    memory_bytes: int | None = None
    driver: str | None = None
    performance_state: int | None = None
    mig: bool | None = None
    memory_clock_MHz: int | None = None
    memory_bus_bits: int | None = None
    memory_GBps: float | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_max_generation: int | None = None
    pcie_max_width: int | None = None
    nvlinks: tuple[NvLink, ...] = ()
    dead_nvlinks: tuple[int, ...] = ()  # present, and not active
    nvlink_GBps: float | None = None
    c2c_GBps: float | None = None
    fabric: Fabric | None = None
    reasons: tuple[str, ...] = ()


def boards() -> tuple[tuple[Board, ...], str]:
    """The GPUs that NVML shows to this process, in its order, and why there are none ("": some)."""
    nvml, reason = load()
    if nvml is None:
        return (), reason
    try:
        count = nvml.nvmlDeviceGetCount()
        found = tuple(_board(nvml, index) for index in range(count))
        return found, "" if found else "NVML shows no GPU to this process"
    except nvml.NVMLError as error:
        return (), f"NVML does not count its GPUs: {error}"
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _board(nvml: Any, index: int) -> Board:
    asker = Asker(nvml)
    ask = asker.ask
    handle = ask("handle", "nvmlDeviceGetHandleByIndex", index)
    if handle is None:
        return Board(index=index, reasons=tuple(asker.reasons))
    pci = ask("PCI", "nvmlDeviceGetPciInfo", handle)
    capability = ask("compute capability", "nvmlDeviceGetCudaComputeCapability", handle)
    memory = ask("memory", "nvmlDeviceGetMemoryInfo", handle)
    clock = ask("memory clock", "nvmlDeviceGetMaxClockInfo", handle, nvml.NVML_CLOCK_MEM)
    bits = ask("memory bus width", "nvmlDeviceGetMemoryBusWidth", handle)
    pair = (int(capability[0]), int(capability[1])) if capability else None
    nvlinks, dead = _nvlinks(asker, handle, pair)
    return Board(
        index=index,
        bus_id=bus_id(pci),
        uuid=ask("UUID", "nvmlDeviceGetUUID", handle),
        name=ask("name", "nvmlDeviceGetName", handle),
        capability=pair,
        memory_bytes=memory.total if memory is not None else None,
        driver=ask("driver version", "nvmlSystemGetDriverVersion"),
        performance_state=ask("performance state", "nvmlDeviceGetPerformanceState", handle),
        mig=_mig(asker, handle),
        memory_clock_MHz=clock,
        memory_bus_bits=bits,
        memory_GBps=2 * clock * MEGA * bits / 8 / GIGA if clock and bits else None,
        pcie_generation=ask("PCIe", "nvmlDeviceGetCurrPcieLinkGeneration", handle),
        pcie_width=ask("PCIe", "nvmlDeviceGetCurrPcieLinkWidth", handle),
        pcie_max_generation=ask("PCIe", "nvmlDeviceGetMaxPcieLinkGeneration", handle),
        pcie_max_width=ask("PCIe", "nvmlDeviceGetMaxPcieLinkWidth", handle),
        nvlinks=nvlinks,
        dead_nvlinks=dead,
        nvlink_GBps=total([link.rate_GBps for link in nvlinks]),
        c2c_GBps=_c2c(asker, handle),
        fabric=_fabric(asker, handle),
        reasons=tuple(dict.fromkeys(asker.reasons)),
    )


def total(rates: Sequence[float | None]) -> float | None:
    """The sum; None where one is unknown or there is none."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known and len(known) == len(rates) else None


def _mig(asker: Asker, handle: Any) -> bool | None:
    try:
        current, _pending = asker.nvml.nvmlDeviceGetMigMode(handle)
    except asker.nvml.NVMLError as error:
        if error.value == asker.nvml.NVML_ERROR_NOT_SUPPORTED:
            return False
        asker.reasons.append(f"MIG: {error}")
        return None
    return bool(current == asker.nvml.NVML_DEVICE_MIG_ENABLE)


def _nvlinks(
    asker: Asker, handle: Any, capability: tuple[int, int] | None
) -> tuple[tuple[NvLink, ...], tuple[int, ...]]:
    """Active links, and the numbers of those that are there and not active."""
    active, dead = [], []
    for index in range(asker.nvml.NVML_NVLINK_MAX_LINKS):
        state = asker.ask("", "nvmlDeviceGetNvLinkState", handle, index)
        if state:
            active.append(_nvlink(asker, handle, index, capability))
        elif state is not None:
            dead.append(index)
    if not active and not dead:
        asker.reasons.append("NVLink: NVML shows no link")
    return tuple(active), tuple(dead)


def _nvlink(asker: Asker, handle: Any, index: int, capability: tuple[int, int] | None) -> NvLink:
    kind = asker.ask("", "nvmlDeviceGetNvLinkRemoteDeviceType", handle, index)
    version, carried = GENERATIONS.get(capability or (0, 0), (None, None))
    line, field = None, ""
    for field, scope in (
        ("NVLINK_GET_SPEED", index),
        (f"NVLINK_SPEED_MBPS_L{index}", 0),
        ("NVLINK_SPEED_MBPS_COMMON", 0),
    ):
        line = asker.field(handle, field, scope)
        if line is not None:
            line /= GIGA / MEGA  # not times 1e-3: 14,062 MB/s are 14.062 GB/s to the last bit
            break
    if line is None:
        source = f"table: NVLink {version}" if version else "neither NVML nor a table has its speed"
    elif carried is None or line <= carried:
        source = f"NVML: {field}"
    else:
        source = f"table: NVLink {version} carries {carried:g} of NVML's {line:g} GB/s ({field})"
    return NvLink(
        index=index,
        version=version,
        version_code=asker.ask("", "nvmlDeviceGetNvLinkVersion", handle, index),
        remote=bus_id(asker.ask("", "nvmlDeviceGetNvLinkRemotePciInfo", handle, index)),
        remote_kind=REMOTES.get(kind, "unknown"),
        rate_GBps=min((rate for rate in (line, carried) if rate is not None), default=None),
        line_GBps=line,
        source=source,
    )


def _c2c(asker: Asker, handle: Any) -> float | None:
    """Links to the host's processor times their speed (NVML gives it for one link), GB/s."""
    count = asker.field(handle, "C2C_LINK_COUNT")
    speed = asker.field(handle, "C2C_LINK_GET_MAX_BW")
    return count * speed * MEGA / GIGA if count and speed else None


def _fabric(asker: Asker, handle: Any) -> Fabric | None:
    info = asker.nvml.c_nvmlGpuFabricInfoV_t()
    asked = asker.ask("fabric", "nvmlDeviceGetGpuFabricInfoV", handle, ctypes.byref(info))
    if asked is None:
        return None
    return Fabric(
        state=_STATES.get(info.state, f"state {info.state}"),
        cluster_uuid=str(uuid.UUID(bytes=bytes(info.clusterUuid))),
        clique=info.cliqueId,
        status=info.status,
    )
