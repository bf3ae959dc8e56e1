"""The ethtool ioctl: questions about a network device that anybody may ask.

SIOCETHTOOL and its structures: include/uapi/linux/ethtool.h; which commands need no privilege:
net/ethtool/ioctl.c. Everything here raises OSError: no such device, or the driver does not answer.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from ctypes import addressof, create_string_buffer
from typing import NamedTuple

_SIOCETHTOOL = 0x8946
_GDRVINFO, _GPAUSEPARAM, _GFECPARAM = 0x03, 0x12, 0x50
_DRVINFO = struct.Struct("=I32s32s32s32s32s12x5I")
_FEC_BITS = {1: "none", 2: "auto", 4: "off", 8: "RS", 16: "BaseR", 32: "LLRS"}


class Driver(NamedTuple):
    """Who drives a device; `version` is the kernel's where the driver has none of its own."""

    name: str
    version: str
    firmware: str
    bus_id: str


class Pause(NamedTuple):
    """802.3x flow control of the whole link (not PFC)."""

    negotiated: bool
    rx: bool
    tx: bool


def ask(control: socket.socket, device: str, request: bytes) -> bytes:
    """The request's structure as the kernel filled it in."""
    data = create_string_buffer(request, len(request))
    ifreq = struct.pack("=16sQ", device.encode()[:15], addressof(data)).ljust(40, b"\0")
    fcntl.ioctl(control, _SIOCETHTOOL, ifreq)
    return data.raw


def _asked(device: str, command: int, nbytes: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        return ask(control, device, struct.pack("=I", command).ljust(nbytes, b"\0"))


def driver(device: str) -> Driver:
    """What `ethtool -i` shows."""
    _, *texts = _DRVINFO.unpack(_asked(device, _GDRVINFO, _DRVINFO.size))[:5]
    return Driver(*(raw.partition(b"\0")[0].decode(errors="replace").strip() for raw in texts))


def pause(device: str) -> Pause:
    """What `ethtool -a` shows."""
    _, *flags = struct.unpack("=4I", _asked(device, _GPAUSEPARAM, 16))
    return Pause(*map(bool, flags))


def fec(device: str) -> str:
    """The error correction that the link runs with, as `ethtool --show-fec` does."""
    _, active, _, _ = struct.unpack("=4I", _asked(device, _GFECPARAM, 16))
    return "+".join(name for bit, name in _FEC_BITS.items() if active & bit) or "none"
