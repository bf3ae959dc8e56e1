"""How often `railgauge gate` is right: years of nights with known noise, decided by the gate's own code.

`python tests/studies/gate_study.py` prints the tables; `make test` runs a small seeded core of it.
A night is a level times noise; its confirming runs (two on the same nodes, one on others) have noise of the
same kind, of which a share is the night's own: 0 where another run is another draw, 1 where it says again
whatever the night said. Alarms are nights in the state REGRESSION.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
from scipy.special import log_ndtr

from railgauge_reports.history.change_points import change_points
from railgauge_reports.history.rule import RULE, Rule, discoveries
from railgauge_reports.history.walk import Scope, State, Walk, walk
from railgauge_reports.power.study import Interval, rate, share

YEAR, BEFORE = 365, 60  # nights; accepted ones before something happens
LEVEL = 100.0  # GB/s
OUTLIER_LOSS = 0.25
RUNS = 4  # the night, two on the same nodes, one on others
SHARED = (0.0, 0.5, 1.0)
SERIES = 40  # of a cluster


@dataclasses.dataclass(frozen=True)
class Noise:
    """What moves the logarithm of a night's value.

    `spread` is the standard deviation, of whose square the share `tail` is an exponential that only
    makes slower; `outliers` the share of nights (and of confirming runs) that are 25 % slower.
    """

    name: str
    spread: float = 0.008
    tail: float = 0.0
    outliers: float = 0.0


PLAIN, TAIL, OUTLIERS = Noise("plain"), Noise("tail", tail=0.5), Noise("outliers", outliers=0.03)
BOTH = Noise("tail and outliers", tail=0.5, outliers=0.03)
NOISES = (
    PLAIN,
    TAIL,
    Noise("all tail", tail=1.0),
    OUTLIERS,
    BOTH,
    Noise("0.6 %, tail and outliers", 0.006, 0.5, 0.03),
)


@dataclasses.dataclass(frozen=True)
class Mixed:
    """Draws with correlations: `shared` among the runs of a night, `alike` among a cluster's series.

    Shape [RUNS, nights, series]; the series of a cluster are `SERIES` neighbours.
    """

    random: np.random.Generator
    nights: int
    series: int
    shared: float = 0.0
    alike: float = 0.0

    def _parts(self, draw) -> list[np.ndarray]:
        """Of the night and of each run; of the cluster and of each series."""
        clusters = -(-self.series // SERIES) if self.alike else 1
        return [
            np.repeat(draw((runs, self.nights, width)), repeats, axis=2)[:, :, : self.series]
            for runs in (1, RUNS)
            for width, repeats in (
                (clusters, SERIES if self.alike else self.series),
                (self.series, 1),
            )
        ]

    def normal(self) -> np.ndarray:
        night, own_night, run, own_run = self._parts(self.random.standard_normal)
        together, apart = self.alike**0.5, (1 - self.alike) ** 0.5
        return self.shared**0.5 * (together * night + apart * own_night) + (
            1 - self.shared
        ) ** 0.5 * (together * run + apart * own_run)

    def struck(self, chance: float) -> np.ndarray:
        """Flags with that chance, correlated alike: by whose draw a run is struck is drawn too."""
        night, own_night, run, own_run = self._parts(
            lambda shape: self.random.random(shape) < chance
        )

        def chosen(one: np.ndarray, other: np.ndarray, share: float, runs: int) -> np.ndarray:
            by = self.random.random((runs, self.nights, self.series)) < share**0.5
            return np.where(by, one, other)

        of_night = chosen(night, own_night, self.alike, 1)
        return chosen(of_night, chosen(run, own_run, self.alike, RUNS), self.shared, RUNS)

    def logs(self, noise: Noise) -> np.ndarray:
        made = noise.spread * (1 - noise.tail) ** 0.5 * self.normal()
        if noise.tail:
            made += noise.spread * noise.tail**0.5 * log_ndtr(self.normal())  # -Exp(1), correlated
        if noise.outliers:
            made += np.log1p(-OUTLIER_LOSS) * self.struck(noise.outliers)
        return made


def decided(logs: np.ndarray, level: np.ndarray, elsewhere: np.ndarray, rule: Rule = RULE) -> Walk:
    """What the gate makes of it; `level` [nights] on the night's nodes, `elsewhere` on others.

    Of as many runs on the same nodes as `rule` asks for, the best counts, as when folders are read.
    """
    values = LEVEL * level[:, None] * np.exp(logs)
    return walk(
        values[0],
        np.ones(logs.shape[2], np.bool_),
        same=values[1 : 1 + min(rule.confirm, 2)].max(axis=0),
        other=LEVEL * elsewhere[:, None] * np.exp(logs[3]) if rule.confirm > 1 else None,
        rule=rule,
    )


def told(found: Interval, percent: bool = False) -> str:
    """`0.029 (0.022 - 0.038)`, or in percent."""
    value, low, high = map(_percent if percent else _figure, found)
    return f"{value} ({low} - {high})"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _percent(value: float) -> str:
    return f"{value:.1%}".replace("%", " %")


# nothing happens ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Quiet:
    """A year in which nothing happens, counted over so many series."""

    series: int
    slow: int  # nights that are flagged
    alarms: int  # of them REGRESSION
    alarms_by_one: int  # the same, were one confirming run enough
    ratchets: int  # levels that moved, for three nights that were better by chance


def quiet(noise: Noise, shared: float, series: int, seed: int) -> Quiet:
    logs = Mixed(np.random.default_rng(seed), YEAR, series, shared).logs(noise)
    still = np.ones(YEAR)
    made = decided(logs, still, still)
    one = decided(logs, still, still, Rule(confirm=1))
    night = np.arange(YEAR)[:, None]
    lasted = (made.state == State.IMPROVED) & (night - made.since >= RULE.improved - 1)
    return Quiet(
        series=series,
        slow=int(np.count_nonzero(made.worse >= made.smallest)),
        alarms=int(np.count_nonzero(made.state == State.REGRESSION)),
        alarms_by_one=int(np.count_nonzero(one.state == State.REGRESSION)),
        ratchets=int(np.count_nonzero(lasted)),
    )


def quiet_table(series: int, seed: int) -> list[str]:
    lines = [
        "| noise | shared | nights flagged | **false alarms** | with one confirming run | false new levels |",
        "| --- | ---: | ---: | --- | --- | --- |",
    ]
    for noise in NOISES:
        for shared in SHARED:
            q = quiet(noise, shared, series, seed)
            lines.append(
                f"| {noise.name} | {shared:.0%} | {q.slow / series:.1f} | {told(rate(q.alarms, series))}"
                f" | {told(rate(q.alarms_by_one, series))} | {told(rate(q.ratchets, series))} |"
            )
    return lines


# a drop -------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Caught:
    """Of so many series that lose a share on one night and for good."""

    series: int
    same_night: int
    three_nights: int
    wrong_scope: int  # of those caught the same night


def caught(noise: Noise, drop: float, fleet: bool, shared: float, series: int, seed: int) -> Caught:
    logs = Mixed(np.random.default_rng(seed), BEFORE + 3, series, shared).logs(noise)
    level = np.where(np.arange(BEFORE + 3) < BEFORE, 1.0, 1 - drop)
    made = decided(logs, level, level if fleet else np.ones_like(level))
    alarms = made.state[BEFORE:] == State.REGRESSION
    wrong = alarms[0] & (made.scope[BEFORE] != (Scope.FLEET if fleet else Scope.NODES))
    return Caught(
        series=series,
        same_night=int(alarms[0].sum()),
        three_nights=int(alarms.any(axis=0).sum()),
        wrong_scope=int(wrong.sum()),
    )


def caught_table(series: int, seed: int) -> list[str]:
    lines = [
        "| noise | drop | where | shared | the same night | within three nights | scope wrong |",
        "| --- | ---: | --- | ---: | --- | --- | ---: |",
    ]
    for noise in (PLAIN, BOTH):
        for drop in (0.05, 0.03, 0.02):
            for fleet, shared in ((False, 0.0), (True, 0.0), (False, 0.5), (False, 1.0)):
                c = caught(noise, drop, fleet, shared, series, seed)
                lines.append(
                    f"| {noise.name} | {drop:.0%} | {'fleet' if fleet else 'nodes'} | {shared:.0%}"
                    f" | {told(share(c.same_night, series), True)}"
                    f" | {told(share(c.three_nights, series), True)}"
                    f" | {c.wrong_scope / max(c.same_night, 1):.1%} |"
                )
    return lines


# a cluster ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Nights with an alarm over so many cluster-years of SERIES series, nothing amiss."""

    years: int
    alarms: int  # some series is a REGRESSION and no chance among all (Benjamini-Hochberg)
    uncorrected: int  # some series is a REGRESSION
    by_one: int  # as `alarms`, were one confirming run enough


