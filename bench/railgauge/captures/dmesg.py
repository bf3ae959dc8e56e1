"""dmesg, journalctl -k or /dev/kmsg: what the kernel said of links, PCIe, GPUs and peer memory."""

from __future__ import annotations

import re
from collections import Counter

from railgauge.capturing.capture import Capture, Draft, Row

_FORMS = tuple(
    map(
        re.compile,
        (
            r"(?:<\d+>)?\[\s*(?P<seconds>\d{1,12}\.\d{1,9})\]\s?(?:\[.*?\]\s)?(?P<text>.*)",  # dmesg
            r"\[(?P<when>\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})\]\s(?P<text>.*)",  # dmesg -T
            r"(?P<level>\d{1,4}),\d+,(?P<micros>\d{1,18}),[-c+][^;]*;(?P<text>.*)",  # /dev/kmsg
            r"(?P<when>\w{3} [ \d]\d [\d:]{8}) (?P<host>\S+) kernel: (?:\[.*?\] )?(?P<text>.*)",  # journal
        ),
    )
)
#: Event -> what the kernel's message says of it.
EVENTS = {
    "pcie_limited": re.compile(
        r"(?P<available_Gbps>[\d.]+) Gb/s available PCIe bandwidth, limited by (?P<speed_GTps>[\d.]+) GT/s"
        r"(?: PCIe)? x(?P<width>\d+) link at (?P<at>\S+)"
        r"(?: \(capable of (?P<capable_Gbps>[\d.]+) Gb/s with (?P<max_speed_GTps>[\d.]+) GT/s"
        r"(?: PCIe)? x(?P<max_width>\d+) link\))?"
    ),
    "pcie_power": re.compile(r"(?:.*: )?Detected insufficient power on the PCIe slot.*"),
    "peermem": re.compile(r".*nv(?:idia)?[-_]peer(?:[-_]?mem)?.*"),
    "cable": re.compile(r"Port module event.*: module (?P<module>\d+), (?P<said>.*)"),
    "link_down": re.compile(r"(?:(?P<netdev>\S+): )?(?:NIC )?[Ll]ink (?:is )?[Dd]own.*"),
    "link_up": re.compile(r"(?:(?P<netdev>\S+): )?(?:NIC )?[Ll]ink (?:is )?[Uu]p.*"),
    "xid": re.compile(r"Xid \((?P<at>[^)]*)\): (?P<xid>\d+),? ?(?P<said>.*)"),
    "aer": re.compile(r"(?:AER: .*|PCIe Bus Error: .*)"),
    "health": re.compile(r".*(?:health poll|device's health compromised|firmware version check).*"),
}
_SOURCE = re.compile(
    r"(?P<driver>[\w-]+) (?P<pci>[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?:: | )(?P<text>.*)"
)
_DRIVER = re.compile(r"(?P<driver>[A-Za-z][\w-]*)(?:: | (?=\w+:\d+ ))(?P<text>.*)")
_FIRMWARE = re.compile(r"firmware version: (\S+)")
_NUMBERS = ("available_Gbps", "capable_Gbps", "speed_GTps", "max_speed_GTps")


def recognises(text: str) -> bool:
    lines = [
        line for line in text[: 1 << 16].split("\n") if line.strip() and not line.startswith("#")
    ]
    first = lines[:20]
    known = sum(any(form.fullmatch(line.rstrip("\r")) for form in _FORMS) for line in first)
    return bool(first) and known * 2 > len(first)


def parse(text: str) -> Capture:
    """A row for every event known here, repeated ones counted; the facts say how many lines there were."""
    draft = Draft(text)
    seen: dict[str, Row] = {}
    lines = Counter[str]()
    for line in draft.lines:
        form = next((f for form in _FORMS if (f := form.fullmatch(line.text))), None)
        if form is None:
            if line.text.strip() and not line.text.startswith(("#", "$")):
                draft.odd(line.number, f"no time stands before it: {line.text.strip()[:40]!r}")
            continue
        lines["lines"] += 1
        row = _event(form["text"], draft.facts)
        if row is None:
            continue
        found = form.groupdict()
        if found.get("micros"):
            row["seconds"] = int(found["micros"]) / 1e6
        elif found.get("seconds"):
            row["seconds"] = float(found["seconds"])
        row |= {name: found[name] for name in ("when", "host") if found.get(name)}
        key = f"{row['event']} {row.get('pci')} {row['message']}"
        if key in seen:
            seen[key]["times"] += 1
            seen[key] |= {f"last_{n}": row[n] for n in ("seconds", "when") if n in row}
        else:
            seen[key] = row | {"line": line.number, "times": 1}
    draft.rows += seen.values()
    draft.facts |= lines
    return draft.done()


def _event(message: str, facts: Row) -> Row | None:
    """The event in a message, None where it is none of EVENTS; firmware is noted on the way."""
    row: Row = {"message": message[:500]}
    text = message
    if source := _SOURCE.match(message) or _DRIVER.match(message):
        row |= {name: value for name, value in source.groupdict().items() if name != "text"}
        text = source["text"]
    if firmware := _FIRMWARE.fullmatch(text):
        facts.setdefault("firmware", {})[row.get("pci", "")] = firmware[1]
        return None
    for event, pattern in EVENTS.items():
        found = (
            pattern.search(text) if event in ("pcie_limited", "xid") else pattern.fullmatch(text)
        )
        found = found or (pattern.fullmatch(message) if event == "peermem" else None)
        if found is None:
            continue
        for name, value in found.groupdict().items():
            if value is not None:
                row[name] = (
                    float(value) if name in _NUMBERS else int(value) if value.isdecimal() else value
                )
        return {"event": event} | row
    return None
