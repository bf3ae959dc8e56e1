"""rdma link: state of RDMA links and the network device of each, as text or JSON."""

from __future__ import annotations

import re
from typing import Any

from railgauge.capturing.capture import Capture, Draft, Row, as_json, looks_like_json

_LINK = re.compile(r"(?:\d+/\d+: )?link (\S+)/(\d{1,4})(?: (.*))?")


def recognises(text: str) -> bool:
    if looks_like_json(text):
        return bool(re.search(r'"ifname"', text)) and bool(re.search(r'"(physical_)?state"', text))
    return bool(re.search(r"^(\d+/\d+: )?link \S+/\d+ .*\bstate [A-Z]", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every link."""
    if not looks_like_json(text):
        draft = Draft(text)
        for line in draft.lines:
            if found := _LINK.fullmatch(line.text.strip()):
                words = (found[3] or "").split()
                told = dict(zip(words[::2], words[1::2], strict=False))
                draft.rows.append(_row(found[1], int(found[2]), told))
            elif line.text.strip() and not line.text.lstrip().startswith(("#", "$")):
                draft.odd(line.number, f"not a link: {line.text.strip()[:40]!r}")
        return draft.done()
    draft, found = Draft("\n"), as_json(text)
    for n, entry in enumerate(found if isinstance(found, list) else [found], 1):
        if isinstance(entry, dict) and isinstance(entry.get("ifname"), str):
            draft.rows.append(_row(entry["ifname"], entry.get("port"), entry))
        else:
            draft.odd(0, f"entry {n} has no ifname")
    return draft.done()


def _row(device: str, port: Any, told: dict[str, Any]) -> Row:
    row: Row = {"device": device, "port": port}
    row |= {
        name: told[name] for name in ("state", "physical_state", "netdev", "lid") if name in told
    }
    return row
