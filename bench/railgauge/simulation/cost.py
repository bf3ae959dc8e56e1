"""How long a plan takes on its modelled cluster: what a run of it would say, without the run."""

from __future__ import annotations

import math

from railgauge import patterns
from railgauge.cluster import topology_of
from railgauge.plan import Plan, cases
from railgauge.simulation.effects import effects_of
from railgauge.simulation.machine import Machine
from railgauge.simulation.run import BETWEEN_SECONDS
from railgauge.simulation.times import loaded, times


def simulated_seconds(plan: Plan) -> float:
    """Seconds of the simulated clock that a run of the plan ends with.

    Faults count as they stand at its beginning; inf where messages cannot pass. With a duration whole
    repetitions, as many as it takes.
    """
    assert plan.cluster is not None
    machine = Machine(plan.cluster, plan.ranks)
    where = topology_of(plan.cluster, plan.ranks, plan.leaves)
    effects = effects_of(machine, [fault for fault in plan.faults if fault.at(0.0)])
    planned, spent = cases(plan), 0.0
    iterations = 1 + (plan.warmup or 0) + (plan.iterations or 1)
    for round_ in patterns.rounds(plan.schedule, where):
        solved = {}
        for case in planned:
            key = (case.operation, case.algorithm, case.root)
            if key not in solved:
                solved[key] = loaded(machine, effects, case, round_, plan.window, plan.seed)
            made = times(machine, effects, case.nbytes, solved[key], round_.groups)
            spent += float(made.groups.max()) * iterations + BETWEEN_SECONDS
    if plan.duration is None or not spent:
        return spent
    return spent * math.ceil(plan.duration / spent)
