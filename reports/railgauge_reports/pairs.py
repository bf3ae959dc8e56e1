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
import pyarrow as pa
import pyarrow.compute as pc

from railgauge.patterns import PAIRWISE
from railgauge_reports.cells import cut
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
    """`frame`: a row a pair and rail of one case, the slowest first, with `one` < `other` (places in
    `players.names`), `rail` (-1: none), busbw_GBps, `relative` to `median_GBps` (of all rows), and
    `row`, its place in the case frame.
    """

    players: Players
    operation: str
    nbytes: int
    median_GBps: float  # noqa: N815  (a unit)
    frame: pd.DataFrame

    @property
    def rails(self) -> tuple[int, ...]:
        return tuple(int(rail) for rail in np.unique(self.frame["rail"]) if rail >= 0)

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
        rates = self.frame["busbw_GBps"]
        spread = float((rates - self.median_GBps).abs().median())
        limit = self.median_GBps - max(MATERIAL * self.median_GBps, DEVIATIONS * spread)
        return self.frame[rates < limit].sort_values("busbw_GBps", kind="stable")

    def by_player(self) -> Gathered:
        """Both ends of every pair by `key`: player * `stride` + rail + 1."""
        players = (
            self.frame[["one", "other"]].to_numpy().ravel()
        )  # side by side: rates go on rising
        keys = players * self.stride + np.repeat(self.frame["rail"].to_numpy() + 1, 2)
        return gathered(keys, np.repeat(self.frame["busbw_GBps"].to_numpy(), 2))

    @property
    def stride(self) -> int:
        """How far the keys of two players lie apart in `by_player`."""
        return int(self.frame["rail"].max()) + 2


class Gathered(NamedTuple):
    """Rates by key, a value each, keys ascending: `first` is the place of the least of them."""

    key: Counts
    first: Counts
    size: Counts
    median: Floats
    least: Floats
    most: Floats


def gathered(keys: npt.NDArray[np.integer[Any]], rates: Floats) -> Gathered:
    """What the rates of each key say, where all rates stand in rising order; keys are not negative."""
    # of 16 bits NumPy's stable sort goes by digits, without comparisons
    short = keys.astype(np.uint16) if keys.max(initial=0) < 1 << 16 else keys
    order = np.argsort(short, kind="stable")
    sorted_keys, sorted_rates = short[order], rates[order]
    begin = np.flatnonzero(np.diff(sorted_keys, prepend=sorted_keys[:1] + 1))
    end = np.append(begin[1:], len(order))[: len(begin)]
    middle = (sorted_rates[(begin + end - 1) // 2] + sorted_rates[(begin + end) // 2]) / 2
    return Gathered(
        key=sorted_keys[begin].astype(np.int64),
        first=order[begin],
        size=end - begin,
        median=middle,
        least=sorted_rates[begin],
        most=sorted_rates[end - 1],
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
    at = np.flatnonzero(measured & (cases == case))
    players = players_of(run)
    own = run.rows[["operation", "hosts", "group", "rail", "busbw_GBps"]].iloc[at]
    text = own["hosts"] if players.noun == "host" else own["group"]
    one, other = _places(text, players)
    rates = own["busbw_GBps"].to_numpy(np.float64)
    known = np.flatnonzero((one >= 0) & (other >= 0) & (one != other))
    if not len(known):
        return None
    median = float(np.median(rates))
    slowest = known[np.argsort(rates[known], kind="stable")]
    frame = pd.DataFrame(
        {
            "one": np.minimum(one, other)[slowest],
            "other": np.maximum(one, other)[slowest],
            "rail": own["rail"].fillna(-1).to_numpy(np.int32)[slowest],
            "busbw_GBps": rates[slowest],
            "row": at[slowest].astype(np.int32),
            "relative": rates[slowest] / median,
        }
    )
    return Pairs(players, str(own["operation"].iloc[0]), int(largest), median, frame)


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


def _places(text: pd.Series, players: Players) -> tuple[Places, Places]:
    """Places of the two names in each text (`n0 n3`; of ranks also `0-1`); -1 where it holds no two."""
    codes, unique = pd.factorize(text.array)
    words = pa.array(unique, pa.string(), from_pandas=True)
    if players.noun == "rank":
        words = pc.replace_substring(words, "-", " ")
    # a blank at the end, so that one word alone has a second one, which is empty
    ended = pc.binary_join_element_wise(words, "", " ")
    cut = pc.split_pattern(ended, " ", max_splits=1)
    names = pa.array(players.names, pa.string())
    found = []
    for which in (0, 1):
        name = pc.utf8_trim_whitespace(pc.list_element(cut, which))
        place = pc.fill_null(pc.index_in(name, value_set=names), -1).to_numpy(zero_copy_only=False)
        found.append(place.astype(np.int32)[codes])
    return found[0], found[1]
