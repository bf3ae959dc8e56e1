"""The cells of tables for people: adaptive units, and `-` for what cannot be had."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from railgauge.units import format_seconds
from railgauge_reports.frame_parts import records

NOTHING = "-"
#: What tells rows apart besides operation, ranks and size; shown as columns only where it varies.
IDENTITY = (
    "dtype",
    "op",
    "placement",
    "call",
    "selected",
    "timing",
    "root",
    "round",
    "setting",
    "rail",
    "group",
)
#: A person reads so many rows; of more the slowest are shown.
MOST_ROWS = 200
CHOSEN = ("algorithm", "protocol", "transport")


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text; `common` are the words that are true of all of them.

    `left_out` is how many faster rows are not among them.
    """

    common: tuple[str, ...]
    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    left_out: int = 0

    def more(self, folder: Path) -> list[str]:
        """The sentence that says so, if there is anything to say."""
        shown = f"{len(self.body)} rows are shown, the slowest of each case"
        all_of_them = f"railgauge report {shlex.quote(str(folder))} --format csv"
        return [f"{shown}; {self.left_out} more: {all_of_them}"] if self.left_out else []


def slowest(rows: pd.DataFrame, most: int = MOST_ROWS) -> pd.DataFrame:
    """All rows of a case frame, or of more than `most` the slowest of each case, in their order.

    What was not measured and what was wrong goes before what was slow. Every case keeps one row.
    """
    if len(rows) <= most:
        return rows
    slow = rows["median_seconds"].to_numpy(float, na_value=np.inf)
    slow[rows["wrong"].to_numpy(float, na_value=0) > 0] = np.inf
    by_case = pd.Series(slow).groupby(rows["case"].to_numpy(np.int64))
    each = max(1, most // by_case.ngroups)
    return rows[(by_case.rank(method="first", ascending=False) <= each).to_numpy()]


def table(rows: pd.DataFrame) -> Table:
    """The table of a case frame for people, of many rows the slowest."""
    varying = [name for name in IDENTITY if rows[name].nunique(dropna=False) > 1]
    fixed = [
        name
        for name in IDENTITY
        if name not in varying and name not in ("round", "setting", "group")
    ]
    extra = [name for name in EXTRA if rows[name].notna().any()]
    chosen = [name for name in CHOSEN if rows[name].notna().any()]
    header = (
        "operation", *varying, "ranks", "nbytes", "median", "95 % interval", "min", "p99",
        "algbw GB/s", "busbw GB/s", *(EXTRA[name][0] for name in extra), *chosen,
        "wrong", "samples", "stable",
    )  # fmt: skip
    shown = slowest(rows)
    names = list(rows.columns)
    body = tuple(
        _cells(dict(zip(names, values, strict=True)), varying, extra, chosen)
        for values in records(shown)
    )
    common = tuple(_words(name, rows[name].iloc[0]) for name in fixed) if len(rows) else ()
    return Table(tuple(filter(None, common)), header, body, len(rows) - len(shown))


def _cells(
    row: Mapping[str, Any], varying: Sequence[str], extra: Sequence[str], chosen: Sequence[str]
) -> tuple[str, ...]:
    return (
        str(row["operation"]),
        *(_plain(row[name]) for name in varying),
        _plain(row["ranks"]),
        _plain(row["nbytes"]),
        seconds(row["median_seconds"]),
        interval(row["median_low_seconds"], row["median_high_seconds"]),
        seconds(row["min_seconds"]),
        seconds(row["p99_seconds"]),
        significant(row["algbw_GBps"]),
        significant(row["busbw_GBps"]),
        *(EXTRA[name][1](row[name]) for name in extra),
        *(_plain(row[name]) for name in chosen),
        _plain(row["wrong"]),
        _plain(row["samples"]),
        NOTHING if row["stable"] is None else "yes" if row["stable"] else "no",
    )


def some(sentences: Sequence[str], most: int, more: str) -> list[str]:
    """The first `most` sentences, and how many there are more (`more` says where or what)."""
    left = len(sentences) - most
    return [*sentences[:most], *([f"{left} more {more}"] if left > 0 else [])]


def align(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns: the first to the left, the others to the right, two blanks between."""
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (header, *body)
    ]


def pipes(header: Sequence[str], body: Iterable[Sequence[str]], right: bool = False) -> str:
    """A pipe table of CommonMark; `right` puts the cells of numbers to the right."""
    rows = [header, ["---:" if right else "---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows)


def escaped(cell: str) -> str:
    """A cell that neither ends its column nor its line."""
    return cell.replace("|", "\\|").replace("\n", " ")


def seconds(value: float) -> str:
    """`12.3 us`."""
    return NOTHING if pd.isna(value) else format_seconds(float(value))


def interval(low: float, high: float) -> str:
    """`12.1 - 12.6 us`, with both units where they differ."""
    if pd.isna(low) or pd.isna(high):
        return NOTHING
    first, last = seconds(low), seconds(high)
    number, _, unit = first.partition(" ")
    return f"{number if last.endswith(f' {unit}') else first} - {last}"


def cut(text: str, most: int) -> str:
    """The text, or as much of it as `most` characters hold, with `…` for the rest."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def significant(value: float) -> str:
    """Three significant digits, whole numbers from 1,000 on."""
    if pd.isna(value):
        return NOTHING
    return f"{value:,.0f}" if value >= 999.5 else f"{value:#.3g}".removesuffix(".")


def percent(value: float) -> str:
    """`12.3%`; `<0.01%` of what is there and very small."""
    if pd.isna(value):
        return NOTHING
    return "<0.01%" if 0 < value < 1e-4 else f"{value:.2%}"


def _plain(value: object) -> str:
    return NOTHING if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _words(name: str, value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    if name == "placement":
        return "in place" if value == "in" else "out of place"
    if name in ("root", "rail"):
        return f"{name} {value}"
    return str(value).replace("_", " ")


#: Columns that are shown where anything stands in them: title, and how a cell is written.
EXTRA: dict[str, tuple[str, Callable[[float], str]]] = {
    "messages_per_second": ("messages/s", significant),
    "overlap": ("overlap", significant),
    "compute_slowdown": ("compute x", significant),
    "launch_seconds": ("launch", seconds),
    "batch_host_seconds": ("batch", seconds),
    "init_seconds": ("init", seconds),
    "allowed_GBps": ("allowed GB/s", significant),
    "allowed_share": ("share", significant),
    "p999_seconds": ("p99.9", seconds),
    "jain": ("Jain", significant),
    "slowest_flow_GBps": ("slowest flow GB/s", significant),
    "impact": ("impact x", significant),
    "impact_p99": ("p99 impact x", significant),
    "load_GBps": ("load GB/s", significant),
    "pause_ratio": ("paused", percent),
}
