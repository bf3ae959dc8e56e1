"""A trial of a whole profile: the acceptance that it runs names what was planted."""

from __future__ import annotations

from railgauge.simulation import faults
from railgauge_reports.power.accepted import profile_trials
from railgauge_reports.power.matching import NAMED


def test_a_profile_names_a_slow_nic_and_nobody_else():
    attempt = profile_trials("quick", "h100", 8, ("sweep.sizes=256M",))
    made = attempt((faults.DegradedCable(node="node0003", nic=2, share=0.5),), 7)
    assert made.match.outcomes == (("degraded_cable", NAMED),)
    assert (made.match.false, made.hung) == ((), False)
    assert made.seconds > 0


def test_a_dead_rail_is_named_as_a_rail_and_not_as_every_node_that_has_it():
    attempt = profile_trials("quick", "h100", 16, ("sweep.sizes=256M",))
    made = attempt((faults.DeadRail(rail=2),), 3)
    assert made.match.outcomes == (("dead_rail", NAMED),)
    assert made.match.false == ()
