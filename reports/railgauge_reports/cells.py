"""The cells of tables for people: adaptive units, and `-` for what cannot be had."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from railgauge.units import format_seconds

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
CHOSEN = ("algorithm", "protocol", "transport")


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of text; `common` are the words that are true of all of them."""

    common: tuple[str, ...]
    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def table(rows: pd.DataFrame) -> Table:
    """The table of a case frame for people."""
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
    body = tuple(
        (
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
            NOTHING if pd.isna(row["stable"]) else "yes" if row["stable"] else "no",
        )
        for row in rows.to_dict("records")
    )
    common = tuple(_words(name, rows[name].iloc[0]) for name in fixed) if len(rows) else ()
    return Table(tuple(filter(None, common)), header, body)


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
    return f"{value:,.0f}" if value >= 999.5 else f"{value:#.3g}"


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
