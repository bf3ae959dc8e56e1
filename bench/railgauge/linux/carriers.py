"""Links of this host that lost their carrier: the kernel's own count, read without asking a driver."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from railgauge.linux.sysfs import text

DEVICES = Path("/sys/class/net")


def carriers_lost(devices: Path = DEVICES) -> dict[str, int]:
    """Network device -> how often its carrier went since it is there; without those that do not say.

    Documentation/ABI/testing/sysfs-class-net of Linux: carrier_down_count, since 4.16.
    """
    found: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for device in sorted(devices.iterdir()):
            with contextlib.suppress(OSError, ValueError):
                found[device.name] = int((device / "carrier_down_count").read_bytes())
    return found


def lost_since(before: Mapping[str, int], devices: Path = DEVICES) -> str:
    """`fab0 (once, down now), fab1 (gone)`: devices whose carrier went, or that did; empty if none."""
    now = carriers_lost(devices)
    told = [f"{device} (gone)" for device in sorted(before.keys() - now.keys())]
    for device, count in now.items():
        times = count - before.get(device, count)
        if times > 0:
            state = _state(devices / device)
            often = "once" if times == 1 else f"{times} times"
            told.append(f"{device} ({often}, {state} now)")
    return ", ".join(told)


def _state(device: Path) -> str:
    """`up`, `down` or what else RFC 2863 knows; a link whose other end is down is `lowerlayerdown`."""
    state = text(device / "operstate") or "unknown"
    return "down" if state == "lowerlayerdown" else state
