"""One trial: a plan on a modelled cluster with faults, its localisation, and the follow-up it asks for."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.errors import HangError
from railgauge.journal import Folder
from railgauge.plan import Plan
from railgauge.simulation.faults import Fault
from railgauge.simulation.run import Simulation
from railgauge_reports.localise.confirm import merged
from railgauge_reports.localise.localiser import localise
from railgauge_reports.localise.pairs import pair_table
from railgauge_reports.localise.suspects import Localisation
from railgauge_reports.power.matching import MISSED, Match, match_localised, target_of
from railgauge_reports.stored import StoredRun, read_run

SECONDS_AN_HOUR = 3600


@dataclasses.dataclass(frozen=True)
class Trial:
    """What became of it. `rounds` and `seconds` are of the run and its follow-up, on the modelled clock.

    A run that `hung` names nobody: group testing does (`railgauge accept --adaptive`).
    """

    match: Match
    rounds: int
    seconds: float
    nodes: int
    hung: bool = False

    @property
    def node_hours(self) -> float:
        return self.seconds * self.nodes / SECONDS_AN_HOUR


@dataclasses.dataclass(frozen=True)
class PlanTrials:
    """Trials of a plan of pairs; `follow`: with the rounds that verify whom it suspects."""

    plan: Plan
    follow: bool = True

    @property
    def words(self) -> str:
        return f"pattern {self.plan.pattern}" + ", verification included" * self.follow

    def __call__(self, planted: Sequence[Fault], seed: int) -> Trial:
        return trial(self.plan, planted, seed, follow=self.follow)


def trial(plan: Plan, planted: Sequence[Fault], seed: int, *, follow: bool = True) -> Trial:
    """Run `plan` with these faults; `follow`: also the rounds that verify whom it suspects."""
    assert plan.cluster is not None
    targets = [target_of(fault, plan.cluster) for fault in planted]
    asked = msgspec.structs.replace(plan, faults=tuple(planted), seed=seed)
    with tempfile.TemporaryDirectory(prefix="railgauge-power-") as name:
        first = _simulated(asked, Path(name) / "first")
        if first is None:
            missed = Match(tuple((target.kind, MISSED) for target in targets), ())
            return Trial(missed, 0, 0.0, plan.cluster.nodes, hung=True)
        table = pair_table(first)
        assert table is not None  # the command refuses other patterns
        found, runs = localise(table), [first]
        if follow and found.verification.rounds:
            second = _simulated(_follow_up(asked, found), Path(name) / "second")
            if second is not None and (more := pair_table(second)) is not None:
                found = merged(found, more)
                runs.append(second)
        return Trial(
            match_localised(targets, found),
            sum(len(run.pairs) for run in runs),
            sum(seconds_of(run) for run in runs),
            len(first.last.hosts),
        )


def _follow_up(plan: Plan, found: Localisation) -> Plan:
    """The verification that a localisation asks for, with the largest size of the plan."""
    names = found.verification.names
    pairs = tuple(
        (turn, names[a], names[b])
        for turn, met in enumerate(found.verification.rounds)
        for a, b in met
    )
    return msgspec.structs.replace(
        plan, pattern="listed", pairs=pairs, rounds=None, sizes=plan.sizes[-1:], seed=plan.seed + 1
    )


def _simulated(plan: Plan, folder: Path) -> StoredRun | None:
    """The run; None of one that hung."""
    try:
        Simulation(plan, Folder(folder), lambda: False, lambda *_: None).run(resume=False)
    except HangError:
        return None
    return read_run(folder)


def seconds_of(run: StoredRun) -> float:
    """Modelled seconds from its first record to its end; 0 of one that has none."""
    return run.end.finished - run.last.started if run.end else 0.0
