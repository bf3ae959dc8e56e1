"""Frames put together from parts, and taken apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from railgauge_reports.frame_parts import Parts, plain, records

KINDS = {"word": "string", "count": "Int64", "share": "Float64", "well": "boolean"}


def test_a_cell_stands_for_all_rows_of_its_part_or_for_one():
    parts = Parts(KINDS)
    parts.add(2, {"word": "a", "count": np.array([1, np.nan]), "share": 0.5, "well": True})
    parts.add(1, {"word": ["b"], "count": 7, "share": np.array([np.inf])})
    parts.add(0, {"word": [], "count": np.zeros(0)})
    frame = parts.frame()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == KINDS
    assert [*records(frame)] == [
        ("a", 1, 0.5, True),
        ("a", None, 0.5, True),
        ("b", 7, np.inf, None),
    ]
    assert [*records(frame, "well", "count")] == [(True, 1), (True, None), (None, 7)]
    assert {type(value) for row in records(frame) for value in row} == {
        *(str, int, float, bool, type(None)),
    }


def test_of_no_parts_there_is_a_frame_without_rows():
    frame = Parts(KINDS).frame()
    assert list(frame.columns) == list(KINDS)
    assert frame.empty


@pytest.mark.parametrize("other", [None, np.array([np.nan, 3]), 3])
def test_numbers_beyond_a_float_are_kept_in_lists(other):
    parts = Parts({"count": "Int64"})
    parts.add(2, {"count": [2**63 - 1, None]})
    parts.add(2, {"count": other})
    found = parts.frame()["count"]
    assert found[0] == 2**63 - 1
    assert pd.isna(found[1])
    assert pd.isna(found[2]) == (not isinstance(other, int))


# what is the same everywhere ----------------------------------------------------------------------------


def test_a_column_that_says_the_same_everywhere_takes_the_memory_of_a_few_rows():
    parts = Parts({"word": "string", "number": "Int64", "nothing": "Float64", "each": "Float64"})
    rows = 1 << 17
    for _ in range(3):
        parts.add(rows, {"word": "sendrecv", "number": 7, "each": np.arange(float(rows))})
    frame = parts.frame()
    assert frame.dtypes.astype(str).tolist() == ["string", "Int64", "Float64", "Float64"]
    assert len(frame) == 3 * rows
    assert (frame["word"] == "sendrecv").all()
    assert (frame["number"] == 7).all()
    assert frame["nothing"].isna().all()
    assert frame["number"].array._data.base.nbytes == 8
    stored = pa.array(frame["word"].array).chunks
    assert len({chunk.buffers()[2].address for chunk in stored}) == 1


def test_texts_keep_their_order_whatever_they_are_made_of():
    many = 3000
    parts = Parts({"text": "string"})
    cells = [(1, "a"), (many, "b"), (2, ["c", None]), (2, pa.array(["d", "e"], pa.large_string()))]
    cells += [(many, None), (1, "b"), (many, "b"), (0, "never")]
    for rows, cell in cells:
        parts.add(rows, {"text": cell})
    expected = ["a", *["b"] * many, "c", None, "d", "e", *[None] * many, *["b"] * (many + 1)]
    assert plain(parts.frame()["text"]) == expected


def test_an_array_of_one_value_is_that_value():
    parts = Parts({"x": "Float64", "n": "Int64", "b": "boolean"})
    for value in (np.nan, 2.0):
        parts.add(
            3, {"x": np.full(3, value), "n": np.full(3, value), "b": np.full(3, value == 2.0)}
        )
    frame = parts.frame()
    assert plain(frame["x"]) == plain(frame["n"]) == [None] * 3 + [2] * 3
    assert plain(frame["b"]) == [False] * 3 + [True] * 3


def test_a_frame_whose_columns_share_memory_can_be_worked_with_like_any_other():
    parts = Parts({"k": "Int64", "x": "Float64", "gap": "boolean", "word": "string"})
    parts.add(5000, {"k": 1, "gap": False, "word": "w"})
    frame = parts.frame()
    assert len(frame.groupby(["k", "word"], dropna=False)["x"].max()) == 1
    frame["x"] = frame["x"].fillna(2.5)
    frame["k"] = frame["k"] + 1
    assert frame["x"].sum() == 2.5 * 5000
    assert frame["k"].tolist() == [2] * 5000
    assert (
        frame.iloc[[7, 3]].to_dict("records")
        == [
            {"k": 2, "x": 2.5, "gap": False, "word": "w"},
        ]
        * 2
    )
    assert not frame[frame["gap"]].size
