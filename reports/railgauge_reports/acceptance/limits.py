"""Limits held against rows: who misses them, and who cannot be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from railgauge.rank_lists import decode_ranks
from railgauge.units import format_seconds, format_size
from railgauge_reports.acceptance.algebra import FAIL, INCONCLUSIVE
from railgauge_reports.acceptance.answer import Finding, HeldLimit
from railgauge_reports.acceptance.metrics import METRICS, OF_WORDS, Metric
from railgauge_reports.acceptance.profile import Limit
from railgauge_reports.acceptance.rows import Rows, chosen, plain, reference_of

Row = Mapping[Any, Any]
#: Findings of one limit that are told of one by one.
MOST_FINDINGS = 200


def judged(
    limit: Limit, stage: str, rows: Rows, explained: frozenset[str] = frozenset()
) -> list[Finding]:
    """What misses the limit, and what stands in the way of telling; empty where all of it holds.

    `explained` are pairs of leaves that are accused by other means: their rows count as no scatter.
    """
    metric = METRICS[limit.metric]
    make = _Maker(limit, metric, stage)
    frame = chosen(limit, metric, rows.frame)
    if frame.empty:
        return [make.unclear(f"no row has a {limit.metric} that the limit could be held against")]
    frame = frame.assign(value=frame[metric.column].astype("Float64"))
    frame["reference"], lacking = reference_of(limit, rows, frame)
    found = []
    if lacking:
        found.append(make.unclear(lacking))
    told = frame[frame["value"].notna() & frame["reference"].notna()]
    if len(frame["value"].dropna()) < len(frame):
        without = len(frame) - len(frame["value"].dropna())
        found.append(make.unclear(f"{without} of {len(frame)} rows have no {limit.metric}"))
    if told.empty:
        return found
    told = told.assign(ratio=(told["value"] / told["reference"]).astype(float))
    return found + _held(limit, make, told, explained)


def all_ratios(limit: Limit, rows: Rows) -> list[float]:
    """The ratios of all rows over the limit's own reference, of those that have both."""
    frame = chosen(limit, METRICS[limit.metric], rows.frame)
    if frame.empty:
        return []
    frame = frame.assign(value=frame[METRICS[limit.metric].column].astype("Float64"))
    reference, _ = reference_of(limit, rows, frame)
    ratios: list[float] = (frame["value"] / reference).dropna().astype(float).tolist()
    return ratios


def ratios_by_unit(
    limit: Limit, rows: Rows, fallback: float, accused: frozenset[str] = frozenset()
) -> dict[str, list[float]]:
    """Unit -> ratios of its rows over the limit's own reference.

    A fleet's median is taken without the rows of hosts that are `accused`; `fallback` is the reference where
    that leaves too few. Units are called as in the place of a finding; empty for a limit judged by row.
    """
    metric = METRICS[limit.metric]
    frame = chosen(limit, metric, rows.frame)
    if frame.empty or limit.per == "row":
        return {}
    frame = frame.assign(value=frame[metric.column].astype("Float64"))
    is_accused = [not accused.isdisjoint(str(hosts).split(" ")) for hosts in frame["hosts"]]
    trusted = frame.assign(value=frame["value"].mask(pd.Series(is_accused, frame.index)))
    reference, _ = reference_of(limit, rows, trusted)
    told = frame.assign(reference=reference.fillna(fallback))
    told = told[told["value"].notna()]
    spread = UNITS[limit.per](told.assign(ratio=(told["value"] / told["reference"]).astype(float)))
    by_unit = spread.groupby("unit", sort=False)["ratio"]
    return {str(unit): own.tolist() for unit, own in by_unit}


# who misses ---------------------------------------------------------------------------------------


def _held(limit: Limit, make: _Maker, told: pd.DataFrame, known: frozenset[str]) -> list[Finding]:
    missed = ~(told["ratio"] >= limit.share) if limit.at_least else ~(told["ratio"] <= limit.share)
    if limit.per == "row":
        bad = told[missed]
        if len(bad) <= limit.bearable * len(told):
            return []
        found = [make.of_unit(_row_place(row), [row]) for row in bad.to_dict("records")]
        return make.first(found)
    spread = UNITS[limit.per](told)
    middle = spread.groupby("unit", sort=False)["ratio"].median()
    units = [str(unit) for unit, ratio in middle.items() if limit.missed(float(ratio))]
    accused = spread[spread["unit"].isin(set(units))]
    found = []
    for unit, own in accused.groupby("unit", sort=False):
        rows = own.sort_values("ratio", ascending=limit.at_least is not None)
        found.append(make.of_unit(str(unit), rows.to_dict("records")))
    found = make.first(sorted(found, key=lambda f: f.value or 0.0))
    explained = told.index.isin(accused.index.unique()) | told["leaves"].isin(known)
    return [*found, *_scattered(limit, make, told[missed & ~explained], len(told))]


def _scattered(limit: Limit, make: _Maker, loose: pd.DataFrame, many: int) -> list[Finding]:
    """Rows that miss the limit though no unit does; a single one is borne where any is."""
    least = 1 if limit.bearable else 0
    if len(loose) <= max(least, limit.bearable * many):
        return []
    worst = loose.sort_values("ratio", ascending=limit.at_least is not None).iloc[0].to_dict()
    words = f"{len(loose)} of {many} rows miss it by themselves, {limit.bearable:.0%} may"
    last = f"the worst is {worst['ratio']:.3g}, {_row_place(worst)}"
    return [make.unclear(f"{words}: unstable, nobody is accused; {last}", "-scatter")]


