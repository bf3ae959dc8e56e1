"""PCIe as sysfs shows it: every link on a device's way to the root, and what each lets through.

No root is needed. An unknown value is None, never 0, and `reason` says why.
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.linux.sysfs import entries, number, text, whole

NVIDIA, RED_HAT = "0x10de", "0x1b36"
NETWORK, DISPLAY, BRIDGE = (
    "0x02",
    "0x03",
    "0x06",
)  # base classes; 0x0300: VGA, 0x0302: 3D controller
ADDRESS = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
SPEEDS = {1: 2.5, 2: 5.0, 3: 8.0, 4: 16.0, 5: 32.0, 6: 64.0}  # GT/s by PCIe generation

#: STP, sequence number, LCRC, END (8b/10b) or STP token with the number, LCRC (128b/130b). Flits
#: have framing of their own. PCI Express Base Specification 6.0, 2.2.1, 3.6, 4.2.1 to 4.2.3.
#: Completions of reads have 4 bytes less (+1.4 %), a larger MaxPayloadSize, which only root can
#: read, less of them (512 bytes: +4.5 %): the raw rate alone is never exceeded.
PAYLOAD, HEADER, FRAMING = 256, 16, 8
#: Of a flit's 256 bytes 6 are error correction and 8 checksum; of the other 242, 6 are flow control.
FLIT, FLIT_CARRIED, FLIT_PACKETS = 256, 242, 236


class PcieDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device on the way from the root port, with the state of its link in GT/s and lanes.

    `emulated`: a virtual machine's bridge, whose link is made up and counts for nothing.
    """

    bus_id: str
    max_speed_GTps: float | None
    speed_GTps: float | None
    max_width: int | None
    width: int | None
    emulated: bool = False


class Pcie(msgspec.Struct, frozen=True, kw_only=True):
    """The PCIe path of a device: `path` from the host bridge down, `devices` from the root port.

    `narrowest` is the bus id (or `NVML`) of what allows least now, of equals the one nearest to the
    root; speed, width and both rates are its own. `raw_GBps` is what the coding leaves,
    `payload_GBps` what packets of 256 bytes carry of it.
    """

    path: tuple[str, ...] = ()
    devices: tuple[PcieDevice, ...] = ()
    narrowest: str | None = None
    speed_GTps: float | None = None
    width: int | None = None
    raw_GBps: float | None = None
    payload_GBps: float | None = None
    reason: str = ""


def displays(sysfs: Path) -> list[tuple[Path, str | None]]:
    """(folder, vendor) of every GPU that the kernel shows, in order of the PCI address."""
    folder = sysfs / "bus/pci/devices"
    return [
        (folder / name, text(folder / name / "vendor"))
        for name in entries(folder)
        if (text(folder / name / "class") or "").startswith(DISPLAY)
    ]


def pcie_rates(speed_GTps: float, width: int) -> tuple[float | None, float | None]:  # noqa: N803
    """GB/s in one direction of a link: raw, and as payload of 256-byte packets (see PAYLOAD).

    8b/10b coding up to 5 GT/s, 128b/130b up to 32 GT/s (PCI Express Base Specification 6.0, 4.2), at
    64 GT/s flits. A speed that is none of PCIe's has no rate.
    """
    if speed_GTps not in SPEEDS.values() or width < 1:
        return None, None
    lanes = speed_GTps * width / 8
    if speed_GTps > 32:
        packets = lanes * FLIT_PACKETS / FLIT
        return lanes * FLIT_CARRIED / FLIT, packets * PAYLOAD / (PAYLOAD + HEADER)
    raw = lanes * (8 / 10 if speed_GTps <= 5 else 128 / 130)
    return raw, raw * PAYLOAD / (PAYLOAD + HEADER + FRAMING)


def pcie_of(
    folder: Path, told: tuple[str, float | None, int | None] | None = None, asleep: bool = False
) -> Pcie:
    """The path of the PCI device in that folder; of one that is `asleep` the fastest speed counts."""
    real = folder.resolve()
    parents = [real, *real.parents]
    chain = [place for place in reversed(parents) if ADDRESS.fullmatch(place.name)]
    if not chain or not real.exists():
        return narrowest((), (), [told] if told else [], f"{folder} does not exist")
    path = (chain[0].parent.name, *(place.name for place in chain))
    devices = tuple(_device(place) for place in chain)
    last = devices[-2:]  # both ends of the device's own link
    fastest = min((d.max_speed_GTps for d in last if d.max_speed_GTps), default=None)
    candidates = [
        (d.bus_id, fastest if asleep and d in last else d.speed_GTps, d.width)
        for d in devices
        if not d.emulated
    ]
    return narrowest(path, devices, [*candidates, told] if told else candidates, "")


def narrowest(
    path: tuple[str, ...],
    devices: tuple[PcieDevice, ...],
    candidates: Sequence[tuple[str, float | None, int | None]],
    reason: str,
) -> Pcie:
    rated = [
        (rates, name, speed, width)
        for name, speed, width in candidates
        if speed and width and (rates := pcie_rates(speed, width))[0]
    ]
    unknown = [name for name, speed, width in candidates if not speed or not width]
    if unknown and not reason:
        reason = f"no link state of {', '.join(unknown)}"
    if not rated:
        return Pcie(path=path, devices=devices, reason=reason or "no link state")
    (raw, payload), name, speed, width = min(rated, key=lambda item: item[0][0] or 0)
    return Pcie(
        path=path,
        devices=devices,
        narrowest=name,
        speed_GTps=speed,
        width=width,
        raw_GBps=raw,
        payload_GBps=payload,
        reason=reason,
    )


def _device(folder: Path) -> PcieDevice:
    return PcieDevice(
        bus_id=folder.name,
        max_speed_GTps=number(folder / "max_link_speed"),
        speed_GTps=number(folder / "current_link_speed"),
        max_width=whole(folder / "max_link_width"),
        width=whole(folder / "current_link_width"),
        emulated=text(folder / "vendor") == RED_HAT,
    )
