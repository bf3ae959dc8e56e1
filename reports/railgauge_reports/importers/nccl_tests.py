"""nccl-tests (all_reduce_perf and the like): its tables of every version, and its -J JSON."""

from __future__ import annotations

import re

from railgauge_reports.importing import nccl_json
from railgauge_reports.importing.found import Found
from railgauge_reports.importing.nccl_table import Tables
from railgauge_reports.importing.source import HINT, NOTHING, TABLE, Source

MARKS = (b"algbw", b"# nThread", b"Avg bus bandwidth")
_TITLES = re.compile(
    r"size\s+count\s+type.*algbw|bytes\s+N\s+type.*algbw|# nThread \d+ nGpus|Avg bus bandwidth +:",
    re.S,
)
_HINT = re.compile(
    r"\b(?:all_reduce|all_gather|reduce_scatter|broadcast|reduce|alltoall|sendrecv)_perf|Test \w+ failure"
)


def looks_like(text: str) -> int:
    if nccl_json.looks_like(text) or _TITLES.search(text):
        return TABLE
    return HINT if _HINT.search(text) else NOTHING


def read(source: Source, found: Found) -> None:
    """Rows of a table are out of place and in place: two of ours."""
    read_as("nccl-tests", source, found)


def read_as(tool: str, source: Source, found: Found) -> None:
    """The same for a tool that prints as nccl-tests does."""
    if source.is_json:
        nccl_json.read(tool, source, found)
    else:
        Tables(tool, found).read(source)
