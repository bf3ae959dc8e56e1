"""What is kept in the user's cache: made once, and made anew where what is there is not to be trusted."""

from __future__ import annotations

import pytest

from railgauge_kernels.kept import kept


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "railgauge"


def never() -> bytes:
    raise AssertionError("it was kept")


def test_a_thing_is_made_once(cache):
    assert kept("thing", lambda: b"first\nlines") == b"first\nlines"
    assert kept("thing", never) == b"first\nlines"
    assert [path.name for path in cache.iterdir()] == ["thing"]


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: data + b"x", lambda _: b""])
def test_what_was_cut_short_or_changed_is_made_anew(cache, harm):
    kept("thing", lambda: b"whole")
    (cache / "thing").write_bytes(harm((cache / "thing").read_bytes()))
    assert kept("thing", lambda: b"again") == b"again"
    assert kept("thing", never) == b"again"


@pytest.mark.parametrize("place", [".", "thing"])
def test_what_others_may_write_is_not_trusted(cache, place):
    kept("thing", lambda: b"whole")
    (cache / place).chmod(0o777)
    assert kept("thing", lambda: b"again") == b"again"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kept("thing", lambda: b"made") == b"made"


def test_a_failure_to_make_it_leaves_nothing(cache):
    with pytest.raises(AssertionError):
        kept("thing", never)
    assert not cache.exists()
