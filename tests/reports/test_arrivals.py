from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from railgauge_reports.arrivals import judge_arrivals, judge_series, lateness_ns
from railgauge_reports.findings import slow_arrivals
from railgauge_reports.frames import case_frame
from railgauge_reports.loaded import load

DELAY_NS = 100_000


def collective(ranks=4, iterations=400, late=(), by=None, seed=1):
    """Stamps int64 [ranks, iterations, 2] of a collective of 3 us that waits for its last rank.

    Ranks enter within 0.5 us; `by[k]` (default: always rank 2) enters DELAY_NS later in late[k].
    """
    random = np.random.default_rng(seed)
    begin = np.arange(iterations) * 1_000_000
    entry = begin + random.integers(0, 500, (ranks, iterations))
    for k, iteration in enumerate(late):
        entry[by[k] if by is not None else 2, iteration] += DELAY_NS
    leave = entry.max(axis=0) + 3_000 + random.integers(0, 200, (ranks, iterations))
    return np.stack([entry, leave], axis=2)


def judged(stamps, uncertainty=1_000):
    ranks = range(len(stamps))
    hosts = [f"n{rank}" for rank in ranks]
    return judge_arrivals(stamps[:, :, 0], stamps[:, :, 1], list(ranks), hosts, uncertainty)


def test_the_rank_that_arrives_last_is_named_with_its_host_and_lateness():
    found = judged(collective(late=range(0, 400, 10)))
    assert found.late is not None
    assert (found.late.rank, found.late.host) == (2, "n2")
    assert found.late.lateness_seconds == pytest.approx(100e-6, rel=0.02)
    assert found.late.lateness_p90_seconds == pytest.approx(100e-6, rel=0.02)
    assert (found.late.iterations, found.late_iterations, found.iterations) == (40, 40, 400)


def test_the_culprits_own_call_is_the_shortest():
    found = judged(collective(late=range(0, 400, 10)))
    assert found.late is not None
    assert found.late.shortest == found.late.iterations


def test_a_rank_that_is_late_in_every_iteration_is_named_too():
    found = judged(collective(late=range(400)))
    assert found.late is not None
    assert found.late.rank == 2


def test_two_ranks_are_enough_to_name_one():
    found = judged(collective(ranks=2, late=range(0, 400, 10), by=[1] * 40))
    assert found.late is not None
    assert found.late.rank == 1


def test_without_synchronised_clocks_nobody_is_named_but_somebody_was_late():
    found = judged(collective(late=range(0, 400, 10)), uncertainty=None)
    assert found.late is None
    assert found.late_iterations == 40
    assert "not synchronised" in found.nobody


def test_a_lateness_near_the_error_of_the_clocks_names_nobody():
    assert judged(collective(late=range(0, 400, 10)), uncertainty=20_000).late is None


def test_a_healthy_collective_names_nobody():
    found = judged(collective())
    assert found.late is None
    assert found.late_iterations == 0


def test_ranks_that_are_late_by_turns_name_nobody():
    late = range(0, 400, 10)
    found = judged(collective(late=late, by=[k % 4 for k in range(len(late))]))
    assert found.late is None
    assert found.late_iterations == 40
    assert "consistently" in found.nobody


def test_three_late_iterations_may_be_luck_and_name_nobody():
    assert judged(collective(late=(5, 100, 200))).late is None


def test_a_large_operation_is_not_slow_because_of_a_small_lateness():
    stamps = collective(late=range(0, 400, 10))
    stamps[:, :, 1] += 10_000_000  # 10 ms of transfer
    assert judged(stamps).late is None


def test_a_late_leaf_that_nobody_waits_for_is_not_accused():
    stamps = collective(late=range(0, 400, 10))
    stamps[:, :, 1] = stamps[:, :, 0] + 3_000  # as in a broadcast: everybody leaves at once
    assert judged(stamps).late is None


def test_one_rank_alone_is_never_late():
    assert judged(collective(ranks=1, late=())).late is None


def test_a_delay_of_100_us_on_one_rank_is_100_us_in_the_report(start):
    run = start(sizes=(8,), clock=500)
    run.result(run.cases[0], lambda group: collective(len(group), late=range(0, 400, 10)))
    row = case_frame(run.end()).iloc[0]
    assert row["max_seconds"] == pytest.approx(103e-6, rel=0.02)
    assert row["median_seconds"] == pytest.approx(3.5e-6, rel=0.1)
    assert (row["slowest_rank"], row["slowest_host"], row["slowest_iterations"]) == (2, "n1", 40)
    assert row["lateness_seconds"] == pytest.approx(100e-6, rel=0.02)
    (sentence,) = slow_arrivals(load(run.path))
    assert sentence.startswith("rank 2 on n1 arrived last in 40 of 400 iterations (1 row): 100 us")


def test_the_report_names_nobody_without_synchronised_clocks(start):
    run = start(sizes=(8,), clock=None)
    run.result(run.cases[0], lambda group: collective(len(group), late=range(0, 400, 10)))
    row = case_frame(run.end()).iloc[0]
    assert pd.isna(row["slowest_rank"])
    assert row["late_iterations"] == 40
    (sentence,) = slow_arrivals(load(run.path))
    assert "nobody is named: the clocks of the nodes are not synchronised" in sentence


def test_ranks_of_a_rooted_operation_leave_apart_and_are_not_late_without_clocks(start):
    run = start(sizes=(8,), operations=("reduce",), clock=None)
    run.result(run.cases[0], lambda group: collective(len(group), late=range(0, 400, 10)))
    assert pd.isna(case_frame(run.end()).iloc[0]["late_iterations"])
    assert slow_arrivals(load(run.path)) == []


@pytest.mark.parametrize("uncertainty", [0, 1_000, None])
def test_series_side_by_side_are_judged_as_each_alone(uncertainty):
    alike = {"ranks": 3, "iterations": 60}
    stamps = np.stack(
        [
            collective(**alike),
            collective(late=range(0, 60, 2), **alike, seed=2),
            collective(late=range(25), by=[1] * 25, **alike, seed=3),
            collective(late=range(60), by=[0, 1, 2] * 20, **alike, seed=4),
            collective(late=range(5), **alike, seed=5),
        ]
    )
    made = judge_series(stamps[..., 0], stamps[..., 1], uncertainty)
    hosts = ["n0", "n1", "n2"]
    found = [made.of(k, range(3), hosts) for k in range(len(stamps))]
    assert found == [judged(own, uncertainty) for own in stamps]
    named = [one.late and one.late.rank for one in found]
    assert named == ([None, 2, 1, None, None] if uncertainty is not None else [None] * 5)


def test_two_ranks_are_late_by_what_lies_between_them():
    entries = np.random.default_rng(3).integers(-(1 << 40), 1 << 40, (50, 2, 30))
    entries[:, :, ::7] = entries[:, :1, ::7]  # of equals the first one
    lateness, last = lateness_ns(entries)
    thrice = lateness_ns(entries[:, [0, 1, 0]])  # by the median of the others
    assert (last == entries.argmax(axis=1)).all()
    assert (lateness == np.ptp(entries, axis=1)).all()
    first_leads = last == 1
    assert (thrice[0][first_leads] == lateness[first_leads]).all()
