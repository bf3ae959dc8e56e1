"""What the page of a gate says, as text and tables: the template only arranges it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from railgauge_reports.cells import NOTHING, cut
from railgauge_reports.history import morning
from railgauge_reports.history.answer import Gate, SeriesState
from railgauge_reports.history.named import Named, named_by
from railgauge_reports.history.tracks import shifts
from railgauge_reports.judged import Finding, Severity
from railgauge_reports.page import nights
from railgauge_reports.page.chart import Grid
from railgauge_reports.page.content import WORST, Fact, FirstScreen
from railgauge_reports.page.gate_charts import MOST_CHARTS, GateCharts, drawn_of
from railgauge_reports.page.gate_tables import (
    by_series_table,
    grid,
    named_table,
    nights_table,
    series_say,
    series_table,
    weekly_says,
    weekly_table,
)

#: Notes, and acknowledgements of the first screen.
MOST_NOTES, _MOST_ACKS = 60, 3
_SEVERITY: dict[str, Severity] = {
    "regression": "fail",
    "changed": "warning",
    "unconfirmed": "warning",
    "outlier": "note",
    "improved": "note",
    "acknowledged": "note",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GatePage(FirstScreen):
    """Everything of the page of a gate; empty tuples and None are sections that are left out."""

    drawn: GateCharts
    weekly: Grid | None
    weekly_says: str
    by_series: Grid | None
    series: Grid
    series_say: str
    nights: Grid
    nights_say: str
    epochs: Grid | None
    acks: Grid | None
    named: Grid | None
    notes: tuple[str, ...]
    beside: bool

    @property
    def heading(self) -> str:
        return "What changed, since when" if self.worst else "Nothing changed"

    @property
    def clean(self) -> str:
        return "Every series that was judged lies within its baseline."


def gate_page(gate: Gate) -> GatePage:
    """The page of a gate. Reads the folders of two nights for who they name."""
    found, moved = named_by(gate), shifts(gate)
    drawn = drawn_of(gate, moved)
    steps = [cut(f"{n.target}: {n.next}", 600) for n in found[:1] if n.next]
    measured = sum(series.value is not None for series in gate.series)
    return GatePage(
        warning=gate.warning,
        word=gate.verdict.word,
        besides=f"night {gate.tonight.name}",
        subtitle=f"nightly gate of {gate.folder}",
        seconds=gate.tonight.started or gate.judged_at,
        coverage=f"{gate.coverage.rstrip('.')}.",
        measured=measured,
        planned=len(gate.series),
        facts=_facts(gate),
        worst=tuple(_findings(gate, found)),
        commands=(*gate.next_commands, *steps),
        advice=frozenset(steps),
        drawn=drawn,
        weekly=weekly_table(gate, moved),
        weekly_says=weekly_says(moved),
        by_series=by_series_table(gate, moved),
        series=series_table(gate, drawn.ordered),
        series_say=series_say(gate),
        nights=nights_table(gate),
        nights_say=morning.counted_nights(gate),
        epochs=grid("Environments, the latest first", morning.EPOCHS, morning.epoch_rows(gate), 5),
        acks=grid("Acknowledgements", morning.ACKS, morning.ack_rows(gate), 7),
        named=named_table(found),
        notes=tuple(cut(told.sentence, 400) for told in gate.told[:MOST_NOTES]),
        beside=not whole(gate),
    )


def whole(gate: Gate) -> bool:
    """Does the page hold every value of every series?"""
    return len(gate.series) <= MOST_CHARTS and len(gate.nights) <= nights.MOST_ROWS


# the first screen -------------------------------------------------------------------------------------


def _findings(gate: Gate, found: Sequence[Named]) -> Iterator[Finding]:
    """What changed, and beside it who the night itself names."""
    states = [series.state for series in gate.series]
    severity: Severity = next((_SEVERITY[s] for s in morning.FLAGGED if s in states), "note")
    told = morning.changes(gate)
    for number, sentence in enumerate(told[:WORST]):
        kind = next((_SEVERITY[state] for state in morning.FLAGGED if state in sentence), severity)
        yield Finding(cut(sentence, 400), kind if number else severity)
        if not number:
            for suspect in found[:2]:
                nights_ = " and ".join(suspect.nights)
                yield Finding(
                    f"Named by night {nights_}: {suspect.words}", "warning", suspect.hosts
                )
    if len(told) > WORST:
        yield Finding(f"{len(told) - WORST} more changes stand below", "note")
    for one in [one for one in gate.told if one.alarms or one.kind == "missing"][:WORST]:
        yield Finding(cut(one.sentence, 400), "warning" if one.alarms else "note")
    for line in morning.epoch_lines(gate)[:1]:
        yield Finding(f"Environment since {line}", "note")
    for ack in gate.acks[:_MOST_ACKS]:
        yield Finding(cut(f"Acknowledged: {ack.sentence}", 400), "note")


def _facts(gate: Gate) -> tuple[Fact, ...]:
    counts = Counter(night.state for night in gate.nights)
    states = Counter(series.state for series in gate.series)
    slow = sum(states[state] for state in morning.WORSE)
    worst = max(gate.series, key=lambda s: s.worse if s.worse is not None else -1.0, default=None)
    bad = worst is not None and worst.worse is not None and worst.worse > 0
    seen = [s.smallest_effect for s in gate.series if s.smallest_effect is not None]
    quiet = f"from {min(seen):.1%} to {max(seen):.1%} by series" if seen else "still learning"
    odd = ", ".join(
        f"{counts[s]} {s}" for s in ("flagged", "changed", "missing", "corrupt") if counts[s]
    )
    return (
        Fact("series slower", f"{slow:,} of {len(gate.series):,}", _words(states)),
        Fact(
            "largest effect",
            f"-{worst.worse:.1%}" if bad and worst and worst.worse is not None else NOTHING,
            cut(worst.words, 80) if bad and worst else "nothing is worse than its baseline",
        ),
        Fact(
            "nights accepted",
            f"{counts['accepted'] + counts['learning']:,} of {len(gate.nights):,}",
            odd or "none flagged, none missing",
        ),
        Fact(
            "smallest effect seen", f"{np.median(seen):.1%}" if seen else NOTHING, f"median; {quiet}"
        ),
    )  # fmt: skip


def _words(states: Counter[SeriesState]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.most_common(3))
