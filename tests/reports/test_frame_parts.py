"""Frames put together from parts, and taken apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from railgauge_reports.frame_parts import Parts, records

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
