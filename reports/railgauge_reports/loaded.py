"""What a format gets: a run folder's facts, its rows and its verdict, worked out once."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge_reports.frames import case_frame
from railgauge_reports.groups import pair_ranks
from railgauge_reports.lossless import told
from railgauge_reports.lossless.run import Fabric, fabric_of
from railgauge_reports.stored import SIMULATED, StoredRun, read_run
from railgauge_reports.verdict import Verdict, judge, with_faults


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a reader wants besides the format.

    `price` of a GPU-hour, in whatever money (None: no money is told). `beside` is the name of the
    file with all rows that will lie beside the report ("": there will be none).
    """

    price: float | None = None
    beside: str = ""


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """`rows` is `frames.case_frame` of the folder that `stored` was read from.

    `fabric` is what the rules say of it, and a fault that fails a run is in the verdict.
    """

    stored: StoredRun
    rows: pd.DataFrame
    verdict: Verdict
    fabric: Fabric
    asked: Asked = Asked()

    @cached_property
    def pair_ranks(self) -> npt.NDArray[np.int32]:
        """The two ranks of each row, int32 [rows, 2]; -1 of rows that are no pairs."""
        return pair_ranks(self.rows["group"])

    @property
    def simulated(self) -> bool:
        """Did a model of a fabric answer, and not a fabric?"""
        return self.stored.simulated

    @property
    def warning(self) -> str:
        """What has to be said ahead of everything else; "" of a run that measured."""
        return SIMULATED * self.simulated


def load(
    folder: Path,
    profile: str | None = None,
    asked: Asked = Asked(),
    called: Path | None = None,
) -> LoadedRun:
    """Everything of a run folder; raises NotMeasuredError (exit 3) where it cannot be read.

    `profile` is what the fabric is judged as (None: as its ports suggest); raises UsageError for
    one that does not exist. `called` is how reports name the folder (None: by its path).
    """
    stored = read_run(folder, called)
    rows = case_frame(stored)
    fabric = fabric_of(stored, rows, profile)
    faults = told.reasons(fabric)
    verdict = with_faults(judge(stored), faults, told.next_commands(fabric))
    return LoadedRun(stored, rows, verdict, fabric, asked)
