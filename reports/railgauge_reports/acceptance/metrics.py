"""What a limit can be set on: columns of `frames.case_frame`, and a few that follow from them."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pandas as pd

Of = Literal["expected", "median", "own", "ideal"]
#: What a measured value is divided by, in words.
OF_WORDS: dict[str, str] = {
    "expected": "the expected value",
    "median": "the fleet's median",
    "own": "its own median over the repetitions",
    "ideal": "the ideal",
}


@dataclasses.dataclass(frozen=True)
class Metric:
    """`column` of a case frame in `unit`; `of` are the references that a limit may name.

    What is a ratio already has the reference "ideal", which is 1.
    """

    column: str
    unit: str
    larger_is_better: bool
    of: tuple[Of, ...]


METRICS: dict[str, Metric] = {
    "busbw": Metric("busbw_GBps", "GB/s", True, ("expected", "median", "own")),
    "time": Metric("median_seconds", "s", False, ("expected", "median", "own")),
    "p99": Metric("p99_seconds", "s", False, ("median", "own")),
    "fairness": Metric("jain", "", True, ("ideal",)),
    "impact": Metric("impact", "", False, ("ideal",)),
    "impact_p99": Metric("impact_p99", "", False, ("ideal",)),
    "monotony": Metric("monotony", "", True, ("ideal",)),
}
#: What else tells rows of one case apart.
CASE = ["run", "operation", "dtype", "op", "placement", "call", "selected", "root"]


def with_monotony(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `monotony`: busbw over the best of the same group at a smaller size, at most 1.

    A larger message is no slower a byte, so a dip below 1 is a change of protocol or algorithm at the
    wrong size. NA at the smallest size.
    """
    ordered = rows.sort_values("nbytes", kind="stable")
    keys = [*CASE, "round", "group"]
    number = ordered.groupby(keys, dropna=False, sort=False).ngroup()
    best = ordered["busbw_GBps"].groupby(number).cummax().groupby(number).shift()
    return rows.assign(monotony=(ordered["busbw_GBps"] / best).clip(upper=1.0).reindex(rows.index))
