"""How long a disturbance lasted: pure functions of a series."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge_reports.frames import case_frame
from railgauge_reports.recovery import Recovery, disturbed, recovery
from railgauge_reports.stored import read_run


def series(*parts):
    """(ends, seconds) of parts (seconds each, how many)."""
    took = np.concatenate([np.full(count, each) for each, count in parts])
    return 100 + np.cumsum(took), took


def test_a_steady_series_was_not_disturbed():
    assert recovery(*series((0.01, 500))) is None
    assert recovery(*series((0.01, 5))) is None
    assert recovery(np.zeros(0), np.zeros(0)) is None


def test_a_stall_is_a_disturbance_that_lasts_as_long_as_it_does():
    found = recovery(*series((0.01, 200), (0.75, 1), (0.01, 300)))
    assert found.begin_seconds == pytest.approx(2.0, abs=0.11)
    assert found.seconds == pytest.approx(0.75, abs=0.15)
    assert 1 <= found.iterations <= 11


def test_a_worse_iteration_much_later_is_not_the_begin_of_the_first_disturbance():
    found = recovery(*series((0.01, 200), (0.4, 1), (0.01, 300), (0.9, 1), (0.01, 300)))
    assert found.begin_seconds == pytest.approx(2.0, abs=0.11)
    assert found.seconds == pytest.approx(0.4, abs=0.15)


def test_a_slow_beginning_hides_no_disturbance_behind_it():
    assert recovery(*series((0.05, 8), (0.01, 500))) is None
    found = recovery(*series((0.05, 8), (0.01, 300), (0.75, 1), (0.01, 300)))
    assert found.begin_seconds == pytest.approx(3.4, abs=0.11)


def test_stamps_that_are_years_apart_are_no_series():
    assert recovery(np.array([1.0, 9e9]), np.array([0.5, 0.5])) is None


def test_after_an_outage_the_rate_must_hold_for_a_second():
    found = recovery(*series((0.01, 200), (0.5, 1), (0.01, 50), (0.5, 1), (0.01, 300)))
    assert found.seconds == pytest.approx(0.5 + 0.5 + 0.5, abs=0.2)


def test_a_rate_that_never_comes_back_has_no_recovery():
    found = recovery(*series((0.01, 400), (0.03, 50)))
    assert found == Recovery(pytest.approx(4.0, abs=0.11), None, pytest.approx(50, abs=11))


def test_recovery_is_counted_from_an_event_that_is_known():
    ends, took = series((0.01, 200), (0.5, 1), (0.01, 300))
    found = recovery(ends, took, event=101.9)
    assert found.begin_seconds == pytest.approx(1.9)
    assert found.seconds == pytest.approx(0.6, abs=0.11)


def test_the_disturbed_of_many_series_are_those_that_have_to_recover():
    random = np.random.default_rng(1)
    took = np.exp(random.normal(-4.6, 0.1, (40, 120)))
    took[::3, 60] += random.uniform(0, 0.5, len(took[::3]))
    took[1] *= 10
    took[4] /= 100  # too short to tell
    ends = 50 + np.cumsum(took, axis=1)
    took[7, 50] = ends[7, 50] = -3.0  # of a damaged file
    alone = {k for k in range(40) if recovery(ends[k], took[k])}
    found = set(disturbed(ends, took).tolist())
    assert alone - {7} == found - {7}
    assert 7 in found
    assert 5 < len(alone) < 20
    assert disturbed(ends[:, :1], took[:, :1]).tolist() == []


@pytest.mark.parametrize("slow", [1.0, 1.5, 1.9, 2.1, 2.6, 4.0])
def test_no_series_is_passed_over_that_has_to_recover(slow):
    random = np.random.default_rng(int(slow * 10))
    gaps = 0.03 * random.uniform(1, slow, (60, 100))
    gaps[:, 60:] *= random.uniform(1, slow, (60, 1))
    took = gaps * random.uniform(0.01, 1, (60, 1))  # a pause before each iteration but the first
    ends = gaps.cumsum(axis=1)
    ends += (took[:, 0] - ends[:, 0])[:, None]
    found = [k for k in range(60) if recovery(ends[k], took[k])]
    assert disturbed(ends, took).tolist() == found
    assert bool(found) == (slow > 2.5)


@pytest.mark.parametrize("pattern", ["world", "pairs"])
def test_the_rows_of_a_run_say_when_it_was_disturbed_and_for_how_long(start, pattern):
    run = start(pattern=pattern, sizes=(8,))
    took = np.full(800, 0.01)
    took[200] = 0.75

    exits = np.cumsum(np.round(took * 1e9)).astype(np.int64)
    one = np.stack([exits - np.round(took * 1e9).astype(np.int64), exits], axis=-1)

    run.result(run.cases[0], lambda group: np.stack([one] * len(group)))
    rows = case_frame(read_run(run.end()))
    assert rows["disturbed_at_seconds"].tolist() == pytest.approx([2.0] * len(rows), abs=0.11)
    assert rows["recovery_seconds"].tolist() == pytest.approx([0.75] * len(rows), abs=0.15)
