"""Computation beside an operation: as much as was asked for, and its own time alone."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge.compute import KEPT, HostCompute, compute_address
from railgauge.loop import CLOCK, Step, execute, table


def run(compute: HostCompute, rounds: int, times: int = 1) -> None:
    for _ in range(times):
        assert execute(compute.steps(rounds)) == 0


def test_computing_reads_and_writes_its_own_state_alone():
    guarded = np.zeros(1 + 3 + KEPT + 1)
    guarded[[0, -1]] = 5, 9
    guarded[1] = 7
    step = Step(compute_address(), (guarded.ctypes.data + 8, 1000, CLOCK))
    assert execute(table([step])) == 0
    assert guarded[[0, -1]].tolist() == [5, 9]
    value = 7.0
    for _ in range(1000):
        value = value * 0.999999 + 1e-6
    assert guarded[1] == pytest.approx(value)


def test_a_full_ring_of_durations_does_not_run_over():
    guarded = np.zeros(3 + KEPT + 1)
    guarded[-1] = 9
    step = Step(compute_address(), (guarded.ctypes.data, 1, CLOCK))
    for _ in range(3 * KEPT + 5):
        assert execute(table([step])) == 0
    assert guarded[-1] == 9
    assert (guarded[2:-1] >= 0).all()


def test_the_time_of_no_work_is_0():
    assert HostCompute().seconds() == 0


def test_the_time_is_the_median_of_what_was_computed_since_it_was_last_asked_for():
    compute = HostCompute()
    run(compute, 200_000, times=5)
    durations = compute._state[2:7].copy()
    assert compute.seconds() == pytest.approx(float(np.median(durations)) * 1e-9)
    run(compute, 1, times=3)
    durations = compute._state[2:5].copy()
    assert compute.seconds() == pytest.approx(float(np.median(durations)) * 1e-9)


def test_after_more_than_it_keeps_the_latest_durations_count():
    compute = HostCompute()
    run(compute, 1, times=KEPT + 1)
    compute._state[2:] = 7000.0
    run(compute, 0)
    assert compute.seconds() == pytest.approx(7e-6)


def test_two_computations_do_not_share_a_state():
    one, other = HostCompute(), HostCompute()
    run(one, 10)
    assert (one._state[1], other._state[1]) == (1, 0)
