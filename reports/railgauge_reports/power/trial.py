"""One trial: a plan on a modelled cluster with faults, its localisation, and the follow-up it asks for."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge.errors import EXIT_HANG, EXIT_PASS, NotMeasuredError
from railgauge.plan import Plan
from railgauge.simulation.faults import Fault
from railgauge_reports.acceptance.follow_ups import listed_plan
from railgauge_reports.acceptance.launching import Modelled
from railgauge_reports.localise.confirm import merged
from railgauge_reports.localise.localiser import localise
from railgauge_reports.localise.pairs import pair_table
from railgauge_reports.power.matching import MISSED, Match, match, target_of
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
            # the size that the localisation looked at
            largest = msgspec.structs.replace(asked, sizes=asked.sizes[-1:])
            follow_up = listed_plan(largest, found.verification.named())
            second = _simulated(follow_up, Path(name) / "second")
            if second is not None and (more := pair_table(second)) is not None:
                found = merged(found, more)
                runs.append(second)
        return Trial(
            match(targets, found.suspects, found.classes),
            sum(len(run.pairs) for run in runs),
            sum(seconds_of(run) for run in runs),
            len(first.last.hosts),
        )


def _simulated(plan: Plan, folder: Path) -> StoredRun | None:
    """The run; None of one that hung. Raises NotMeasuredError where it ended otherwise."""
    ended = Modelled(lambda: False).run(plan, folder)
    if ended.exit_code not in (EXIT_PASS, EXIT_HANG):
        raise NotMeasuredError(ended.message)
    return None if ended.exit_code == EXIT_HANG else read_run(folder)


def seconds_of(run: StoredRun) -> float:
    """Modelled seconds from its first record to its end; 0 of one that has none."""
    return run.end.finished - run.last.started if run.end else 0.0
