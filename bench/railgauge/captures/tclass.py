"""The traffic class that the RDMA driver sets (.../tc/PORT/traffic_class), with mlnx_qos behind it or not."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft
from railgauge.capturing.qos import QosTables

_VALUE = re.compile(r"(?:(/sys/\S+?):)?\s*Global tclass=(\d{1,3})\b.*")
_PATH = re.compile(r"/sys/class/infiniband/(\S+?)/tc/(\d+)/traffic_class")
_RANGE = re.compile(r"(.*)\{(\d{1,4})\.\.(\d{1,4})\}(.*)")
_OTHER = re.compile(r"^=+ show configuration for device", re.MULTILINE)


def recognises(text: str) -> bool:
    found = re.search(r"^(?!\s*[\"{]).*Global tclass=\d", text, re.MULTILINE)
    if found is None or _OTHER.search(text):
        return False
    return not found[0].startswith("/sys/") or "\t" not in found[0]


def parse(text: str) -> Capture:
    """A row for every traffic class, with the devices that the command named; one for mlnx_qos."""
    draft = Draft(text)
    devices: list[str] = []
    tables = QosTables(draft)
    for line in draft.lines:
        value = _VALUE.fullmatch(line.text.strip())
        if value:
            own = _PATH.search(value[1] or "")
            shown = [own[1]] if own else devices
            tclass = int(value[2])
            draft.rows.append({"devices": shown, "traffic_class": tclass, "dscp": tclass >> 2})
        elif path := _PATH.search(line.text):
            devices = _expanded(path[1])
        else:
            tables.take(line)
    return draft.done()


def _expanded(name: str) -> list[str]:
    """`mlx5_{1..8}`, as a shell expands it."""
    found = _RANGE.fullmatch(name)
    if found is None:
        return [name]
    first, last = int(found[2]), int(found[3])
    return [f"{found[1]}{n}{found[4]}" for n in range(first, min(last, first + 255) + 1)]
