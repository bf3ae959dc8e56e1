"""Charts of pairs: the matrix by leaf, the same for each rail, and the players that stand out.

Above 64 players a cell stands for all pairs between two blocks of neighbours: leaves where they are
known, else runs of the order that they are drawn in. A block shows its slowest pair as well.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from railgauge.units import format_size
from railgauge_reports.cells import cut, significant
from railgauge_reports.page.chart import Chart, Grid, spec_of
from railgauge_reports.pairs import MOST_NAME, Pairs, gathered

#: Players that are drawn one by one, and cells of all panels of the rails together.
MOST_PLAYERS, MOST_CELLS = 64, 6144
MOST_RAILS = 16
MOST_ROWS = 60
MOST_HOSTS = 24
_CELL_PIXELS, _LEAST, _MOST = 22, 180, 620
ROW_PIXELS = 20  # of a bar


class Blocks:
    """Runs of players that are drawn as one; `of[player]` is the block of a player."""

    of: npt.NDArray[np.int32]

    def __init__(self, pairs: Pairs, most: int, suspects: frozenset[str] = frozenset()) -> None:
        names, leaves = pairs.players.names, pairs.players.leaves
        n, known = len(names), pairs.players.leaf_names
        if n <= most:
            self.of = np.arange(n, dtype=np.int32)
        elif len(known) > 1 and len(known) <= most:
            self.of = np.array([known.index(leaf) for leaf in leaves], np.int32)
        else:
            self.of = np.arange(n, dtype=np.int32) // math.ceil(n / most)
        self.single = n <= most
        firsts = [int(first) for first in np.unique(self.of, return_index=True)[1]]
        ends = [*firsts[1:], n]
        self.labels = tuple(
            _label(pairs, first, end, suspects) for first, end in zip(firsts, ends, strict=True)
        )
        #: Labels of the first block of each leaf but the first one.
        edges = tuple(
            label
            for label, first in zip(self.labels, firsts, strict=True)
            if first and leaves[first] != leaves[first - 1]
        )
        self.edges = edges if 2 * len(edges) < len(firsts) else ()  # a block a leaf needs none


def _label(pairs: Pairs, first: int, end: int, suspects: frozenset[str]) -> str:
    players = pairs.players
    noun = "" if players.noun == "host" else "rank "
    mark = "» " if suspects.intersection(players.names[first:end]) else ""
    if end - first == 1:
        return f"{mark}{noun}{players.shown(first)}"
    leaf = players.leaves[first]
    if leaf and leaf == players.leaves[end - 1]:
        return f"{mark}{cut(leaf, MOST_NAME)} ({players.shown(first)} …)"
    return f"{mark}{noun}{players.shown(first)} … {players.shown(end - 1)}"


def cells_of(frame: pd.DataFrame, blocks: Blocks, pairs: Pairs, by_rail: bool) -> pd.DataFrame:
    """A row a cell: row, column, [rail], busbw (median), worst, slowest (who), pairs, slow.

    Of rows of `pairs.frame`. Both triangles; `slow`: a pair that is told of lies in it.
    """
    a, b = blocks.of[frame["one"]], blocks.of[frame["other"]]
    wide = len(blocks.labels)
    keys: npt.NDArray[np.int32] = np.maximum(a, b) * wide + np.minimum(a, b)
    stride = pairs.stride if by_rail else 1
    keys = keys * stride + (frame["rail"].to_numpy() + 1) if by_rail else keys
    cells = gathered(keys, frame["busbw_GBps"].to_numpy())
    place, rail = np.divmod(cells.key, stride)
    made = pd.DataFrame(
        {
            "y": place // wide,
            "x": place % wide,
            **({"rail": rail - 1} if by_rail else {}),
            "busbw": cells.median,
            "worst": cells.least,
            "slow": np.isin(frame["row"].to_numpy()[cells.first], pairs.slow["row"]),
            "at": cells.first,
            "pairs": cells.size,
        }
    )
    slowest = frame.iloc[made["at"]]
    made["slowest"] = [
        pairs.words(one, other, rail)
        for one, other, rail in slowest[["one", "other", "rail"]].itertuples(index=False, name=None)
    ]
    mirrored = made[made["x"] != made["y"]].rename(columns={"x": "y", "y": "x"})
    both = pd.concat([made, mirrored], ignore_index=True)
    labels = np.array(blocks.labels, dtype=object)
    both["row"], both["column"] = labels[both["y"]], labels[both["x"]]
    return both.drop(columns=["x", "y", "at"])


def matrix(pairs: Pairs, suspects: frozenset[str] = frozenset()) -> Chart:
    """Every two players, over all rails; `suspects` are hosts that are marked."""
    blocks = Blocks(pairs, MOST_PLAYERS, suspects)
    cells = cells_of(pairs.frame, blocks, pairs, by_rail=False)
    edges = pd.DataFrame({"edge": list(blocks.edges)}, dtype="string")
    side = int(np.clip(len(blocks.labels) * _CELL_PIXELS, _LEAST, _MOST))
    spec = spec_of(_layers(blocks, side))
    said = "" if blocks.single else (
        f" {len(pairs.players.names):,} {pairs.players.noun}s are drawn as {len(blocks.labels)} blocks;"
        " a cell has the colour of its slowest pair."
    )  # fmt: skip
    slow = pairs.slow
    outlined = (
        f"{len(slow):,} of {len(pairs.frame):,} pairs are outlined: far below the median of"
        f" {significant(pairs.median_GBps)} GB/s."
        if len(slow)
        else f"No pair of {len(pairs.frame):,} is far below the median of"
        f" {significant(pairs.median_GBps)} GB/s."
    )
    return Chart(
        "pairs",
        f"Pairs: {pairs.operation} of {format_size(pairs.nbytes)}",
        outlined + said,
        spec,
        {"cells": cells, "edges": edges},
        _grid(pairs),
        square=True,
    )


def rails(pairs: Pairs, suspects: frozenset[str] = frozenset()) -> Chart | None:
    """The matrix of each rail; None where there are no rails to tell apart."""
    found = pairs.rails
    if len(found) < 2:
        return None
    drawn = found[:MOST_RAILS]
    most = min(MOST_PLAYERS, math.isqrt(MOST_CELLS // len(drawn)))
    blocks = Blocks(pairs, most, suspects)
    whole = len(drawn) == len(found)
    frame = pairs.frame if whole else pairs.frame[pairs.frame["rail"].isin(drawn)]
    cells = cells_of(frame, blocks, pairs, by_rail=True)
    header = alt.Header(labelExpr="'rail ' + datum.value")
    panel = _layers(blocks, 190, labels=False)
    spec = spec_of(panel.facet(alt.Facet("rail:O", title=None, header=header), columns=4))
    by_rail = gathered(pairs.frame["rail"].to_numpy() + 1, pairs.frame["busbw_GBps"].to_numpy())
    medians = by_rail.median[by_rail.key > 0]
    weakest = found[int(medians.argmin())]
    says = (
        f"Medians of the rails lie between {significant(float(medians.min()))} GB/s (rail {weakest}) and"
        f" {significant(float(medians.max()))} GB/s."
    )
    grid = Grid(
        "busbw in GB/s of the pairs of each rail",
        ("rail", "median", "slowest", "fastest", "pairs"),
        [
            (str(key - 1), *(significant(value) for value in (median, low, high)), f"{count:,}")
            for key, _, count, median, low, high in zip(
                *map(np.ndarray.tolist, by_rail), strict=True
            )
        ],
    )
    data = {"cells": cells, "edges": pd.DataFrame({"edge": []}, dtype="string")}
    return Chart("rails", "Pairs of each rail", says, spec, data, grid, square=True)


def _layers(blocks: Blocks, side: int, labels: bool = True) -> Any:
    order = list(blocks.labels)
    plain: dict[str, Any] = {"labels": labels, "ticks": False, "domain": False, "title": None}
    plain["labelLimit"] = 150
    x = alt.X("column:N", scale=alt.Scale(domain=order), axis=alt.Axis(labelAngle=-60, **plain))
    y = alt.Y("row:N", scale=alt.Scale(domain=order), axis=alt.Axis(**plain))
    base = alt.Chart(alt.NamedData("cells")).encode(x=x, y=y)
    tooltip = [
        alt.Tooltip("row:N", title="between"),
        alt.Tooltip("column:N", title="and"),
        alt.Tooltip("busbw:Q", title="median GB/s", format=".4~g"),
        alt.Tooltip("worst:Q", title="slowest GB/s", format=".4~g"),
        alt.Tooltip("slowest:N", title="which is"),
        alt.Tooltip("pairs:Q"),
    ]
    color = alt.Color(
        "worst:Q",
        scale=alt.Scale(scheme="cividis", zero=False),
        legend=alt.Legend(title="GB/s", gradientLength=160),
    )
    parts = [base.mark_rect().encode(color=color, tooltip=tooltip)]
    if labels:
        edges = alt.Chart(alt.NamedData("edges")).mark_rule(color="@ink", strokeWidth=1.5)
        parts += [
            edges.encode(x=alt.X("edge:N", bandPosition=0, scale=alt.Scale(domain=order))),
            edges.encode(y=alt.Y("edge:N", bandPosition=0, scale=alt.Scale(domain=order))),
        ]
    parts.append(
        base.transform_filter("datum.slow").mark_rect(
            fillOpacity=0, stroke="@accent", strokeWidth=2 if labels else 1.5
        )
    )
    return alt.layer(*parts).properties(width=side, height=side)


def _grid(pairs: Pairs) -> Grid:
    slow = pairs.slow
    shown = pairs.slowest(MOST_ROWS)
    told = set(slow["row"].head(MOST_ROWS * 2))
    names, leaves = pairs.players.names, pairs.players.leaves
    rows = [
        (
            names[one],
            names[other],
            leaves[one] or "-",
            leaves[other] or "-",
            "-" if rail < 0 else str(rail),
            significant(rate),
            f"{pairs.share(rate):.0%}",
            "▲ slow" if row in told else "",
        )
        for one, other, rail, rate, row in shown[
            ["one", "other", "rail", "busbw_GBps", "row"]
        ].itertuples(index=False, name=None)
    ]
    noun = pairs.players.noun
    return Grid(
        f"The slowest {len(shown):,} of {len(pairs.frame):,} pairs, {pairs.operation} of"
        f" {format_size(pairs.nbytes)}",
        (noun, noun, "leaf", "leaf", "rail", "busbw GB/s", "of the median", "mark"),
        rows,
        left=4,
    )


def players(pairs: Pairs) -> Chart | None:
    """The median of each player's pairs on each rail, the lowest ones; None of a single pair."""
    ends = pairs.by_player()
    player, rail = np.divmod(ends.key, pairs.stride)
    if len(np.unique(player)) < 3:
        return None
    low = np.argsort(ends.median, kind="stable")[:MOST_HOSTS]
    noun = pairs.players.noun
    bars = pd.DataFrame(
        {
            "who": [pairs.who(int(player[k]), int(rail[k]) - 1) for k in low],
            "median": ends.median[low],
            "slowest": ends.least[low],
            "pairs": ends.size[low],
        }
    )
    fleet = pd.DataFrame({"median": [pairs.median_GBps]})
    y = alt.Y("who:N", sort=None, title=None, axis=alt.Axis(labelOverlap=False))
    x = alt.X("median:Q", title="median busbw of its pairs, GB/s", scale=alt.Scale(zero=True))
    tooltip = [
        alt.Tooltip("who:N"),
        alt.Tooltip("median:Q", title="median GB/s", format=".4~g"),
        alt.Tooltip("slowest:Q", title="slowest GB/s", format=".4~g"),
        alt.Tooltip("pairs:Q"),
    ]
    base = alt.Chart(alt.NamedData("players"))
    layers = alt.layer(
        base.mark_bar(height={"band": 0.7}, opacity=0.75).encode(x=x, y=y, tooltip=tooltip),
        base.mark_tick(color="@ink", thickness=2).encode(x="slowest:Q", y=y),
        alt.Chart(alt.NamedData("fleet"))
        .mark_rule(color="@accent", strokeWidth=2, strokeDash=[5, 4])
        .encode(x="median:Q"),
    ).properties(height=ROW_PIXELS * len(bars))
    says = (
        f"The lowest median is {significant(float(bars['median'].iloc[0]))} GB/s, of"
        f" {bars['who'].iloc[0]}; the dashed line is the median of all pairs,"
        f" {significant(pairs.median_GBps)} GB/s; a tick is the slowest of its pairs."
    )
    what = f"{noun}s" + (" and rails" if pairs.rails else "")
    grid = Grid(
        f"The {len(bars)} of {len(ends.key):,} {what} with the lowest median",
        ("who", "median GB/s", "of the median", "slowest GB/s", "pairs"),
        [
            (
                str(who),
                significant(m),
                f"{m / pairs.median_GBps:.0%}",
                significant(s),
                f"{int(c):,}",
            )
            for who, m, s, c in bars.itertuples(index=False, name=None)
        ],
    )
    title = f"{what.capitalize()} by the median of their pairs"
    return Chart("players", title, says, spec_of(layers), {"players": bars, "fleet": fleet}, grid)
