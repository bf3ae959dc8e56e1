"""What pairs measured, as arrays: the input of a localisation, and how it is taken from a run folder."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.patterns import PAIRWISE
from railgauge_reports.expected.machine import domains_of
from railgauge_reports.flows import flow_frame
from railgauge_reports.frame_parts import stretch
from railgauge_reports.frames import case_frame
from railgauge_reports.groups import pair_ranks
from railgauge_reports.stored import Start, StoredRun

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
ALL_RAILS = -1


@dataclasses.dataclass(frozen=True, eq=False)
class PairTable:
    """One row a pair, round and rail; arrays of shape [n] but where another is named.

    `a` and `b` are numbers of `nodes` (on one node its ranks are the players, called `rank 3`), `rail`
    is ALL_RAILS where a row is of the whole node. `gbps` is NaN where nothing valid was measured: such
    a row is untested, never good. `forth` (a to b) and `back` (b to a) are rates of one direction, where
    they are known. `leaf_of` is [nodes]. `again` is a command that measures in the same way, to be
    followed by a pattern; `near` how many measurements inside an NVLink domain were left out; `folder` what
    a report calls the run ("": it is in none); `seconds_a_round` what a round took. Raises ValueError for
    arrays that do not fit together.
    """

    a: Ints
    b: Ints
    rail: Ints
    round: Ints
    gbps: Floats
    nodes: tuple[str, ...]
    leaf_of: Ints | None = None
    leaf_names: tuple[str, ...] = ()
    forth: Floats | None = None
    back: Floats | None = None
    again: str = ""
    near: int = 0
    folder: str = ""
    seconds_a_round: float | None = None

    def __post_init__(self) -> None:
        rows = (self.a, self.b, self.rail, self.round, self.gbps)
        more = tuple(array for array in (self.forth, self.back) if array is not None)
        if any(array.shape != self.a.shape or array.ndim != 1 for array in (*rows, *more)):
            raise ValueError("the columns of a pair table differ in length")
        if len(self.a):
            low = min(self.a.min(), self.b.min(), self.round.min(), self.rail.min() + 1)
            if low < 0 or max(self.a.max(), self.b.max()) >= len(self.nodes):
                raise ValueError(f"a pair table of {len(self.nodes)} nodes names others")
            if np.any(self.a == self.b):
                raise ValueError("a pair table has a node that meets itself")
        if self.leaf_of is not None and (
            len(self.leaf_of) != len(self.nodes)
            or (
                len(self.leaf_of)
                and not 0 <= self.leaf_of.min() <= self.leaf_of.max() < len(self.leaf_names)
            )
        ):
            raise ValueError("a pair table has nodes under leaves without a name")


def pair_table(
    run: StoredRun,
    rows: pd.DataFrame | None = None,
    ranks: Ints | None = None,
    operation: str | None = None,
    nbytes: int | None = None,
) -> PairTable | None:
    """The pairs of a run; None where its pattern is none of pairs, or nothing of it was reached.

    `rows` is its `case_frame` and `ranks` are their `groups.pair_ranks`, where somebody has them already. By
    default the operation that the plan names first, at its largest size; of several cases with both the
    first. Raises NotMeasuredError where the run cannot be read.
    """
    if run.plan.pattern not in PAIRWISE or not run.starts:
        return None
    frame = case_frame(run) if rows is None else rows
    own = _of_one_case(frame, operation, nbytes)
    frame = frame[["operation", "nbytes", "case", "round", "group", "algbw_GBps"]].iloc[own]
    ranks = pair_ranks(frame["group"]) if ranks is None else ranks[own]
    met = stretch(ranks.min(axis=1, initial=0) >= 0)
    frame, ranks = frame.iloc[met], ranks[met]
    if frame.empty:
        return None
    case = int(frame["case"].iloc[0])
    if not any(index == case for index, _ in run.pairs):
        return None  # rows of another run: nobody knows who its ranks were
    turn = frame["round"].to_numpy(np.int32)
    seats = _seats(run)
    start = run.start_of(case, turn)
    players = seats.player_of[start[:, None], ranks]
    leaf_of, leaf_names = _leaves(run, seats.names)
    forth, back = _directions(run, case, turn, ranks)
    took = [made.result.seconds for made in run.results if made.result.case.index == case]
    shown = frame.iloc[0]
    rail = seats.rail_of[start, ranks[:, 0]]
    by_nics = _by_nics(run, seats.names, players)
    far = stretch(by_nics)
    return PairTable(
        a=players[far, 0],
        b=players[far, 1],
        rail=rail[far],
        round=turn[far],
        gbps=frame["algbw_GBps"].to_numpy(np.float64, na_value=np.nan)[far],
        nodes=seats.names,
        leaf_of=leaf_of,
        leaf_names=leaf_names,
        forth=None if forth is None else forth[far],
        back=None if back is None else back[far],
        near=int(np.count_nonzero(~by_nics)),
        again=f"{run.again} --operation {shown['operation']} --sizes {shown['nbytes']}",
        folder=str(run.called),
        seconds_a_round=float(np.median(took)) if took else None,
    )


def _by_nics(run: StoredRun, names: tuple[str, ...], players: Ints) -> npt.NDArray[np.bool_]:
    """Which rows (bool [n]) tell of NICs: pairs of one NVLink domain meet over NVLink, many times as fast.

    Beside them every other pair looks slow, and they would clear NICs that they never used. All rows, where
    no domain spans nodes or all lie in one.
    """
    domains = domains_of(run)
    if not domains or not set(names) <= set(domains):
        return np.ones(len(players), bool)
    number = np.array([domains[name] for name in names])
    far = np.asarray(number[players[:, 0]] != number[players[:, 1]])
    return far if far.any() else ~far


def _of_one_case(rows: pd.DataFrame, operation: str | None, nbytes: int | None) -> slice | Ints:
    """Where the rows of the case stand that is asked for; nowhere if there is no such one."""
    first = rows.drop_duplicates("case")[["operation", "nbytes", "case"]]
    asked = first["operation"].iloc[:1] if operation is None else [operation]
    first = first[first["operation"].isin(asked)]
    size = first["nbytes"].max() if nbytes is None else nbytes
    case = first.loc[first["nbytes"] == size, "case"].min()
    if pd.isna(case):
        return slice(0, 0)
    return stretch((rows["case"] == case).to_numpy(bool))


class _Seats(NamedTuple):
    """`player_of[start, rank]`, `rail_of` alike, and what players are called."""

    names: tuple[str, ...]
    player_of: Ints
    rail_of: Ints


def _seats(run: StoredRun) -> _Seats:
    """Where ranks were; a run that was resumed elsewhere has hosts of several starts."""
    names: dict[str, int] = {}
    rows, rails = [], []
    for start in run.starts:
        called = _called(start)
        players = start.topology(run.plan).players
        mine = np.empty(start.run.ranks, np.int32)
        rail = np.full(start.run.ranks, ALL_RAILS, np.int16)
        single = max(map(len, players)) == 1
        for player, ranks in enumerate(players):
            mine[list(ranks)] = names.setdefault(called[player], len(names))
            if not single:
                rail[list(ranks)] = np.arange(len(ranks))
        rows.append(mine)
        rails.append(rail)
    return _Seats(tuple(names), np.stack(rows), np.stack(rails))


def _called(start: Start) -> list[str]:
    """What the players of a start are called: hosts, told apart where two have one name; or ranks."""
    hosts = start.run.hosts
    if len(hosts) == 1:
        return [f"rank {rank}" for rank in range(start.run.ranks)]
    twice = {host for host, times in Counter(hosts).items() if times > 1}
    return [f"{host} (node {k})" if host in twice else host for k, host in enumerate(hosts)]


def _leaves(run: StoredRun, names: tuple[str, ...]) -> tuple[Ints | None, tuple[str, ...]]:
    found: dict[str, int] = {}
    leaf_names: tuple[str, ...] = ()
    for start in run.starts:
        where = start.topology(run.plan)
        if not where.leaf_of or len(start.run.hosts) == 1:
            return None, ()
        leaf_names = where.leaf_names
        found |= dict(zip(_called(start), where.leaf_of, strict=True))
    return np.array([found[name] for name in names], np.int32), leaf_names


def _directions(
    run: StoredRun, case: int, turn: Ints, ranks: Ints
) -> tuple[Floats | None, Floats | None]:
    """GB/s from the lower to the higher rank of each row and back; None where nobody stamped flows."""
    made = next((m for m in run.results if m.result.case.index == case), None)
    if made is None or not made.result.case.entry.directed:
        return None, None
    flows = flow_frame(run)
    flows = flows[(flows["case"] == case) & flows["GBps"].notna()]
    if flows.empty:
        return None, None
    many = run.last.ranks
    source, target, at = (flows[name].to_numpy(np.int64) for name in ("source", "target", "round"))
    keys = (at * many + source) * many + target
    order = np.argsort(keys)
    rates = flows["GBps"].to_numpy(np.float64)[order]
    sides = []
    for low, high in ((0, 1), (1, 0)):
        wanted = (turn.astype(np.int64) * many + ranks[:, low]) * many + ranks[:, high]
        place = np.searchsorted(keys[order], wanted).clip(max=len(keys) - 1)
        sides.append(np.where(keys[order][place] == wanted, rates[place], np.nan))
    return sides[0], sides[1]
