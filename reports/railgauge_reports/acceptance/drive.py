"""Runs an acceptance stage by stage into its folder; what is done already is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from railgauge.errors import (
    EXIT_HANG,
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_PASS,
    InterruptedRunError,
)
from railgauge.plan import Plan
from railgauge.topology import some
from railgauge_reports.acceptance import follow_ups
from railgauge_reports.acceptance.cost import in_words
from railgauge_reports.acceptance.follow_ups import Decided
from railgauge_reports.acceptance.judge import read_acceptance, view_of
from railgauge_reports.acceptance.kept import Followed, Kept, Ran
from railgauge_reports.acceptance.launching import Ended, Launching
from railgauge_reports.acceptance.planning import PlannedRun, PlannedStage, planned
from railgauge_reports.acceptance.stages import StageView
from railgauge_reports.localise.hangs import HangSearch, Trial

#: Ends after which a resumed acceptance tries a run again: it was cut short, or could not measure.
AGAIN = (EXIT_INTERRUPTED, EXIT_NOT_MEASURED)


class Drive:
    """One acceptance: `tell` hears what goes on; accept.json is on disk after every step."""

    def __init__(
        self, folder: Path, kept: Kept, launching: Launching, tell: Callable[[str], None]
    ) -> None:
        self.folder, self.kept = folder, kept
        self._launching, self._tell = launching, tell
        self.profile = kept.parsed()
        self.stages = planned(self.profile, kept.asked)

    def run(self, only: str | None = None) -> None:
        """All stages, or one of them. Raises InterruptedRunError; what was measured stays."""
        for number, stage in enumerate(self.stages):
            name = stage.stage.name
            if only not in (None, name):
                continue
            self._tell(f"[{number + 1}/{len(self.stages)}] {name}: {stage.kind.finds}")
            if stage.skip:
                self._tell(f"  left out: {stage.skip}")
            else:
                self._stage(stage)
        if self._complete() and self.kept.finished is None:
            self._keep(finished=time.time())

    def _complete(self) -> bool:
        """Has every stage come to an end?"""
        wanted = [run.folder for stage in self.stages for run in stage.runs if self._open(stage)]
        wanted += [stage.folder for stage in self.stages if stage.audits and self._open(stage)]
        done = {ran.folder for ran in self.kept.ran if ran.exit_code != EXIT_INTERRUPTED}
        return set(wanted) <= done

    def _open(self, stage: PlannedStage) -> bool:
        return not stage.skip and stage.stage.name not in self.kept.skipped

    # stages -----------------------------------------------------------------------------------------

    def _stage(self, stage: PlannedStage) -> None:
        name = stage.stage.name
        if hung := self._hung(stage):
            self._tell(f"  left out: {hung}")
            self._keep(skipped={**self.kept.skipped, name: hung})
            return
        if stage.audits and self._wanted(stage.folder):
            self._launched(stage.folder, lambda path: self._audit(path))
        for run in stage.runs:
            if self._wanted(run.folder):
                self._measure(run)
            done = self.kept.run_of(run.folder)
            if done and done.exit_code == EXIT_HANG:
                self._leave_out(stage, run)
                break
        if stage.pairwise and self.kept.adaptive:
            self._look_closer(stage)

    def _hung(self, stage: PlannedStage) -> str:
        """Why a stage after one that hung is left out: it would hang again; "": it is not.

        A stage of pairs is run all the same where its search then tells who hangs.
        """
        searched = any(followed.kind == "hang" for followed in self.kept.followed)
        if stage.pairwise and self.kept.adaptive and not searched:
            return ""
        for before in self.stages:
            if before is stage:
                return ""
            codes = [self.kept.run_of(run.folder) for run in before.runs]
            if any(ran and ran.exit_code == EXIT_HANG for ran in codes):
                who = [h for f in self.kept.followed if f.kind == "hang" for h in f.targets]
                first = some(who) if who else "the node that hangs"
                return f"stage {before.stage.name} hung, so would this; next: without {first}"
        return ""

    def _leave_out(self, stage: PlannedStage, hung: PlannedRun) -> None:
        """The other runs of a stage of which one hung: each would cost its time limit again."""
        for run in stage.runs:
            if self.kept.run_of(run.folder) is None:
                why = f"left out: {hung.name or hung.folder} hung"
                self._ran(Ran(folder=run.folder, exit_code=EXIT_HANG, seconds=0.0, message=why))

    def _wanted(self, folder: str) -> bool:
        ran = self.kept.run_of(folder)
        return ran is None or ran.exit_code in AGAIN

    def _measure(self, run: PlannedRun) -> None:
        where, asked = self.kept.asked.topology, self.kept.asked
        self._tell(f"  {run.folder}: {in_words(run.plan, where, asked.nodes)}")
        self._run(run.plan, run.folder)

    def _run(self, plan: Plan, folder: str) -> Ended:
        return self._launched(folder, lambda path: self._launching.run(plan, path))

    def _audit(self, path: Path) -> Ended:
        return self._launching.audit(path, self.profile.fabric)

    def _launched(self, folder: str, launch: Callable[[Path], Ended]) -> Ended:
        """Launch, and keep how it ended. Raises InterruptedRunError."""
        began = time.monotonic()
        code, message = EXIT_INTERRUPTED, ""
        try:
            code, message = launch(self.folder / folder)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
        seconds = time.monotonic() - began
        self._ran(Ran(folder=folder, exit_code=code, seconds=seconds, message=message))
        if code == EXIT_INTERRUPTED:
            raise InterruptedRunError(
                f"interrupted in {folder}.\n  next: railgauge accept --resume --output {self.folder}"
            )
        if code != EXIT_PASS:
            self._tell(f"  {folder} ended with {code}" + (f": {message}" if message else ""))
        return Ended(code, message)

    # closer looks -----------------------------------------------------------------------------------

    def _look_closer(self, stage: PlannedStage) -> None:
        done = [self.kept.run_of(run.folder) for run in stage.runs]
        if any(ran and ran.exit_code == EXIT_HANG for ran in done):
            self._search(stage)
        if not any((self.folder / run.folder).exists() for run in stage.runs):
            return
        asked = self.kept.asked
        where = asked.topology
        for kind, decide in (("verify", follow_ups.verify), ("quiet", follow_ups.alone)):
            before = self._followed(stage, kind)
            if before is not None and not self._wanted(before.folder):
                continue
            if before is not None and before.outcome:  # left out
                continue
            self._follow(stage, decide(self._view(stage), where, asked.nodes))

    def _follow(self, stage: PlannedStage, decided: Decided | None) -> None:
        """Say what a follow-up is for and costs, run it, and keep what came of it."""
        if decided is None:
            return
        followed = decided.followed
        cost = f" ({followed.cost})" if followed.cost else ""
        self._tell(f"  follow-up {followed.kind}: {followed.reason}{cost}")
        self._keep_followed(followed)
        if decided.plan is None:
            self._tell(f"  {followed.outcome}")
            return
        self._run(decided.plan, followed.folder)
        if followed.kind in ("verify", "quiet"):
            told = follow_ups.outcome(self._view(stage), followed.kind)
            self._tell(f"  {told}")
            self._keep_followed(msgspec.structs.replace(followed, outcome=told))

    def _search(self, stage: PlannedStage) -> None:
        """Group testing of the nodes of a job that hung, then the stage without who was found."""
        view = self._view(stage)
        hosts = self._hosts(stage)
        folder = f"{stage.folder}-hang"
        if self._followed(stage, "without") is not None or len(hosts) < 2:
            return
        trials = 2 * len(hosts).bit_length()
        limit = stage.runs[0].plan.timeout
        reason = f"{len(hosts)} nodes, one of which or more hang: group testing"
        cost = f"about {trials} trials, up to {limit:g} s each"
        followed = Followed(kind="hang", stage=view.name, folder=folder, reason=reason, cost=cost)
        self._tell(f"  follow-up hang: {reason} ({cost})")
        self._keep_followed(followed)
        search = HangSearch(hosts)
        while groups := search.next_groups():
            search.record(groups[0], self._hangs(stage, folder, search.trials, groups[0]))
        assert search.outcome is not None
        told = search.outcome.sentence()
        self._tell(f"  {told}")
        culprits = search.outcome.culprits
        self._keep_followed(msgspec.structs.replace(followed, outcome=told, targets=culprits))
        if culprits:
            asked = self.kept.asked
            decided = follow_ups.without(view, hosts, culprits, asked.topology, asked.nodes)
            self._follow(stage, decided)

    def _hangs(self, stage: PlannedStage, folder: str, number: int, trial: Trial) -> bool:
        """Does a trial hang? One that was made before is not made again."""
        name = f"{folder}/trial{number + 1:02d}"
        if self._wanted(name):
            self._tell(
                f"  {name}: {some(trial.suspects)} and {len(trial.padding)} trusted: {trial.why}"
            )
            self._run(follow_ups.trial_plan(stage.runs[0].plan, trial.hosts), name)
        ran = self.kept.run_of(name)
        return ran is not None and ran.exit_code == EXIT_HANG

    def _hosts(self, stage: PlannedStage) -> tuple[str, ...]:
        """The nodes of the run that hung, as its journal has them."""
        runs = read_acceptance(self.folder, stage.stage.name).runs
        found = [runs[run.folder].stored.last.hosts for run in stage.runs if run.folder in runs]
        return found[0] if found else ()

    # what is kept -----------------------------------------------------------------------------------

    def _view(self, stage: PlannedStage) -> StageView:
        return view_of(read_acceptance(self.folder, stage.stage.name), stage)

    def _followed(self, stage: PlannedStage, kind: str) -> Followed | None:
        name = stage.stage.name
        return next((f for f in self.kept.followed if f.stage == name and f.kind == kind), None)

    def _keep_followed(self, made: Followed) -> None:
        others = [f for f in self.kept.followed if f.folder != made.folder]
        self._keep(followed=(*others, made))

    def _ran(self, ran: Ran) -> None:
        others = tuple(before for before in self.kept.ran if before.folder != ran.folder)
        self._keep(ran=(*others, ran))

    def _keep(self, **more: object) -> None:
        self.kept = msgspec.structs.replace(self.kept, **more)
        self.kept.write(self.folder)
