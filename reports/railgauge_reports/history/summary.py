"""What a night comes to: one value a run and series, and what else the gate asks of it. Kept in the cache."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge_reports.history.answer import SeriesKey

#: 1971 and 2100, in seconds since 1970.
_FIRST, _LAST = 31_536_000.0, 4_102_444_800.0


class Keys:
    """Series keys by number, each once."""

    def __init__(self, known: Iterable[SeriesKey] = ()) -> None:
        self.list = list(known)
        self._number = {key: number for number, key in enumerate(self.list)}

    def number(self, key: SeriesKey) -> int:
        """Its number; one that is new gets the next."""
        made = self._number.setdefault(key, len(self.list))
        if made == len(self.list):
            self.list.append(key)
        return made


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a night. `path` is relative to the night ("" is the night itself), `stage` of an acceptance.

    `series` are int32 numbers of keys, `values` float64, one for one; `chosen` what the library's log says it
    chose, by series, where it says so, `places` which place a worst place is. `verdict` and `exit_code` are
    the run's own. `clock` says where its clock went back.
    """

    path: str
    stage: str
    started: float
    finished: float | None
    hosts: tuple[str, ...]
    ranks: int
    verdict: str
    exit_code: int
    reasons: tuple[str, ...]
    simulated: bool
    facts: dict[str, str]
    clock: str = ""
    series: bytes = b""
    values: bytes = b""
    chosen: dict[int, str] = {}
    places: dict[int, str] = {}

    @property
    def numbers(self) -> npt.NDArray[np.int32]:
        return np.frombuffer(self.series, np.int32)

    @property
    def measured(self) -> npt.NDArray[np.float64]:
        return np.frombuffer(self.values, np.float64)


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A run that could not be read (corrupt), or was not made to its end (incomplete), and why."""

    path: str
    kind: Literal["corrupt", "incomplete"]
    why: str


class NightSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A child folder of a history as it was read; `same` and `other` are its confirming runs.

    `started` is None where nothing in it says when; `touched` is when the first of its files was changed
    last (the plan is written as a run begins). `facts` are those of facts.toml.
    """

    folder: str
    started: float | None
    touched: float
    runs: tuple[RunSummary, ...]
    same: tuple[RunSummary, ...] = ()
    other: tuple[RunSummary, ...] = ()
    trouble: tuple[Trouble, ...] = ()
    facts: dict[str, str] = {}

    @property
    def hosts(self) -> tuple[str, ...]:
        """All of its runs, each once, in their order."""
        return tuple(dict.fromkeys(host for run in self.runs for host in run.hosts))

    @property
    def at(self) -> float:
        """When it was: as recorded, else, and where no clock is ever so wrong, as its files say."""
        return self.touched if self.started is None or self.is_absurd else self.started

    @property
    def is_absurd(self) -> bool:
        """Is the recorded time before 1971 or after 2100?"""
        return self.started is not None and not _FIRST <= self.started < _LAST
