"""Whether we are as fast as a peer: paired ratios with their intervals, and the bar.

The bar, per size: the 95 % interval of the paired ratio ours / peer contains 1.00, and its upper end
is at most 1 + margin, or no higher than that of the peer against itself in the same run. To be
faster is no failure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_NOT_MEASURED, EXIT_PASS
from railgauge_reports.crosscheck.pairing import Figures

MARGIN = 0.02
RESAMPLES = 10_000
#: The extremes of fewer rounds than this do not hold the median with 95 % (1 - 2 / 2^n).
LEAST_ROUNDS = 6

PARITY, FASTER, SLOWER, UNDECIDED = "parity", "faster", "slower", "undecided"
NOT_RESOLVABLE, TOO_FEW, NOT_MEASURED = "not resolvable", "too few rounds", "not measured"

Ratios = npt.NDArray[np.float64]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One size: medians over rounds in seconds, ratios ours / peer (above 1: we are slower).

    `null_*` is the peer against itself, `ratio_low` and `ratio_high` bound the 95 % interval of
    `ratio`. None is a value that cannot be had, never 0.
    """

    nbytes: int
    peer_nbytes: int
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    null: float | None = None
    null_low: float | None = None
    null_high: float | None = None
    ratio_avg: float | None = None
    ratio_min: float | None = None
    ours_seconds: float | None = None
    peer_seconds: float | None = None
    peer_resolution_seconds: float | None = None
    rounds: int = 0
    iterations: int = 0
    verdict: str = NOT_MEASURED
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Round:
    """The three launches of one round for one size."""

    peer: Figures
    ours: Figures
    again: Figures


def median_interval(ratios: Ratios, random: np.random.Generator) -> tuple[float, float, float]:
    """(median, low, high): the percentile bootstrap's 95 % interval of the median of `ratios`."""
    drawn = random.integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def verdict(
    interval: tuple[float, float], null: tuple[float, float], margin: float = MARGIN
) -> str:
    """PARITY, FASTER, SLOWER or UNDECIDED (too wide to say) of 95 % intervals of ratios."""
    low, high = interval
    if high < 1:
        return FASTER
    if low > 1:
        return SLOWER
    return PARITY if high <= max(1 + margin, null[1]) else UNDECIDED


def judge(
    nbytes: int,
    peer_nbytes: int,
    rounds: Sequence[Round],
    iterations: int,
    seed: int,
    margin: float = MARGIN,
) -> Row:
    """The row of a size from its rounds (at least one); deterministic for a seed."""
    random = np.random.default_rng([seed, nbytes])
    ours = np.array([r.ours.typical for r in rounds])
    peer = np.array([r.peer.typical for r in rounds])
    again = np.array([r.again.typical for r in rounds])
    resolution = max(r.peer.resolution for r in rounds)
    if not peer.min() > 0:
        return Row(
            nbytes=nbytes,
            peer_nbytes=peer_nbytes,
            ours_seconds=float(np.median(ours)),
            peer_resolution_seconds=resolution,
            rounds=len(rounds),
            iterations=iterations,
            verdict=NOT_RESOLVABLE,
            reason="the peer prints 0 here",
        )
    ratio, low, high = median_interval(ours / peer, random)
    null, null_low, null_high = median_interval(again / peer, random)
    typical = float(np.median(peer))
    word, reason = verdict((low, high), (null_low, null_high), margin), ""
    if resolution > margin * typical:
        word = NOT_RESOLVABLE
        reason = f"the peer prints steps of {resolution / typical:.1%} here, asked is {margin:.1%}"
    elif len(rounds) < LEAST_ROUNDS:
        word = TOO_FEW
        reason = f"{len(rounds)} rounds give no 95 % interval; at least {LEAST_ROUNDS}"
    return Row(
        nbytes=nbytes,
        peer_nbytes=peer_nbytes,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        null=null,
        null_low=null_low,
        null_high=null_high,
        ratio_avg=_paired([(r.ours.average, r.peer.average) for r in rounds]),
        ratio_min=_paired([(r.ours.fastest, r.peer.fastest) for r in rounds]),
        ours_seconds=float(np.median(ours)),
        peer_seconds=typical,
        peer_resolution_seconds=resolution,
        rounds=len(rounds),
        iterations=iterations,
        verdict=word,
        reason=reason,
    )


def _paired(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    ratios = [ours / peer for ours, peer in pairs if ours is not None and peer]
    return float(np.median(ratios)) if len(ratios) == len(pairs) else None


def exit_code(rows: Sequence[Row]) -> int:
    """3 where a size was not measured, 1 where one is not at parity, 6 where one cannot be judged."""
    words = {row.verdict for row in rows}
    if NOT_MEASURED in words:
        return EXIT_NOT_MEASURED
    if words & {SLOWER, UNDECIDED}:
        return EXIT_FAIL
    return EXIT_PASS if words and words <= {PARITY, FASTER} else EXIT_INCONCLUSIVE
