"""Strings of a JSON text where they stand: all of them, under their keys, and nothing else is touched."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge_reports.pack.redaction.json_text import NotJsonError, rewritten, strings

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def walked(value, key="", above="", depth=0):
    """(value, key, above, depth, is_key) of every string of a decoded JSON, in order."""
    if isinstance(value, str):
        yield value, key, above, depth, False
    elif isinstance(value, list):
        for item in value:
            yield from walked(item, key, above, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name, name, key, 0, True
            yield from walked(item, name, key, 0)


@settings(max_examples=50)
@given(anything, st.sampled_from((None, 1)), st.booleans())
def test_every_string_is_found_under_its_key(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert [s[2:] for s in strings(text)] == list(walked(value))


@settings(max_examples=50)
@given(anything)
def test_only_what_changes_is_written_anew(value):
    text = json.dumps(value, indent=1, ensure_ascii=False)
    assert rewritten(text, lambda s: s.value) == text
    made = rewritten(text, lambda s: f"<{s.value}>")

    def marked(v):
        if isinstance(v, str):
            return f"<{v}>"
        if isinstance(v, list):
            return list(map(marked, v))
        return {f"<{k}>": marked(w) for k, w in v.items()} if isinstance(v, dict) else v

    assert json.loads(made) == marked(value)


def test_numbers_stay_byte_for_byte():
    text = '{"a": [1.50, 1e-07, 123456789012345678901234567890, -0.0], "b": "x"}'
    assert rewritten(text, lambda s: "y" if s.value == "x" else s.value) == text.replace(
        '"x"', '"y"'
    )


@pytest.mark.parametrize(
    "text",
    ["{", "]", '{"a": host}', '"open', '["a"', '{"a": "b"]', '"\\x"', '["a": 1]', "n0 is up"],
)
def test_what_is_no_json_is_said(text):
    with pytest.raises(NotJsonError):
        list(strings(text))
