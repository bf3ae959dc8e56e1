"""lldptool: PFC, ETS and APP TLVs of IEEE 802.1Qaz, of a device or of the switch that it hangs on."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row, whole
from railgauge.capturing.qos import tlv_field

_COMMAND = re.compile(r".*\blldptool\b.*?\s-\w*i\s*([\w.@-]+).*")
_TITLE = re.compile(
    r"(?:IEEE 8021QAZ )?(PFC|ETS Configuration|ETS Recommendation|APP|Chassis ID|Port ID|Port Description"
    r"|System Name|System Description|System Capabilities|Time to Live|Management Address|End of LLDPDU)"
    r"(?: TLV)?",
)
_APP = re.compile(r"\(?(?P<prio>\d)[,:]\s*(?P<sel>\d)[,:]\s*(?P<proto>\d+)\)?.*")


def recognises(text: str) -> bool:
    title = re.search(
        r"^(IEEE 8021QAZ )?(PFC|ETS \w+|APP)( TLV)?[ \t]*\r?$", text, re.MULTILINE
    ) or re.search(r"^(Chassis|Port) ID TLV[ \t]*\r?$", text, re.MULTILINE)
    return bool(title)


def parse(text: str) -> Capture:
    """A row for every device that a command names, of what its TLVs say."""
    draft = Draft(text)
    row: Row = {}
    devices: dict[str, Row] = {}
    title = ""
    for line in draft.lines:
        shown = line.text.strip()
        if command := _COMMAND.fullmatch(line.text):
            row = devices.setdefault(command[1], {"netdev": command[1]})
        elif found := _TITLE.fullmatch(shown):
            title = found[1]
            draft.keep(row)
        elif not shown or shown.startswith(("#", "$")):
            continue
        elif title in ("PFC", "ETS Configuration", "ETS Recommendation"):
            name, _, value = shown.partition(":")
            prefix = {"PFC": "pfc_", "ETS Recommendation": "recommended_"}.get(title, "")
            if not tlv_field(draft, line, name, value, row, prefix):
                draft.odd(line.number, f"{title}: not understood: {shown[:40]!r}")
        elif title == "APP":
            _app(draft, line.number, shown, row)
        elif title:
            row.setdefault(title.lower().replace(" ", "_"), shown)
        else:
            draft.odd(line.number, f"below no TLV: {shown[:40]!r}")
    return draft.done()


def _app(draft: Draft, line: int, shown: str, row: Row) -> None:
    """An entry (priority, selector, protocol): selector 5 is a DSCP (IEEE 802.1Q, table D-9)."""
    found = _APP.search(shown)
    if found is None:
        draft.odd(line, f"APP: expected (priority,selector,protocol): {shown[:40]!r}")
        return
    priority, protocol = int(found["prio"]), whole(found["proto"])
    if found["sel"] == "5":
        row.setdefault("dscp_to_priority", {})[protocol] = priority
    else:
        row.setdefault("app", []).append(
            {"priority": priority, "selector": int(found["sel"]), "protocol": protocol}
        )
