"""/proc/net/dev, snmp and netstat: network devices, TCP and IP of a host.

What dev shows as drop, frame and carrier is a sum of several counters of sysfs (net/core/net-procfs.c):
these keep a name of their own.
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft
from railgauge.counters import tcp
from railgauge.counting import Place, Reading

_RECEIVED = (
    *("rx_bytes", "rx_packets", "rx_errors", "rx_drop", "rx_fifo_errors", "rx_frame"),
    *("rx_compressed", "multicast"),
)
_SENT = (
    *("tx_bytes", "tx_packets", "tx_errors", "tx_drop", "tx_fifo_errors", "collisions"),
    *("tx_carrier", "tx_compressed"),
)
_HEAD = re.compile(r"\s*face \|bytes.*|Inter-\|.*")
_PAIR = re.compile(r"[A-Za-z0-9]+: .*")


def recognises(text: str) -> bool:
    signs = r"^(Inter-\|\s+Receive|(Ip|Icmp|Tcp|Udp|TcpExt|IpExt): [A-Z]\w+)"
    return bool(re.search(signs, text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A reading for every network device, and one of TCP and IP."""
    draft, pairs, inside = Draft(text), list[str](), False
    for line in draft.lines:
        if _HEAD.fullmatch(line.text):
            inside = True
        elif inside and (line.text.startswith((" ", "\t")) or _is_row(line.text)):
            _device(draft, line.number, line.text)
        elif _PAIR.fullmatch(line.text):
            inside = False
            pairs.append(line.text)
        else:
            draft.strange(line.number, line.text)
    values: dict[str, int] = {}
    why: dict[str, str] = {}
    tcp.take("\n".join(pairs).encode(), values, why)
    host = (Reading(Place("tcp", "host"), values, why),) if values or why else ()
    return draft.done(host)


def _is_row(text: str) -> bool:
    return len(text.rpartition(":")[2].split()) == len(_RECEIVED) + len(_SENT)


def _device(draft: Draft, line: int, text: str) -> None:
    name, _, rest = text.rpartition(":")
    cells, columns = rest.split(), (*_RECEIVED, *_SENT)
    if not name.strip() or len(cells) != len(columns):
        draft.odd(line, f"expected a device and {len(columns)} numbers: {text.strip()[:40]!r}")
        return
    place = draft.place(Place("netdev", name.strip()))
    for column, cell in zip(columns, cells, strict=True):
        draft.counter(place, column, cell, line)
