"""The comment lines of nccl-tests and rccl-tests: what each of them says."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(r"#\s*((?:nccl|rccl)-tests) version (\S+)")
_BEGINS = re.compile(r"#\s*Collective test starting: (\w+)")
_OPTIONS = re.compile(r"#\s*nThread\s+\d+")
_DEVICES = re.compile(r"#\s*Using devices")
_RANK = re.compile(
    r"#\s+Rank\s+(\d{1,8})\s+(?:Group\s+\d+\s+)?(?:Pid\s+\d+\s+)?on\s+(\S+)\s+device\s+\d+\s+"
    r"(?:\[\S+\]\s+)?(.*)"
)
_OLD_DEVICE = re.compile(r"#\s+Device\s+(\d{1,4})\s+->\s+\d+\s+(?:\[\S+\]\s+)?(.*)")
_BOUNDS = re.compile(r"#\s*Out of bounds values\s*:\s*(\d{1,18})\s*(\w*)")
_END = re.compile(r"#\s*(?:Avg bus bandwidth\s*:|Collective test concluded)")
_OPTION = re.compile(r"([a-z][a-z ]*?):?\s+(\d{1,18})(?=\s|\()")


class Part(NamedTuple):
    """A part of a header. They come in the order of `stage`: one that comes again begins a new run.

    `tool` is name and version, `program` the binary; `iterations` and `warmup` are those asked for.
    """

    stage: int
    tool: str = ""
    program: str = ""
    iterations: int | None = None
    warmup: int | None = None


#: The stages of a list of ranks and of the titles of the table.
LISTED, TITLED = 3, 4


class Rank(NamedTuple):
    """A rank and where it runs; `host` None: NCCL 1 lists devices alone."""

    rank: int
    host: str | None
    device: str


class Failed(NamedTuple):
    """Checks that found wrong data, over ranks, sizes and placements."""

    checks: int


class End(NamedTuple):
    """A line that nccl-tests prints once all rows are."""


Header = Part | Rank | Failed | End


def header_of(text: str) -> Header | None:
    """What a line says; None of one that says nothing of a run."""
    if found := _RANK.match(text):
        return Rank(int(found[1]), found[2], found[3].strip())
    if found := _VERSION.match(text):
        return Part(0, tool=f"{found[1]} {found[2]}")
    if found := _BEGINS.match(text):
        return Part(1, program=found[1])
    if _OPTIONS.match(text):
        said = {name: int(value) for name, value in _OPTION.findall(text)}
        return Part(2, iterations=said.get("iters"), warmup=said.get("warmup iters"))
    if _DEVICES.match(text):
        return Part(LISTED)
    if found := _OLD_DEVICE.match(text):
        return Rank(int(found[1]), None, found[2].strip())
    if found := _BOUNDS.match(text):
        failed = max(int(found[1]), int(found[2] == "FAILED"))
        return Failed(failed) if failed else None
    return End() if _END.match(text) else None
