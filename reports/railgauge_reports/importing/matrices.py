"""Matrices of pairs, as nvbandwidth, nvloom and ClusterKit print them: who sent to whom, and how fast.

A pair is measured once or in both directions: the direction from the higher rank to the lower one has
`back` in its variant, so that every pair is one group of its round in each case.
"""

from __future__ import annotations

import re

import msgspec

from railgauge_reports.importing.found import FoundRun
from railgauge_reports.importing.rows import GIGA, MEGA, MIB, MICRO, What

#: What 1 of a unit is: (bytes a second or seconds, whether it is a rate).
UNITS = {
    "GB/s": (GIGA, True),
    "GiB/s": (float(1 << 30), True),
    "MB/s": (MEGA, True),
    "MB/sec": (MEGA, True),
    "MiB/s": (MIB, True),
    "Gb/s": (GIGA / 8, True),
    "Gbps": (GIGA / 8, True),
    "Gbit/s": (GIGA / 8, True),
    "ns": (1e-9, False),
    "us": (MICRO, False),
    "usec": (MICRO, False),
}
UNIT = re.compile(
    r"[(\[]?(GB/s|GiB/s|MB/s(?:ec)?|MiB/s|Gb/s|Gbps|Gbit/s|\bns\b|\busec\b|\bus\b)[)\]]?"
)


def put_pair(
    run: FoundRun, what: What, source: int, target: int, value: float, line: int, unit: str
) -> None:
    """The value of one pair; `what` says what its message is."""
    scale, is_rate = UNITS[unit]
    if source > target:
        what = msgspec.structs.replace(what, variant=f"{what.variant} back".strip())
    what = msgspec.structs.replace(what, members=(min(source, target), max(source, target)))
    run.pattern = "pairs"
    run.put(what, value, line, scale, rate=is_rate)


def put_single(run: FoundRun, what: What, rank: int, value: float, line: int, unit: str) -> None:
    """The value of one rank."""
    scale, is_rate = UNITS[unit]
    run.put(msgspec.structs.replace(what, members=(rank,)), value, line, scale, rate=is_rate)


def unit_in(text: str) -> str | None:
    """The unit that a title names."""
    found = UNIT.search(text)
    return found[1] if found else None
