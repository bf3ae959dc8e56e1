"""ibswinfo: an unmanaged InfiniBand switch: what it is, its supplies, temperature and fans."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row, whole

_UPTIME = re.compile(r"(?:(\d{1,6})d-)?(\d{1,2}):(\d{1,2}):(\d{1,2})")
_SUPPLY = re.compile(r"PSU(\d+) status")
_FAN = re.compile(r"fan#(\d+) \(rpm\)")
_RULER = re.compile(r"\s*[=-]{5,}\s*")
_KEYS = {
    "GUID": "guid",
    "firmware version": "firmware",
    "temperature (C)": "celsius",
    "max temp (C)": "max_celsius",
    "fan status": "fan_status",
    "power (W)": "watts",
}
_NUMBERS = ("ports", "celsius", "max_celsius", "watts")


def recognises(text: str) -> bool:
    return bool(re.search(r"^(part number|PSID|uptime \(d-h:m:s\))\s+\|", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for the switch, with `supplies` and `fans_rpm`; what was left blank is None."""
    draft = Draft(text)
    row: Row = {}
    supply: Row | None = None
    for line in draft.lines:
        name, bar, value = line.text.partition("|")
        if not bar:
            if (
                line.text.strip()
                and not _RULER.fullmatch(line.text)
                and not line.text.startswith("#")
            ):
                row.setdefault("model", line.text.strip())
            continue
        name, told = name.strip(), value.strip() or None
        if told is None:
            draft.odd(line.number, f"{name}: nothing stands behind it")
        if fan := _FAN.fullmatch(name):
            row.setdefault("fans_rpm", {})[int(fan[1])] = whole(told or "")
        elif psu := _SUPPLY.fullmatch(name):
            supply = {"supply": int(psu[1]), "status": told}
            row.setdefault("supplies", []).append(supply)
        elif name == "uptime (d-h:m:s)":
            row["uptime_seconds"] = _seconds(told or "")
        else:
            inside = line.text.startswith(" ") and supply is not None
            key = _KEYS.get(name, name.lower().replace("/", "").replace(" ", "_"))
            (supply if inside and supply is not None else row)[key] = (
                whole(told or "") if key in _NUMBERS else told
            )
    if row:
        draft.rows.append(row)
    return draft.done()


def _seconds(text: str) -> int | None:
    found = _UPTIME.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
