"""lspci -vvv: PCI functions with their link (LnkCap, LnkSta), ACS, payload and driver.

Without root lspci prints `Capabilities: <access denied>`: then these are not known.
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row

_FUNCTION = re.compile(
    r"((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) (?:\"?)([^:]+?)(?: \[[0-9a-f]{4}\])?: (.*)"
)
_LINK = re.compile(
    r"(Lnk(?:Cap|Sta)):\s+(?:Port #\d+, )?Speed ([\d.]+GT/s|unknown)(?: \((\w+)\))?,"
    r" Width x(\d{1,2})(?: \((\w+)\))?.*"
)
_PAYLOAD = re.compile(r"MaxPayload (\d+) bytes, MaxReadReq (\d+) bytes")
_NUMA = re.compile(r"NUMA node: (\d+)")
_DRIVER = re.compile(r"Kernel driver in use: (\S+)")
_ACS = re.compile(r"ACSCtl:\s+(.*)")
_FLAG = re.compile(r"(\w+)([+-])")


def recognises(text: str) -> bool:
    begun = re.search(r"^([0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] \S", text, re.MULTILINE)
    return bool(begun) and bool(
        re.search(r"^\t(Subsystem|Control|Capabilities|Flags|Kernel)\b", text, re.M)
    )


def parse(text: str) -> Capture:
    """A row for every function: `speed_GTps` and `width` now, `max_` before them what it could be.

    `acs` holds the redirections that are on: with ReqRedir or CmpltRedir peers talk through the root.
    """
    draft = Draft(text)
    row: Row = {}
    for line in draft.lines:
        if found := _FUNCTION.fullmatch(line.text):
            row = {"pci": _full(found[1]), "class": found[2], "name": found[3]}
            draft.rows.append(row)
        elif row and line.text[:1].isspace():
            _take(line.text.strip(), row)
        elif line.text.strip() and not line.text.startswith(("#", "$")):
            draft.odd(line.number, f"below no function: {line.text.strip()[:40]!r}")
    if draft.cut and row:  # what it lacks may have followed
        row["cut"] = True
    return draft.done()


def _full(bus_id: str) -> str:
    return bus_id if bus_id.count(":") > 1 else f"0000:{bus_id}"


def _take(shown: str, row: Row) -> None:
    if link := _LINK.fullmatch(shown):
        now = link[1] == "LnkSta"
        speed = None if link[2] == "unknown" else float(link[2].removesuffix("GT/s"))
        row["speed_GTps" if now else "max_speed_GTps"] = speed
        row["width" if now else "max_width"] = int(link[4])
        if now and "downgraded" in (link[3], link[5]):
            row["downgraded"] = [
                what
                for what, said in (("speed", link[3]), ("width", link[5]))
                if said == "downgraded"
            ]
    elif acs := _ACS.fullmatch(shown):
        row["acs"] = [name for name, sign in _FLAG.findall(acs[1]) if sign == "+"]
    elif payload := _PAYLOAD.search(shown):
        row |= {"max_payload_nbytes": int(payload[1]), "max_read_request_nbytes": int(payload[2])}
    elif numa := _NUMA.fullmatch(shown):
        row["numa_node"] = int(numa[1])
    elif driver := _DRIVER.fullmatch(shown):
        row["driver"] = driver[1]
    elif "<access denied>" in shown:
        row["unknown"] = "capabilities: access denied (lspci ran without root)"
