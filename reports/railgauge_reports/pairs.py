"""Pairs of a tournament: who is slow against whom, on whole columns, a row a pair and rail.

Nodes meet nodes; on one node ranks meet ranks. Players stand in the order of their leaves, then of
the job. What is compared is one case: the largest size that has a bandwidth.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.patterns import PAIRWISE
from railgauge_reports.cells import cut
from railgauge_reports.frame_parts import stretch
from railgauge_reports.loaded import LoadedRun

Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

#: A pair is told of where it lacks this share of the median of all pairs ...
MATERIAL = 0.10
#: ... and stands so many raw median absolute deviations below it.
DEVIATIONS = 4.0
MOST_NAME = 64


@dataclasses.dataclass(frozen=True)
class Players:
    """Who meets: names in the order they are drawn in, and the leaf of each ("": not known)."""

    noun: str
    names: tuple[str, ...]
    leaves: tuple[str, ...]

    def shown(self, player: int) -> str:
        """The name, of a length that a table or an axis can bear (hostname(7): at most 64)."""
        return cut(self.names[player], MOST_NAME)

    @property
    def leaf_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.leaves))


@dataclasses.dataclass(frozen=True)
class Pairs:
    """`frame`: a row a pair and rail of one case, in their order, with `one` < `other` (places in
    `players.names`), `rail` (-1: none), busbw_GBps, and `row`, its place in the case frame.
    `median_GBps` is that of all rows.
    """

    players: Players
    operation: str
    nbytes: int
    median_GBps: float  # noqa: N815  (a unit)
    frame: pd.DataFrame

    @property
    def rails(self) -> tuple[int, ...]:
        used = np.flatnonzero(np.bincount(self.frame["rail"] + 1))
        return tuple(int(rail) - 1 for rail in used if rail)

    def who(self, player: int, rail: int) -> str:
        """`n3, rail 1`, `rank 4`."""
        noun = "rank " if self.players.noun == "rank" else ""
        return f"{noun}{self.players.shown(player)}" + (f", rail {rail}" if rail >= 0 else "")

    def words(self, one: int, other: int, rail: int) -> str:
        """`n0 - n3, rail 2`, `ranks 0 - 3`."""
        noun = "ranks " if self.players.noun == "rank" else ""
        return f"{noun}{self.players.shown(one)} - {self.players.shown(other)}" + (
            f", rail {rail}" if rail >= 0 else ""
        )

    @cached_property
    def slow(self) -> pd.DataFrame:
        """The rows that are below the others by more than chance explains, the slowest first."""
        rates = self.frame["busbw_GBps"].to_numpy()
        spread = float(np.median(np.abs(rates - self.median_GBps)))
        limit = self.median_GBps - max(MATERIAL * self.median_GBps, DEVIATIONS * spread)
        below = self.frame.iloc[np.flatnonzero(rates < limit)]
        return below.sort_values("busbw_GBps", kind="stable")

    def slowest(self, most: int) -> pd.DataFrame:
        """So many rows, the slowest first."""
        rates = self.frame["busbw_GBps"].to_numpy()
        limit = np.partition(rates, most)[most] if most < len(rates) else np.inf
        low = self.frame.iloc[np.flatnonzero(rates <= limit)]
        return low.sort_values("busbw_GBps", kind="stable").head(most)

    def share(self, busbw_GBps: float) -> float:  # noqa: N803  (a unit)
        """Of the median of all."""
        return busbw_GBps / self.median_GBps

    def by_player(self) -> Gathered:
        """Both ends of every pair by `key`: player * `stride` + rail + 1."""
        rail, rates = self.frame["rail"].to_numpy() + 1, self.frame["busbw_GBps"].to_numpy()
        keys = [self.frame[end].to_numpy() * self.stride + rail for end in ("one", "other")]
        return gathered(np.concatenate(keys), np.concatenate([rates, rates]))

    @property
    def stride(self) -> int:
        """How far the keys of two players lie apart in `by_player`."""
        return int(self.frame["rail"].max()) + 2


class Gathered(NamedTuple):
    """Rates by key, a value each, keys ascending: `first` is the first place of the least of them."""

    key: Counts
    first: Counts
    size: Counts
    median: Floats
    least: Floats
    most: Floats


def gathered(keys: npt.NDArray[np.integer[Any]], rates: Floats) -> Gathered:
    """What the rates of each key say; keys are not negative.

    Rates are put in order key by key, which takes a tenth of the time of ordering all of them.
    """
    # of 16 bits NumPy's stable sort goes by digits, without comparisons
    short = keys.astype(np.uint16) if keys.max(initial=0) < 1 << 16 else keys
    order = np.argsort(short, kind="stable")
    sorted_keys, own = short[order], rates[order]
    begin = np.flatnonzero(np.diff(sorted_keys, prepend=sorted_keys[:1] + 1))
    end = np.append(begin[1:], len(order))[: len(begin)]
    first = np.empty_like(begin)
    for k, (low, high) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        first[k] = order[low + own[low:high].argmin()]
        own[low:high].sort()
    return Gathered(
        key=sorted_keys[begin].astype(np.int64),
        first=first,
        size=end - begin,
        median=(own[(begin + end - 1) // 2] + own[(begin + end) // 2]) / 2,
        least=own[begin],
        most=own[end - 1],
    )


def pairs_of(run: LoadedRun) -> Pairs | None:
    """The pairs of a run; None of a pattern without, and where no pair has a bandwidth."""
    if run.stored.plan.pattern not in PAIRWISE:
        return None
    measured = run.rows["busbw_GBps"].notna().to_numpy(bool)
    if not measured.any():
        return None
    sizes = run.rows["nbytes"].fillna(-1).to_numpy(np.int64)
    cases = run.rows["case"].fillna(-1).to_numpy(np.int64)
    largest = sizes[measured].max()
    case = cases[measured & (sizes == largest)].min()
    players = players_of(run)
    own = stretch(measured & (cases == case))
    frame = run.rows[["operation", "round", "rail", "busbw_GBps"]].iloc[own]
    one, other = _places(run, players, int(case), frame["round"].to_numpy(np.int64), own)
    known = stretch((one >= 0) & (other >= 0) & (one != other))
    rates = frame["busbw_GBps"].to_numpy(np.float64)
    median = float(np.median(rates))
    one, other = one[known], other[known]
    if not len(one):
        return None
    made = pd.DataFrame(
        {
            "one": np.minimum(one, other),
            "other": np.maximum(one, other),
            "rail": frame["rail"].iloc[known].to_numpy(np.int32, na_value=-1),
            "busbw_GBps": rates[known],
            "row": np.arange(len(run.rows), dtype=np.int32)[own][known],
        },
        copy=False,
    )
    return Pairs(players, str(frame["operation"].iloc[0]), int(largest), median, made)


def players_of(run: LoadedRun) -> Players:
    """Hosts by leaf and in the order of the job; on one host its ranks."""
    stored = run.stored
    hosts = tuple(dict.fromkeys(host for start in stored.starts for host in start.run.hosts))
    if len(hosts) == 1:
        names = tuple(str(rank) for rank in range(stored.last.ranks))
        return Players("rank", names, ("",) * len(names))
    place: dict[str, tuple[int, str]] = {
        host: (number, name)
        for number, (name, under) in enumerate(stored.plan.leaves or ())
        for host in under
    }
    order = sorted(hosts, key=lambda host: place.get(host, (len(place), ""))[0])
    return Players("host", tuple(order), tuple(place.get(host, (0, ""))[1] for host in order))


def _places(
    run: LoadedRun, players: Players, case: int, turn: Counts, own: slice | Counts
) -> tuple[Places, Places]:
    """Places of the two ends of the rows `own`, of rounds `turn` of a case; -1 where a row has no two."""
    number = {name: place for place, name in enumerate(players.names)}
    starts = run.stored.starts
    most = max(start.run.ranks for start in starts)
    place_of = np.full(
        (len(starts), most + 1), -1, np.int32
    )  # [..., -1]: of rank -1, that is of none
    for k, start in enumerate(starts):
        names = start.host_of if players.noun == "host" else map(str, range(start.run.ranks))
        place_of[k, : start.run.ranks] = [number.get(name, -1) for name in names]
    ranks = np.minimum(run.pair_ranks[own], most)
    start_of = run.stored.start_of(case, turn)
    return place_of[start_of, ranks[:, 0]], place_of[start_of, ranks[:, 1]]
