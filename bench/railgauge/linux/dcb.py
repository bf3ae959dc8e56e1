"""Data center bridging of a network device: PFC, ETS, DSCP map, buffers and trust, over rtnetlink.

RTM_GETDCB with DCB_CMD_IEEE_GET and DCB_CMD_GDCBX, which anybody may ask (net/dcb/dcbnl.c); structures
and numbers as in include/uapi/linux/dcbnl.h, IEEE 802.1Q clauses 36 (PFC), 37 (ETS) and annex D
(applications). The decoder takes bytes alone: what is cut off or odd raises ValueError.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import msgspec

RTM_GETDCB, NLMSG_ERROR = 78, 2
IEEE_GET, GDCBX = 21, 22
ATTR_IFNAME, ATTR_IEEE, ATTR_DCBX = 1, 13, 14
IEEE_ETS, IEEE_PFC, IEEE_APP_TABLE, IEEE_MAXRATE, IEEE_BUFFER, IEEE_TRUST = 1, 2, 3, 7, 10, 11
SELECTORS = {1: "ethertype", 2: "stream", 3: "dgram", 4: "any", 5: "dscp", 255: "pcp", 24: "pcp"}
ALGORITHMS = {0: "strict", 1: "cb-shaper", 2: "ets", 255: "vendor"}
#: Who negotiates, and in which flavour of the protocol (DCB_CAP_DCBX_*).
DCBX_FLAGS = {1: "host", 2: "firmware", 4: "cee", 8: "ieee", 16: "static"}
PRIORITIES = 8
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_PFC = struct.Struct("=BBBxHxx8Q8Q")
_ETS = struct.Struct("=BBB8B8B8B8B")
_BUFFER = struct.Struct("=8B8II")
_TYPE_MASK = 0x3FFF  # NLA_TYPE_MASK: without the flags for nesting and byte order
_NOT_SUPPORTED = (errno.EOPNOTSUPP, 524)  # ENOTSUPP is the kernel's own
SECONDS = 2.0  # for an answer, which the kernel gives at once


class Pfc(msgspec.Struct, frozen=True):
    """802.1Qbb: priorities that may pause, and frames sent (`requests`) and received by priority."""

    capable: int
    enabled: tuple[int, ...]
    macsec_bypass: bool
    delay: int
    requests: tuple[int, ...]
    indications: tuple[int, ...]


class Ets(msgspec.Struct, frozen=True):
    """802.1Qaz: priority -> traffic class, and each class's share (%) and selection algorithm."""

    willing: bool
    classes: int
    bandwidth: tuple[int, ...]
    algorithm: tuple[str, ...]
    priority_class: tuple[int, ...]


class Application(msgspec.Struct, frozen=True):
    """`selector` (dscp, ethertype, ...) `protocol` travels with `priority`."""

    selector: str
    protocol: int
    priority: int


class Buffer(msgspec.Struct, frozen=True):
    """Receive buffers: priority -> buffer, and sizes in bytes."""

    priority_buffer: tuple[int, ...]
    sizes: tuple[int, ...]
    total: int


class Dcb(msgspec.Struct, frozen=True, kw_only=True):
    """What a device says; None: its driver does not say. `trusted` is in order of precedence."""

    pfc: Pfc | None = None
    ets: Ets | None = None
    applications: tuple[Application, ...] = ()
    maxrate_kbps: tuple[int, ...] | None = None
    buffer: Buffer | None = None
    trusted: tuple[str, ...] | None = None
    dcbx: tuple[str, ...] | None = None

    @property
    def dscp_priority(self) -> dict[int, int]:
        """DSCP -> priority; of several entries the highest (the kernel's dcb_ieee_getapp_mask)."""
        made: dict[int, int] = {}
        for entry in self.applications:
            if entry.selector == "dscp":
                made[entry.protocol] = max(entry.priority, made.get(entry.protocol, 0))
        return dict(sorted(made.items()))


