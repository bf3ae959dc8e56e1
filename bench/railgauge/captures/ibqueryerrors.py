"""ibqueryerrors: counters of all ports of an InfiniBand fabric that stand above their thresholds.

Other counters are not printed: they are absent here, which is not 0. An error counter with a number in
parentheses behind it was read in 64 bits, one without in the few bits that PortCounters has.
"""

from __future__ import annotations

import re

from railgauge.captures.perfquery import sysfs_name
from railgauge.capturing.capture import Capture, Draft, Line
from railgauge.counters.rdma import EXTENDED, NARROW
from railgauge.counting import Place

_NODE = re.compile(r'(?:Errors|Data Counters) for (?:(0x[0-9a-fA-F]+) )?"(.*)"\s*')
_PORT = re.compile(r"\s*GUID (0x[0-9a-fA-F]+) port (\d{1,3}|ALL):(.*)")
_COUNTER = re.compile(r"\[(\w+) == ([^\s\]]+)(?: \(([^)]*)\))?\]")
_LINK = re.compile(
    r"\s*(?:Link info:)?\s*(?P<lid>\d+)\s+(?P<port>\d+)\[.*?\]\s*==\(\s*(?P<link>.*?)\)==>\s*(?P<peer>.*)"
)
_SUMMARY = re.compile(r"(\d{1,9}) (nodes checked|bad nodes found|ports checked|ports have errors)")
_SWAPPED = (
    "--details swaps the names of discards and receive errors in some versions: perfquery -D, -E"
)


def recognises(text: str) -> bool:
    signs = r'^(\s*GUID 0x[0-9a-f]+ port (\d+|ALL):|Errors for .*"|## Summary: \d+ nodes checked)'
    return bool(re.search(signs, text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A reading for every port that is named; `port ALL`, the sum over a switch, is port 0."""
    draft, node, place = Draft(text), "", None
    for line in draft.lines:
        if found := _NODE.fullmatch(line.text):
            node = found[2]
        elif port := _PORT.fullmatch(line.text):
            number = 0 if port[2] == "ALL" else int(port[2])
            place = draft.place(Place("rdma", port[1], number), node=node)
            _counters(draft, place, line, port[3])
        elif place and (link := _LINK.fullmatch(line.text)):
            told = {"device": place.device, "port": place.port, "node": node}
            draft.rows.append(told | {"link": link["link"].strip(), "peer": link["peer"].strip()})
        elif summary := _SUMMARY.findall(line.text):
            draft.facts |= {what.replace(" ", "_"): int(number) for number, what in summary}
        else:
            draft.strange(line.number, line.text.lstrip())
    return draft.done()


def _counters(draft: Draft, place: Place, line: Line, text: str) -> None:
    wide = False
    for name, value, shown in _COUNTER.findall(text):
        known = sysfs_name(name)
        if known.startswith("port_") and known.endswith(_DETAILS):
            draft.unknown(place, known, _SWAPPED)
            continue
        draft.counter(place, known, value, line.number)
        wide |= bool(shown) and not known.endswith(("_data", "_packets"))
    if left := _COUNTER.sub("", text).strip():
        draft.odd(line.number, f"neither name nor value: {left[:40]!r}")
    draft.place(place, attribute=EXTENDED if wide else NARROW)


_DETAILS = (
    *("local_physical_errors", "malformed_pkt_errors", "_buffer_overrun_errors", "_mapping_errors"),
    *("looping_errors", "inactive_discards", "mtu_discards", "_limit_discards"),
)
