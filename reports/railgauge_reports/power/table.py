"""What a study of power says, for people and for machines."""

from __future__ import annotations

import json
from typing import Any

from railgauge.cluster import Cluster
from railgauge.units import format_seconds
from railgauge_reports.cells import align
from railgauge_reports.power.study import Interval, Power, rate

_HEADER = ("fault", "planted", "named", "recall", "95 % interval", "in a class", "missed")


def as_object(words: str, cluster: Cluster, made: Power) -> str:
    """One JSON object."""
    found: dict[str, Any] = {
        "simulated": True,
        "cluster": cluster.describe(),
        "plan": words,
        "faults": [
            {
                "kind": recall.kind,
                "planted": recall.planted,
                "named": recall.named,
                "in_a_class": recall.in_a_class,
                "recall": _bounds(recall.recall),
            }
            for recall in made.recalls
        ],
        "runs": made.runs,
        "false_suspects": made.false,
        "false_a_run": _bounds(rate(made.false, made.runs)) if made.runs else None,
        "clean_runs": made.clean_runs,
        "clean_false_suspects": made.clean_false,
        "clean_false_a_run": _bounds(rate(made.clean_false, made.clean_runs))
        if made.clean_runs
        else None,
        "hung": made.hung,
        "rounds": made.rounds,
        "seconds": made.seconds,
        "node_hours": made.node_hours,
    }
    return json.dumps(found)


def as_text(words: str, cluster: Cluster, made: Power) -> str:
    """A table, and sentences below it."""
    lines = [
        f"SIMULATED: {cluster.describe()}; {words}",
        "",
    ]
    if made.recalls:
        body = [
            (
                recall.kind,
                str(recall.planted),
                str(recall.named),
                f"{recall.recall.value:.1%}",
                f"{recall.recall.low:.1%} - {recall.recall.high:.1%}",
                str(recall.in_a_class),
                str(recall.planted - recall.named - recall.in_a_class),
            )
            for recall in made.recalls
        ]
        lines += [*align(_HEADER, body), ""]
    for when, false, runs in (
        ("with faults", made.false, made.runs),
        ("without a fault", made.clean_false, made.clean_runs),
    ):
        if runs:
            lines.append(
                f"false suspects in {runs} runs {when}: {false} ({_words(rate(false, runs))} a run)"
            )
    if made.hung:
        lines.append(f"{made.hung} runs hung, which is seen at once (exit 5)")
    lines.append(
        f"a run: {made.rounds:.1f} measurements, {format_seconds(made.seconds)},"
        f" {made.node_hours:.3g} node-hours"
    )
    return "\n".join(lines)


def _bounds(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def _words(interval: Interval) -> str:
    return f"{interval.value:.2g}, 95 % interval {interval.low:.2g} - {interval.high:.2g}"
