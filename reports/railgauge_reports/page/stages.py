"""Charts of the stages of an acceptance, from the runs in its folder, within a budget for all of them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from railgauge_reports.acceptance.answer import StageResult
from railgauge_reports.acceptance.judge import Accepted, read_acceptance
from railgauge_reports.acceptance.rows import Rows, rows_of
from railgauge_reports.counters import counter_frame
from railgauge_reports.judged import Judged
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.page import curves, events, gallery, scaling
from railgauge_reports.page.chart import Chart
from railgauge_reports.pairs import pairs_of
from railgauge_reports.series import series_frame

#: Bytes of all charts and their tables together: with the library and the text it makes less than 3 MB.
MOST_BYTES = 1_200_000
MOST_CELL = 200  # characters of a cell that the page shows
#: Which charts go first where not all have room.
_FIRST = (*("pairs", "scaling", "bandwidth", "fairness", "impact", "counters", "players", "rails"),)
#: Patterns whose rows are one kind of thing, so that curves over size and nodes mean something.
_CURVED = ("nodes", "world")


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A stage's charts; `left` are titles of those without room, `whole` commands for a run's own page."""

    name: str
    charts: tuple[Chart, ...]
    left: tuple[str, ...]
    whole: tuple[str, ...]


def drawn_of(folder: Path, stages: Sequence[StageResult]) -> tuple[Drawn, ...]:
    """The stages that there is anything to draw of; one stage's runs are in memory at a time."""
    made = [(stage, tuple(_charts(folder, stage))) for stage in stages if stage.folders]
    sized = sorted(
        ((stage.name, chart) for stage, charts in made for chart in charts),
        key=lambda entry: _FIRST.index(entry[1].name),
    )
    spent, kept = 0, set()
    for name, chart in sized:
        size = weight(chart)
        if spent + size <= MOST_BYTES:
            spent += size
            kept.add((name, chart.name))
    return tuple(
        Drawn(
            stage.name,
            tuple(
                dataclasses.replace(chart, name=f"{stage.name}-{chart.name}")
                for chart in charts
                if (stage.name, chart.name) in kept
            ),
            tuple(chart.title for chart in charts if (stage.name, chart.name) not in kept),
            (_whole(folder / stage.folders[-1]),),
        )
        for stage, charts in made
        if charts
    )


def _whole(run: Path) -> str:
    return f"railgauge report {shlex.quote(str(run))} --format html --output {shlex.quote(run.name)}.html"


def weight(chart: Chart) -> int:
    """Bytes in the page, about."""
    cells = (min(len(cell), MOST_CELL) + 10 for row in chart.grid.rows for cell in row)
    return len(msgspec.json.encode((chart.spec, chart.packed()))) + sum(cells)


def _charts(folder: Path, stage: StageResult) -> Iterator[Chart]:
    accepted = read_acceptance(folder, stage.name, follow_ups=False)
    runs = {name: accepted.runs[name] for name in stage.folders if name in accepted.runs}
    if not runs:
        return
    last = list(runs.values())[-1]
    hosts = frozenset(host for suspect in stage.suspects for host in suspect.hosts)
    if (pairs := pairs_of(last)) is not None:
        yield from gallery.of_pairs(pairs, hosts)
    elif all(run.stored.plan.pattern in _CURVED for run in runs.values()):
        yield from _curves(_rows(accepted, runs), last)
    yield from gallery.of_congestion([(run.stored.plan.pattern, run.rows) for run in runs.values()])
    counted = events.counted(counter_frame(last.stored), last.rows)
    if counted is not None:
        yield counted


def _rows(accepted: Accepted, runs: dict[str, LoadedRun]) -> Rows:
    frames = [(name, run.stored.plan, run.rows) for name, run in runs.items()]
    return rows_of(frames, *accepted.cluster)


def _curves(rows: Rows, last: LoadedRun) -> Iterator[Chart]:
    """Over nodes, and over sizes at the largest number of them."""
    scales = scaling.scales_of(rows)
    over_nodes = scaling.scaling(scales)
    if over_nodes is not None:
        yield over_nodes
    if scales.frame["nbytes"].nunique() < 2:
        return
    nodes = int(scales.frame["nodes"].max())
    of_size = Judged(
        (), expected=scales.bands(nodes), unexpected=f"no expectation: {scales.reason}"
    )
    over_sizes = curves.bandwidth(series_frame(last.rows), of_size)
    if over_sizes is not None:
        among = f"Bandwidth against size, groups of {nodes:,} node{'s' * (nodes > 1)}"
        yield dataclasses.replace(over_sizes, title=among)
