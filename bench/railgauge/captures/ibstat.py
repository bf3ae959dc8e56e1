"""ibstat: adapters and their ports: state, rate, LID, firmware."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row, decimal, whole

_CA = re.compile(r"CA '(\S+)'\s*")
_PORT = re.compile(r"Port (\d{1,4}):")
_NUMBERS = ("Base lid", "LMC", "SM lid", "Number of ports")
_KEYS = {
    "CA type": "ca_type",
    "Firmware version": "firmware",
    "Node GUID": "guid",
    "State": "state",
    "Physical state": "physical_state",
    "Base lid": "lid",
    "SM lid": "sm_lid",
    "Link layer": "link_layer",
    "Port GUID": "port_guid",
}


def recognises(text: str) -> bool:
    return bool(re.search(r"^CA '\S+'", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every port, with what is said of its adapter."""
    draft = Draft(text)
    adapter: Row = {}
    row = adapter
    for line in draft.lines:
        shown = line.text.strip()
        name, colon, value = shown.partition(": ")
        if found := _CA.fullmatch(shown):
            adapter = {"device": found[1]}
            row = adapter
        elif adapter and (port := _PORT.fullmatch(shown)):
            row = adapter | {"port": int(port[1])}
            draft.rows.append(row)
        elif adapter and name == "Rate":
            row["rate_Gbps"] = decimal(value.split()[0]) if value.split() else None
        elif adapter and colon:
            key = _KEYS.get(name, name.lower().replace(" ", "_"))
            row[key] = whole(value) if name in _NUMBERS else value.strip()
        else:
            draft.strange(line.number, shown)
    return draft.done()
