"""One row per case over all of its rounds and groups: what a curve, a metric or a baseline is made of.

Everything here works on whole columns: a tournament of a thousand nodes has millions of rows.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

#: What tells the curves of a run apart besides the operation; `setting` is of patterns with loads.
VARIANT = ("dtype", "op", "placement", "call", "selected", "timing", "root", "setting")
_COLUMNS = (
    *("case", "operation", "nbytes", "ranks", "samples", "wrong", "gap", "stable", *VARIANT),
    *("busbw_GBps", "median_seconds", "median_low_seconds", "median_high_seconds"),
    *("min_seconds", "p99_seconds", "p999_seconds", "max_seconds"),
)

#: Column -> of which column of the case frame, and how it is made of the groups.
_FACTS = {
    "groups": ("median_seconds", "count"),
    "gaps": ("gaps", "sum"),
    "unstable": ("unstable", "sum"),
    "samples": ("samples", "sum"),
    "busbw_GBps": ("busbw_GBps", "median"),
    "busbw_low": ("busbw_GBps", "min"),
    "busbw_high": ("busbw_GBps", "max"),
    "median_seconds": ("median_seconds", "median"),
    "median_low": ("median_seconds", "min"),
    "median_high": ("median_seconds", "max"),
    "min_seconds": ("min_seconds", "min"),
    "p99_seconds": ("p99_seconds", "max"),
    "p999_seconds": ("p999_seconds", "max"),
    "max_seconds": ("max_seconds", "max"),
}


def series_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a case frame by case and setting, in the plan's order.

    Columns: case, operation, nbytes, ranks and those of VARIANT; `label`, the words of what varies;
    `groups` that have a time and `gaps` that have none; `samples`, `wrong`, `unstable` (rows) summed.
    `busbw_GBps` and `median_seconds` are medians over the groups, with `_low` and `_high`: the slowest
    and the fastest group, or of one group the 95 % interval of its median. `min_seconds` is the
    smallest, `p99_seconds`, `p999_seconds` and `max_seconds` are the largest of any group. NA where
    nothing is known.
    """
    told = rows[list(_COLUMNS)].assign(
        gaps=rows["gap"].fillna(True).astype("int64"),
        unstable=(rows["stable"] == False).fillna(False).astype("int64"),  # noqa: E712 (NA stays NA)
    )
    keys = ["case", *(["setting"] if told["setting"].notna().any() else [])]
    by_case = told.groupby(keys, sort=False, dropna=False)
    first = ["operation", "nbytes", "ranks", *(name for name in VARIANT if name not in keys)]
    made = by_case[first].first()
    for name, (column, how) in _FACTS.items():
        made[name] = by_case[column].agg(how)
    made["wrong"] = by_case["wrong"].sum(min_count=1)
    made = made.reset_index()
    _intervals(made, by_case)
    if "setting" not in made:
        made["setting"] = pd.Series(pd.NA, index=made.index, dtype="string")
    made["label"] = labels(made)
    return made


def _intervals(made: pd.DataFrame, by_case: Any) -> None:
    """Of one group, the range is the interval of its median."""
    single = (made["groups"] == 1).to_numpy()
    low = by_case["median_low_seconds"].min().to_numpy()
    high = by_case["median_high_seconds"].max().to_numpy()
    known = single & ~pd.isna(low) & ~pd.isna(high)
    scale = made["busbw_GBps"] * made["median_seconds"]  # bytes and bus factor, in GB
    made.loc[known, "median_low"] = low[known]
    made.loc[known, "median_high"] = high[known]
    made.loc[known, "busbw_low"] = (scale / made["median_high"])[known]
    made.loc[known, "busbw_high"] = (scale / made["median_low"])[known]


def labels(made: pd.DataFrame) -> pd.Series:
    """`all_reduce float32 in`: the operation, and of VARIANT what is not the same everywhere."""
    text = made["operation"].astype("string")
    for name in VARIANT:
        if made[name].nunique(dropna=False) > 1:
            words = made[name].astype("string")
            if name == "root":
                words = "root " + words
            text = text + (" " + words).fillna("")
    return text
