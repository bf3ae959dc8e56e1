"""How often `railgauge compare --interleave` is right: whole studies on launches of known effect.

`python tests/studies/compare_study.py` prints the table; `make test` runs a small seeded core of it.
Launches of a study drift, wander (a random walk) and are sometimes far off, on either side alike.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
from scipy import stats

from railgauge_reports.compare.effects import CANNOT_TELL, FASTER, SAME, SLOWER, paired, words
from railgauge_reports.compare.kept import LOOKS, order_of

MARGIN = 0.02


@dataclasses.dataclass(frozen=True)
class Noise:
    """What moves the log times of launches: all shares, per launch.

    `spread` is each launch's own, `walk` the step of a random walk, `drift` a steady rise, `outliers`
    how many launches in a hundred are 25 % slower.
    """

    name: str
    spread: float = 0.01
    walk: float = 0.0
    drift: float = 0.0
    outliers: float = 0.0


NOISES = (
    Noise("quiet", spread=0.003),
    Noise("plain", spread=0.01),
    Noise("drifting", spread=0.01, drift=0.005),
    Noise("wandering", spread=0.005, walk=0.01),
    Noise("outliers", spread=0.01, outliers=0.05),
)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How one study ended: a word a row, pairs, and in how many rows the interval held the truth."""

    words: tuple[str, ...]
    blocks: int
    held: int


def one_study(seed: int, noise: Noise, effects: np.ndarray) -> Ended:
    """Look after LOOKS pairs as the command does; `effects` are log ratios, one a row."""
    random = np.random.default_rng(seed)
    order = np.array([side == "B" for side in order_of(seed, LOOKS[-1])])
    times = random.normal(0, noise.spread, (len(effects), len(order)))
    times += np.cumsum(random.normal(0, noise.walk, len(order))) + noise.drift * np.arange(
        len(order)
    )
    times += np.log(1.25) * (random.random(len(order)) < noise.outliers)
    times += effects[:, None] * order
    pairs, sides = times.reshape(len(effects), -1, 2), order.reshape(-1, 2)
    ratios = np.where(sides[:, 1], pairs[:, :, 1] - pairs[:, :, 0], pairs[:, :, 0] - pairs[:, :, 1])
    found, said = [], []
    for blocks in LOOKS:
        found = [paired(row[:blocks], MARGIN, len(LOOKS)) for row in ratios]
        said = words(found)
        if CANNOT_TELL not in said:
            break
    held = sum(e.low <= truth <= e.high for e, truth in zip(found, effects, strict=True))
    return Ended(tuple(said), found[0].blocks, held)


@dataclasses.dataclass(frozen=True)
class Shares:
    """Shares of studies (of rows: `held`), with the count that they are shares of."""

    studies: int
    differs: float  # in which any row says faster or slower
    same: float  # in which all rows say the same
    wrong_way: float  # in which a row says the opposite of its effect
    held: float
    blocks: float


def many(noise: Noise, ratio: float, rows: int, studies: int, seed: int) -> Shares:
    """Studies of `rows` rows that all have the effect `ratio`."""
    effects = np.full(rows, np.log(ratio))
    opposite = FASTER if ratio > 1 else SLOWER
    ended = [one_study(seed * 100_003 + k, noise, effects) for k in range(studies)]
    return Shares(
        studies=studies,
        differs=np.mean([bool({FASTER, SLOWER} & set(e.words)) for e in ended]),
        same=np.mean([set(e.words) == {SAME} for e in ended]),
        wrong_way=np.mean([opposite in e.words for e in ended]),
        held=sum(e.held for e in ended) / rows / studies,
        blocks=np.mean([e.blocks for e in ended]),
    )


def table(studies: int, seed: int) -> list[str]:
    """Markdown; `differs` with its 95 % interval (Clopper and Pearson)."""
    lines = [
        "| launches | B / A | rows | differs (95 % interval) | same | wrong way | interval holds | pairs |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for noise in NOISES:
        for ratio in (1.0, 1.01, 1.03, 1.05):
            for rows in (1, 8):
                s = many(noise, ratio, rows, studies, seed)
                low, high = stats.binomtest(round(s.differs * studies), studies).proportion_ci(
                    method="exact"
                )
                lines.append(
                    f"| {noise.name} | {ratio:.2f} | {rows} | {s.differs:.1%} ({low:.1%} - {high:.1%})"
                    f" | {s.same:.1%} | {s.wrong_way:.1%} | {s.held:.1%} | {s.blocks:.1f} |"
                )
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("\n".join(table(asked.studies, asked.seed)))
