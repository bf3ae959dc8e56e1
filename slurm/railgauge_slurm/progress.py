"""How far a job is, and what it left, as its folder says: whatever Slurm still knows of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from railgauge.errors import EXIT_INTERRUPTED, RailgaugeError
from railgauge.journal import ENVIRONMENT, JOURNAL, PLAN, read_journal
from railgauge.records import End, Gap, Result, Run
from railgauge_reports.acceptance import is_acceptance
from railgauge_reports.acceptance.algebra import ERROR, Verdict, of_code
from railgauge_reports.acceptance.planning import planned
from railgauge_reports.nodes import nodes_of
from railgauge_slurm.job_options import JobOptions

LOG_LINES = 8
_LOG_BYTES = 1 << 14


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """`done` of `of` parts: `runs` of an acceptance, `measurements` of a run; `of` None: not begun.

    `ended`: it came to its own end; `restarts` is how often Slurm had restarted the job by its last start.
    """

    folder: str
    parts: str = ""
    done: int = 0
    of: int | None = None
    ended: bool = False
    restarts: int = 0

    def sentence(self) -> str:
        if self.of is None:
            return "nothing is measured yet"
        return f"{self.done} of {self.of} {self.parts} done" + ", at its end" * self.ended


def progress(folder: Path) -> Progress:
    """How far the measurement in a folder is; raises NotMeasuredError for a record that is none."""
    if is_acceptance(folder):
        return _acceptance(folder)
    if (folder / PLAN).exists() and (folder / JOURNAL).exists():
        return _run(folder)
    return Progress(folder=str(folder))


def _acceptance(folder: Path) -> Progress:
    from railgauge_reports.acceptance.kept import read_kept

    kept = read_kept(folder)
    stages = [
        stage
        for stage in planned(kept.parsed(), kept.asked)
        if not stage.skip and stage.stage.name not in kept.skipped
    ]
    wanted = [run.folder for stage in stages for run in stage.runs]
    wanted += [stage.folder for stage in stages if stage.audits]
    done = {ran.folder for ran in kept.ran if ran.exit_code != EXIT_INTERRUPTED}
    return Progress(
        folder=str(folder),
        parts="runs",
        done=len(done.intersection(wanted)),
        of=len(wanted),
        ended=kept.finished is not None,
        restarts=max((_restarts(folder / name) for name in wanted), default=0),
    )


def _run(folder: Path) -> Progress:
    records = read_journal(folder)
    starts = [record for record in records if isinstance(record, Run)]
    end = records[-1] if records and isinstance(records[-1], End) else None
    return Progress(
        folder=str(folder),
        parts="measurements",
        done=len({(r.case, r.round) for r in records if isinstance(r, Result | Gap)}),
        of=starts[0].todo if starts else None,
        ended=end is not None and end.exit_code != EXIT_INTERRUPTED,
        restarts=_restarts(folder),
    )


def _restarts(folder: Path) -> int:
    """SLURM_RESTART_COUNT of a run's last start, as its environment.json has it; 0 where nobody said."""
    try:
        facts = msgspec.json.decode((folder / ENVIRONMENT).read_bytes())
    except (OSError, msgspec.DecodeError):
        return 0
    nodes = nodes_of(facts) if isinstance(facts, dict) else ()
    told = [node.variables.get("SLURM_RESTART_COUNT", "") for node in nodes]
    return max((int(text) for text in told if text.isdigit()), default=0)


def verdict(folder: Path) -> tuple[Verdict, str]:
    """What a folder is judged as, and one sentence; what cannot be judged is an ERROR."""
    try:
        if is_acceptance(folder):
            from railgauge_reports.acceptance.judge import judge, read_acceptance

            result = judge(read_acceptance(folder))
            return result.verdict, "; ".join(result.reasons) or result.coverage.sentence()
        from railgauge_reports.loaded import load

        made = load(folder).verdict
        return of_code(made.exit_code), "; ".join(made.reasons) or made.coverage.sentence()
    except RailgaugeError as error:
        return ERROR, str(error).splitlines()[0]


def last_words(options: JobOptions, job: str) -> list[str]:
    """The last lines of a job's log; none where there is none."""
    name = options.log.replace("%A_%a", job).replace("%j", job).replace("%%", "%")
    try:
        with Path(name).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()][-LOG_LINES:]
