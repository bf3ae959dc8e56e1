"""`railgauge slurm nightly` in this process, with programs of Slurm that the test writes itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from railgauge.cli import main

#: scrontab as it behaves: -l prints or says that there is none (exit 1), FILE installs, -r removes.
SCRONTAB = """#!{python}
import pathlib, sys
table = pathlib.Path({table!r})
if sys.argv[1:] == ["-l"]:
    if not table.exists():
        print("no crontab for root")
        sys.exit(1)
    sys.stdout.write(table.read_text())
elif sys.argv[1:] == ["-r"]:
    table.unlink()
else:
    (file,) = sys.argv[1:]
    table.write_text(pathlib.Path(file).read_text())
"""
SCONTROL = """#!/bin/sh
echo 'Configuration data as of now'
echo 'ScronParameters         = {parameters}'
"""


class Said(NamedTuple):
    """An ended command."""

    code: int
    out: str
    err: str


@pytest.fixture
def nightly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`nightly("-N", "4")`: on the history tmp_path/nights."""

    def call(*words: str) -> Said:
        code = main(["slurm", "nightly", "--history", str(tmp_path / "nights"), *words])
        told = capsys.readouterr()
        return Said(code, told.out, told.err)

    return call


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """`programs(NAME, TEXT)`: a program on the path, ahead of all others."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    def make(name: str, text: str) -> Path:
        (place / name).write_text(text)
        (place / name).chmod(0o755)
        return place / name

    return make


@pytest.fixture
def table(tmp_path: Path, programs: Callable[[str, str], Path]) -> Path:
    """The user's scrontab, as a file; there is none yet."""
    made = tmp_path / "table"
    programs("scrontab", SCRONTAB.format(python=sys.executable, table=str(made)))
    programs("scontrol", SCONTROL.format(parameters="enable"))
    return made
