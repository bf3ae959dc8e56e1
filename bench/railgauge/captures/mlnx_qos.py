"""mlnx_qos: trust, DSCP and priority, PFC, buffers and traffic classes of an NVIDIA network device."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft
from railgauge.capturing.qos import QosTables

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
    tables = QosTables(draft)
    for line in draft.lines:
        tables.take(line)
    return draft.done()
