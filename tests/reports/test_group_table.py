"""Groups of a large round are kept by field, and come out as they went in."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from railgauge.records import Allowed, Batch, Choice, GroupResult, Overlap, Wrong
from railgauge_reports.group_table import FIELDS, MANY, GroupTable, compact, table_of
from railgauge_reports.stored import read_run

WRONG = Wrong(
    rank=3, host="n0", buffer="send", index=1, expected="0x0", found="0x1", elements=2, iteration=5
)


def groups(count=40, **every):
    """Groups of which each field differs somewhere; `every` is the same in all."""
    random = np.random.default_rng(1)
    made = []
    for k in range(count):
        fields = {
            "ranks": f"{k},{k + 100}",
            "first_call_ns": int(random.integers(1, 1 << 62)),
            "warmup_iterations": k,
            "steady": k % 3 > 0,
            "iterations": 20 + k % 2,
            "checked_iterations": k % 4,
            "missed_windows": k % 5,
            "wrong": (WRONG,) if k == 7 else (),
            "overlap": Overlap(pure_seconds=1.0, compute_seconds=2.0, together_seconds=2.5)
            if k % 2
            else None,
            "batch": Batch(iterations=3, host_seconds=1.0, device_seconds=2.0) if k % 7 else None,
            "init_seconds": k / 8 if k % 5 else None,
            "choice": Choice(algorithm="Ring") if k % 2 else None,
            "allowed": Allowed(path="p", GBps=None, words="w") if k % 3 else None,
            "rail": k % 8 if k % 11 else None,
        }
        made.append(GroupResult(**(fields | every)))
    return tuple(made)


def test_groups_come_out_as_they_went_in():
    known = groups()
    table = GroupTable(known)
    assert tuple(table) == known
    assert [table[k] for k in range(-len(known), 0)] == list(known)
    assert table[3:9:2] == known[3:9:2]
    assert msgspec.json.encode(list(table)) == msgspec.json.encode(known)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_is_the_same_in_all_groups_comes_out_as_well(name):
    value = getattr(groups()[7], name)
    known = groups(**{name: value})
    table = GroupTable(known)
    assert tuple(table) == known
    assert list(table.values(name)) == [value] * len(known)
    assert table[-1] == known[-1]


def test_a_place_that_is_not_there_is_an_index_error():
    with pytest.raises(IndexError):
        GroupTable(groups())[40]


def test_numbers_are_not_a_number_where_a_group_has_none():
    known = groups()
    for name in ("iterations", "steady", "init_seconds", "rail", "first_call_ns"):
        values = [getattr(group, name) for group in known]
        found = GroupTable(known).numbers(name)
        expected = [np.nan if value is None else float(value) for value in values]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("every", [{}, {"iterations": 7}, {"iterations": 0}])
def test_sums_and_least_ones_are_those_of_the_groups(every):
    known = groups(**every)
    table = GroupTable(known)
    assert table.total("iterations") == sum(group.iterations for group in known)
    assert table.least("iterations") == min(group.iterations for group in known)
    assert table.any("iterations") == any(group.iterations for group in known)


def test_one_wrong_group_of_many_is_seen():
    assert GroupTable(groups()).any("wrong")
    assert not GroupTable(groups(wrong=())).any("wrong")
    assert GroupTable(groups(wrong=(WRONG,))).any("wrong")


def test_no_groups_are_an_empty_table():
    table = table_of(())
    assert list(table) == []
    assert len(table.numbers("iterations")) == len(table.texts()) == 0
    assert (table.total("iterations"), table.least("iterations")) == (0, 0)
    assert not table.any("wrong")


def test_only_rounds_of_many_groups_become_tables(rig, tmp_path):
    made = rig("large_run")
    few = made.write(tmp_path / "few", made.Shape(4, 2, rounds=1))
    many = made.write(tmp_path / "many", made.Shape(MANY // 4, 8, rounds=1))
    (small,), (large,) = (read_run(folder).results for folder in (few, many))
    assert isinstance(small.result.groups, tuple)
    assert isinstance(large.result.groups, GroupTable)
    assert len(large.result.groups) == MANY
    assert compact(large.start.run) is large.start.run
