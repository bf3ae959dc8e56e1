"""niccli: getqos and list of Broadcom network devices."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Line, Row, decimal, whole
from railgauge.capturing.qos import tlv_field

_TITLE = re.compile(r"IEEE 8021QAZ (ETS Configuration|ETS Recommendation|PFC|APP) TLV:")
_APP = re.compile(r"APP#\d+:")
_CARD = re.compile(r"(\d{1,4})\) (.*)")
_FIELD = re.compile(r"([A-Za-z][\w /#-]*?)\s*: (.*)")
_LIMITS = re.compile(r"TC Rate Limit: (.*)")
_COMMAND = re.compile(r".*\bniccli\b.*\s(?:-i|-dev)\s*([\w.:-]+).*")
_KEYS = {"Device Interface": "netdev", "MAC Address": "mac", "PCI Address": "pci"}


def recognises(text: str) -> bool:
    signs = r"^(IEEE 8021QAZ .* TLV:|TC Rate Limit:|\s+Device Interface Name\s*:|\s+Device Interface\s*:)"
    return bool(re.search(signs, text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row of getqos, or a row for every card listed."""
    draft = Draft(text)
    row: Row = {}
    app: Row | None = None
    for line in draft.lines:
        shown = line.text.strip()
        if command := _COMMAND.fullmatch(line.text):
            row, app = {"adapter": command[1]}, None
        elif not shown or shown.startswith(("#", "$")):
            continue
        elif card := _CARD.fullmatch(shown):
            row = {"adapter": card[1], "model": card[2]}
        elif _TITLE.fullmatch(shown):
            app = None
        elif _APP.fullmatch(shown):
            app = {}
            row.setdefault("app", []).append(app)
        elif limits := _LIMITS.fullmatch(shown):
            row["rate_limit_percent"] = [decimal(c.rstrip("%")) for c in limits[1].split()]
        elif not _field(draft, line, shown, row, app):
            draft.odd(line.number, f"not understood: {shown[:40]!r}")
        if row:
            draft.keep(row)
    for made in draft.rows:
        _dscps(made)
    return draft.done()


def _field(draft: Draft, line: Line, shown: str, row: Row, app: Row | None) -> bool:
    found = _FIELD.fullmatch(shown)
    if found is None:
        return False
    name, value = found[1], found[2].strip()
    if app is not None:
        app[name.lower().replace(" ", "_")] = whole(value)
    elif not tlv_field(draft, line, name, value, row):
        row[_KEYS.get(name, name.lower().replace(" ", "_"))] = value
    return True


def _dscps(row: Row) -> None:
    """APP entries of selector 5 are DSCPs (IEEE 802.1Q, table D-9)."""
    for app in row.get("app", ()):
        dscp, priority = app.get("dscp"), app.get("priority")
        if app.get("sel") == 5 and dscp is not None and priority is not None:
            row.setdefault("dscp_to_priority", {})[dscp] = priority
