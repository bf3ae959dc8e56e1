"""Offsets between clocks: the bound holds for any trip, and on one host the clocks are the same."""

import json
import subprocess
import sys
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge import clocks
from railgauge.clocks import Clocks, Offset, best_offset
from railgauge.launching.launch import find_launcher
from railgauge.linux import kernel

TRIPS = st.lists(
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1
)


def exchanges(offset, trips, drift=0.0):
    """(sent, answered, received) of trips (sent at, nanoseconds there, nanoseconds back)."""
    made = []
    for sent, there, back in trips:
        other = sent + there
        made.append((sent, round(other * (1 + drift)) + offset, sent + there + back))
    return made


@given(st.integers(-(10**15), 10**15), TRIPS)
def test_half_of_the_shortest_trip_bounds_the_error(offset, trips):
    found = best_offset(exchanges(offset, trips))
    assert abs(found.clock_ns - offset) <= found.uncertainty_ns
    assert found.uncertainty_ns <= min(there + back for _, there, back in trips) / 2 + 1


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**5))
def test_a_symmetric_trip_has_no_error(offset, way):
    assert best_offset(exchanges(offset, [(5, way, way)])) == Offset(offset, way)


def test_one_quick_trip_among_slow_and_crooked_ones_decides():
    crooked = [(at, 90_000, 1_000) for at in range(0, 10**7, 10**6)]
    found = best_offset(exchanges(777, [*crooked, (10**7, 400, 500)]))
    assert found.uncertainty_ns == 450
    assert abs(found.clock_ns - 777) <= 50


@given(st.floats(-1e-4, 1e-4), TRIPS)
def test_a_drifting_clock_is_known_at_the_time_of_the_chosen_exchange(drift, trips):
    made = exchanges(0, trips, drift)
    found = best_offset(made)
    sent, answered, received = min(made, key=lambda e: e[2] - e[0])
    middle = (sent + received) / 2
    assert abs((answered - middle) - found.clock_ns) <= 1
    # the true difference then, give or take half of the trip (stretched by the drift)
    assert abs(found.clock_ns - middle * drift) <= found.uncertainty_ns * (1 + abs(drift)) + 2


def test_a_hidden_kernel_means_no_synchronisation(monkeypatch):
    class Hidden:
        def all_gather(self, value):
            return [value, ""]

        places = tuple(types.SimpleNamespace(rank=r, node=r) for r in range(2))

    monkeypatch.setattr(clocks, "boot_id", lambda: "kernel")
    assert clocks.synchronise(Hidden()) is None
    Hidden.places = Hidden.places[:1]  # a node has one kernel, and one clock
    assert clocks.synchronise(Hidden()) == Offset(0, 0)


def test_a_kernel_without_a_boot_id_is_hidden(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "BOOT_ID", tmp_path / "missing")
    assert kernel.boot_id() == ""


@pytest.fixture
def nodes(monkeypatch):
    """Clocks whose measurements are the offsets of a list, and a time that the test sets."""
    offsets = []
    now = types.SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(clocks, "synchronise", lambda _: offsets.pop(0))
    monkeypatch.setattr(clocks, "time", types.SimpleNamespace(monotonic=lambda: now.seconds))
    world = types.SimpleNamespace(maximum=lambda values: values)
    return types.SimpleNamespace(made=Clocks(world), offsets=offsets, now=now)


def test_drifting_clocks_are_measured_again_when_that_is_old(nodes):
    nodes.offsets += [Offset(5000, 300), Offset(5010, 400)]
    nodes.made.start()
    nodes.now.seconds += clocks.REFRESH_SECONDS / 2
    assert nodes.made.refresh()
    assert nodes.made.offset == Offset(5000, 300)
    nodes.now.seconds += clocks.REFRESH_SECONDS / 2
    assert nodes.made.refresh()
    assert nodes.made.offset == Offset(5010, 400)


def test_the_bound_holds_until_the_next_measurement_or_that_is_said(nodes):
    nodes.offsets += [Offset(5000, 300), Offset(5000, 600), Offset(5000, 601)]
    nodes.made.start()
    for kept in (True, False):
        nodes.now.seconds += clocks.REFRESH_SECONDS
        assert nodes.made.refresh() is kept
        error = nodes.made.offset.uncertainty_ns + clocks.DRIFT_NS
        assert (error <= nodes.made.bound_ns) is kept


@pytest.mark.parametrize(("offset", "bound"), [(Offset(0, 0), 0), (None, None)])
def test_one_clock_and_incomparable_ones_are_measured_once(nodes, offset, bound):
    nodes.offsets.append(offset)
    nodes.made.start()
    nodes.now.seconds += 1e6
    assert nodes.made.refresh()
    assert nodes.made.bound_ns == bound


#: Two ranks of one host that take themselves for two nodes, and measure their offset.
TWO_NODES = """
import json, types
from mpi4py import MPI
from railgauge import clocks
from railgauge.mpi.library import MpiGroup, MpiWorld
world = MpiWorld()
places = [types.SimpleNamespace(rank=r, node=r) for r in range(world.size)]
apart = types.SimpleNamespace(
    all_gather=world.all_gather, places=places, leaders=world, node=MpiGroup(MPI.COMM_SELF)
)
made = world.gather([clocks.synchronise(apart, always=a) for a in (True, False)])
if made:
    print(json.dumps(made))
"""


@pytest.mark.mpi
def test_two_ranks_of_one_host_find_no_offset_beyond_the_bound(library):
    launcher = find_launcher()
    if library.python != sys.executable:
        pytest.skip("the control plane is the same; one library is enough")
    done = subprocess.run(
        launcher.argv(2, [library.python, "-c", TWO_NODES]),
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    ((zero, _), (measured, assumed)) = json.loads(done.stdout)
    assert zero == [0, 0]
    assert 0 < measured[1] < 10**7
    assert abs(measured[0]) <= measured[1]
    assert assumed == [0, 0]  # one kernel, one clock
