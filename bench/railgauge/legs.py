"""A leg: iterations right after the other, timed by the host's clock."""

from __future__ import annotations

import numpy as np

from railgauge.loop import CLOCK, Table, back_to_back_loop
from railgauge.world import Batch


class HostLeg:
    """One stamp an iteration, where this rank is `timed`."""

    def __init__(self, programs: Table, timed: bool) -> None:
        self._programs, self._timed = programs, timed
        self.sets = len(programs)

    def run(self, iterations: int, cells: Table) -> tuple[int, Table]:
        """See `railgauge.world.Leg`: int64 [iterations, 1]."""
        stamps = np.zeros(iterations + 1, np.int64)
        code = back_to_back_loop(CLOCK, self._programs, cells, stamps, self._timed)
        return code, np.diff(stamps)[:, None]

    def batch(self, iterations: int, cells: Table) -> tuple[int, Batch | None]:
        """Nothing: where no device works behind the host's back the durations add up."""
        del iterations, cells
        return 0, None
