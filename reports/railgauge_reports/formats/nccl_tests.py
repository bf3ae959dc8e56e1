"""The layout of nccl-tests 2.19, byte for byte, so that scripts written for it keep working.

One table per operation, call, round and group, each as the binary of that name would print it.
What nccl-tests would not know is told in a comment line before the header, where nccl-tests puts
its own remarks. Times are our medians over iterations of the slowest rank, not means over ranks.
A placement that was not measured, and the bandwidth of wrong data, are `N/A` in the columns of
that width (nccl-tests has the word for `#wrong` only), so every row has its 13 fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from railgauge.rank_lists import decode_ranks
from railgauge_reports.frame_parts import records as _records
from railgauge_reports.group_table import table_of
from railgauge_reports.groups import group_text
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.stored import StoredRun

LAYOUT = "2.19.6"
_TYPES = {"float16": "half", "float32": "float", "float64": "double"}
_MICRO = 1e6
_ROW = ("dtype", "op", "root", "nbytes", "count")
_TABLE = ("operation", "call", "selected", "round", "group")

Row = Mapping[str, Any]
_Place = tuple[int, int, str]  # case, round, group


class _Facts(NamedTuple):
    """What every table needs of the run, looked up once: by rank, by host, by place."""

    host_of: Sequence[str]
    processors: Mapping[str, str]
    gpus: Mapping[int, Mapping[str, Any]]
    failed: Mapping[_Place, int]


def _facts(run: StoredRun) -> _Facts:
    nodes = run.environment.get("nodes") or []
    processors = {node.get("host"): node.get("processor") for node in nodes}
    return _Facts(run.starts[-1].host_of, processors, run.gpus, _failed_checks(run))


def render(run: LoadedRun) -> str:
    """One table after the other, in the order of the plan."""
    names = list(run.rows.columns)
    tables: dict[tuple[Any, ...], list[Row]] = {}
    for values in _records(run.rows):
        row = dict(zip(names, values, strict=True))
        tables.setdefault(tuple(row[name] for name in _TABLE), []).append(row)
    facts = _facts(run.stored)
    warning = f"# {run.warning}\n" if run.warning else ""
    return warning + "".join(
        line + "\n" for rows in tables.values() for line in table(run.stored, rows, facts)
    )


def table(run: StoredRun, records: list[Row], facts: _Facts) -> Iterator[str]:
    """The lines of one table; `records` are rows of a case frame that are alike in _TABLE."""
    program = f"{records[0]['operation']}_perf"
    yield f"# nccl-tests version {LAYOUT} nccl-headers=0 nccl-library=0"
    yield f"# Collective test starting: {program}"
    yield _options(records)
    yield "#"
    yield "# Using devices"
    yield from _devices(facts, str(records[0]["group"]))
    yield "#"
    yield _remark(run, records[0])
    yield from _titles()
    for _, placements in itertools.groupby(_ordered(records), key=_identity):
        yield _line(list(placements))
    wrong = sum(facts.failed.get((row["case"], row["round"], row["group"]), 0) for row in records)
    yield from _footer(records, program, wrong)


def float_text(value: float, width: int) -> str:
    """`value` in `width` characters: 2, 1 or 0 decimals, whatever fits first, else an exponent."""
    for decimals in (2, 1, 0):
        text = f"{value:{width}.{decimals}f}"
        if len(text) <= width:
            return text
    return f"{value:{width}.{1 if width >= 7 else 0}e}"[:width]


# header and footer --------------------------------------------------------------------------------


def _options(records: list[Row]) -> str:
    sizes = sorted({int(row["nbytes"]) for row in records})
    warmup = min((int(r["warmup_iterations"]) for r in records if not r["gap"]), default=0)
    iterations = min((int(r["samples"]) for r in records if not r["gap"]), default=0)
    checked = int(any(pd.notna(row["wrong"]) for row in records))
    return (
        f"# nThread 1 nGpus 1 minBytes {sizes[0]} maxBytes {sizes[-1]} step: {_step(sizes)}"
        f" warmup iters: {warmup} iters: {iterations} agg iters: 1 validation: {checked}"
        " graph: 0 unalign: 0"
    )


def _step(sizes: list[int]) -> str:
    """`2(factor)` of a geometric list, `8(bytes)` of a linear one, `0(bytes)` of any other."""
    pairs = list(itertools.pairwise(sizes))
    factors = {high / low if low else 0.0 for low, high in pairs}
    if len(factors) == 1 and (factor := factors.pop()) > 1 and factor == int(factor):
        return f"{int(factor)}(factor)"
    steps = {high - low for low, high in pairs}
    return f"{steps.pop() if len(steps) == 1 else 0}(bytes)"


def _devices(facts: _Facts, group: str) -> Iterator[str]:
    on_host: dict[str, int] = {}
    for rank in decode_ranks(group.replace(" ", ",")):
        host = facts.host_of[rank]
        place = on_host[host] = on_host.get(host, -1) + 1
        name, bus = facts.processors.get(host) or "host memory", "0000:00:00"
        if gpu := facts.gpus.get(rank):
            name, place = gpu["name"], gpu["index"]
            bus = gpu["bus_id"].lower().partition(".")[0][-len(bus) :]
        yield (
            f"#  Rank {rank:2d} Group {0:2d} Pid {0:6d} on {host:>10} device {place:2d} [{bus}] {name}"
        )


def _remark(run: StoredRun, row: Row) -> str:
    return (
        f"# Written by railgauge {run.last.version}: {row['backend']} ({run.library}),"
        f" {row['call']}, {row['timing']}; time is the median"
    )


def _titles() -> Iterator[str]:
    identity = "# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}"
    block = "  {:>7}  {:>6}  {:>6}  {:>6}"
    yield "#"
    yield identity.format("", "", "", "", "") + f"{'out-of-place':>23}{'in-place':>31}{'':10}"
    for names, units in (
        (("size", "count", "type", "redop", "root"), ("time", "algbw", "busbw", "#wrong")),
        (("(B)", "(elements)", "", "", ""), ("(us)", "(GB/s)", "(GB/s)", "")),
    ):
        yield identity.format(*names) + block.format(*units) * 2 + " "


def _footer(records: list[Row], program: str, failed: int) -> Iterator[str]:
    rates = [float(row["busbw_GBps"]) for row in records if pd.notna(row["busbw_GBps"])]
    average = f"{sum(rates) / len(rates):g}" if rates else "-nan"
    yield f"# {'Out of bounds values':<20} : {failed} {'FAILED' if failed else 'OK'}"
    yield f"# {'Avg bus bandwidth':<20} : {average} "
    yield "#"
    yield f"# Collective test concluded: {program}"
    yield "#"
    yield ""


def _failed_checks(run: StoredRun) -> dict[_Place, int]:
    """nccl-tests counts checks (one a rank, size and placement) that found anything wrong."""
    return {
        (made.result.case.index, made.result.round, group_text(group.ranks)): len(group.wrong)
        for made in run.results
        if table_of(made.result.groups).any("wrong")
        for group in made.result.groups
        if group.wrong
    }


# rows ---------------------------------------------------------------------------------------------


def _identity(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in _ROW)


def _ordered(records: Iterable[Row]) -> list[Row]:
    """The rows with both placements of a size side by side, else in their order."""
    places: dict[tuple[str, ...], list[Row]] = {}
    for row in records:
        places.setdefault(_identity(row), []).append(row)
    return list(itertools.chain.from_iterable(places.values()))


def _line(placements: list[Row]) -> str:
    row = placements[0]
    by_placement = {str(found["placement"]): found for found in placements}
    blocks = "".join(_block(by_placement.get(placement)) for placement in ("out", "in"))
    kind = _TYPES.get(row["dtype"], row["dtype"])
    root: int = -1 if pd.isna(row["root"]) else int(row["root"])
    identity = f"{row['nbytes']:12d}  {row['count']:12d}  {kind:>8}  {_operator(row):>6}  {root:6d}"
    return identity + blocks


def _operator(row: Row) -> str:
    """The redop column; sendrecv_perf prints its -o option, which is sum unless told otherwise."""
    if pd.notna(row["op"]):
        return str(row["op"])
    return "sum" if row["operation"] == "sendrecv" else "none"


def _block(row: Row | None) -> str:
    if row is None or pd.isna(row["median_seconds"]):
        return f"  {'N/A':>7}  {'N/A':>6}  {'N/A':>6}{_wrong(row)}"
    time = float_text(float(row["median_seconds"]) * _MICRO, 7)
    rates = [
        f"{'N/A':>6}" if pd.isna(row[name]) else float_text(float(row[name]), 6)
        for name in ("algbw_GBps", "busbw_GBps")
    ]
    return f"  {time}  {rates[0]}  {rates[1]}{_wrong(row)}"


def _wrong(row: Row | None) -> str:
    """The column with the blanks before it: nccl-tests prints its N/A one character longer."""
    if row is None or pd.isna(row["wrong"]):
        return "    N/A"
    return f"  {float(row['wrong']):>6g}"
