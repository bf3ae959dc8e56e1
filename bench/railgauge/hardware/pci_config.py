"""PCI configuration space: what capabilities say of ACS, ATS, payload and read sizes.

Layouts: PCI Express Base Specification 6.0, 7.5.3 (PCI Express capability), 7.7.11 (ACS), 10.5 (ATS).
Others than root get 64 bytes of a device's `config`, which hold no capability: ValueError says so.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PLAIN, WHOLE = 64, 4096
_EXPRESS, _ACS, _ATS = 0x10, 0x0D, 0x0F
#: ACS control bits from 0 up.
ACS_BITS = (
    *("source_validation", "translation_blocking", "request_redirect", "completion_redirect"),
    *("upstream_forwarding", "egress_control", "direct_translated"),
)


class Express(NamedTuple):
    """Device Control: bytes of the largest payload and read request, and relaxed ordering."""

    payload: int
    read_request: int
    relaxed_ordering: bool


def _cut_off(data: bytes) -> None:
    if len(data) <= PLAIN:
        raise ValueError(f"only root reads more than {PLAIN} bytes of the configuration space")


def capability(data: bytes, wanted: int) -> int | None:
    """Offset of a capability in the first 256 bytes; raises ValueError where they are cut off."""
    _cut_off(data)
    at, seen = data[0x34] & 0xFC, set()
    while at >= PLAIN and at + 2 <= len(data) and at not in seen:
        seen.add(at)
        if data[at] == wanted:
            return at
        at = data[at + 1] & 0xFC
    return None


def extended(data: bytes, wanted: int) -> int | None:
    """Offset of an extended capability; raises ValueError where they are cut off."""
    _cut_off(data)
    at, seen = 0x100, set()
    while at >= 0x100 and at + 4 <= len(data) and at not in seen:
        seen.add(at)
        (header,) = struct.unpack_from("<I", data, at)
        if header & 0xFFFF == wanted:
            return at
        at = header >> 20 & 0xFFC
    return None


def _word(data: bytes, at: int) -> int:
    if at + 2 > len(data):
        raise ValueError("the configuration space ends within a capability")
    return int(struct.unpack_from("<H", data, at)[0])


def express(data: bytes) -> Express | None:
    """Device Control of the PCI Express capability, None where there is none."""
    at = capability(data, _EXPRESS)
    if at is None:
        return None
    control = _word(data, at + 8)
    return Express(128 << (control >> 5 & 7), 128 << (control >> 12 & 7), bool(control >> 4 & 1))


def acs(data: bytes) -> tuple[str, ...] | None:
    """Names of the ACS controls that are on, None where the device has no ACS."""
    at = extended(data, _ACS)
    if at is None:
        return None
    control = _word(data, at + 6)
    return tuple(name for bit, name in enumerate(ACS_BITS) if control >> bit & 1)


def ats(data: bytes) -> bool | None:
    """Is address translation on? None where the device has no ATS."""
    at = extended(data, _ATS)
    return None if at is None else bool(_word(data, at + 6) >> 15)
