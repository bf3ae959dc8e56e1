"""How long a plan takes on its modelled cluster: what a run of it would say, without the run."""

from __future__ import annotations

import math

from railgauge import patterns
from railgauge.cluster import topology_of
from railgauge.plan import Plan, cases
from railgauge.simulation.model import Model
from railgauge.simulation.run import BETWEEN_SECONDS


def simulated_seconds(plan: Plan) -> float:
    """Seconds of the simulated clock that a run of the plan ends with.

    Faults count as they stand at its beginning; inf where messages cannot pass. With a duration whole
    repetitions, as many as it takes.
    """
    assert plan.cluster is not None
    model = Model(plan)
    where = topology_of(plan.cluster, plan.ranks, plan.leaves)
    moment = model.at(0.0)
    planned, spent = cases(plan), 0.0
    iterations = 1 + (plan.warmup or 0) + (plan.iterations or 1)
    for round_ in patterns.rounds(plan.schedule, where):
        for case in planned:
            made, _ = model.solve(case, round_, moment)
            spent += float(made.groups.max()) * iterations + BETWEEN_SECONDS
    if plan.duration is None or not spent:
        return spent
    return spent * math.ceil(plan.duration / spent)
