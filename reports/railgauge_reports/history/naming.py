"""What series are called: by acknowledgements and machines, and by people."""

from __future__ import annotations

from railgauge.units import format_seconds, format_size
from railgauge_reports.cells import significant
from railgauge_reports.history.answer import SeriesKey
from railgauge_reports.history.metrics import METRICS

_METRIC_WORDS = {
    "busbw": "busbw",
    "busbw-worst-tenth": "busbw of the worst tenth",
    "busbw-worst-place": "busbw of the worst NIC or node",
    "time": "time",
    "time-worst-tenth": "time of the worst tenth",
    "p99": "p99 of the time",
    "fairness": "fairness (Jain)",
    "slowest-flow": "slowest flow",
    "impact": "impact of the load",
}


def name_of(key: SeriesKey) -> str:
    """`gpu/pairs/sendrecv/64M/nccl-float32-out-stream-barrier/2n2r/busbw`: cluster, stage or pattern, ..."""
    parts = [
        key.cluster or "-",
        (key.stage or key.pattern).replace("/", "."),
        key.operation,
        format_size(key.nbytes),
        key.variant.replace(" ", "-"),
        f"{key.nodes}n{key.ranks}r",
        key.metric,
    ]
    if key.stage and not key.stage.startswith(key.pattern):
        parts.insert(2, key.pattern)
    return "/".join(part.replace("/", "_") for part in parts)


def words_of(key: SeriesKey) -> str:
    """`pairs: sendrecv 64M, 2 nodes, busbw`."""
    where = f"{key.stage or key.pattern}: "
    nodes = f"{key.nodes} node{'s' * (key.nodes != 1)}"
    size = f" {format_size(key.nbytes)}" if key.nbytes else ""
    size += " B" * size.strip().isdigit()
    return f"{where}{key.operation}{size}, {nodes}, {_METRIC_WORDS[key.metric]}"


def told(key: SeriesKey, value: float | None) -> str:
    """A value with its unit."""
    if value is None:
        return "-"
    unit = METRICS[key.metric].unit
    if unit == "s":
        return format_seconds(value)
    return f"{significant(value)} {unit}".strip()
