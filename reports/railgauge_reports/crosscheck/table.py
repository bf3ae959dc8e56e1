"""The rows of a crosscheck as text."""

from __future__ import annotations

from collections.abc import Sequence

from railgauge_reports.crosscheck.parity import Row

_MICRO = 1e6
_COLUMNS = (
    ("nbytes", 10),
    ("peer (us)", 12),
    ("ours (us)", 12),
    ("step (us)", 9),
    ("ratio", 7),
    ("95 % interval", 15),
    ("peer / itself", 15),
    ("avg", 7),
    ("min", 7),
)


def _micro(seconds: float | None, step: float | None = None) -> str:
    if seconds is None:
        return ""
    decimals = 4 if not step or step < 1e-8 else 2
    return f"{seconds * _MICRO:.{decimals}f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} - {high:.3f}"


def lines(rows: Sequence[Row]) -> list[str]:
    """A heading and one line a row; ratios are ours / peer, above 1 where ours is slower.

    `step` is the peer's printed resolution as a time.
    """
    made = [" ".join(f"{title:>{width}}" for title, width in _COLUMNS) + "  verdict"]
    for row in rows:
        cells = (
            str(row.nbytes),
            _micro(row.peer_seconds, row.peer_resolution_seconds),
            _micro(row.ours_seconds),
            ""
            if not row.peer_resolution_seconds
            else f"{row.peer_resolution_seconds * _MICRO:.1g}",
            _ratio(row.ratio),
            _interval(row.ratio_low, row.ratio_high),
            _interval(row.null_low, row.null_high),
            _ratio(row.ratio_avg),
            _ratio(row.ratio_min),
        )
        line = " ".join(f"{c:>{width}}" for c, (_, width) in zip(cells, _COLUMNS, strict=True))
        made.append(f"{line}  {row.verdict}" + (f": {row.reason}" if row.reason else ""))
    return made
