"""All charts of a run, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from railgauge_reports.counters import counter_frame
from railgauge_reports.judged import Judged
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.page import congestion, curves, events, matrix
from railgauge_reports.page.chart import Chart
from railgauge_reports.pairs import Pairs
from railgauge_reports.series import series_frame


def charts_of(
    run: LoadedRun, judged: Judged, counters: pd.DataFrame | None = None
) -> tuple[Chart, ...]:
    """Those that there is anything for; `counters` is `counter_frame`, made where it is not given."""
    series = series_frame(run.rows)
    seen = counter_frame(run.stored) if counters is None else counters
    pairs = judged.pairs
    made = [
        curves.bandwidth(series, judged),
        *([] if pairs is None else of_pairs(pairs, judged.suspect_hosts)),
        *of_congestion([(run.stored.plan.pattern, run.rows)]),
        events.counted(seen, run.rows),
        curves.percentiles(series),
    ]
    return tuple(chart for chart in made if chart is not None)


def of_congestion(runs: Sequence[tuple[str, pd.DataFrame]]) -> tuple[Chart, ...]:
    """How fair flows were, and what loads did to others; (pattern, case frame) of each run."""
    made = [congestion.fairness(runs), congestion.impact(runs)]
    return tuple(chart for chart in made if chart is not None)


def of_pairs(pairs: Pairs, suspects: frozenset[str]) -> tuple[Chart, ...]:
    """Who is slow against whom; hosts that are suspected are marked."""
    made = [matrix.matrix(pairs, suspects), matrix.players(pairs), matrix.rails(pairs, suspects)]
    return tuple(chart for chart in made if chart is not None)