def _by_node(told: pd.DataFrame) -> pd.DataFrame:
    """One row a host of each row; of a job on one host, where ranks meet, a rank."""
    if told["hosts"].nunique() == 1 and " " not in str(told["hosts"].iloc[0]):
        ranks = told["group"].map(lambda text: decode_ranks(str(text).replace(" ", ",")))
        return told.assign(unit=ranks).explode("unit").assign(unit=lambda f: _called(f["unit"]))
    return told.assign(unit=told["hosts"].str.split(" ")).explode("unit")


def _called(ranks: pd.Series) -> pd.Series:
    return "rank " + ranks.astype(str)


def _by_nic(told: pd.DataFrame) -> pd.DataFrame:
    spread = _by_node(told)
    rail = spread["rail"].map(lambda rail: "" if pd.isna(rail) else f":rail{rail}")
    return spread.assign(unit=spread["unit"].astype(str) + rail)


def _by_leaf_pair(told: pd.DataFrame) -> pd.DataFrame:
    return told[told["leaves"].str.contains(" ")].assign(unit=lambda frame: frame["leaves"])


def _by_case(told: pd.DataFrame) -> pd.DataFrame:
    return told.assign(unit=[_case_place(row) for row in told.to_dict("records")])


def _by_run(told: pd.DataFrame) -> pd.DataFrame:
    return told.assign(unit=[_run_place(row) for row in told.to_dict("records")])


#: Limit.per -> rows with the column `unit`: once for each unit that they belong to.
UNITS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "node": _by_node,
    "nic": _by_nic,
    "leaf pair": _by_leaf_pair,
    "case": _by_case,
    "run": _by_run,
}


def _run_place(row: Row) -> str:
    return f"{str(row['run']).rpartition('/')[2]}:{row['operation']}"


def _case_place(row: Row) -> str:
    setting = plain(row["setting"])
    more = f":{setting}" if setting else ""
    return f"{_run_place(row)}:{format_size(int(row['nbytes']))}{more}"


def _row_place(row: Row) -> str:
    hosts = str(row["hosts"]).split(" ")
    who = hosts[0] if len(hosts) == 1 else f"{hosts[0]}..{hosts[-1]}"
    return f"{_case_place(row)}:round{row['round']}:{who}"


def held(limit: Limit) -> HeldLimit:
    """The limit as a result keeps it."""
    return HeldLimit(name=limit.name, asks=in_words(limit), per=limit.per, source=limit.source)


def in_words(limit: Limit) -> str:
    """`busbw at least 0.93 of the fleet's median`, and of which sizes if not of all."""
    where = f" of {limit.operation}" if limit.operation else ""
    sizes = f" from {format_size(limit.smallest)}" if limit.smallest else ""
    return f"{limit.metric}{where}{sizes} {asked(limit)} of {OF_WORDS[limit.of]}"


def asked(limit: Limit) -> str:
    """`at least 0.93`."""
    side = "at least" if limit.at_least is not None else "at most"
    return f"{side} {limit.share:g}"


# words --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Maker:
    """Makes findings of one limit in one stage."""

    limit: Limit
    metric: Metric
    stage: str

    def unclear(self, why: str, more: str = "") -> Finding:
        return Finding(
            stage=self.stage,
            name=self.limit.name + more,
            verdict=INCONCLUSIVE,
            sentence=f"{in_words(self.limit)} cannot be judged: {why}"
            if not more
            else f"{in_words(self.limit)}: {why}",
            limit=self.limit.share,
            of=self.limit.of,
            source=self.limit.source,
        )

    def of_unit(self, place: str, rows: Sequence[Row]) -> Finding:
        """What misses it; `rows` with the worst first."""
        worst = rows[0]
        ratio, value, reference = (
            float(np.median([float(str(row[name])) for row in rows]))
            for name in ("ratio", "value", "reference")
        )
        who, rail = _who(place, self.limit.per)
        hosts = tuple(str(worst["hosts"]).split(" ")) if who is None else (who,) if who else ()
        told = f"{self._figure(value)} is {ratio:.3g} of {OF_WORDS[self.limit.of]}"
        if self.limit.of != "ideal":
            told += f" ({self._figure(reference)})"
        count = f"median of {len(rows)} measurements" if len(rows) > 1 else "one measurement"
        return Finding(
            stage=self.stage,
            name=self.limit.name,
            verdict=FAIL,
            sentence=f"{_place_words(place, who, rail)}: {self.limit.metric} {told}; asked is"
            f" {asked(self.limit)} ({self.limit.source}); {count}",
            hosts=hosts,
            rail=rail,
            place=place,
            value=ratio,
            limit=self.limit.share,
            of=self.limit.of,
            measured=value,
            unit=self.metric.unit,
            source=self.limit.source,
            evidence=str(worst["run"]),
        )

    def _figure(self, value: float) -> str:
        if self.metric.unit == "s":
            return format_seconds(value)
        return f"{value:.4g} {self.metric.unit}".rstrip()

    def first(self, found: list[Finding]) -> list[Finding]:
        """The first of many, and how many there are more."""
        left = len(found) - MOST_FINDINGS
        if left <= 0:
            return found
        more = Finding(
            stage=self.stage,
            name=f"{self.limit.name}-more",
            verdict=FAIL,
            sentence=f"{left} more miss {in_words(self.limit)}",
        )
        return [*found[:MOST_FINDINGS], more]


def _who(place: str, per: str) -> tuple[str | None, int | None]:
    """(host, rail) of a place; None where the rows say the hosts, "" where there is none to accuse."""
    if per == "nic":
        host, mark, rail = place.rpartition(":rail")
        return (host, int(rail)) if mark else (place, None)
    if per == "node":
        return place, None
    return (None if per == "row" else ""), None


def _place_words(place: str, host: str | None, rail: int | None) -> str:
    return f"rail {rail} of {host}" if rail is not None else place
