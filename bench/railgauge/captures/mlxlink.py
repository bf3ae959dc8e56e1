"""mlxlink --json: state, bit error rates and FEC of a port, as the firmware sees its link.

A rate that was printed as `15E-255` or `1E-255` means none seen; it is kept as it stands.
"""

from __future__ import annotations

import re
from typing import Any

from railgauge.capturing.capture import (
    Capture,
    Draft,
    Row,
    as_json,
    decimal,
    looks_like_json,
    whole,
)

_SECTION = re.compile(
    r'"(Operational Info|Troubleshooting Info|Physical Counters and BER Info|Module Info)"'
)
_COMMAND = re.compile(r"\bmlxlink\b.*?\s-d\s*(\S+)(?:.*?\s-p\s*(\d+))?")
_SPEED = re.compile(r"(?:IB-)?([A-Z]*)-?(\d+(?:\.\d+)?)G\w*")


def recognises(text: str) -> bool:
    return looks_like_json(text) and bool(_SECTION.search(text))


def parse(text: str) -> Capture:
    """A row for the port: every field, numbers as numbers, lists by lane."""
    draft, found = Draft("\n"), as_json(text)
    output = found.get("result", {}) if isinstance(found, dict) else {}
    output = output.get("output", output) if isinstance(output, dict) else {}
    row: Row = {}
    if command := _COMMAND.search(text[: text.find("{")]):
        row["device"] = command[1]
    for section, fields in (output if isinstance(output, dict) else {}).items():
        if not isinstance(fields, dict):
            row[_key(section)] = _value(fields)
            continue
        for name, value in fields.items():
            row[_key(name)] = _value(value)
    if isinstance(row.get("speed"), str) and (speed := _SPEED.fullmatch(row["speed"])):
        row["rate_Gbps"] = float(speed[2])
    if row:
        draft.rows.append(row)
    else:
        draft.odd(0, "no result.output in it")
    return draft.done()


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _value(value: Any) -> Any:
    """Numbers that were printed as text; a list of lanes may stand under `values`."""
    if isinstance(value, dict):
        inner = value.get("values", value)
        return (
            _value(inner) if inner is not value else {_key(k): _value(v) for k, v in value.items()}
        )
    if isinstance(value, list):
        return [_value(cell) for cell in value]
    if not isinstance(value, str):
        return value
    number = whole(value)
    return number if number is not None else (d if (d := decimal(value)) is not None else value)
