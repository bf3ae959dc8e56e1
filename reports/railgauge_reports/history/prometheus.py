"""What the gate says of a night as gauges: no series, host or night is a label, of operations so many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Gauge

from railgauge_reports.history.answer import Gate, Night, NightState, SeriesState
from railgauge_reports.history.verdicts import ORDER

#: Operations and metrics that have series of their own.
MOST_GROUPS = 32


def of_gate(gate: Gate, registry: CollectorRegistry) -> None:
    """Put the gauges of a gate there."""
    simulated = str(gate.simulated).lower()

    def gauge(name: str, told_of: str, *labels: str) -> Gauge:
        return Gauge(f"railgauge_gate_{name}", told_of, ("simulated", *labels), registry=registry)

    gauge("info", "The gate, always 1", "version").labels(simulated, gate.version).set(1)
    state = gauge("verdict", "1 for the verdict of the night, 0 for the others", "verdict")
    for word in dict.fromkeys((*(verdict.word for verdict in ORDER), gate.verdict.word)):
        state.labels(simulated, word).set(word == gate.verdict.word)
    nights = gauge("nights", "Nights of the history by state", "state")
    for word in get_args(NightState):
        nights.labels(simulated, word).set(sum(night.state == word for night in gate.nights))
    singles = {
        "exit_code": ("Exit code of the verdict, 0 is PASS", gate.verdict.exit_code),
        "series": ("Series that were judged", len(gate.series)),
        "epochs": ("Environments that the history has seen", len(gate.epochs)),
        "acknowledgements": ("That hold tonight", sum(a.state == "holds" for a in gate.acks)),
        "completion_timestamp_seconds": ("When the gate was asked", gate.judged_at),
    }
    since = _nights_since_accepted(gate.nights[: gate.night + 1])
    if since is not None:
        told = "Nights since the last one that was accepted whole, 0 is this night"
        singles["nights_since_accepted"] = (told, since)
    if gate.tonight.started is not None:
        singles["night_timestamp_seconds"] = ("When the night began", gate.tonight.started)
    for name, (told, value) in singles.items():
        gauge(name, told).labels(simulated).set(value)
    _by_operation(gate, gauge)


def _nights_since_accepted(nights: Sequence[Night]) -> int | None:
    """None where no night was."""
    for since, night in enumerate(reversed(nights)):
        if night.state == "accepted":
            return since
    return None


def _by_operation(gate: Gate, gauge: Callable[..., Gauge]) -> None:
    """Of each operation and metric: how many series are in which state, and the worst of them."""
    simulated = str(gate.simulated).lower()
    keys = sorted({(series.key.operation, series.key.metric) for series in gate.series})
    labels = ("operation", "metric")
    states = gauge("series_state", "Series of the night by state", *labels, "state")
    worst = gauge(
        "worst_ratio", "By which share the worst series is worse than its baseline", *labels
    )
    seen = gauge("smallest_effect_ratio", "The smallest effect that all series would show", *labels)
    for key in keys[:MOST_GROUPS]:
        own = [s for s in gate.series if (s.key.operation, s.key.metric) == key]
        for word in get_args(SeriesState):
            states.labels(simulated, *key, word).set(sum(s.state == word for s in own))
        if losses := [s.worse for s in own if s.worse is not None]:
            worst.labels(simulated, *key).set(max(losses))
        if effects := [s.smallest_effect for s in own if s.smallest_effect is not None]:
            seen.labels(simulated, *key).set(max(effects))
    left = gauge("operations_left_out", "Operations and metrics that have no series here")
    left.labels(simulated).set(max(0, len(keys) - MOST_GROUPS))
