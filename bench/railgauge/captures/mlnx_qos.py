"""mlnx_qos: trust, DSCP and priority, PFC, buffers and traffic classes of an NVIDIA network device."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft
from railgauge.capturing.qos import QosTable

_COMMAND = re.compile(r".*\bmlnx_qos\b.*?\s-i\s*([\w.@-]+).*")
SIGNS = re.compile(
    r"^\s*(Priority trust state:|PFC configuration:|dscp2prio mapping:|DCBX mode:)", re.MULTILINE
)
#: What prints these lines too, and is another format.
_OTHERS = re.compile(r"^=+ show configuration for device|Global tclass=\d", re.MULTILINE)


def recognises(text: str) -> bool:
    return bool(SIGNS.search(text)) and not _OTHERS.search(text)


def parse(text: str) -> Capture:
    """A row for every device; which one, where the command stands above its output."""
    draft = Draft(text)
    table = QosTable(draft, {})
    for line in draft.lines:
        if command := _COMMAND.fullmatch(line.text):
            table = QosTable(draft, {"netdev": command[1]})
        elif table.take(line):
            draft.keep(table.row)
        elif line.text.strip() and not line.text.startswith(("#", "$")):
            draft.odd(line.number, f"not understood: {line.text.strip()[:40]!r}")
    return draft.done()
