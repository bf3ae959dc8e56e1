"""A history with everything that was decided of it, before it is put into words."""

from __future__ import annotations

import dataclasses
from functools import cached_property

from railgauge_reports.history.epochs import Opened, numbers
from railgauge_reports.history.history import History
from railgauge_reports.history.matrix import Matrix
from railgauge_reports.history.rule import Flags
from railgauge_reports.history.summary import NightSummary, RunSummary
from railgauge_reports.history.timeline import Timeline
from railgauge_reports.history.walk import Walk


@dataclasses.dataclass(frozen=True, eq=False)
class Decided:
    """`names` [series]; `row` of the night that is judged among those that have values, None: it has none.

    `counts` [series]: no chance among all series of that night.
    """

    history: History
    when: Timeline
    matrix: Matrix
    names: tuple[str, ...]
    epochs: tuple[Opened, ...]
    walked: Walk
    row: int | None
    counts: Flags

    @property
    def tonight(self) -> NightSummary:
        """The night that is judged: of a gap, there is none to judge."""
        summary = self.when.entries[self.when.tonight].summary
        assert summary is not None
        return summary

    @property
    def runs(self) -> tuple[RunSummary, ...]:
        return self.tonight.runs

    @cached_property
    def index_of_row(self) -> dict[int, int]:
        """Row -> index in the answer's nights."""
        return {
            entry.row: index
            for index, entry in enumerate(self.when.entries)
            if entry.row is not None
        }

    @cached_property
    def epoch_of_row(self) -> list[int]:
        """The number of the epoch of every row."""
        return numbers(len(self.when.rows), self.epochs)

    def name_of_row(self, row: int) -> str:
        return self.when.entries[self.index_of_row[row]].name
