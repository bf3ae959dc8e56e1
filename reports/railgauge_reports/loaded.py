"""What a format gets: a run folder's facts, its rows and its verdict, worked out once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from railgauge_reports.frames import case_frame
from railgauge_reports.stored import StoredRun, read_run
from railgauge_reports.verdict import Verdict, judge


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """`rows` is `frames.case_frame` of the folder that `stored` was read from."""

    stored: StoredRun
    rows: pd.DataFrame
    verdict: Verdict


def load(folder: Path) -> LoadedRun:
    """Everything of a run folder; raises NotMeasuredError (exit 3) where it cannot be read."""
    stored = read_run(folder)
    return LoadedRun(stored, case_frame(stored), judge(stored))
