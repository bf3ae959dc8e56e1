"""Rounds of peer, ours and the peer again, in random order: paired, so that noise cancels.

A shared machine changes its speed within seconds; a ratio of two launches that follow each other
does not. The peer against itself, in the same rounds, says how large a ratio can be by chance.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from railgauge.errors import RailgaugeError
from railgauge.units import format_size
from railgauge_reports.crosscheck.launches import Launches
from railgauge_reports.crosscheck.pairing import Figures, Pairing, Size
from railgauge_reports.crosscheck.parity import NOT_MEASURED, Round, Row, judge

ITERATIONS = 20_000
LEAST_ITERATIONS = 20
#: Up to which size (bytes) the asked iterations are divided by what.
_FEWER = ((8 << 10, 1), (64 << 10, 4), (1 << 20, 20))
_FEWEST = 100
_WINDOW_SHARE = 6.4  # a window of 64 messages takes a tenth of the iterations


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sizes that one launch covers, with the same number of iterations."""

    sizes: tuple[Size, ...]
    iterations: int

    @property
    def warmup(self) -> int:
        return max(LEAST_ITERATIONS, self.iterations // 10)

    @property
    def name(self) -> str:
        return "-".join(format_size(size.nbytes) for size in self.sizes)


def iterations_for(asked: int, nbytes: int, weight: int) -> int:
    """Iterations of a size: `asked` for small messages, fewer for large ones and for windows."""
    divisor: float = next((d for limit, d in _FEWER if nbytes <= limit), _FEWEST)
    if weight > 1:
        divisor *= weight / _WINDOW_SHARE
    return min(asked, max(LEAST_ITERATIONS, int(asked / divisor)))


def batches(
    pairing: Pairing,
    sizes: Sequence[Size],
    asked: int,
    reachable: Callable[[Sequence[int]], list[list[int]]],
) -> list[Batch]:
    """The launches that a round makes of each side."""
    classes: dict[int, list[Size]] = {}
    for size in sizes:
        classes.setdefault(iterations_for(asked, size.nbytes, pairing.weight), []).append(size)
    made: list[Batch] = []
    for iterations, members in classes.items():
        made += [
            Batch(tuple(s for s in members if s.peer in launch), iterations)
            for launch in reachable([size.peer for size in members])
        ]
    return made


class Interleaved:
    """One crosscheck: `rounds` rounds over `plan`, orders from `seed`, files under `folder`."""

    def __init__(
        self,
        launches: Launches,
        pairing: Pairing,
        options: frozenset[str],
        plan: Sequence[Batch],
        folder: Path,
        seed: int,
    ) -> None:
        self.launches, self.pairing, self.options = launches, pairing, options
        self.plan, self.folder, self.seed = plan, folder, seed
        self._random = random.Random(seed)
        self.failure: RailgaugeError | None = None  # what ended the rounds early

    def run(self, rounds: int, advance: Callable[[], None]) -> list[Row]:
        """Measure and judge; `advance` is called after each of rounds * 3 * len(plan) launches.

        Where a launch fails, what was measured before is judged, and `failure` is the error; it is
        raised where nothing was.
        """
        found: dict[int, list[Round]] = {size.nbytes: [] for b in self.plan for size in b.sizes}
        try:
            for number in range(rounds):
                for batch in self._random.sample(self.plan, len(self.plan)):
                    at = self.folder / f"round{number:03d}" / batch.name
                    for nbytes, triple in self._round(batch, at, advance).items():
                        found[nbytes].append(triple)
        except RailgaugeError as error:
            if not any(found.values()):
                raise
            self.failure = error
        rows = [
            self._row(b, size, found[size.nbytes], rounds) for b in self.plan for size in b.sizes
        ]
        return sorted(rows, key=lambda row: row.nbytes)

    def _round(self, batch: Batch, at: Path, advance: Callable[[], None]) -> Mapping[int, Round]:
        at.mkdir(parents=True)
        sides: dict[str, Mapping[int, Figures]] = {}
        for side in self._random.sample(["peer", "ours", "again"], 3):
            sides[side] = self._ours(batch, at) if side == "ours" else self._peer(batch, at, side)
            advance()
        return {
            size.nbytes: Round(*(sides[side][size.nbytes] for side in ("peer", "ours", "again")))
            for size in batch.sizes
            if all(size.nbytes in side for side in sides.values())
        }

    def _peer(self, batch: Batch, at: Path, side: str) -> Mapping[int, Figures]:
        found = self.launches.peer_figures(
            self.pairing,
            batch.sizes,
            batch.iterations,
            batch.warmup,
            self.options,
            at / f"{side}.txt",
        )
        return {size.nbytes: found[size.peer] for size in batch.sizes if size.peer in found}

    def _ours(self, batch: Batch, at: Path) -> Mapping[int, Figures]:
        series = self.launches.our_series(
            self.pairing, batch.sizes, batch.iterations, batch.warmup, at / "ours"
        )
        return {nbytes: self.pairing.recompute(samples) for nbytes, samples in series.items()}

    def _row(self, batch: Batch, size: Size, found: Sequence[Round], rounds: int) -> Row:
        if len(found) == rounds or (self.failure and found):
            return judge(size.nbytes, size.peer, found, batch.iterations, self.seed)
        return Row(
            nbytes=size.nbytes,
            peer_nbytes=size.peer,
            rounds=len(found),
            iterations=batch.iterations,
            verdict=NOT_MEASURED,
            reason="a launch failed before its first round"
            if self.failure
            else f"the peer printed no row for size {size.peer} in {rounds - len(found)} rounds"
            " (a limit on memory or time of its own?)",
        )
