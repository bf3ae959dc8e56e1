"""When a size is warm, and when a sample is enough.

Both look at geometrically growing amounts of data, so that the number of looks (each of which
may stop by luck) grows with the logarithm of the sample only.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from railgauge.plan import Plan
from railgauge.statistics import Samples, relative_width

MAX_ITERATIONS = 20_000  # an adaptive series ends here at the latest
MIN_ITERATIONS = 32
GROWTH = 1.5
STEADY = 0.05  # warm: the last chunk's median within 5 % of the best chunk before it
WARMUP_SHARE = 0.2  # of the budget
CHUNK_SECONDS = 0.25  # signals and time limits are obeyed between chunks


@dataclasses.dataclass
class Warmup:
    """Chunks of 1, 2, 4, ... iterations until two in a row agree; or a fixed count."""

    plan: Plan
    done: int = 0
    seconds: float = 0.0
    _best: float = np.inf
    _agreed: int = 0

    def next_chunk(self, largest: int) -> int:
        """Iterations to run now, 0 when warm (or when share or count are used up)."""
        if self.plan.warmup is not None:
            return min(self.plan.warmup - self.done, largest)
        spent = self.seconds >= WARMUP_SHARE * self.plan.budget
        if (self.done >= MIN_ITERATIONS and (self._agreed >= 2 or spent)) or (
            spent and self.done >= 2
        ):
            return 0
        return max(1, min(self.done, largest, 1024))

    def add(self, samples: Samples) -> None:
        """Count a chunk's samples (seconds; the group's maxima)."""
        self.done += len(samples)
        self.seconds += float(samples.sum())
        middle = float(np.median(samples))
        self._agreed = (
            self._agreed + 1
            if middle >= self._best * (1 - STEADY) and middle <= self._best * (1 + STEADY)
            else 0
        )
        self._best = min(self._best, middle)

    @property
    def steady(self) -> bool:
        return self._agreed >= 2


@dataclasses.dataclass
class Stopping:
    """Sample until the median is known to `precision`, or the budget is used up."""

    plan: Plan
    done: int = 0
    reason: str = ""
    _next_look: int = MIN_ITERATIONS

    def target(self) -> int:
        """Iterations to have before the next look."""
        return self.plan.iterations or self._next_look

    def look(self, series: list[Samples], elapsed: float) -> str:
        """Why to stop (`count`, `precision`, `budget`, `limit`), empty to go on.

        `series` holds one array of per-iteration maxima (seconds) for each group this rank sees.
        """
        if self.plan.iterations is not None:
            return "count" if self.done >= self.plan.iterations else ""
        if elapsed >= self.plan.budget:
            return "budget"
        if self.done < self._next_look:
            return ""
        self._next_look = min(int(self.done * GROWTH) + 1, MAX_ITERATIONS)
        if all(relative_width(samples) <= self.plan.precision for samples in series):
            return "precision"
        return "limit" if self.done >= MAX_ITERATIONS else ""
