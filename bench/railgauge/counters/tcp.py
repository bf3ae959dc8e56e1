"""TCP and IP of this network namespace: retransmits, timeouts, CE marks (sockets, bootstrap, storage).

/proc/net/snmp and netstat are pairs of lines, names and values; which names there are depends on the
kernel, so they are never read by position.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from railgauge.counting import Kind, Place, Reading, Roots, number

FILES = ("snmp", "netstat")
MOST = 1 << 20
#: Values that count nothing (RFC 4022 and 4293): settings, which are left out, and the present state.
_SETTINGS = (
    *("Tcp.MaxConn", "Tcp.RtoAlgorithm", "Tcp.RtoMin", "Tcp.RtoMax"),
    *("Ip.Forwarding", "Ip.DefaultTTL"),
)
_GAUGES = ("Tcp.CurrEstab",)
CANONICAL = {
    "Tcp.RetransSegs": "tcp_retransmits",
    "Tcp.OutSegs": "tcp_segments_out",
    "IpExt.InCEPkts": "ip_ce_marks",
}


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    del facts
    if name in _GAUGES:
        return Kind(arithmetic="gauge")
    canonical = (CANONICAL[name],) if name in CANONICAL else ()
    return Kind(unit="B" if name.endswith("Octets") else "", canonical=canonical)


def read(roots: Roots) -> Iterator[Reading]:
    """One reading; raises OSError where neither file is there."""
    values: dict[str, int] = {}
    why: dict[str, str] = {}
    for file in FILES:
        take((roots.proc / "net" / file).read_bytes()[:MOST], values, why)
    yield Reading(Place("tcp", "host"), values, why)


def take(text: bytes, values: dict[str, int], why: dict[str, str]) -> None:
    """What one of the files says: into `values`, or into `why` with what was wrong."""
    for names, numbers in itertools.pairwise(text.splitlines()):
        _pair(names, numbers, values, why)


def _pair(names: bytes, numbers: bytes, values: dict[str, int], why: dict[str, str]) -> None:
    """Two lines that begin with the same word, of which the first holds names."""
    title, *columns = names.decode(errors="replace").split()
    other, *cells = numbers.split() or [b""]
    if not title.endswith(":") or other.decode(errors="replace") != title:
        return
    if not all(column[0].isalpha() for column in columns):
        return  # two lines of numbers, of the same protocol
    for column, cell in itertools.zip_longest(columns, cells):
        if column is None:
            return
        name = f"{title[:-1]}.{column}"
        if name in _SETTINGS:
            continue
        made = None if cell is None else number(cell)
        if made is None:
            why[name] = "no value" if cell is None else f"not a number: {cell[:40]!r}"
        else:
            values[name] = made
