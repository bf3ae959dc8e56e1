"""The rows of a stage's runs, and what each measured value is divided by before a limit sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd

from railgauge.cluster import Cluster
from railgauge.errors import UsageError
from railgauge.patterns import PAIRWISE
from railgauge.plan import Plan
from railgauge_reports.acceptance.metrics import CASE, Metric, with_monotony
from railgauge_reports.acceptance.profile import Limit
from railgauge_reports.expected.planned import question_of_plan
from railgauge_reports.expected.question import Curve, curve
from railgauge_reports.localise.meetings import FEWEST


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a stage's runs with the column `run`, their folder; `plans` by folder.

    `cluster` is what an expected value is derived from, None where nothing says it (`reason`).
    """

    frame: pd.DataFrame
    plans: Mapping[str, Plan]
    cluster: Cluster | None
    reason: str = ""


def rows_of(
    frames: Sequence[tuple[str, Plan, pd.DataFrame]], cluster: Cluster | None, reason: str = ""
) -> Rows:
    """The rows of these runs: (folder, plan, case frame) each."""
    marked = [_marked(folder, plan, frame) for folder, plan, frame in frames]
    frame = pd.concat(marked, ignore_index=True) if marked else pd.DataFrame()
    if not frame.empty:
        frame = _with_tiers(frame, {f: plan for f, plan, _ in frames})
    return Rows(frame, {folder: plan for folder, plan, _ in frames}, cluster, reason)


def _marked(folder: str, plan: Plan, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with their run, and `asked`: the algorithm that an expected value is to be of.

    It is what the call named; of a modelled cluster, whose choice is not NCCL's, what the model took. Rounds
    of a list, and those of nodes left over, are no settings of their own.
    """
    taken = frame["algorithm"] if plan.cluster is not None else pd.Series(pd.NA, frame.index)
    made = frame.assign(run=folder, asked=frame["selected"].fillna(taken))
    return made.assign(setting="") if plan.pattern in ("listed", "nodes") else made


def _with_tiers(frame: pd.DataFrame, plans: Mapping[str, Plan]) -> pd.DataFrame:
    """Column `tier`: of pairs, whether they lie under one leaf, which is another kind of path."""
    leaf_of = {
        folder: {host: leaf for leaf, hosts in plan.leaves or () for host in hosts}
        for folder, plan in plans.items()
    }
    pairwise = {folder: plan.pattern in PAIRWISE for folder, plan in plans.items()}

    def tier(run: str, hosts: str) -> str:
        leaves = {leaf_of[run].get(host, "") for host in hosts.split(" ")}
        return "" if not pairwise[run] or "" in leaves else " ".join(sorted(leaves))

    told = [tier(run, str(hosts)) for run, hosts in zip(frame["run"], frame["hosts"], strict=True)]
    inside = ["" if not leaves else str(" " not in leaves) for leaves in told]
    return frame.assign(leaves=told, tier=inside)


def chosen(limit: Limit, metric: Metric, frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty:
        return frame
    if limit.metric == "monotony":
        frame = with_monotony(frame)
    chosen = (frame["gap"] == False) & (frame["nbytes"] >= limit.smallest)  # noqa: E712 (NA stays NA)
    if limit.operation is not None:
        chosen &= frame["operation"] == limit.operation
    if "ideal" in metric.of:  # of most rows there is no such figure
        chosen &= frame[metric.column].notna()
    return frame[chosen.fillna(False).astype(bool)]


# what a value is divided by -----------------------------------------------------------------------


def reference_of(limit: Limit, rows: Rows, frame: pd.DataFrame) -> tuple[pd.Series, str]:
    """(reference of each row, NA where there is none; why some have none)."""
    if limit.of == "ideal":
        return pd.Series(1.0, frame.index, dtype="Float64"), ""
    if limit.of == "expected":
        return _expected(limit, rows, frame)
    keys = [*CASE, "nbytes", "setting", "tier"]
    words = "of the same kind"
    if limit.of == "own":
        keys, words = [*CASE, "nbytes", "group", "hosts"], "of one group: repeat it (--duration)"
    together = frame.groupby(keys, dropna=False, sort=False)["value"]
    enough = together.transform("count") >= FEWEST
    middle = together.transform("median").where(enough)
    few = int((~enough).sum())
    why = f"{few} of {len(frame)} rows are fewer than {FEWEST} {words}" if few else ""
    return middle.astype("Float64"), why


def _expected(limit: Limit, rows: Rows, frame: pd.DataFrame) -> tuple[pd.Series, str]:
    made = pd.Series(pd.NA, frame.index, dtype="Float64")
    if rows.cluster is None:
        return made, f"{rows.reason}; next: --cluster FILE (railgauge list)"
    why = ""
    hosts = frame["hosts"].str.count(" ") + 1
    keys = [frame["run"], frame["operation"], hosts, frame["ranks"], frame["asked"]]
    for key, own in frame.groupby(keys, dropna=False, sort=False):
        sizes = sorted(set(own["nbytes"].tolist()))
        try:
            band = expected_of(rows, Asked(*map(plain, key)), sizes)
        except UsageError as error:
            why = str(error).splitlines()[0]
            continue
        values = band.seconds if limit.metric == "time" else band.busbw_GBps(band.seconds)
        by_size = dict(zip(sizes, np.where(np.isfinite(values), values, np.nan), strict=True))
        made[own.index] = own["nbytes"].map(by_size).astype("Float64")
        why = band.open or why
    if made.isna().any() and not why:
        why = "only the bound is known of some rows, and no expected value"
    return made, why


class Asked(NamedTuple):
    """What an expected value is of: an operation of a run among so many nodes and ranks."""

    run: str
    operation: str
    nodes: int
    ranks: int
    algorithm: str | None


def expected_of(rows: Rows, asked: Asked, sizes: Sequence[int]) -> Curve:
    """What is expected over these sizes, in bytes; raises UsageError where nothing can be said."""
    if rows.cluster is None:
        raise UsageError(rows.reason)
    plan = rows.plans[asked.run]
    if plan.pattern == "victim":  # alone, its ranks are a world
        plan = msgspec.structs.replace(plan, pattern="world")
    return curve(question_of_plan(plan, rows.cluster, *asked[1:]), sizes)


def plain(value: Any) -> Any:
    return None if pd.isna(value) else value
