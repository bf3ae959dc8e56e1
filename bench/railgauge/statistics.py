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


def median_interval(samples: Samples) -> tuple[float, float]:
    """95 % interval of the median: +- t(15) * s / sqrt(16) over the medians of 16 blocks.

    With fewer than 32 samples: the order statistics of the binomial (sign test) interval,
    or infinite where even the extremes do not reach 95 % (fewer than 6 samples).
    """
    n = len(samples)
    middle = float(np.median(samples))
    if n >= 2 * BLOCKS:
        size, longer = divmod(n, BLOCKS)  # as np.array_split does, a call for 16 blocks
        cut = longer * (size + 1)
        parts = samples[:cut].reshape(-1, size + 1), samples[cut:].reshape(-1, size)
        medians = np.concatenate([np.median(part, axis=1) for part in parts if part.size])
        half = T_975 * float(np.std(medians, ddof=1)) / math.sqrt(BLOCKS)
        return max(middle - half, float(samples.min())), min(middle + half, float(samples.max()))
    ordered = np.sort(samples)
    below, tail = -1, 0.0
    while below + 1 < n and (tail := tail + math.comb(n, below + 1) / 2**n) <= 0.025:
        below += 1
    if below < 0:
        return -math.inf, math.inf
    return float(ordered[below]), float(ordered[n - 1 - below])


def relative_width(samples: Samples) -> float:
    """Half-width of the median's interval over the median (infinite for too few samples)."""
    if not len(samples):
        return math.inf
    return _width(*median_interval(samples), float(np.median(samples)))


def _width(low: float, high: float, middle: float) -> float:
    return (high - low) / 2 / middle if middle > 0 else math.inf


def summarise(samples: Samples, precision: float = 0.01) -> Summary:
    """The Summary of samples in seconds (shape [n]); all values None for an empty series."""
    n = len(samples)
    if not n:
        return Summary(0)
    low, high = median_interval(samples)
    middle = float(np.median(samples))
    halves = [float(np.median(half)) for half in np.array_split(samples, 2)] if n > 1 else [middle]
    agree = max(halves) - min(halves) <= 2 * precision * middle
    return Summary(
        samples=n,
        median=middle,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        minimum=float(samples.min()),
        mean=float(samples.mean()),
        p99=float(np.quantile(samples, 0.99)) if n >= P99_SAMPLES else None,
        p999=float(np.quantile(samples, 0.999)) if n >= P999_SAMPLES else None,
        maximum=float(samples.max()),
        stable=agree and _width(low, high, middle) <= precision,
    )


def jain(rates: npt.ArrayLike) -> float | None:
    """Jain's fairness index (sum x)^2 / (n sum x^2), from 1/n (one has all) to 1 (all the same).

    R. Jain, D. Chiu, W. Hawe, DEC-TR-301 (1984). None where there is no rate.
    """
    made = np.asarray(rates, np.float64)
    if not made.any():
        return None
    return float(made.sum() ** 2 / (made.size * (made**2).sum()))
