"""What the hardware allows between two ends: a ceiling in GB/s with its derivation in words.

One direction, other traffic apart; pure functions of `railgauge.hardware.links`.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from railgauge.hardware.links import Gpu, Nic
from railgauge.hardware.nvlink import NvLink, total
from railgauge.hardware.pcie import PAYLOAD, Pcie


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A ceiling of `path` (nvlink, pcie, host, local, network) and in words where it is from.

    `GBps` is of data, `raw_GBps` of the wire with its packet headers; None where that is unknown.
    """

    path: str
    GBps: float | None
    raw_GBps: float | None
    words: str


def path_between(a: Gpu, b: Gpu) -> str:
    """What the shortest way takes: local, nvlink, pcie (one host) or network."""
    if (a.host, a.index) == (b.host, b.index):
        return "local"
    if _nvlinks_between(a, b):
        return "nvlink"
    return "pcie" if a.host == b.host else "network"


def between(a: Gpu, a_nics: Sequence[Nic], b: Gpu, b_nics: Sequence[Nic]) -> Bound:
    """The ceiling of the shortest way from one GPU to another; `nics` are those nearest to each."""
    path = path_between(a, b)
    if path == "local":
        return local_bound(a)
    if path == "nvlink":
        return nvlink_bound(a, b)
    if path == "pcie":
        return pcie_bound(a, b)
    if not a_nics or not b_nics:
        return _unknown("network", "no NIC with a rate is near one of the GPUs")
    return network_bound(a_nics[0], b_nics[0])


def nvlink_bound(a: Gpu, b: Gpu) -> Bound:
    """Direct links summed, or through NVSwitch all links of the narrower GPU; of one direction.

    An NVSwitch joins any of its ports at full rate (NVIDIA's HGX and NVL72 descriptions), so only
    the two ends count. NVLink's own packet headers are not taken off: NVIDIA publishes no figure.
    """
    if a.mig or b.mig:  # NVIDIA Multi-Instance GPU User Guide, application considerations
        return _unknown("nvlink", "MIG instances have no peer access")
    both = _nvlinks_between(a, b)
    if both is None:
        return _unknown("nvlink", f"no active NVLink joins {_called(a)} and {_called(b)}")
    sums = [(total([link.rate_GBps for link in links]), at) for at, links in enumerate(both)]
    if any(rate is None for rate, _ in sums):
        return _unknown("nvlink", "; ".join(sorted({k.source for ks in both for k in ks})))
    rate, narrower = min((rate or 0.0, at) for rate, at in sums)
    links, gpu = both[narrower], (a, b)[narrower]
    way = "through NVSwitch" if links[0].remote_kind == "switch" else "directly"
    return Bound(
        path="nvlink",
        GBps=rate,
        raw_GBps=total([link.line_GBps for link in links]),
        words=f"{len(links)} links of {_called(gpu)} {way}: {rate:g} GB/s"
        f" ({'; '.join(sorted({link.source for link in links}))})",
    )


def _nvlinks_between(a: Gpu, b: Gpu) -> tuple[tuple[NvLink, ...], tuple[NvLink, ...]] | None:
    """The links of each that lead to the other."""
    if a.domain is None or a.domain != b.domain or (a.host, a.index) == (b.host, b.index):
        return None
    if a.host == b.host:
        there = tuple(link for link in a.nvlinks if link.remote == b.bus_id)
        back = tuple(link for link in b.nvlinks if link.remote == a.bus_id)
        if there and back:
            return there, back
    there = tuple(link for link in a.nvlinks if link.remote_kind == "switch")
    back = tuple(link for link in b.nvlinks if link.remote_kind == "switch")
    return (there, back) if there and back else None


def pcie_bound(a: Gpu, b: Gpu) -> Bound:
    """Between two GPUs of a host over PCIe: the narrower of their two paths, in one direction."""
    if a.host != b.host:
        return _unknown("pcie", f"{a.host} and {b.host} share no PCIe")
    return _narrower("pcie", [(_called(gpu), gpu.pcie) for gpu in (a, b)])


def host_bound(gpu: Gpu) -> Bound:
    """Between a GPU and its host's memory, one direction: NVLink-C2C where there is one, else PCIe."""
    if gpu.c2c_GBps is not None:
        words = f"NVLink-C2C of {_called(gpu)}: {gpu.c2c_GBps:g} GB/s (NVML)"
        return Bound(path="host", GBps=gpu.c2c_GBps, raw_GBps=gpu.c2c_GBps, words=words)
    return _narrower("host", [(_called(gpu), gpu.pcie)])


