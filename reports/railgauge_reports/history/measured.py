"""The values of runs by series, out of one case frame of all of them: no loop over rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.plan import Case, Plan
from railgauge_reports.frame_parts import records
from railgauge_reports.history.answer import SeriesKey
from railgauge_reports.history.metrics import LATENCY_BYTES, MANY, METRICS, Metric
from railgauge_reports.history.summary import Keys

#: What tells the series of a run apart, as columns of the case frame and of the runs' own facts.
_VARIANT = ("backend", "dtype", "op", "placement", "call", "timing", "root", "selected", "setting")
_KEY = ("cluster", "stage", "pattern", "operation", "nbytes", "nodes", "ranks", *_VARIANT)
#: Patterns whose rounds are no settings of their own (acceptance/rows.py).
_PLAIN = ("listed", "nodes")
#: Patterns of one group, where no place is like another one.
_ONE_GROUP = ("world",)


class Measured(NamedTuple):
    """Of one run: int32 numbers of series, float64 values, and by series what the library chose.

    `places` says of a worst place which one it is: `node0001 rail 0`.
    """

    series: bytes
    values: bytes
    chosen: dict[int, str]
    places: dict[int, str]


NOTHING = Measured(b"", b"", {}, {})


def measured(frame: pd.DataFrame, facts: pd.DataFrame, keys: Keys) -> list[Measured]:
    """The values of every run of `frame_of_runs`; `facts` has a row a run.

    What was not measured, what is wrong, and times of ranks that shared a GPU have no value.
    """
    rows = _rows(frame, facts)
    found = [
        _values(rows, name, metric, keys)
        for name, metric in METRICS.items()
        if not metric.of_places
    ]
    places: dict[int, dict[int, str]] = {}
    found += [
        _worst_places(rows, name, metric, keys, places)
        for name, metric in METRICS.items()
        if metric.of_places
    ]
    run, series, values = (
        np.concatenate([part[k] for part in found]) if found else np.zeros(0) for k in range(3)
    )
    order = np.lexsort((series, run))
    run, series, values = (
        run[order],
        series[order].astype(np.int32),
        values[order].astype(np.float64),
    )
    edges = np.searchsorted(run, np.arange(len(facts) + 1))
    chosen = _chosen(rows, keys)
    return [
        Measured(series[a:b].tobytes(), values[a:b].tobytes(), chosen.get(k, {}), places.get(k, {}))
        for k, (a, b) in enumerate(itertools.pairwise(edges))
    ]


def _rows(frame: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """The rows that count, with the columns of the key and `case_number`, the same for one key."""
    good = (
        ~frame["gap"].fillna(True)
        & frame["median_seconds"].notna()
        & ~frame["functional"].fillna(False)
        & (frame["wrong"].fillna(0) == 0)
    )
    rows = frame[good.to_numpy(bool)].reset_index(drop=True)
    run = rows["run"].to_numpy(np.int64)
    rows = rows.assign(
        cluster=facts["cluster"].to_numpy(object)[run],
        stage=facts["stage"].to_numpy(object)[run],
        nodes=(rows["hosts"].str.count(" ") + 1).astype("Int64"),
        setting=rows["setting"].where(~rows["pattern"].isin(_PLAIN)),
    )
    number = rows.groupby(list(_KEY), dropna=False, sort=False).ngroup()
    return rows.assign(case_number=number)


def _values(
    rows: pd.DataFrame, name: str, metric: Metric, keys: Keys
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """(run, series, value) of one metric."""
    own = _known(rows, metric)
    together = own.groupby(["run", "case_number"], sort=False)["value"]
    made = together.quantile(metric.quantile) if metric.many else together.median()
    if metric.many:
        made = made[together.count() >= MANY]
    return _numbered(own, made, name, keys)


def _worst_places(
    rows: pd.DataFrame,
    name: str,
    metric: Metric,
    keys: Keys,
    places: dict[int, dict[int, str]],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The same of the places of a case; which one it is goes into `places`, by run and series."""
    few = rows[((rows["nodes"] <= 2) & ~rows["pattern"].isin(_ONE_GROUP)).to_numpy(bool)]
    own = _known(few, metric)
    case = ["run", "case_number"]
    times = own.groupby(case, sort=False)["value"].transform("count")
    own = own[(times >= MANY).to_numpy(bool)]
    ends = own.assign(host=own["hosts"].astype(object).str.split(" ")).explode("host")
    by_place = ends.groupby([*case, "host", "rail"], dropna=False, sort=False)["value"].median()
    table = by_place.reset_index()
    worst = table.loc[table.groupby(case, sort=False)["value"].idxmin()].set_index(case)
    run, series, values = _numbered(own, worst["value"], name, keys)
    for k, number, host, rail in zip(run, series, worst["host"], worst["rail"], strict=True):
        place = f"{host}" if pd.isna(rail) else f"{host} rail {rail}"
        places.setdefault(int(k), {})[int(number)] = place
    return run, series, values


