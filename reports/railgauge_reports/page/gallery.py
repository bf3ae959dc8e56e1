"""All charts of a run, in the order of the page."""

from __future__ import annotations

import pandas as pd

from railgauge_reports.counters import counter_frame
from railgauge_reports.judged import Judged
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.page import curves, events, matrix
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
        events.counted(seen, run.rows),
        curves.percentiles(series),
    ]
    return tuple(chart for chart in made if chart is not None)


def of_pairs(pairs: Pairs, suspects: frozenset[str]) -> tuple[Chart, ...]:
    """Who is slow against whom; hosts that are suspected are marked."""
    made = [matrix.matrix(pairs, suspects), matrix.players(pairs), matrix.rails(pairs, suspects)]
    return tuple(chart for chart in made if chart is not None)
