"""Two readings are subtracted as the counter counts; what cannot be known is never a 0."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge import counting
from railgauge.counting import Change, Kind, Place, Reading, Roots, Snapshot, difference
from railgauge.errors import UsageError

WORDS = st.integers(0, 2**32 - 1)


@given(before=WORDS, more=WORDS)
def test_what_wraps_is_counted_over_its_end(before, more):
    kind = Kind(bits=32, arithmetic="wrap")
    assert difference(kind, before, (before + more) % 2**32) == (more, "")


@given(before=st.integers(0, 14), more=st.integers(0, 40))
def test_what_saturates_says_at_least_where_it_stands_at_its_end(before, more):
    after = min(15, before + more)
    delta, note = difference(Kind(bits=4, arithmetic="saturate"), before, after)
    assert delta == after - before <= more
    assert note == ("at least" if after == 15 else "")
    assert (delta == more) or note


def test_what_stood_at_its_end_before_tells_nothing():
    kind = Kind(bits=4, arithmetic="saturate")
    assert difference(kind, 15, 15) == (None, "saturated")
    assert difference(kind, 15, 3) == (None, "reset")


@pytest.mark.parametrize("arithmetic", ["free", "saturate"])
def test_a_counter_that_went_back_was_reset(arithmetic):
    assert difference(Kind(bits=16, arithmetic=arithmetic), 9, 4) == (None, "reset")


def test_a_gauge_is_never_subtracted():
    assert difference(Kind(arithmetic="gauge"), 7, 3) == (7, "")
    assert difference(Kind(arithmetic="gauge"), 3, 7) == (7, "")


def test_a_state_is_told_only_where_it_changes():
    kind = Kind(arithmetic="state")
    assert difference(kind, 16, 8) == (8, "")
    place = Place("pcie", "0000:10:00.0")
    stands, fell = (Change(place, "width", kind, 16, b, b) for b in (16, 8))
    assert (stands.moved, fell.moved) == (False, True)
    assert fell.rate(1.0) is None
    assert not kind.counts


@given(values=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1))
def test_what_moved_is_the_same_whether_or_not_the_rest_is_told(values):
    names = ("excessive_buffer_overrun_errors", "db_fifo_register", "out_of_sequence")
    both = [
        rdma({names[k % 3]: pair[way] for k, pair in enumerate(values)}, {"x": "refused"})
        for way in range(2)
    ]
    before, after = (Snapshot(k, (reading,)) for k, reading in enumerate(both))
    moved = [change for change in counting.changes(before, after) if change.moved]
    assert list(counting.changes(before, after, still=False)) == moved


def test_steps_become_the_unit():
    assert difference(Kind(unit="B", scale=4), 10, 15) == (20, "")


def rdma(values, unknown=None, device="mlx5_0"):
    place = Place("rdma", device, 1)
    return Reading(place, values, unknown or {}, {"driver": "mlx5_core"})


def told(before, after):
    found = counting.changes(Snapshot(0, before), Snapshot(1, after))
    return {change.name: (change.delta, change.note) for change in found}


def test_kinds_come_from_the_source_of_each_place():
    before = rdma({"out_of_sequence": 2**32 - 1, "symbol_error": 5, "port_rcv_data": 1})
    after = rdma({"out_of_sequence": 4, "symbol_error": 65535, "port_rcv_data": 3})
    assert told((before,), (after,)) == {
        "out_of_sequence": (5, ""),
        "symbol_error": (65530, "at least"),
        "port_rcv_data": (8, ""),
    }


def test_what_vanishes_appears_or_cannot_be_read_has_no_delta():
    before = rdma({"gone": 1, "refused": 1}, {"late": "no permission", "never": "x"})
    after = rdma({"late": 2, "new": 3}, {"refused": "no permission", "never": "x"})
    assert told((before,), (after,)) == {
        "gone": (None, "vanished"),
        "refused": (None, "unknown"),
        "late": (None, "unknown"),
        "never": (None, "unknown"),
        "new": (None, "appeared"),
    }


def test_a_device_that_vanishes_is_told_by_each_of_its_counters():
    here, other = rdma({"a": 1}), rdma({"a": 1, "b": 2}, device="mlx5_1")
    assert told((here, other), (here,))["b"] == (None, "vanished")
    found = list(counting.changes(Snapshot(0, (here,)), Snapshot(1, (here, other))))
    assert [(c.place.device, c.note) for c in found] == [
        ("mlx5_0", ""),
        ("mlx5_1", "appeared"),
        ("mlx5_1", "appeared"),
    ]
    assert isinstance(found[0], Change)


def test_a_source_that_does_not_exist_is_named_with_the_closest():
    with pytest.raises(UsageError, match="Did you mean 'rdma'"):
        counting.source_named("rmda")


def test_every_source_has_a_summary_and_reads_this_machine():
    made = counting.snapshot()
    assert {"rdma", "ethtool", "netdev", "tcp"} <= set(counting.sources())
    for name in counting.sources():
        assert counting.source_named(name).summary
    assert abs(made.nanoseconds - time.monotonic_ns()) < 10**11
    assert any(reading.place.source == "tcp" for reading in made.readings)


def test_a_source_without_its_files_is_a_problem_and_the_others_are_read(tmp_path):
    (tmp_path / "class/net/eth7/statistics").mkdir(parents=True)
    (tmp_path / "class/net/eth7/statistics/rx_bytes").write_text("12\n")
    made = counting.snapshot(Roots(tmp_path, tmp_path / "none"), ["netdev", "rdma", "tcp"])
    assert [reading.place for reading in made.readings] == [Place("netdev", "eth7")]
    assert set(made.problems) == {"tcp"}
    assert "No such file" in made.problems["tcp"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a number: ''"),
        (b"N/A (no PMA)\n", "not a number: 'N/A (no PMA)'"),
        (b"\xff\xfe17\n", "not a number"),
        (b"9" * 8000, "not a number"),
        (b"1 2\n", "not a number: '1 2'"),
        (b"1_0\n", "not a number: '1_0'"),
        (b"18446744073709551616\n", "not a number"),
    ],
)
def test_a_file_with_no_counter_in_it_is_unknown(tmp_path, content, why):
    (tmp_path / "c").write_bytes(content)
    values, unknown = {}, {}
    counting.read_counters(tmp_path, ["c"], values, unknown)
    assert not values
    assert unknown["c"].startswith(why)


def test_numbers_up_to_64_bits_are_read(tmp_path):
    (tmp_path / "most").write_text(f"{2**64 - 1}\n")
    (tmp_path / "least").write_text("-1\n")
    values, unknown = {}, {}
    counting.read_counters(tmp_path, ["most", "least", "none", "."], values, unknown)
    assert values == {"most": 2**64 - 1, "least": -1}
    assert unknown == {"none": "No such file or directory", ".": "Is a directory"}


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """`with nobody(): ...`: as a user who may enter the present folder, the test's own."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are closed to others

    @contextlib.contextmanager
    def become():
        user = os.geteuid()
        if user == 0:  # who may read everything
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    return become


@pytest.mark.parametrize("names", [["c"], None])
def test_permission_denied_is_unknown(nobody, names):
    path = Path("c")
    path.write_text("1")
    path.chmod(0)
    values, unknown = {}, {}
    with nobody():
        counting.read_counters(Path(), names, values, unknown)
    assert unknown == {"c": "Permission denied"}
    assert not values


def test_a_folder_that_may_not_be_opened_is_unknown_as_a_whole(nobody):
    closed = Path("counters")
    closed.mkdir()
    (closed / "c").write_text("1")
    closed.chmod(0)
    values, unknown = {}, {}
    with nobody():
        counting.read_counters(closed, None, values, unknown)
    closed.chmod(0o700)
    assert unknown == {"*": "Permission denied"}
    counting.read_counters(Path("none"), None, values, unknown)
    assert not values
    assert unknown == {"*": "Permission denied"}


def test_a_pipe_in_the_place_of_a_counter_stops_nothing(tmp_path):
    os.mkfifo(tmp_path / "c")
    values, unknown = {}, {}
    counting.read_counters(tmp_path, None, values, unknown)
    assert not values
    assert "c" in unknown