def local_bound(gpu: Gpu) -> Bound:
    """A copy within a GPU's memory, GB/s of data copied: each byte is read once and written once."""
    if gpu.mig:
        return _unknown("local", "MIG divides the memory's bandwidth among instances")
    if gpu.memory_GBps is None:
        told = [why for why in gpu.reasons if why.startswith("memory")] or gpu.reasons
        return _unknown("local", "; ".join(told))
    words = (
        f"half of {gpu.memory_GBps:.0f} GB/s (2 * {gpu.memory_clock_MHz} MHz *"
        f" {gpu.memory_bus_bits} bit / 8): read and written"
    )
    half = gpu.memory_GBps / 2
    return Bound(path="local", GBps=half, raw_GBps=gpu.memory_GBps, words=words)


#: Bytes around the payload of a packet. RoCEv2: preamble 8, gap 12, Ethernet 14, IPv4 20, UDP 8, BTH
#: 12, ICRC 4, FCS 4 (IEEE 802.3; IBTA volume 1, annex A17). InfiniBand: LRH 8, BTH 12, ICRC 4, VCRC 2
#: (IBTA volume 1, chapters 7 and 9). The first packet of a write has a RETH of 16 more.
WIRE_BYTES = {"Ethernet": 82, "InfiniBand": 26}
RETH_BYTES = 16


def payload_share(link_layer: str | None, mtu: int, nbytes: int, written: bool) -> float | None:
    """Which part of a line's bytes are data, for messages of `nbytes`; None of an unknown link layer."""
    around = WIRE_BYTES.get(link_layer or "")
    if around is None or mtu < 1 or nbytes < 1:
        return None
    return nbytes / (nbytes + -(-nbytes // mtu) * around + RETH_BYTES * written)


def network_bound(a: Nic, b: Nic, share: float = 1.0) -> Bound:
    """From one NIC to another: rate / 8, or a NIC's PCIe path where that is narrower.

    `share` is what headers of the network leave of it: they depend on its MTU. Of InfiniBand before
    EDR the kernel shows the signalling rate, of which the coding takes 3 % (FDR) to 20 %.
    """
    for nic in (a, b):
        if nic.rate_Gbps is None:
            return _unknown("network", f"{nic.name}:{nic.port} on {nic.host}: {nic.reason}")
    raw, slower = min(((nic.rate_Gbps or 0.0) / 8, at) for at, nic in enumerate((a, b)))
    rate = raw * share
    slots = [(f"{nic.name} on {nic.host}", nic.pcie) for nic in (a, b) if nic.pcie.payload_GBps]
    slot = _narrower("network", slots)
    if slot.GBps is not None and slot.GBps < rate:
        return slot
    nic = (a, b)[slower]
    words = f"{nic.rate_Gbps:g} Gb/s / 8 of {nic.name}:{nic.port} on {nic.host}"
    words += f", {share:.1%} of it data" if share < 1 else ""
    return Bound(path="network", GBps=rate, raw_GBps=raw, words=words)


def _narrower(path: str, ends: Sequence[tuple[str, Pcie]]) -> Bound:
    """The PCIe bound of the narrowest end; unknown where one end is."""
    for name, pcie in ends:
        if pcie.payload_GBps is None:
            return _unknown(path, f"PCIe of {name}: {pcie.reason}")
    if not ends:
        return _unknown(path, "no PCIe path is known")
    name, pcie = min(ends, key=lambda end: end[1].payload_GBps or 0)
    return Bound(
        path=path,
        GBps=pcie.payload_GBps,
        raw_GBps=pcie.raw_GBps,
        words=f"PCIe of {name}: {pcie.speed_GTps:g} GT/s x{pcie.width} at {pcie.narrowest},"
        f" {pcie.raw_GBps:.1f} GB/s raw, {pcie.payload_GBps:.1f} GB/s in packets of {PAYLOAD} bytes",
    )


def _unknown(path: str, why: str) -> Bound:
    return Bound(path=path, GBps=None, raw_GBps=None, words=f"unknown: {why}")


def _called(gpu: Gpu) -> str:
    return f"GPU {gpu.bus_id or gpu.index} on {gpu.host}"
