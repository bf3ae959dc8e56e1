"""Groups read straight from the text of a line are those that the decoder reads; else it is asked."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.journal import decode_record
from railgauge.records import Batch, GroupResult
from railgauge_reports import group_table, stored
from railgauge_reports.frames import case_frame
from railgauge_reports.group_table import GroupTable, decode_pairs
from railgauge_reports.group_text import pairs_at
from railgauge_reports.groups import pair_ranks
from railgauge_reports.stored import read_run

RANK = st.integers(0, 10**8 - 2)  # and one more has eight digits
COUNT = st.integers(0, 10**18 - 1)


@st.composite
def pair_groups(draw):
    one = draw(RANK)
    near = draw(st.booleans())
    ranks = f"{one}-{one + 1}" if near else f"{one},{draw(RANK)}"
    return GroupResult(
        ranks=ranks,
        first_call_ns=draw(COUNT),
        warmup_iterations=draw(st.integers(0, 9)),
        steady=draw(st.booleans()),
        iterations=draw(COUNT),
        checked_iterations=draw(st.integers(0, 3)),
        missed_windows=draw(COUNT),
        rail=draw(st.none() | st.integers(0, 15)),
    )


@pytest.fixture(scope="module")
def result(rig, tmp_path_factory):
    """A result of two pairs."""
    made = rig("large_run")
    folder = made.write(tmp_path_factory.mktemp("two") / "run", made.Shape(4, 1, rounds=1))
    return read_run(folder).results[0].result


@pytest.fixture(autouse=True)
def _every_line_is_long(monkeypatch):
    monkeypatch.setattr(group_table, "LONG_LINE", 0)


def line_of(result, groups):
    return msgspec.json.encode(msgspec.structs.replace(result, groups=tuple(groups))) + b"\n"


@given(st.lists(pair_groups(), min_size=1, max_size=12))
def test_pairs_are_those_that_the_decoder_reads(result, groups):
    line = line_of(result, groups)
    read = decode_pairs(line)
    assert isinstance(read.groups, GroupTable)
    assert list(read.groups) == groups
    plain = decode_record(line)
    assert msgspec.structs.replace(read, groups=plain.groups) == plain
    ranks = read.groups.pairs
    named = pair_ranks(
        pd.Series(read.groups.texts().to_pylist(), dtype="string").str.replace(",", " ")
    )
    assert named.tolist() == ranks.tolist()


def pair(**fields):
    known = dict.fromkeys(("first_call_ns", "warmup_iterations", "iterations"), 7)
    known |= {"checked_iterations": 8, "missed_windows": 0, "steady": True, "ranks": "0,8"}
    return GroupResult(**(known | fields))


@pytest.mark.parametrize(
    "odd",
    [
        pair(ranks="0-2"),
        pair(ranks="5"),
        pair(ranks=""),
        pair(ranks="0,1,2"),
        pair(ranks="0,1234567890"),
        pair(batch=Batch(iterations=1, host_seconds=0.5, device_seconds=0.25)),
        pair(first_call_ns=10**18),
        pair(first_call_ns=-1),
    ],
)
def test_other_groups_are_left_to_the_decoder(result, odd):
    line = line_of(result, [pair(), odd])
    assert pairs_at(line, line.index(b"[", line.index(b'"groups"'))) is None
    assert list(decode_pairs(line).groups) == [pair(), odd]


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (b'"rail":3', b'"rail": 3'),
        (b'"steady":true', b'"steady" :true'),
        (b'"rail":3}', b'"rail":3,"wrong":[],"overlap":null}'),
        (b',"rail":3', b',"more":1,"rail":3'),
    ],
)
def test_another_spelling_says_the_same(result, words, others):
    line = line_of(result, [pair(rail=3)])
    assert words in line
    changed = line.replace(words, others, 1)
    assert list(decode_pairs(changed).groups) == [pair(rail=3)]


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (b'"first_call_ns":7', b'"first_call_ns":07'),
        (b'"first_call_ns":7', b'"first_call_ns":'),
        (b'"first_call_ns":7', b'"first_call_ns":7.5'),
        (b'"first_call_ns":7', b'"first_call_ns":"7"'),
        (b'"steady":true', b'"steady":null'),
        (b'"steady":true', b'"steady":truth'),
        (b',"missed_windows":0', b""),
        (b'"missed_windows":0}', b'"missed_windows":0'),
        (b'"missed_windows":0}]', b'"missed_windows":0}}'),
    ],
)
def test_what_is_no_group_is_refused_by_the_decoder(result, words, others):
    line = line_of(result, [pair()])
    assert words in line
    with pytest.raises(msgspec.DecodeError):
        decode_pairs(line.replace(words, others, 1))


def test_a_line_that_is_cut_off_anywhere_is_refused(result):
    line = line_of(result, [pair(), pair(rail=12)])
    for end in range(0, len(line) - 1, 7):
        with pytest.raises(msgspec.DecodeError):
            decode_pairs(line[:end])


def test_records_without_groups_are_read_as_ever():
    assert decode_pairs(b'{"record":"note","text":"\\"groups\\":["}\n').text == '"groups":['


def test_a_run_says_the_same_whichever_way_it_is_read(rig, tmp_path, monkeypatch):
    made = rig("large_run")
    folder = made.write(tmp_path / "run", made.Shape(8, 4, rounds=7))
    plainly = case_frame(read_run(folder))
    monkeypatch.setattr(stored, "LARGE_JOURNAL", 0)
    quickly = read_run(folder)
    assert isinstance(quickly.results[0].result.groups, GroupTable)
    pd.testing.assert_frame_equal(case_frame(quickly), plainly)


def test_names_that_are_no_pairs_have_no_ranks():
    names = ["0-1", "3 11", None, "", "4", "1-", "-1", "1 2 3", "1234567890 5", "a b", "7 x"]
    found = pair_ranks(pd.Series(names, dtype="string"))
    assert found[:2].tolist() == [[0, 1], [3, 11]]
    assert (found[2:].min(axis=1) == -1).all()
    assert pair_ranks(pd.Series(names, dtype="string")[1:2]).tolist() == [[3, 11]]
    assert pair_ranks(pd.Series([], dtype="string")).shape == (0, 2)
    many = np.arange(40_000).reshape(-1, 2)
    texts = pd.Series([f"{a} {b}" for a, b in many.tolist()], dtype="string")
    assert (pair_ranks(texts) == many).all()
