"""Two configurations in alternation in one job: the launches, when they stop, and how they go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from railgauge.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOT_MEASURED,
    EXIT_WRONG_DATA,
    HangError,
    InterruptedRunError,
    NotMeasuredError,
    RailgaugeError,
)
from railgauge_reports.compare.answer import Answer, judge_pairs
from railgauge_reports.compare.kept import Kept, Launched, Side, Study
from railgauge_reports.compare.measured import Launch, read_launch
from railgauge_reports.launched import COUNT, measure, run_command

Tell = Callable[[Launched], None]


def command_of(study: Study, side: Side, folder: Path) -> list[str]:
    """The `railgauge run` of one launch, under the launcher where there is one."""
    ranks = [] if study.ranks is None else ["-n", str(study.ranks)]
    return run_command(study.launcher, [*ranks, *study.arguments, *side.words()], folder)


def answer_of(folder: Path, kept: Kept, read: Callable[[Path], Launch] = read_launch) -> Answer:
    """What the whole pairs of a kept comparison say; NotMeasuredError where there is none."""
    pairs: dict[int, dict[str, Launch]] = {}
    for launch in kept.launches:
        if launch.exit_code in (*COUNT, EXIT_WRONG_DATA):
            pairs.setdefault(launch.block, {})[launch.side] = read(folder / launch.folder)
    whole = [(found["a"], found["b"]) for found in pairs.values() if len(found) == 2]
    if not whole:
        raise NotMeasuredError(
            f"{folder}: no pair of launches has ended.\n"
            f"  next: railgauge compare --interleave --resume --output {folder}"
        )
    study = kept.study
    names = study.a.describe(), study.b.describe()
    return judge_pairs(whole, names, study.margin, len(study.looks))


class Alternation:
    """One comparison into `folder`; `kept` says how far it is, and is on disk after every launch."""

    def __init__(self, folder: Path, kept: Kept, timeout: float, tell: Tell) -> None:
        self.folder, self.kept, self.timeout, self._tell = folder, kept, timeout, tell
        self._read: dict[Path, Launch] = {}

    def run(self) -> None:
        """Launch until it may stop. Raises what ended it early; what was measured stays.

        HangError (5), InterruptedRunError (75), the error of a launch that could not measure (3, or 2
        where what was asked cannot be run), and of wrong data (4).
        """
        self._set_aside()
        while not self.kept.stopped:
            if stopped := self._may_stop():
                self._keep(stopped=stopped)
                return
            block = self.kept.whole_blocks
            for side in self.kept.order[2 * block : 2 * block + 2].lower():
                self._launch(side, block)

    def finish(self, exit_code: int) -> None:
        """Keep what the comparison ended with."""
        self._keep(stopped=self.kept.stopped, exit_code=exit_code)

    def answer(self) -> Answer:
        """What has been measured so far; NotMeasuredError where no pair has ended."""
        return answer_of(self.folder, self.kept, self._launched)

    # stopping ---------------------------------------------------------------------------------------

    def _may_stop(self) -> str:
        """Why to stop now; empty to go on."""
        study, blocks = self.kept.study, self.kept.whole_blocks
        if blocks >= study.looks[-1]:
            return f"all {blocks} pairs are measured"
        if study.budget is not None and blocks:
            each = self.kept.seconds / blocks
            if self.kept.seconds + each > study.budget:
                return f"another pair of {each:.1f} s would exceed the budget of {study.budget:g} s"
        if blocks in study.looks:
            answer = self.answer()
            if study.precision is None:
                return "every row has an answer" if answer.told else ""
            if answer.within(study.precision):
                return f"every interval is within {study.precision:.2%}"
        return ""

    # launching --------------------------------------------------------------------------------------

    def _launched(self, folder: Path) -> Launch:
        if folder not in self._read:
            self._read[folder] = read_launch(folder)
        return self._read[folder]

    def _keep(self, *more: Launched, stopped: str = "", exit_code: int | None = None) -> None:
        self.kept = msgspec.structs.replace(
            self.kept,
            launches=(*self.kept.launches, *more),
            stopped=stopped,
            exit_code=exit_code,
        )
        self.kept.write(self.folder)

    def _set_aside(self) -> None:
        """Of pairs that an earlier start did not finish: keep the folders, and forget the launches.

        A pair's launches belong together in time: half of one is not completed hours later.
        """
        whole = {
            launch.block
            for launch in self.kept.launches
            if sum(other.block == launch.block for other in self.kept.launches) == 2
        }
        failed = {la.block for la in self.kept.launches if la.exit_code not in COUNT}
        good = [la for la in self.kept.launches if la.block in whole - failed]
        # the pairs that are left keep their places: only the last one can be open
        for block in range(len(good) // 2, len(self.kept.order) // 2):
            for side in "ab":
                path = self.folder / f"{side}{block}"
                if path.exists():
                    path.rename(_free(path))
        kept = msgspec.structs.replace(self.kept, launches=tuple(good), exit_code=None)
        if kept != self.kept:
            self.kept = kept
            self.kept.write(self.folder)

    def _launch(self, side: str, block: int) -> None:
        name = f"{side}{block}"
        study, folder = self.kept.study, self.folder / name
        command = command_of(study, study.a if side == "a" else study.b, folder)
        began, started = time.monotonic(), time.time()
        code, error = EXIT_NOT_MEASURED, None
        try:
            code, error = self._measure(command, folder)
        except KeyboardInterrupt:
            code, error = EXIT_INTERRUPTED, _interrupted(self.folder)
        except HangError as hang:
            code, error = hang.exit_code, hang
        launched = Launched(
            folder=name,
            side=side,
            block=block,
            started=started,
            seconds=time.monotonic() - began,
            exit_code=code,
        )
        self._keep(launched, exit_code=None if error is None else error.exit_code)
        self._tell(launched)
        if error is not None:
            raise error

    def _measure(self, command: list[str], folder: Path) -> tuple[int, RailgaugeError | None]:
        """Run one launch: its exit code as its folder has it, and the error where it does not count."""
        again = f"railgauge compare --interleave --resume --output {self.folder}"
        return measure(
            command, folder, self.timeout, lambda path: self._launched(path).stored, again
        )


def _interrupted(folder: Path) -> InterruptedRunError:
    return InterruptedRunError(
        f"interrupted.\n  next: railgauge compare --interleave --resume --output {folder}"
    )


def _free(path: Path) -> Path:
    """A name for a folder that is set aside: `b3.cut0`, `b3.cut1`, ..."""
    number = 0
    while (made := path.with_name(f"{path.name}.cut{number}")).exists():
        number += 1
    return made
