"""What a series of samples says, and how far it can be trusted; NumPy alone, no pandas.

Iterations of one series are autocorrelated (frequency, cache, neighbours), so intervals come from
blocks of consecutive samples rather than from single ones.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

BLOCKS = 16
#: 0.975 quantile of Student's t with BLOCKS - 1 = 15 degrees of freedom (any table of t).
T_975 = 2.1314495
P99_SAMPLES, P999_SAMPLES = 1000, 10_000

Samples = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Summary:
    """Statistics of one series in seconds; None where the samples cannot give the value.

    `low` and `high` bound the 95 % interval of the median; `stable` says that the interval is
    within `precision` and that the first and the second half of the series agree within it.
    """

    samples: int
    median: float | None = None
    low: float | None = None
    high: float | None = None
    minimum: float | None = None
    mean: float | None = None
    p99: float | None = None
    p999: float | None = None
    maximum: float | None = None
    stable: bool = False
    remark: str = ""  # what else a person should see beside it


@dataclasses.dataclass(frozen=True)
class Summaries:
    """The Summary of many series of `samples` values each, float64 and bool [series].

    A value that the samples cannot give is NaN in every series.
    """

    samples: int
    median: Samples
    low: Samples
    high: Samples
    minimum: Samples
    mean: Samples
    p99: Samples
    p999: Samples
    maximum: Samples
    stable: npt.NDArray[np.bool_]

    def of(self, series: int) -> Summary:
        """One of them, with None for what cannot be had."""

        def known(values: Samples) -> float | None:
            value = float(values[series])
            return None if math.isnan(value) else value

        return Summary(
            samples=self.samples,
            median=known(self.median),
            low=known(self.low),
            high=known(self.high),
            minimum=known(self.minimum),
            mean=known(self.mean),
            p99=known(self.p99),
            p999=known(self.p999),
            maximum=known(self.maximum),
            stable=bool(self.stable[series]),
        )


def median_intervals(samples: Samples, ordered: Samples | None = None) -> tuple[Samples, Samples]:
    """95 % intervals of the medians of series, (low [series], high [series]) of [series, n].

    `ordered` are the samples of each series by size, where somebody has them already.
    +- t(15) * s / sqrt(16) over the medians of 16 blocks. With fewer than 32 samples: the order
    statistics of the binomial (sign test) interval, or infinite where even the extremes do not
    reach 95 % (fewer than 6 samples).
    """
    series, n = samples.shape
    ordered = np.sort(samples, axis=1) if ordered is None else ordered
    if n >= 2 * BLOCKS:
        size, longer = divmod(n, BLOCKS)  # as np.array_split does, a call for 16 blocks
        cut = longer * (size + 1)
        parts = (
            samples[:, :cut].reshape(series, longer, size + 1),
            samples[:, cut:].reshape(series, BLOCKS - longer, size),
        )
        medians = np.concatenate([np.median(part, axis=2) for part in parts if part.size], axis=1)
        half = T_975 * np.std(medians, axis=1, ddof=1) / math.sqrt(BLOCKS)
        middle, lowest, highest = _middles(ordered), ordered[:, 0], ordered[:, -1]
        return np.maximum(middle - half, lowest), np.minimum(middle + half, highest)
    below, tail = -1, 0.0
    while below + 1 < n and (tail := tail + math.comb(n, below + 1) / 2**n) <= 0.025:
        below += 1
    if below < 0:
        return np.full(series, -math.inf), np.full(series, math.inf)
    return ordered[:, below], ordered[:, n - 1 - below]


def median_interval(samples: Samples) -> tuple[float, float]:
    """`median_intervals` of one series, [n]."""
    (low,), (high,) = median_intervals(samples[None])
    return float(low), float(high)


def relative_width(samples: Samples) -> float:
    """Half-width of the median's interval over the median (infinite for too few samples)."""
    if not len(samples):
        return math.inf
    low, high = median_intervals(samples[None])
    return float(_widths(low, high, np.median(samples[None], axis=1))[0])


def _widths(low: Samples, high: Samples, middle: Samples) -> Samples:
    widths: Samples = np.full(len(middle), math.inf)
    np.divide((high - low) / 2, middle, out=widths, where=middle > 0)
    return widths


def summarise_rows(samples: Samples, precision: float = 0.01) -> Summaries:
    """The Summary of every row of samples in seconds, [series, n]: the one definition of them all."""
    series, n = samples.shape
    nothing = np.full(series, math.nan)
    if not n:
        none = np.zeros(series, np.bool_)
        return Summaries(0, *(nothing,) * 8, stable=none)
    ordered = np.sort(samples, axis=1)  # once: order statistics of short series cost little more
    low, high = median_intervals(samples, ordered)
    middle = _middles(ordered)
    agree = np.ones(series, np.bool_)
    if n > 1:
        parts = np.array_split(samples, 2, axis=1)
        halves = [_middles(np.sort(half, axis=1)) for half in parts]
        agree = np.abs(halves[0] - halves[1]) <= 2 * precision * middle
    return Summaries(
        samples=n,
        median=middle,
        low=np.where(np.isfinite(low), low, math.nan),
        high=np.where(np.isfinite(high), high, math.nan),
        minimum=np.where(np.isnan(ordered[:, -1]), math.nan, ordered[:, 0]),  # NaN stands last
        mean=samples.mean(axis=1),
        p99=np.quantile(samples, 0.99, axis=1) if n >= P99_SAMPLES else nothing,
        p999=np.quantile(samples, 0.999, axis=1) if n >= P999_SAMPLES else nothing,
        maximum=ordered[:, -1],
        stable=agree & (_widths(low, high, middle) <= precision),
    )


def _middles(ordered: Samples) -> Samples:
    """The median of every row of [series, n], whose values stand in their order; as np.median's."""
    n = ordered.shape[1]
    middle = ordered[:, n // 2]
    if n % 2 == 0:
        middle = (ordered[:, n // 2 - 1] + middle) / 2
    made: Samples = np.where(np.isnan(ordered[:, -1]), math.nan, middle)
    return made


def summarise(samples: Samples, precision: float = 0.01) -> Summary:
    """The Summary of samples in seconds (shape [n]); all values None for an empty series."""
    return summarise_rows(samples[None], precision).of(0)


def jain(rates: npt.ArrayLike) -> float | None:
    """Jain's fairness index (sum x)^2 / (n sum x^2), from 1/n (one has all) to 1 (all the same).

    R. Jain, D. Chiu, W. Hawe, DEC-TR-301 (1984). None where there is no rate.
    """
    made = np.asarray(rates, np.float64)
    if not made.any():
        return None
    return float(made.sum() ** 2 / (made.size * (made**2).sum()))
