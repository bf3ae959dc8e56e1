"""Logs of our own making in the layouts of other tools, and what importers find in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from railgauge_reports import importers
from railgauge_reports.importing.found import Found, FoundRun


class Read(NamedTuple):
    """What an importer found, and its runs."""

    found: Found
    runs: list[FoundRun]
    tool: str

    @property
    def run(self) -> FoundRun:
        (run,) = self.runs
        return run

    def table(self, *names: str) -> list[tuple[Any, ...]]:
        """Of every series of the only run: these fields of its What, and its seconds."""
        return [
            (*(getattr(s.what, name) for name in names), *s.seconds().tolist())
            for s in self.run.series.values()
        ]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Read]:
    def made(text: str | bytes, name: str = "a.log", tool: str | None = None) -> Read:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        runs: list[FoundRun] = []
        source, importer = importers.opened(path, tool)
        found = Found(importer.name, runs.append, path.stem)
        importer.read(source, found)
        return Read(found, runs, importer.name)

    return made


@pytest.fixture
def nccl_log() -> Callable[..., str]:
    """A short log of nccl-tests: 2 ranks on 2 hosts, an all_reduce of two sizes."""

    def made(
        wrong: str = "0", check: str = "0", end: str = "# Avg bus bandwidth    : 1.5 \n"
    ) -> str:
        return (
            "# Collective test starting: all_reduce_perf\n"
            "# nThread 1 nGpus 1 minBytes 8 maxBytes 64 warmup iters: 1 iters: 20 validation: 1\n"
            "#  Rank  0 Group  0 Pid 1 on a device  0 [0x1] A GPU\n"
            "#  Rank  1 Group  0 Pid 2 on b device  0 [0x1] A GPU\n"
            "#  size  count  type  redop  root  time  algbw  busbw  #wrong  time  algbw  busbw  #wrong\n"
            f"  1048576  262144  float  sum  -1  100.0  10.49  10.49  {wrong}  50.00  20.97  20.97  {check}\n"
            f"  2097152  524288  float  sum  -1  200.0  10.49  10.49  0  99.99  20.97  20.97  {check}\n"
            + end
        )

    return made
