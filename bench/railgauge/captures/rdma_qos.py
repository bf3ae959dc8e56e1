"""rdma-qos query: trust, PFC, ECN, CNP and traffic class of network devices and their RDMA devices."""

from __future__ import annotations

import re

from railgauge.capturing.capture import Capture, Draft, Row
from railgauge.capturing.qos import QosTable

_DEVICE = re.compile(r"=+ show configuration for device (\S+?)(?: / (\S+?))?\s*=+\s*")
_ECN = re.compile(
    r"\s*ECN Enabled for priority [0-7]: \S*/ecn/roce_(np|rp)/enable/([0-7]) = ([01])\s*"
)
_CNP = re.compile(r"\s*QOS for CNP: .*cnp_dscp = (\d{1,2})\s*")
_TOS = re.compile(r"\s*cma_roce_tos: (\d{1,3})\s*")
_TCLASS = re.compile(r"\s*QOS for rdma: .*?(?:/tc/(\d+)/\S*)? = (?:Global tclass=)?(\d{1,3})\s*")


def recognises(text: str) -> bool:
    return bool(re.search(r"^=+ show configuration for device ", text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every device."""
    draft = Draft(text)
    table: QosTable | None = None
    for line in draft.lines:
        if found := _DEVICE.fullmatch(line.text):
            row: Row = {"netdev": found[1]} | ({"device": found[2]} if found[2] else {})
            table = QosTable(draft, row)
            draft.rows.append(row)
        elif table is not None and (_own(line.text, table.row) or table.take(line)):
            continue
        else:
            draft.strange(line.number, line.text)
    for row in draft.rows:
        _eight(row)
    return draft.done()


def _own(text: str, row: Row) -> bool:
    if found := _ECN.fullmatch(text):
        row.setdefault(f"ecn_{found[1]}", {})[int(found[2])] = found[3] == "1"
    elif found := _CNP.fullmatch(text):
        row["cnp_dscp"] = int(found[1])
    elif found := _TOS.fullmatch(text):
        row["cma_roce_tos"] = int(found[1])
    elif found := _TCLASS.fullmatch(text):
        row["traffic_class"] = int(found[2])
    else:
        return False
    return True


def _eight(row: Row) -> None:
    """ECN by priority becomes a list; where priorities lack it is not known for them."""
    for key in ("ecn_np", "ecn_rp"):
        if key in row:
            row[key] = [row[key].get(priority) for priority in range(8)]