def clusters(noise: Noise, shared: float, alike: float, years: int, seed: int) -> Clusters:
    logs = Mixed(np.random.default_rng(seed), YEAR, years * SERIES, shared, alike).logs(noise)
    still = np.ones(YEAR)
    counted = []
    for rule in (RULE, Rule(confirm=1)):
        made = decided(logs, still, still, rule)
        slow = (made.state == State.REGRESSION).reshape(-1, SERIES)
        some = np.flatnonzero(slow.any(axis=1))
        p = made.p.reshape(-1, SERIES)
        sure = sum(bool((slow[k] & discoveries(p[k], rule.rate)).any()) for k in some)
        counted.append((sure, len(some)))
    return Clusters(years, counted[0][0], counted[0][1], counted[1][0])


def cluster_table(years: int, seed: int) -> list[str]:
    lines = [
        "| noise | alike | shared | **false alarms** | uncorrected | with one confirming run |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for noise in (PLAIN, BOTH):
        for alike in (0.0, 0.5):
            for shared in SHARED:
                c = clusters(noise, shared, alike, years, seed)
                lines.append(
                    f"| {noise.name} | {alike:.0%} | {shared:.0%} | {told(rate(c.alarms, years))}"
                    f" | {_figure(c.uncorrected / years)} | {_figure(c.by_one / years)} |"
                )
    return lines


# what lasts ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Lasting:
    """A year whose level changes after BEFORE nights, and nobody says that this is accepted.

    `alarmed`: series with an alarm at any time; `last`: those alarmed on more than half of the last 30
    nights; `moved` is the middle of the baselines at the end, as a share of the old level.
    """

    series: int
    alarmed: int
    last: int
    moved: float


def lasting(noise: Noise, level: np.ndarray, series: int, seed: int) -> Lasting:
    logs = Mixed(np.random.default_rng(seed), len(level), series).logs(noise)
    made = decided(logs, level, np.ones_like(level))
    alarms = made.state[BEFORE:] == State.REGRESSION
    usual = np.median(made.median[BEFORE])
    return Lasting(
        series=series,
        alarmed=int(alarms.any(axis=0).sum()),
        last=int((alarms[-30:].mean(axis=0) > 0.5).sum()),
        moved=float(np.median(made.median[-1]) / usual),
    )


def levels() -> dict[str, np.ndarray]:
    night = np.maximum(np.arange(YEAR) - BEFORE, 0)
    after = np.arange(YEAR) >= BEFORE
    return {
        "5 % lost for good": 1 - 0.05 * after,
        "3 % lost for good": 1 - 0.03 * after,
        "2 % lost for good": 1 - 0.02 * after,
        "drift of 5 % in 30 nights": 1 - 0.05 * np.minimum(night / 30, 1),
        "drift of 5 % in 90 nights": 1 - 0.05 * np.minimum(night / 90, 1),
        "drift of 5 % in 300 nights": 1 - 0.05 * np.minimum(night / 300, 1),
        "5 % gained for good": 1 + 0.05 * after,
    }


def lasting_table(series: int, cut: int, seed: int) -> list[str]:
    """`cut`: so many series are looked at for change points, which take longer."""
    lines = [
        "| level | alarmed at any time | still at the end | baseline at the end | change points found |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for name, level in levels().items():
        made = lasting(BOTH, level, series, seed)
        logs = Mixed(np.random.default_rng(seed), YEAR, cut).logs(BOTH)[0]
        found = sum(bool(change_points(level * np.exp(one))) for one in logs.T)
        lines.append(
            f"| {name} | {told(share(made.alarmed, series), True)} | {made.last / series:.1%}"
            f" | {made.moved - 1:+.1%} | {told(share(found, cut), True)} |"
        )
    return lines


# change points ------------------------------------------------------------------------------------------


def weather(random: np.random.Generator, nights: int, correlation: float, spread: float):
    """Logs of nights that resemble the night before."""
    made = random.normal(0, spread, nights)
    for night in range(1, nights):
        made[night] = correlation * made[night - 1] + (1 - correlation**2) ** 0.5 * made[night]
    return made


def false_changes(
    noise: Noise, correlation: float, magnitude: float, series: int, seed: int
) -> int:
    """Series of a year without a change in which there is one all the same."""
    random = np.random.default_rng(seed)
    if correlation:
        rows = [weather(random, YEAR, correlation, noise.spread) for _ in range(series)]
    else:
        rows = list(Mixed(random, YEAR, series).logs(noise)[0].T)
    return sum(bool(change_points(np.exp(row), magnitude)) for row in rows)


def change_table(series: int, seed: int) -> list[str]:
    one = 0.01  # as the literature has it
    lines = [
        "| noise, 1 % | nights alike | any change | a change of 2 % or more |",
        "| --- | ---: | --- | --- |",
    ]
    for noise, correlation in (
        (Noise("plain", one), 0.0),
        (Noise("all tail", one, 1.0), 0.0),
        (Noise("outliers", one, 0.0, 0.03), 0.0),
        (Noise("plain", one), 0.5),
    ):
        counts = [false_changes(noise, correlation, m, series, seed) for m in (0.0, 0.02)]
        lines.append(
            f"| {noise.name} | {correlation:.0%} | "
            + " | ".join(told(share(count, series), True) for count in counts)
            + " |"
        )
    return lines


def tables(scale: float, seed: int) -> list[str]:
    """Markdown."""

    def many(count: int) -> int:
        return max(10, round(count * scale))

    return [
        "Nothing amiss, a series and a year:",
        "",
        *quiet_table(many(1000), seed),
        "",
        "Caught:",
        "",
        *caught_table(many(4000), seed + 1),
        "",
        f"Nothing amiss, a cluster of {SERIES} series and a year:",
        "",
        *cluster_table(many(25), seed + 2),
        "",
        "What lasts and is not acknowledged (tail and outliers):",
        "",
        *lasting_table(many(400), many(60), seed + 3),
        "",
        "Change points in a year without one:",
        "",
        *change_table(many(200), seed + 4),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the series, for a quick look"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("\n".join(tables(asked.scale, asked.seed)))
