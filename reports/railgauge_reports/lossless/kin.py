"""What is usual among ports of the same type, of which there may be ten thousand."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from functools import lru_cache

from railgauge_reports.lossless.evidence import Evidence, Port

Measure = Callable[[Port], float | None]


@lru_cache(maxsize=8)  # every port of a kind is compared with the same values
def _values(evidence: Evidence, measure: Measure) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for port in evidence.fabric:
        if (value := measure(port)) is not None:
            found.setdefault(port.kin, []).append(value)
    return {kin: sorted(values) for kin, values in found.items()}


def median_of_others(evidence: Evidence, port: Port, measure: Measure, fewest: int) -> float | None:
    """The median over the other ports of its kind; None where fewer than `fewest` have the value."""
    values = _values(evidence, measure).get(port.kin, [])
    own = measure(port)
    n = len(values) - (own is not None)
    if n < max(fewest, 1):
        return None
    skipped = len(values) if own is None else bisect.bisect_left(values, own)

    def ranked(k: int) -> float:
        return values[k + (k >= skipped)]

    return (ranked((n - 1) // 2) + ranked(n // 2)) / 2
