"""A plan on its modelled cluster: what each case takes with the faults of a moment, before any noise."""

from __future__ import annotations

from typing import NamedTuple

from railgauge.plan import Case, Plan
from railgauge.schedules import Round
from railgauge.simulation.effects import Effects, effects_of
from railgauge.simulation.faults import Fault
from railgauge.simulation.machine import Machine
from railgauge.simulation.times import Loaded, Times, loaded, times


class Moment(NamedTuple):
    """The faults that are there, and what they do."""

    faults: tuple[Fault, ...]
    effects: Effects


class Model:
    """Solves what is asked, and keeps of it what the next case of a round asks again."""

    def __init__(self, plan: Plan) -> None:
        assert plan.cluster is not None  # the backend's rules ask for one
        self._plan = plan
        self.machine = Machine(plan.cluster, plan.ranks)
        self._moment: Moment | None = None
        self._round: Round | None = None
        self._solved: dict[tuple[object, ...], list[tuple[str, Loaded]]] = {}

    def at(self, seconds: float) -> Moment:
        """What is amiss at that time of the run."""
        active = tuple(fault for fault in self._plan.faults if fault.at(seconds))
        if self._moment is None or self._moment.faults != active:
            self._moment = Moment(active, effects_of(self.machine, active))
        return self._moment

    def solve(self, case: Case, round_: Round, moment: Moment) -> tuple[Times, Loaded]:
        """Of a case in a round: the times of its groups and flows, and the flows with their rates."""
        if round_ is not self._round:
            self._round, self._solved = round_, {}
        key = (case.operation, case.algorithm, case.root, moment.faults)
        if key not in self._solved:  # what flows get does not depend on the size of their messages
            self._solved[key] = loaded(
                self.machine, moment.effects, case, round_, self._plan.window, self._plan.seed
            )
        choices = self._solved[key]
        made = times(self.machine, moment.effects, case.nbytes, choices, round_.groups)
        return made, next(found for name, found in choices if name == made.algorithm)