def state(device: str) -> Dcb:
    """Ask the kernel; raises OSError (not supported, no permission) and ValueError (an odd reply)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as control:
        control.settimeout(SECONDS)
        made = decoded(_ask(control, device, IEEE_GET), 1)
        try:
            engine = decoded(_ask(control, device, GDCBX), 1).dcbx
        except OSError:
            engine = None  # the driver has no such question
    return msgspec.structs.replace(made, dcbx=engine)


def _ask(control: socket.socket, device: str, command: int) -> bytes:
    name = device.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(name), ATTR_IFNAME) + name
    body = struct.pack("=BBH", socket.AF_UNSPEC, command, 0) + attribute.ljust(
        -(-len(attribute) // 4) * 4, b"\0"
    )
    control.send(_HEADER.pack(_HEADER.size + len(body), RTM_GETDCB, 1, 1, 0) + body)
    return control.recv(1 << 16)


def decoded(reply: bytes, sequence: int) -> Dcb:
    """The state in a reply; raises OSError for the error that it carries, ValueError if it is odd."""
    for kind, number, body in messages(reply):
        if number != sequence:
            continue
        if kind == NLMSG_ERROR:
            raise _error(body)
        if kind == RTM_GETDCB:
            return _state(body[4:])
    raise ValueError(f"a DCB reply of {len(reply)} bytes holds no answer")


def _error(body: bytes) -> Exception:
    if len(body) < 4:
        return ValueError("a netlink error without its number")
    number = -struct.unpack_from("=i", body)[0]
    if number in _NOT_SUPPORTED:
        return OSError(errno.EOPNOTSUPP, "not supported by the driver")
    if number in (errno.EPERM, errno.EACCES):
        return OSError(number, "no permission")
    return (
        OSError(number, os.strerror(number)) if number > 0 else ValueError("an answer without data")
    )


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence number, body) of each netlink message; raises ValueError where one is cut off."""
    while data:
        if len(data) < _HEADER.size:
            raise ValueError(f"{len(data)} bytes are no netlink message")
        length, kind, _, sequence, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            raise ValueError(f"a netlink message of {length} bytes in {len(data)}")
        yield kind, sequence, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each netlink attribute; raises ValueError where one is cut off."""
    while data:
        if len(data) < 4:
            raise ValueError(f"{len(data)} bytes are no netlink attribute")
        length, kind = struct.unpack_from("=HH", data)
        if not 4 <= length <= len(data):
            raise ValueError(f"a netlink attribute of {length} bytes in {len(data)}")
        yield kind & _TYPE_MASK, data[4:length]
        data = data[(length + 3) & ~3 :]


def _state(body: bytes) -> Dcb:
    found = dict(attributes(body))
    ieee = dict(attributes(found.get(ATTR_IEEE, b"")))
    flags = found.get(ATTR_DCBX)
    return Dcb(
        pfc=_pfc(ieee[IEEE_PFC]) if IEEE_PFC in ieee else None,
        ets=_ets(ieee[IEEE_ETS]) if IEEE_ETS in ieee else None,
        applications=tuple(_applications(ieee.get(IEEE_APP_TABLE, b""))),
        maxrate_kbps=_unpacked("=8Q", ieee[IEEE_MAXRATE]) if IEEE_MAXRATE in ieee else None,
        buffer=_buffer(ieee[IEEE_BUFFER]) if IEEE_BUFFER in ieee else None,
        trusted=_trusted(ieee[IEEE_TRUST]) if IEEE_TRUST in ieee else None,
        dcbx=tuple(w for bit, w in DCBX_FLAGS.items() if flags[0] & bit) if flags else None,
    )


def _unpacked(layout: str | struct.Struct, data: bytes) -> tuple[int, ...]:
    form = struct.Struct(layout) if isinstance(layout, str) else layout
    if len(data) < form.size:
        raise ValueError(f"a DCB structure of {len(data)} bytes, expected {form.size}")
    return form.unpack_from(data)


def _pfc(data: bytes) -> Pfc:
    capable, enabled, bypass, delay, *frames = _unpacked(_PFC, data)
    on = tuple(p for p in range(PRIORITIES) if enabled >> p & 1)
    requests, indications = tuple(frames[:PRIORITIES]), tuple(frames[PRIORITIES:])
    return Pfc(capable, on, bool(bypass), delay, requests, indications)


def _ets(data: bytes) -> Ets:
    # three lists that only LLDP needs (tc_reco_bw, tc_reco_tsa, reco_prio_tc) follow
    willing, classes, _, *rest = _unpacked(_ETS, data)
    algorithms = tuple(ALGORITHMS.get(code, f"reserved {code}") for code in rest[16:24])
    return Ets(bool(willing), classes, tuple(rest[:8]), algorithms, tuple(rest[24:32]))


def _buffer(data: bytes) -> Buffer:
    values = _unpacked(_BUFFER, data)
    return Buffer(values[:8], values[8:16], values[16])


def _applications(table: bytes) -> Iterator[Application]:
    for _, data in attributes(table):
        selector, priority, protocol = _unpacked("=BBH", data)
        yield Application(SELECTORS.get(selector, f"selector {selector}"), protocol, priority)


def _trusted(table: bytes) -> tuple[str, ...]:
    codes = [data[0] for _, data in attributes(table) if data]
    return tuple(SELECTORS.get(code, f"selector {code}") for code in codes)
