"""A trial of a whole profile: an acceptance with its follow-ups on a modelled cluster with faults."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from railgauge.errors import EXIT_HANG
from railgauge.simulation.faults import Fault
from railgauge_reports.acceptance.answer import Finding, Result, Suspect
from railgauge_reports.acceptance.asking import asked_from
from railgauge_reports.acceptance.drive import Drive
from railgauge_reports.acceptance.faults import faults_of
from railgauge_reports.acceptance.judge import judge, read_acceptance
from railgauge_reports.acceptance.kept import Kept, fresh
from railgauge_reports.acceptance.launching import Modelled
from railgauge_reports.acceptance.planning import Asked
from railgauge_reports.acceptance.profile import overridden, parse, read_text
from railgauge_reports.localise.suspects import CONFIRMED
from railgauge_reports.power.matching import Named, match, target_of
from railgauge_reports.power.trial import Trial, seconds_of
from railgauge_reports.stored import read_run


@dataclasses.dataclass(frozen=True)
class ProfileTrials:
    """Trials of an acceptance profile; `asked` names the modelled cluster."""

    name: str
    text: str
    asked: Asked

    @property
    def words(self) -> str:
        return f"profile {self.name}, --adaptive"

    def __call__(self, planted: Sequence[Fault], seed: int) -> Trial:
        """One acceptance, in a folder that is gone afterwards; without counters, which are scripted."""
        cluster = self.asked.cluster
        assert cluster is not None
        each = tuple(
            f"{stage.name}.{field}"
            for stage in parse(self.name, self.text).stages
            if stage.kind != "audit"
            for field in (f"seed={seed}", "counters=[]")
        )
        asked = msgspec.structs.replace(
            self.asked, faults=tuple(planted), overrides=(*self.asked.overrides, *each)
        )
        kept = fresh(self.name, self.text, asked, True, time.time())
        with tempfile.TemporaryDirectory(prefix="railgauge-power-") as name:
            folder = Path(name)
            kept.write(folder)
            drive = Drive(folder, kept, Modelled(lambda: False), lambda _text: None)
            drive.run()
            result = judge(read_acceptance(folder))
            rounds, seconds = _spent(folder, drive.kept)
        targets = [target_of(fault, cluster) for fault in planted]
        hung = any(stage.verdict.exit_code == EXIT_HANG for stage in result.stages)
        return Trial(match(targets, list(_named(result))), rounds, seconds, cluster.nodes, hung)


def profile_trials(
    profile: str, cluster: str | None, nodes: int | None, overrides: tuple[str, ...]
) -> ProfileTrials:
    """The trials of a profile, by name or file; raises UsageError that names what is wrong."""
    name, text = read_text(profile)
    typed = dict.fromkeys(("leaves", "launcher", "ranks", "ranks_per_node", "faults"))
    given = {"backend": "simulated", "cluster": cluster, "nodes": nodes, "overrides": overrides}
    overridden(parse(name, text), overrides)
    return ProfileTrials(name, text, asked_from({**typed, **given}))


def _named(result: Result) -> Iterator[Named]:
    """What the acceptance accuses, as it tells of it: by place, each once.

    A suspect counts who is confirmed or whose place misses a limit, and a place that misses one which no
    suspect stands for.
    """
    seen = set()
    for fault in faults_of(result):
        failing = [f for f in fault.findings if f.hosts and f.verdict.word == "FAIL"]
        accused = [s for _, s in fault.suspects if failing or s.verified == CONFIRMED]
        seen |= {Named(s.kind, s.hosts, s.rail, s.leaves) for s in accused}
        left = (f for f in failing if not any(_explains(suspect, f) for suspect in accused))
        seen |= {Named("finding", f.hosts, f.rail, ()) for f in left}
    yield from sorted(seen, key=repr)


def _explains(suspect: Suspect, finding: Finding) -> bool:
    """Is the finding about nothing else: its host, or all hosts, on its rail or on all?"""
    of_host = not suspect.hosts or set(finding.hosts) <= set(suspect.hosts)
    return of_host and (suspect.rail is None or suspect.rail == finding.rail)


def _spent(folder: Path, kept: Kept) -> tuple[int, float]:
    """Measurements and modelled seconds of all runs that have an end."""
    rounds, seconds = 0, 0.0
    for ran in kept.ran:
        run = read_run(folder / ran.folder)
        rounds += len(run.pairs)
        seconds += seconds_of(run)
    return rounds, seconds
