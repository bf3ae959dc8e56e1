"""JSON of pytest-benchmark: `pytest-benchmark compare A.json B.json` reads it.

Where one group ran, the samples are its iterations; where several did, each group gives its median.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.samples import group_samples, seconds
from railgauge_reports.baseline import benchmark_name
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.series import series_frame

#: Layout of the files that pytest-benchmark 5 writes.
LAYOUT = "5.1.0"
Samples = npt.NDArray[np.float64]


def render(run: LoadedRun) -> str:
    """One JSON object."""
    series = series_frame(run.rows)
    timed = series[series["median_seconds"].notna()]
    single = set(timed.loc[timed["groups"] == 1, "case"].dropna().astype(int))
    iterations = _iterations(run, single)
    made = []
    for _, row in timed.iterrows():
        samples = iterations.get(_key(row))
        if samples is None:
            mine = run.rows["case"] == row["case"]
            if pd.notna(row["setting"]):
                mine &= run.rows["setting"] == row["setting"]
            medians = run.rows.loc[mine.fillna(False), "median_seconds"].dropna()
            samples = medians.to_numpy(np.float64)
        made.append(_benchmark(run, row, samples))
    last = run.stored.last
    nodes = run.stored.nodes
    when = datetime.datetime.fromtimestamp(last.started, datetime.timezone.utc)
    document = {
        "machine_info": {
            "node": nodes[0].host if nodes else "",
            "hosts": len(set(last.hosts)),
            "backend": last.backend,
            "library": run.stored.library,
            "railgauge": last.version,
            "simulated": run.simulated,
        },
        "commit_info": {"id": "unversioned", "time": None, "dirty": False, "project": "railgauge"},
        "benchmarks": made,
        "datetime": when.isoformat(),
        "version": LAYOUT,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _key(row: pd.Series) -> tuple[int, str]:
    return int(row["case"]), "" if pd.isna(row["setting"]) else str(row["setting"])


def _iterations(run: LoadedRun, wanted: set[int]) -> dict[tuple[int, str], Samples]:
    """Times of the iterations of cases that one group measured, by case and setting."""
    found: dict[tuple[int, str], Samples] = {}
    for made in run.stored.results:
        result = made.result
        if result.case.index in wanted and len(result.groups) == 1:
            (samples,) = group_samples(run.stored.folder, result)
            found[result.case.index, result.name] = seconds(samples, result)
    return found


def _benchmark(run: LoadedRun, row: pd.Series, samples: Samples) -> dict[str, Any]:
    name = benchmark_name(run, row)
    facts = ("busbw_GBps", "groups", "wrong", "nbytes", "ranks")
    return {
        "group": str(row["operation"]),
        "name": name,
        "fullname": f"railgauge::{name}",
        "params": None,
        "param": None,
        "extra_info": {
            "simulated": run.simulated,
            **{fact: None if pd.isna(row[fact]) else float(row[fact]) for fact in facts},
        },
        "options": {"timer": "railgauge", "warmup": True},
        "stats": statistics(samples),
    }


def statistics(samples: Samples) -> dict[str, Any]:
    """The fields of pytest-benchmark; its quartiles are Hazen's for every number of samples."""
    ordered = np.sort(samples)
    n, mean = len(ordered), float(ordered.mean())
    q1, median, q3 = (float(q) for q in np.quantile(ordered, (0.25, 0.5, 0.75), method="hazen"))
    spread = float(ordered.std(ddof=1)) if n > 1 else 0.0
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    within = ordered[(ordered >= low) & (ordered <= high)]
    far = int(np.count_nonzero(np.abs(ordered - mean) > spread))
    outside = n - len(within)
    return {
        "min": float(ordered[0]),
        "max": float(ordered[-1]),
        "mean": mean,
        "stddev": spread,
        "rounds": n,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": far,
        "outliers": f"{far};{outside}",
        "ld15iqr": float(within[0]),
        "hd15iqr": float(within[-1]),
        "ops": 1 / mean if mean else 0,
        "total": float(ordered.sum()),
        "iterations": 1,
    }
