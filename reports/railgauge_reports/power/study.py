"""Many trials, and what they say: recall by kind of fault, false suspects a run, each with its interval."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from scipy import stats

from railgauge.cluster import Cluster
from railgauge.simulation.faults import Fault, FaultFile, drawn
from railgauge.simulation.networks import network_of
from railgauge_reports.power.matching import IN_A_CLASS, NAMED
from railgauge_reports.power.trial import Trial

LEVEL = 0.95


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def share(hits: int, of: int) -> Interval:
    """hits / of with the exact interval of Clopper and Pearson (1934); `of` at least 1."""
    found = stats.binomtest(hits, of).proportion_ci(LEVEL, "exact")
    return Interval(hits / of, float(found.low), float(found.high))


def rate(events: int, runs: int) -> Interval:
    """Events a run with the exact interval of a Poisson mean (Garwood, 1936)."""
    tail = (1 - LEVEL) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    high = float(stats.chi2.ppf(1 - tail, 2 * events + 2)) / 2
    return Interval(events / runs, low / runs, high / runs)


@dataclasses.dataclass(frozen=True)
class Recall:
    """Of one kind of fault: planted, named, narrowed down to a class of a few, with the share named."""

    kind: str
    planted: int
    named: int
    in_a_class: int

    @property
    def recall(self) -> Interval:
        return share(self.named, self.planted)


@dataclasses.dataclass(frozen=True)
class Power:
    """What a plan finds. False suspects are counted in runs with faults and in clean ones apart."""

    recalls: tuple[Recall, ...]
    runs: int
    false: int
    clean_runs: int
    clean_false: int
    hung: int
    rounds: float  # mean, follow-up included
    seconds: float
    node_hours: float


def study(
    attempt: Callable[[Sequence[Fault], int], Trial],
    cluster: Cluster,
    files: Sequence[FaultFile],
    runs: int,
    clean_runs: int,
    done: Callable[[], object] = lambda: None,
) -> Power:
    """Trials with the faults of each file, targets drawn anew each time, and without any.

    Raises UsageError for a fault whose target the cluster lacks. `done` is called after each trial.
    """
    spines = network_of(cluster).spine_count
    faulty, clean = [], []
    for file in files:  # before the first of hours of trials: has the cluster all targets?
        drawn(file, cluster, spines, 0)
    for file in files:
        for seed in range(runs):
            faulty.append(attempt(drawn(file, cluster, spines, seed), seed))
            done()
    for seed in range(clean_runs):
        clean.append(attempt((), runs + seed))
        done()
    return summary(faulty, clean)


def apart(file: FaultFile) -> list[FaultFile]:
    """A file for each fault, so that it is planted by itself."""
    return [msgspec.structs.replace(file, faults=(fault,)) for fault in file.faults]


def summary(faulty: Sequence[Trial], clean: Sequence[Trial]) -> Power:
    """The figures of trials with faults and of those without."""
    outcomes = Counter(outcome for made in faulty for outcome in made.match.outcomes)
    kinds = dict.fromkeys(kind for made in faulty for kind, _ in made.match.outcomes)
    ended = [made for made in (*faulty, *clean) if not made.hung] or [*faulty, *clean]
    count = len(ended) or 1
    return Power(
        recalls=tuple(
            Recall(
                kind,
                sum(n for (of, _), n in outcomes.items() if of == kind),
                outcomes[kind, NAMED],
                outcomes[kind, IN_A_CLASS],
            )
            for kind in kinds
        ),
        runs=len(faulty),
        false=sum(len(made.match.false) for made in faulty),
        clean_runs=len(clean),
        clean_false=sum(len(made.match.false) for made in clean),
        hung=sum(made.hung for made in (*faulty, *clean)),
        rounds=sum(made.rounds for made in ended) / count,
        seconds=sum(made.seconds for made in ended) / count,
        node_hours=sum(made.node_hours for made in ended) / count,
    )
