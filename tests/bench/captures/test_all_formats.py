"""What holds of every format: it knows its own files alone, and nothing that is amiss in one breaks it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from railgauge import captures
from railgauge.capturing.capture import Capture
from railgauge.errors import RailgaugeError, UsageError

#: Counts of what the file holds, which are less of a part of it.
COUNTED = {"times", "lines", "last_seconds", "cut"}


def text_of(path):
    return captures._text(path)


def format_of(path):
    return captures.format_named(path.name.split(".")[0])


def leaves(value, key=""):
    """(key, value) of everything in rows and facts that is no container; whatever the position."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, key if isinstance(name, int) else f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner, key)
    else:
        yield key, value


def parsed_or_refused(form, text):
    try:
        return form.parse(text)
    except UsageError as error:
        if "JSON" not in str(error):  # a part of a JSON document is an error with a name
            raise
        return Capture()


def test_every_format_has_a_capture_here(pytestconfig):
    here = pytestconfig.rootpath / "tests/bench/captures/fixtures"
    assert {path.name.split(".")[0] for path in here.iterdir()} == set(captures.names())


def test_exactly_one_format_recognises_a_file(capture_file):
    text = text_of(capture_file)
    claimed = [name for name in captures.names() if captures.format_named(name).recognises(text)]
    assert claimed == [capture_file.name.split(".")[0]]


def test_a_line_of_comment_above_it_changes_nothing(capture_file):
    text = f"# source: of another host, 2026\n{text_of(capture_file)}"
    claimed = [name for name in captures.names() if captures.format_named(name).recognises(text)]
    assert claimed == [capture_file.name.split(".")[0]]
    plain, below = (format_of(capture_file).parse(t) for t in (text_of(capture_file), text))
    assert below.readings == plain.readings
    assert [r | {"line": 0} for r in below.rows] == [r | {"line": 0} for r in plain.rows]


def test_windows_line_ends_change_nothing(capture_file):
    text = text_of(capture_file)
    form = format_of(capture_file)
    assert form.recognises(text.replace("\n", "\r\n"))
    assert form.parse(text.replace("\n", "\r\n")).readings == form.parse(text).readings


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1))
def test_what_is_cut_off_anywhere_is_lacking_and_never_another_value(capture_file, share):
    text, form = text_of(capture_file), format_of(capture_file)
    part = text[: int(share * len(text))]
    whole, cut = form.parse(text), parsed_or_refused(form, part)
    known = {r.place: r.values for r in whole.readings}
    for reading in cut.readings:
        assert reading.values.items() <= known[reading.place].items()
    said = set(leaves(whole.rows)) | set(leaves(whole.facts))
    for key, value in [*leaves(cut.rows), *leaves(cut.facts)]:
        if value is not None and key.rpartition(".")[2] not in COUNTED:
            assert (key, value) in said
    if capture_file.suffix == ".json":
        assert cut == whole or not (cut.readings or cut.rows)
    elif part.rpartition("\n")[2].strip() and form.name != "nvidia_smi":
        assert cut.cut


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_crash_a_reader(capture_file, tmp_path_factory, data):
    raw = bytearray(capture_file.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("flipped") / capture_file.name
    path.write_bytes(raw)
    with contextlib.suppress(RailgaugeError):  # it has a name, and says what to do
        captures.read(path)
    parsed_or_refused(format_of(capture_file), bytes(raw).decode("utf-8", errors="replace"))


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=300))
@pytest.mark.parametrize("name", captures.names())
def test_any_text_at_all_is_read_or_refused(name, text):
    form = captures.format_named(name)
    form.recognises(text)
    parsed_or_refused(form, text)


@pytest.mark.parametrize("name", captures.names())
@pytest.mark.parametrize(
    "text", ["[" * 100000, "{" * 100000, "1" * 500000, "a:" * 200000, " " * 500000]
)
def test_monstrous_lines_end(name, text):
    form = captures.format_named(name)
    form.recognises(text)
    parsed_or_refused(form, f"{text}\n")
