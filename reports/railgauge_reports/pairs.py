"""Pairs of a tournament: who is slow against whom, on whole columns, a row a pair and rail.

Nodes meet nodes; on one node ranks meet ranks. Players stand in the order of their leaves, then of
the job. What is compared is one case: the largest size that has a bandwidth.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from railgauge.patterns import PAIRWISE
from railgauge_reports.cells import cut
from railgauge_reports.loaded import LoadedRun

#: A pair is told of where it lacks this share of the median of all pairs ...
MATERIAL = 0.10
#: ... and stands so many raw median absolute deviations below it.
DEVIATIONS = 4.0
MOST_NAME = 64
#: Slow pairs that a player has at least to be what they have in common, and so many such players.
COMMON, MOST_COMMON = 3, 8


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
class Common:
    """A player that many slow pairs have in common, on a rail (-1: none): `slow` of its `pairs`."""

    player: int
    rail: int
    slow: int
    pairs: int
    median_GBps: float  # noqa: N815  (a unit), of the slow ones


@dataclasses.dataclass(frozen=True)
class Pairs:
    """`frame`: a row a pair and rail of one case, with `one` < `other` (places in `players.names`),
    `rail` (-1: none), busbw_GBps, `relative` to `median_GBps` (of all rows), and `row`, its place in
    the case frame.
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

    def by_player(self) -> pd.DataFrame:
        """A row a player and rail, both ends of every pair: player, rail, busbw_GBps, row."""
        return _ends(self.frame)

    def in_common(self) -> tuple[list[Common], pd.DataFrame]:
        """Players that explain the most slow pairs, and the slow pairs that none explains.

        One has at least COMMON slow pairs and they are most of its own; the one with the most comes
        first and takes its pairs along.
        """
        left = self.slow
        found: list[Common] = []
        all_of = self.by_player().groupby(["player", "rail"]).size()
        while len(left) and len(found) < MOST_COMMON:
            counts = _ends(left).groupby(["player", "rail"])["busbw_GBps"].agg(["size", "median"])
            counts["pairs"] = all_of.reindex(counts.index)
            counts = counts[(counts["size"] >= COMMON) & (2 * counts["size"] > counts["pairs"])]
            if counts.empty:
                break
            most = counts.reset_index().iloc[int(counts["size"].to_numpy().argmax())]
            player, rail = int(most["player"]), int(most["rail"])
            slow, pairs = int(most["size"]), int(most["pairs"])
            found.append(Common(player, rail, slow, pairs, float(most["median"])))
            mine = (left["one"] == player) | (left["other"] == player)
            left = left[~(mine & (left["rail"] == rail))]
        return found, left


def _ends(frame: pd.DataFrame) -> pd.DataFrame:
    sides = [
        frame[[side, "rail", "busbw_GBps", "row"]].rename(columns={side: "player"})
        for side in ("one", "other")
    ]
    return pd.concat(sides, ignore_index=True)


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
    own = run.rows.iloc[at][["operation", "hosts", "group", "rail", "busbw_GBps"]]
    players = players_of(run)
    text = own["hosts"] if players.noun == "host" else own["group"]
    one, other = _places(text, players)
    rates = own["busbw_GBps"].to_numpy(np.float64)
    frame = pd.DataFrame(
        {
            "one": np.minimum(one, other),
            "other": np.maximum(one, other),
            "rail": own["rail"].fillna(-1).to_numpy(np.int64),
            "busbw_GBps": rates,
            "row": at,
        }
    )
    known = (frame["one"] >= 0) & (frame["one"] != frame["other"])
    median = float(np.median(rates))
    frame["relative"] = frame["busbw_GBps"] / median
    frame = frame[known].reset_index(drop=True)
    if frame.empty:
        return None
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


def _places(text: pd.Series, players: Players) -> tuple[np.ndarray, np.ndarray]:
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
        found.append(place.astype(np.int64)[codes])
    alone = (found[0] < 0) | (found[1] < 0)
    return np.where(alone, -1, found[0]), np.where(alone, -1, found[1])
