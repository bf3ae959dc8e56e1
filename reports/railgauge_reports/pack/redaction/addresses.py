"""Addresses as they stand in text: which kind, one spelling for all of an address, and a made-up one instead.

Made-up ones come from ranges that no network uses: IPv4 240.0.0.0/4 (reserved, RFC 1112), IPv6
2001:db8::/32 (RFC 3849), locally administered EUI-48 and EUI-64 that begin with 02-00-00, UUIDs
00000000-0000-4000-8000-.... A link-local IPv6 stays one, and one that maps an IPv4 maps its replacement,
because the choice of a GID depends on that.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

KINDS = ("ipv4", "ipv6", "mac", "guid", "uuid")
_TOKEN = re.compile(
    r"""(?<![0-9a-z]) (?P<uuid> [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} | [0-9a-f]{32} ) (?![0-9a-z])
    | enx (?P<enx> [0-9a-f]{12} ) (?![0-9a-z])
    | (?<![0-9a-z]) (?P<dashes> [0-9a-f]{2}(?:-[0-9a-f]{2}){5} ) (?![0-9a-z-])
    | (?<![0-9a-z.]) (?P<dots> [0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4} ) (?![0-9a-z]|\.[0-9a-f])
    | (?<![0-9a-z]) (?P<guid> 0x[0-9a-f]{12,16} | [0-9a-f]{16} ) (?![0-9a-z])
    | (?<![0-9a-z])
      (?P<colons> (?:::)? [0-9a-f]{1,4} (?: ::? [0-9a-f]{1,4} )+ (?: \.[0-9]{1,3} ){0,3} (?:::)? )
      (?![0-9a-z])
    | (?<![0-9v]) (?<![0-9]\.) (?P<ipv4> [0-9]{1,3} (?: \.[0-9]{1,3} ){3} ) (?![0-9]|\.[0-9])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PAIRS = {6: "mac", 8: "guid", 20: "mac"}  # 20: the hardware address of IP over InfiniBand
_HEX = re.compile("[0-9a-fA-F]")


class Address(NamedTuple):
    """Where an address stands; `canonical`: dotted for IPv4, else its hex digits in lower case."""

    start: int
    end: int
    kind: str
    canonical: str


def addresses(text: str) -> Iterator[Address]:
    """All that say something of a site, from left to right; loopback, broadcast and zero do not."""
    for match in _TOKEN.finditer(text):
        for found in _classified(match):
            if not _means_nothing(found.kind, found.canonical):
                yield found


def _classified(match: re.Match[str]) -> Iterator[Address]:
    form, token = str(match.lastgroup), match[0]
    start, end = match.span(form)
    if form == "colons":
        yield from _colons(start, match[form])
        return
    digits = "".join(_HEX.findall(match[form].lower().removeprefix("0x")))
    if form == "ipv4":
        if all(int(octet) <= 255 for octet in token.split(".")):
            yield Address(start, end, "ipv4", str(ipaddress.IPv4Address(_plain(token))))
    elif form == "uuid":
        yield Address(start, end, "uuid", digits)
    elif form == "guid":
        yield Address(start, end, "guid", digits.zfill(16))
    else:
        yield Address(start, end, "mac", digits)


def _plain(token: str) -> str:
    """Without the leading zeros that `ipaddress` refuses."""
    return ".".join(str(int(octet)) for octet in token.split("."))


def _colons(start: int, token: str) -> Iterator[Address]:
    """MAC, EUI-64, GUID or IPv6; where the whole is none of them, what of it is a MAC or GUID."""
    groups = token.split(":")
    kind = _of_groups(groups)
    if kind:
        yield Address(start, start + len(token), kind, "".join(groups).lower())
        return
    try:
        whole = ipaddress.IPv6Address(token)
    except ValueError:
        pass
    else:
        yield Address(start, start + len(token), "ipv6", f"{int(whole):032x}")
        return
    at = 0
    while at < len(groups):
        for length in (20, 8, 6, 4):
            part = groups[at : at + length]
            if len(part) == length and (kind := _of_groups(part)):
                first = start + sum(len(group) + 1 for group in groups[:at])
                text = ":".join(part)
                yield Address(first, first + len(text), kind, "".join(part).lower())
                at += length - 1
                break
        at += 1


def _of_groups(groups: list[str]) -> str:
    lengths = {len(group) for group in groups}
    if lengths == {2}:
        return _PAIRS.get(len(groups), "")
    return "guid" if lengths == {4} and len(groups) == 4 else ""


def _means_nothing(kind: str, canonical: str) -> bool:
    if kind == "ipv4":
        return canonical.partition(".")[0] in ("0", "127", "255")
    if kind == "ipv6":
        address = ipaddress.IPv6Address(int(canonical, 16))
        return address.is_loopback or address.is_unspecified or address.is_multicast
    return len(set(canonical)) == 1 and canonical[0] in "0f"


def mapped_ipv4(canonical: str) -> str | None:
    """The IPv4 address in an IPv6 address that maps one."""
    mapped = ipaddress.IPv6Address(int(canonical, 16)).ipv4_mapped
    return None if mapped is None else str(mapped)


def mapping(ipv4: str) -> str:
    """The IPv6 address that maps an IPv4 address."""
    return f"{(0xFFFF << 32) | int(ipaddress.IPv4Address(ipv4)):032x}"


def made_up(kind: str, original: str, number: int) -> str:
    """The `number`-th address of that kind, 1 being the first; as long as the original."""
    if kind == "ipv4":
        return str(ipaddress.IPv4Address((240 << 24) + number))
    if kind == "ipv6":
        local = ipaddress.IPv6Address(int(original, 16)).is_link_local
        return ("fe80" + "0db8" * local + "0" * 24 if local else "20010db8" + "0" * 24)[
            :24
        ] + f"{number:08x}"
    if kind == "uuid":
        return f"0000000000004000{0x8000 << 48 | number:016x}"
    return "020000" + f"{number:0{len(original) - 6}x}"


def spelled(kind: str, canonical: str, like: str) -> str:
    """An address in the spelling of another one of its kind."""
    if kind == "ipv4":
        return canonical
    upper = any(c in "ABCDEF" for c in like) and not any(c in "abcdef" for c in like)
    if kind == "ipv6" and len(_HEX.findall(like)) != 32:
        address = ipaddress.IPv6Address(int(canonical, 16))
        dotted = address.ipv4_mapped if "." in like else None
        made = f"::ffff:{dotted}" if dotted else str(address)
        return made.upper() if upper else made
    digits = canonical.upper() if upper else canonical
    prefix = like[:2] if like[:2] in ("0x", "0X") else ""
    places = like[len(prefix) :]
    if len(_HEX.findall(places)) != len(digits):  # leading zeros that were not written
        return prefix + digits
    left = iter(digits)
    return prefix + _HEX.sub(lambda _: next(left), places)
