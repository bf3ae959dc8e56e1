"""Nights are read once, and what was kept of them is never trusted more than their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from railgauge_reports import whole_files
from railgauge_reports.history import CACHE, cache
from railgauge_reports.history.answer import Gate
from railgauge_reports.history.summary import NightSummary

Judged = Callable[..., Gate]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nights whose run folders are read."""
    names: list[str] = []
    before = cache.read_nights

    def noting(nights: list[Path], keys: Any) -> list[NightSummary]:
        names.extend(night.name for night in nights)
        return before(nights, keys)

    monkeypatch.setattr(cache, "read_nights", noting)
    return names


def test_a_night_is_read_once(nights: Any, judged: Judged, read: list[str]) -> None:
    first = judged(9)
    assert len(read) == 10
    nights.add(10)
    again = judged(10)
    assert read[10:] == ["night010.00"]
    values = {one.name: one.values for one in again.series}
    assert {name: told[:10] for name, told in values.items()} == {
        one.name: one.values for one in first.series
    }


def test_what_changes_is_read_anew(nights: Any, judged: Judged, read: list[str]) -> None:
    judged(9)
    read.clear()
    nights.add(9, into="confirm-same", seed=99)
    assert judged(9).tonight.confirmed_same
    assert read == ["night009.00"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda raw: raw[:-9],
        lambda raw: raw[:50] + bytes([raw[50] ^ 1]) + raw[51:],
        lambda _: b"<script>" * 100,
    ],
    ids=["empty", "cut", "a bit flipped", "another file"],
)
def test_a_damaged_cache_is_made_anew(
    nights: Any, judged: Judged, read: list[str], damage: Callable[[bytes], bytes]
) -> None:
    before = judged(9)
    path = nights.folder / CACHE
    path.write_bytes(damage(path.read_bytes()))
    read.clear()
    assert judged(9) == before
    assert len(read) == 10
    read.clear()
    judged(9)
    assert read == []


def test_one_of_another_version_is_made_anew(
    judged: Judged, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(9)
    read.clear()
    monkeypatch.setattr(cache, "_READER", "0 0 another")
    judged(9)
    assert len(read) == 10


def test_where_the_history_takes_no_files_it_is_done_without(
    nights: Any, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(whole_files.tempfile, "mkstemp", refused)
    assert judged(9).verdict.word == "PASS"
    assert not (nights.folder / CACHE).exists()


def test_a_night_that_is_gone_is_forgotten(nights: Any, judged: Judged) -> None:
    import shutil

    judged(9)
    shutil.rmtree(nights.folder / "night000.00")
    assert len(judged(9).nights) == 9
