"""show_gids: the GID table of RDMA ports, with IPv4 address, RoCE version and network device."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row

_ROW = re.compile(
    r"(?P<device>\S+)\s+(?P<port>\d{1,4})\s+(?P<index>\d{1,4})\s+(?P<gid>[0-9a-fA-F:]{39})"
    r"(?:\s+(?P<ipv4>\d{1,3}(?:\.\d{1,3}){3}))?(?:\s+(?P<version>v[12]))?(?:\s+(?P<netdev>\S+))?\s*"
)
_COUNT = re.compile(r"n_gids_found=(\d{1,6})\s*")


def recognises(text: str) -> bool:
    return bool(re.search(r"^(DEV\s+PORT\s+INDEX\s+GID|n_gids_found=\d)", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every GID; a count at the end that is another one is a problem."""
    draft = Draft(text)
    for line in draft.lines:
        if found := _ROW.fullmatch(line.text):
            row: Row = {k: v for k, v in found.groupdict().items() if v is not None}
            draft.rows.append(row | {"port": int(found["port"]), "index": int(found["index"])})
        elif told := _COUNT.fullmatch(line.text):
            draft.facts["gids"] = int(told[1])
            if int(told[1]) != len(draft.rows):
                draft.odd(line.number, f"{told[1]} GIDs were found, {len(draft.rows)} stand here")
        elif line.text.strip() and not line.text.startswith(("#", "$", "DEV", "---")):
            draft.odd(line.number, f"not a GID: {line.text.strip()[:40]!r}")
    return draft.done()
