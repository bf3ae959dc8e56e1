"""perfquery: counters of an InfiniBand port as its performance agent answers (-x, -D, -E, -T too).

Names become those of sysfs. The header says which attribute was read, and so how wide counters are:
PortCountersExtended (-x) has 64 bits for errors too, PortCounters 32 for data (IBTA volume 1, 16.1.3).
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import UNNAMED, Capture, Draft, Row
from railgauge.counters.rdma import EXTENDED, NARROW
from railgauge.counting import Place

_HEADER = re.compile(
    r"#\s*(?P<what>.+?)(?: counters)?: (?P<whom>(?:Lid|DR path|GU?ID)\b.*?) port (?P<port>\d+)\b(?P<rest>.*)"
)
_CAPABILITIES = re.compile(r"(CapMask2?): (0x[0-9a-fA-F]+)")
_FIELD = re.compile(r"(?P<name>[A-Za-z][\w\[\]/ -]*?):\.*(?P<value>[^.\s].*|)")
_SETTING = re.compile(r"(Port|Counter)Select\d?|OpCode")
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z][a-z]+\d*|[a-z]+\d*|\d+")
#: What is not merely spelled in another way. libibmad had a second, older spelling of most names.
_SYSFS = {
    **dict.fromkeys(("SymbolErrorCounter", "SymbolErrors"), "symbol_error"),
    **dict.fromkeys(("LinkErrorRecoveryCounter", "LinkRecovers"), "link_error_recovery"),
    **dict.fromkeys(("LinkDownedCounter", "LinkDowned"), "link_downed"),
    "RcvErrors": "port_rcv_errors",
    "RcvRemotePhysErrors": "port_rcv_remote_physical_errors",
    "RcvSwRelayErrors": "port_rcv_switch_relay_errors",
    "XmtDiscards": "port_xmit_discards",
    "XmtConstraintErrors": "port_xmit_constraint_errors",
    "RcvConstraintErrors": "port_rcv_constraint_errors",
    "LinkIntegrityErrors": "local_link_integrity_errors",
    "ExcBufOverrunErrors": "excessive_buffer_overrun_errors",
    "VL15Dropped": "VL15_dropped",
    "XmtWait": "port_xmit_wait",
    **dict.fromkeys(("XmtData", "XmtBytes"), "port_xmit_data"),
    **dict.fromkeys(("RcvData", "RcvBytes"), "port_rcv_data"),
    **dict.fromkeys(("PortXmitPkts", "XmtPkts"), "port_xmit_packets"),
    **dict.fromkeys(("PortRcvPkts", "RcvPkts"), "port_rcv_packets"),
    "PortUnicastXmitPkts": "unicast_xmit_packets",
    "PortUnicastRcvPkts": "unicast_rcv_packets",
    "PortMulticastXmitPkts": "multicast_xmit_packets",
    "PortMulticastRcvPkts": "multicast_rcv_packets",
}


def sysfs_name(name: str) -> str:
    """`PortXmitWait` -> `port_xmit_wait`: what sysfs calls it, or would."""
    known = _SYSFS.get(name)
    return known or "_".join(_WORD.findall(name)).lower() or name


def recognises(text: str) -> bool:
    return bool(re.search(r"^(PortSelect|OpCode):\.{3,}", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A reading for every port, the details of a port beside its other counters; settings are rows."""
    draft = Draft(text)
    place, settings = Place("rdma", UNNAMED), dict[str, object]()
    for line in draft.lines:
        if header := _HEADER.fullmatch(line.text.strip()):
            place, settings = _port(draft, line.number, header)
            continue
        field = _FIELD.fullmatch(line.text.strip())
        if field is None:
            if line.text.strip() and not line.text.startswith(("#", "$")):
                draft.odd(line.number, f"neither a header nor a counter: {line.text[:40]!r}")
        elif _SETTING.fullmatch(field["name"]) or field["value"].startswith("0x"):
            settings[field["name"]] = field["value"]
        else:
            draft.counter(place, sysfs_name(field["name"]), field["value"], line.number)
    return draft.done()


def _port(draft: Draft, line: int, header: re.Match[str]) -> tuple[Place, Row]:
    what, whom = header["what"].strip(), header["whom"].strip().lower()
    place = Place("rdma", whom.replace(" ", ""), min(int(header["port"][:6]), 255))
    attribute = {"Port": NARROW, "Port extended": EXTENDED}.get(what, "")
    draft.place(place)
    facts = draft.places[place].facts
    if attribute and facts.setdefault("attribute", attribute) != attribute:
        draft.odd(line, f"{attribute} of a port whose {facts['attribute']} stands above")
    row: Row = {"device": place.device, "port": place.port, "attribute": attribute or what}
    row |= dict(_CAPABILITIES.findall(header["rest"]))
    draft.rows.append(row)
    return place, row
