"""How often the localisation is right: whole runs on synthetic fleets of known faults.

`python tests/studies/localise_study.py` prints the tables; `make test` runs a small seeded core of it.
A pair's bandwidth is lowered by the largest loss among its two nodes and the pair of their leaves, with
1 % noise (log-normal), and one measurement in a hundred by a transient of 10 to 30 % besides. A run is
k = 3 rounds of a tournament (or the leaf rotation), the localisation, its verification, the final verdict.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
from scipy import stats

from railgauge.patterns import rounds
from railgauge.schedules import Pattern, circle
from railgauge.topology import Topology
from railgauge_reports.localise.confirm import merged
from railgauge_reports.localise.localiser import localise
from railgauge_reports.localise.pairs import PairTable

NOISE, TRANSIENTS, TRANSIENT_LOSS = 0.01, 0.01, (0.10, 0.30)
ROUNDS = 3
LEVEL = 46.0  # GB/s


@dataclasses.dataclass(frozen=True)
class Fleet:
    """`bad` nodes lose the share `loss`; of leaves with `leaf_size` nodes one pair loses `leaf_loss`."""

    nodes: int
    bad: int = 0
    loss: float = 0.125
    leaf_size: int = 0
    leaf_loss: float = 0.0

    @property
    def words(self) -> str:
        more = f", leaf pair -{self.leaf_loss:.0%}" if self.leaf_loss else ""
        return f"{self.bad} bad -{self.loss:.1%}{more}" if self.bad else f"all good{more}"


@dataclasses.dataclass(frozen=True)
class Ended:
    """One run: bad nodes found, good ones accused, the same of leaf pairs, before and after verification."""

    found: int
    false: int
    false_before: int
    leaf_found: int
    leaf_false: int
    rounds: int


class Truth:
    """A fleet with its faults drawn, and what its pairs measure."""

    def __init__(self, fleet: Fleet, random: np.random.Generator) -> None:
        self.fleet, self.random = fleet, random
        self.names = tuple(f"node{k:04d}" for k in range(fleet.nodes))
        self.bad = random.choice(fleet.nodes, fleet.bad, replace=False)
        self.loss = np.zeros(fleet.nodes)
        self.loss[self.bad] = fleet.loss
        self.leaf_of = None
        self.leaf_names: tuple[str, ...] = ()
        self.bad_leaves: tuple[int, ...] = ()
        if fleet.leaf_size:
            self.leaf_of = np.arange(fleet.nodes) // fleet.leaf_size
            self.leaf_names = tuple(f"leaf{k}" for k in range(int(self.leaf_of.max()) + 1))
            if fleet.leaf_loss:
                self.bad_leaves = tuple(
                    sorted(random.choice(len(self.leaf_names), 2, replace=False))
                )

    def measured(self, met: list[list[tuple[int, int]]]) -> PairTable:
        """What rounds of pairs measure."""
        flat = np.array(
            [(turn, a, b) for turn, pairs in enumerate(met) for a, b in pairs], np.int32
        )
        turn, a, b = flat.reshape(-1, 3).T
        loss = np.maximum(self.loss[a], self.loss[b])
        if self.bad_leaves and self.leaf_of is not None:
            ends = np.sort(np.stack([self.leaf_of[a], self.leaf_of[b]]), axis=0)
            hit = (ends[0] == self.bad_leaves[0]) & (ends[1] == self.bad_leaves[1])
            loss = np.maximum(loss, hit * self.fleet.leaf_loss)
        logs = np.log1p(-loss) + self.random.normal(0, NOISE, len(a))
        struck = self.random.random(len(a)) < TRANSIENTS
        logs += struck * np.log1p(-self.random.uniform(*TRANSIENT_LOSS, len(a)))
        return PairTable(
            a=a,
            b=b,
            rail=np.full(len(a), -1, np.int16),
            round=turn,
            gbps=LEVEL * np.exp(logs),
            nodes=self.names,
            leaf_of=self.leaf_of,
            leaf_names=self.leaf_names,
        )


def schedule(fleet: Fleet) -> list[list[tuple[int, int]]]:
    """The first three rounds of a tournament, or the whole leaf rotation."""
    if not fleet.leaf_size:
        made = circle(fleet.nodes)
        return [next(made) for _ in range(ROUNDS)]
    where = Topology(
        tuple(range(fleet.nodes)), tuple(k // fleet.leaf_size for k in range(fleet.nodes))
    )
    return [[(g.ranks[0], g.ranks[1]) for g in r.groups] for r in rounds(Pattern("leaves"), where)]


def one_run(fleet: Fleet, seed: int) -> Ended:
    """Measure, localise, verify, and count what was right."""
    truth = Truth(fleet, np.random.default_rng((seed, fleet.nodes, fleet.bad)))
    met = schedule(fleet)
    first = localise(truth.measured(met))
    again = [list(pairs) for pairs in first.verification.rounds]
    final = merged(first, truth.measured(again)) if again else first
    bad = {truth.names[k] for k in truth.bad}
    before, after = (
        {host for s in found.suspects if s.kind == "node" for host in s.hosts}
        for found in (first, final)
    )
    leaf = {s.leaves for s in final.suspects if s.kind.startswith("leaf")}
    truly = {tuple(truth.leaf_names[k] for k in truth.bad_leaves)} if truth.bad_leaves else set()
    return Ended(
        found=len(after & bad),
        false=len(after - bad),
        false_before=len(before - bad),
        leaf_found=len(leaf & truly),
        leaf_false=len(leaf - truly),
        rounds=len(met) + len(again),
    )


def share(found: int, of: int) -> str:
    """`99.5% (98.1% - 99.9%)`: Clopper and Pearson."""
    if not of:
        return "-"
    low, high = stats.binomtest(found, of).proportion_ci(method="exact")
    return f"{found / of:.2%} ({low:.2%} - {high:.2%})"


def per_run(count: int, runs: int) -> str:
    """`0.003 (0.000 - 0.012)`: the exact interval of a Poisson mean (Garwood)."""
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = stats.chi2.ppf(0.975 if count else 0.95, 2 * count + 2) / 2
    return f"{count / runs:.4f} ({low / runs:.4f} - {high / runs:.4f})"


FLEETS = (
    *(
        Fleet(nodes, bad, loss)
        for nodes in (64, 256, 1024, 4096)
        for bad, loss in ((0, 0.125), (4, 0.125), (8, 0.125), (4, 0.05))
    ),
    Fleet(64, 0, leaf_size=8),
    Fleet(64, 3, leaf_size=8, leaf_loss=0.10),
    Fleet(1024, 3, leaf_size=32, leaf_loss=0.10),
)
#: Runs of each at --scale 1; a claim of fewer than 0.01 false nodes a run needs 300 and more.
RUNS = {64: 2000, 256: 1000, 1024: 600, 4096: 300}


def row(fleet: Fleet, runs: int, seed: int) -> str:
    """One line of the table."""
    began = time.perf_counter()
    ended = [one_run(fleet, seed * 1_000_003 + k) for k in range(runs)]
    seconds = (time.perf_counter() - began) / runs
    leaf = "-"
    if fleet.leaf_size:
        found = sum(e.leaf_found for e in ended)
        wrong = sum(e.leaf_false for e in ended)
        leaf = f"{share(found, runs) if fleet.leaf_loss else '-'}; false {per_run(wrong, runs)}"
    return (
        f"| {fleet.nodes} | {fleet.words} | {runs} | {share(sum(e.found for e in ended), runs * fleet.bad)}"
        f" | {per_run(sum(e.false for e in ended), runs)}"
        f" | {sum(e.false_before for e in ended) / runs:.3f} | {leaf}"
        f" | {np.mean([e.rounds for e in ended]):.1f} | {seconds:.3f} |"
    )


def table(scale: float, seed: int) -> list[str]:
    """Markdown, with exact 95 % intervals (of a count of 0 the one-sided bound)."""
    header = (
        "| nodes | truth | runs | recall (95 % interval) | false nodes a run | before verification"
        " | leaf pair found; false a run | rounds | seconds a run |"
    )
    return [
        header,
        "| ---: | --- | ---: | --- | --- | ---: | --- | ---: | ---: |",
        *(row(fleet, max(1, round(RUNS[fleet.nodes] * scale)), seed) for fleet in FLEETS),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=0.5, help="share of the runs of a whole study"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("\n".join(table(asked.scale, asked.seed)))
