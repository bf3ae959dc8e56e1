"""A file lists who meets whom: it is read whole, or refused with its line; hosts are those of the job."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import UsageError
from railgauge.pair_lists import meetings, read_pairs, round_numbers, written
from railgauge.patterns import check_places, round_count, rounds
from railgauge.schedules import Pattern
from railgauge.topology import Topology, one_node

FOUR = Topology((0, 0, 1, 1, 2, 2, 3, 3), hosts=("n0", "n1", "n2", "7"))


def test_lines_are_pairs_and_comments_are_left_out(tmp_path):
    path = tmp_path / "pairs"
    path.write_text("# suspects\n0 n0 n1\n0 n2 7   # n2 again\n\n12 n0 n2\n")
    found = read_pairs(path)
    assert found == ((0, "n0", "n1"), (0, "n2", "7"), (12, "n0", "n2"))
    assert round_numbers(found) == [0, 12]


def test_what_was_written_is_read_again(tmp_path):
    path = tmp_path / "pairs"
    path.write_text(written([[("n0", "n1"), ("n2", "7")], [("n0", "7")]]))
    assert read_pairs(path) == ((0, "n0", "n1"), (0, "n2", "7"), (1, "n0", "7"))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "lists no pair"),
        (b"# 0 a b\n", "lists no pair"),
        (b"\xff\xfe", "cannot be read (not UTF-8)"),
        (b"0 a b\n1 a\n", "line 2: '1 a' is no pair"),
        (b"0 a b c\n", "line 1: '0 a b c' is no pair"),
        (b"-1 a b\n", "line 1: '-1 a b' is no pair"),
        ("\u0661 a b\n".encode(), "is no pair"),
        (b"99999999999 a b\n", "is no number of a round"),
        (b"0 a a\n", "line 1: a cannot meet itself"),
        (b"0 a b\n1 a b\n1 c a\n", "line 3: a meets another in round 1 already, line 2"),
    ],
)
def test_a_file_that_cannot_be_right_names_the_line(tmp_path, raw, said):
    path = tmp_path / "pairs"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="--pairs") as caught:
        read_pairs(path)
    assert said in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_pairs(tmp_path / "none")


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_is_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("pairs") / "f"
    path.write_bytes(raw)
    with contextlib.suppress(UsageError):
        assert read_pairs(path)


def test_hosts_and_numbers_are_players_and_a_name_wins_over_a_number():
    listed = ((3, "n2", "0"), (1, "7", "n0"))
    assert meetings(listed, FOUR) == [[(3, 0)], [(2, 0)]]


def test_rounds_hold_the_pairs_once_a_rail_in_the_order_of_their_numbers():
    pattern = Pattern("listed", pairs=((5, "n3x", "n1"), (2, "n0", "n1")))
    where = Topology((0, 0, 1, 1, 2, 2), hosts=("n0", "n1", "n3x"))
    made = list(rounds(pattern, where))
    assert round_count(pattern, where) == 2
    assert [[(g.ranks, g.rail) for g in r.groups] for r in made] == [
        [((0, 2), 0), ((1, 3), 1)],
        [((2, 4), 0), ((3, 5), 1)],
    ]
    assert [r.name for r in made] == ["listed 2", "listed 5"]
    assert made[0].groups[0].flows == ((0, 2), (2, 0))


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (((0, "n0", "n9"),), "n9 of the file are not in this job"),
        (((0, "n0", "4"),), "4 of the file are not in this job"),
        (((2, "n1", "1"),), "n1 and 1 of round 2 are the same node"),
        (((2, "n1", "n0"), (2, "n2", "1")), "n1 and 1 of round 2 are the same node"),
    ],
)
def test_a_host_that_the_job_lacks_and_one_under_two_names_are_refused(listed, said):
    with pytest.raises(UsageError) as caught:
        check_places(Pattern("listed", pairs=listed), FOUR)
    assert said in str(caught.value)


def test_on_one_host_players_are_ranks_and_its_name_is_none():
    where = Topology((0, 0, 0), hosts=("big",))
    assert meetings(((0, "2", "0"),), where) == [[(2, 0)]]
    with pytest.raises(UsageError, match="which is on one host, big"):
        meetings(((0, "big", "1"),), where)


def test_before_anything_has_started_one_pair_stands_for_each_round():
    made = list(
        rounds(Pattern("listed", pairs=((0, "a", "b"), (0, "c", "d"), (1, "a", "c"))), one_node(2))
    )
    assert [len(round_.groups) for round_ in made] == [1, 1]
