"""Who makes pairs slow, and what else the pairs say, as every format tells it of a run."""

from __future__ import annotations

import dataclasses

from railgauge.patterns import PAIRWISE
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.localise.localiser import localise_run
from railgauge_reports.localise.suspects import Suspect
from railgauge_reports.localise.verify import Verification


@dataclasses.dataclass(frozen=True)
class Suspected:
    """`suspects` with the surest first, then classes of which one must be it; `notes` on what was not judged.

    `verification`: the rounds that would settle it; None where no pairs were measured.
    """

    suspects: tuple[Suspect, ...] = ()
    notes: tuple[str, ...] = ()
    verification: Verification | None = None

    def sentences(self) -> list[str]:
        """A line for each suspect, then the notes."""
        told = [f"suspect: {suspect.sentence()}" for suspect in self.suspects]
        return told + [f"pairs: {note}" for note in self.notes]

    @property
    def next_tests(self) -> tuple[str, ...]:
        """What settles it, with its cost; what several suspects have in common once."""
        return tuple(dict.fromkeys(s.next_test for s in self.suspects if s.next_test))


def suspected(run: LoadedRun) -> Suspected:
    """What the pairs of a run say; nobody where it measured none."""
    if run.stored.plan.pattern not in PAIRWISE:
        return Suspected()
    found = localise_run(run.stored, run.rows, run.pair_ranks)
    if found is None:
        return Suspected()
    accused = (*found.suspects, *found.classes)
    said = {suspect.sentence() for suspect in accused}
    notes = tuple(sentence for sentence in found.sentences() if sentence not in said)
    return Suspected(accused, notes, found.verification)
