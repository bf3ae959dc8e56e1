"""cxiberstat: bit error rates of Slingshot ports, corrected (CCW) and uncorrected (UCW) codewords.

`<min` is below what can be measured in that time: no rate, and the least that could be seen beside it.
"""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row, decimal

_PREFIX = re.compile(r"(?:\S+: (?=\s*(?:Note:|Node\b|\S+:\s+cxi)))?(.*)")
_NOTE = re.compile(r"\s*Note: .*duration of ([\d.]+) .*minimum measurable rate is (\S+)\s*")
_ROW = re.compile(r"\s*(\S+):\s+(cxi\d+)\s+(\S+)\s+(\S+)\s*")
_KNOWN = re.compile(
    r"\s*(Node\s+Device.*|[CU]CW BER Summary|Bin\s+# Histogram|\S+:\s+\d+( =+)?|-+|No \S+ BERs .*)\s*"
)


def recognises(text: str) -> bool:
    return bool(re.search(r"\bNode\s+Device\s+CCW_BER\s+UCW_BER", text))


def parse(text: str) -> Capture:
    """A row for every device of every node."""
    draft, floor, seconds = Draft(text), None, None
    for line in draft.lines:
        shown = _PREFIX.fullmatch(line.text)
        body = shown[1] if shown else line.text
        if note := _NOTE.fullmatch(body):
            seconds, floor = decimal(note[1]), decimal(note[2])
        elif found := _ROW.fullmatch(body):
            row: Row = {"node": found[1], "device": found[2]}
            for name, cell in (("ccw_ber", found[3]), ("ucw_ber", found[4])):
                row[name] = decimal(cell)
                if cell == "<min":
                    row[f"{name}_below"] = floor
                elif row[name] is None:
                    draft.odd(line.number, f"{name}: not a rate: {cell[:20]!r}")
            draft.rows.append(row | {"seconds": seconds})
        elif not _KNOWN.fullmatch(body):
            draft.strange(line.number, body)
    return draft.done()
