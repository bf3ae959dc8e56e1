"""The same run once for each value of an environment variable, and the times side by side.

Libraries read their variables once a process, so every value is a run, and a run folder, of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import read_journal
from railgauge.plan_options import parse_variable
from railgauge.records import Result
from railgauge.samples import group_samples, seconds
from railgauge.terminal import micro

Variables = tuple[tuple[str, str], ...]


def parse_sweep(texts: Iterable[str]) -> list[Variables]:
    """All combinations of `NAME=A,B` of several variables, the last one changing fastest."""
    axes = []
    for text in texts:
        name, values = parse_variable(text, "--sweep")
        axes.append([(name, value) for value in values.split(",") if value])
        if not axes[-1]:
            raise UsageError(f"--sweep {text}: no value.\n  next: --sweep {name}=A,B")
    return list(itertools.product(*axes))


def label(variables: Variables) -> str:
    """`NCCL_ALGO=Ring,NCCL_PROTO=LL`: the name of a run folder too."""
    return ",".join(f"{name}={value}" for name, value in variables).replace("/", "_")


def side_by_side(folders: Sequence[Path]) -> list[str]:
    """Lines of a table: a case and round a row, the median of its slowest group in us by folder."""
    rows: dict[tuple[str, int], dict[Path, float]] = {}
    for folder in folders:
        try:
            records = read_journal(folder)
        except NotMeasuredError:
            continue
        for result in records:
            if isinstance(result, Result):
                medians = [
                    float(np.median(made))
                    for samples in group_samples(folder, result)
                    if len(made := seconds(samples, result))
                ]
                key = (result.case.describe(), result.round)
                rows.setdefault(key, {})[folder] = max(medians, default=float("nan"))
    names = [folder.name for folder in folders]
    width = max(14, *map(len, names))
    lines = [f"{'median (us)':56}" + "".join(f"  {name:>{width}}" for name in names)]
    for (case, turn), found in rows.items():
        title = f"{case} round {turn}" if turn else case
        cells = [micro(found.get(folder)) or "-" for folder in folders]
        lines.append(f"{title:56}" + "".join(f"  {cell:>{width}}" for cell in cells))
    return lines
