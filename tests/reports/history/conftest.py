"""Histories of runs on a modelled cluster: ten good nights, which a test copies and goes on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from railgauge_reports.history.answer import Gate
from railgauge_reports.history.gate import gate_of

GOOD_NIGHTS = 10


@pytest.fixture(scope="session")
def rig_of_nights(rig: Callable[[str], ModuleType]) -> ModuleType:
    return rig("history")


@pytest.fixture(scope="session")
def ten_good_nights(rig_of_nights: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    nights = rig_of_nights.Nights(tmp_path_factory.mktemp("ten") / "history")
    for day in range(GOOD_NIGHTS):
        nights.add(day)
    return nights


@pytest.fixture
def nights(ten_good_nights: Any, tmp_path: Path) -> Any:
    """A copy of ten good nights, days 0 to 9."""
    return ten_good_nights.copy(tmp_path / "history")


@pytest.fixture
def judged(nights: Any, rig_of_nights: ModuleType) -> Callable[..., Gate]:
    """judged(day): what the gate says in the morning after that day; `night` as of then."""

    def at(day: float, night: str | None = None, since: str | None = None) -> Gate:
        now = rig_of_nights.FIRST + day * rig_of_nights.DAY + 6 * 3600.0
        return gate_of(nights.folder, night, since, now)

    return at