def _known(rows: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """The rows that have a value of that metric, in the column `value`."""
    known = rows[metric.column].notna()
    rate = rows["busbw_GBps"].notna() & (rows["nbytes"].fillna(0) > LATENCY_BYTES)
    if metric.of != "all":
        known &= rate if metric.of == "bandwidth" else ~rate
    own = rows[known.to_numpy(bool)]
    column = own[metric.column].astype("float64")
    return own.assign(value=column)[np.isfinite(column.to_numpy())]


def _numbered(
    own: pd.DataFrame, made: pd.Series, name: str, keys: Keys
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """(run, series, value) of values by run and case_number."""
    run = made.index.get_level_values(0).to_numpy(np.int64)
    case = made.index.get_level_values(1).to_numpy(np.int64)
    number = _numbers(own[own["case_number"].isin(case)], name, keys)
    series = np.array([number[int(c)] for c in case], np.int64)
    return run, series, made.to_numpy(np.float64)


def _numbers(rows: pd.DataFrame, metric: str, keys: Keys) -> dict[int, int]:
    """case_number -> number of its series."""
    first = rows.drop_duplicates("case_number")
    return {
        int(case): keys.number(_key(dict(zip(_KEY, facts, strict=True)), metric))
        for case, facts in zip(first["case_number"], records(first, *_KEY), strict=True)
    }


def _key(facts: dict[str, Any], metric: str) -> SeriesKey:
    return SeriesKey(
        cluster=str(facts["cluster"]),
        stage=str(facts["stage"]),
        pattern=str(facts["pattern"]),
        operation=str(facts["operation"]),
        nbytes=facts["nbytes"] or 0,
        variant=variant([facts[name] for name in _VARIANT]),
        nodes=facts["nodes"] or 0,
        ranks=facts["ranks"] or 0,
        metric=metric,
    )


def variant(facts: Sequence[Any]) -> str:
    """`nccl float32 sum out stream barrier root 0`: the columns _VARIANT in words, None left out."""
    told = zip(_VARIANT, facts, strict=True)
    return " ".join(
        f"root {fact}" if name == "root" else str(fact)
        for name, fact in told
        if fact not in (None, "")
    )


def variant_of(plan: Plan, case: Case) -> str:
    """The same of a planned case, without the setting that its round adds."""
    facts = (plan.backend, case.dtype, case.op, case.placement, case.call, case.timing)
    return variant([*facts, case.root, case.algorithm, None])


def _chosen(rows: pd.DataFrame, keys: Keys) -> dict[int, dict[int, str]]:
    """Run -> series of the speed -> algorithm and protocol, where the library's log says them."""
    told = rows[(rows["algorithm"].notna() | rows["protocol"].notna()).to_numpy(bool)]
    if told.empty:
        return {}
    words = told["algorithm"].fillna("").str.cat(told["protocol"].fillna(""), sep=" ").str.strip()
    first = told.assign(words=words).drop_duplicates(["run", "case_number"])
    made: dict[int, dict[int, str]] = {}
    for metric in ("busbw", "time"):
        rate = first["busbw_GBps"].notna() & (first["nbytes"].fillna(0) > LATENCY_BYTES)
        own = first[(rate if metric == "busbw" else ~rate).to_numpy(bool)]
        number = _numbers(own, metric, keys)
        for run, case, text in zip(own["run"], own["case_number"], own["words"], strict=True):
            made.setdefault(int(run), {})[number[int(case)]] = str(text)
    return made
