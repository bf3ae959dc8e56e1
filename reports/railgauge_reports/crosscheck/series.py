"""Our raw samples of a run folder, as the rows that a peer's statistic is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from railgauge.errors import NotMeasuredError
from railgauge.journal import read_journal
from railgauge.records import End, Gap, Result
from railgauge.samples import GroupSamples, group_samples
from railgauge.units import NANOSECONDS
from railgauge_reports.crosscheck.pairing import Seconds


def read_series(folder: Path) -> dict[int, Seconds]:
    """Samples by nbytes: float64 [ranks, iterations], what each rank took for one iteration.

    In seconds; of one message for point to point, as `samples.seconds`. What was timed as a batch has
    one value, the slowest rank's mean (`records.Batch`). Raises NotMeasuredError
    where the run left a size out, did not end, or kept the slowest ranks only.
    """
    records = read_journal(folder)
    if gaps := [record for record in records if isinstance(record, Gap)]:
        raise NotMeasuredError(f"{gaps[0].case.describe()}: not measured: {gaps[0].reason}")
    if not any(isinstance(record, End) for record in records):
        raise NotMeasuredError(f"{folder}: this run did not end")
    found: dict[int, Seconds] = {}
    for result in records:
        if isinstance(result, Result):
            (samples,) = group_samples(folder, result)
            if batch := samples.group.batch:
                each = batch.host_seconds / batch.iterations / result.transfers
                found[result.case.nbytes] = np.array([[each]])
                continue
            found[result.case.nbytes] = _durations(folder, samples) / result.transfers
    return found


def _durations(folder: Path, samples: GroupSamples) -> Seconds:
    if "rank" in samples.columns:
        raise NotMeasuredError(
            f"{folder}: only the slowest rank of each iteration was kept, a peer's mean over ranks"
            " needs all of them.\n  next: fewer --iterations, or fewer ranks"
        )
    rows = samples.rows
    ns = rows[:, :, 0] if samples.columns[0] == "duration" else rows[:, :, 1] - rows[:, :, 0]
    return np.asarray(ns * NANOSECONDS, np.float64)
