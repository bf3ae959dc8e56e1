"""The morning after: the gate over the history, its report in every format, and what is let go.

It asks Slurm and the folders what became of the nights, and waits for none of them: a night that was
refused, never began or died is in the report because it is a folder without a measurement.
"""

from __future__ import annotations

import datetime
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from railgauge.errors import NotMeasuredError, RailgaugeError, UsageError
from railgauge.launching.launchers import python_module
from railgauge_reports import formats
from railgauge_reports.acceptance import KEPT, algebra
from railgauge_reports.acceptance.faults import faults_of
from railgauge_reports.acceptance.judge import judge, read_acceptance
from railgauge_reports.commands.report import write
from railgauge_reports.history.answer import Gate, Told
from railgauge_reports.history.gate import gate_of
from railgauge_reports.history.lock import locked
from railgauge_reports.history.rule import RULE
from railgauge_reports.history.verdicts import INCONCLUSIVE, worst
from railgauge_reports.processes import execute
from railgauge_slurm import jobs
from railgauge_slurm.nightly import nights
from railgauge_slurm.nightly.nights import Night
from railgauge_slurm.nightly.retention import Pruning, left_over, prune, pruning, sweep
from railgauge_slurm.nightly.settings import Nightly
from railgauge_slurm.nightly.tonight import LOCK, PATIENCE_SECONDS, outside

#: Format -> suffix of its file, for each report and for `latest`.
FORMATS = {"html": "html", "markdown": "md", "junit": "xml", "prometheus": "prom"}
LATEST = "latest"
#: States of a job that is still to end.
WAITING, RUNNING = ("PENDING", "REQUEUED", "REQUEUE_HOLD"), ("RUNNING", "COMPLETING", "CONFIGURING")
#: A schedule may be so much early.
SLACK_SECONDS = 1800.0
#: What the acceptance of a night may find that counts, whatever its history.
COUNTING = (algebra.FAIL, algebra.WRONG, algebra.HANG)
MOST_FAULTS = 6
DRAIN_SECONDS = 300.0
#: Nights without a measurement that are told of one by one.
MOST_UNMEASURED = 3


def report(
    history: Path,
    settings: Nightly | None,
    now: float,
    more: Sequence[str],
    tell: Callable[[str], None],
) -> tuple[int, list[Path]]:
    """(the gate's exit code, the files that were written). `more` are alarms of the caller's own.

    Raises NotMeasuredError (exit 3) where no night of the history can be judged; it then says what became of
    the last ones.
    """
    with locked(history, LOCK, PATIENCE_SECONDS):
        alarms = [*more, *unmeasured(history), *silent(history, settings, now)]
        try:
            gate = gate_of(history, now=now)
        except NotMeasuredError as error:
            told = "".join(f"\n  {sentence}" for sentence in alarms)
            raise NotMeasuredError(f"{error}{told}") from None
        gate = with_alarms(priced(gate, settings), [*alarms, *faults(history, gate)])
        gate = advised(gate, drain_commands(history, settings, gate, tell))
        files = write_reports(history, gate)
        if settings is not None:
            _prune(history, settings, gate, now, tell)
    return gate.verdict.exit_code, files


def with_alarms(gate: Gate, sentences: Sequence[str]) -> Gate:
    """The answer with further alarms: there is no PASS beside a night that did not happen."""
    if not sentences:
        return gate
    told = tuple(Told(kind="night", sentence=text, alarms=True) for text in sentences)
    verdict = worst((gate.verdict, INCONCLUSIVE))
    ahead = gate.reasons if verdict == gate.verdict else ()
    behind = () if ahead else gate.reasons
    return msgspec.structs.replace(
        gate,
        verdict=verdict,
        reasons=(*ahead, *sentences, *behind),
        told=(*told, *gate.told),
    )


def priced(gate: Gate, settings: Nightly | None) -> Gate:
    """With the price of a GPU-hour, where only the settings of the nightly have one."""
    if settings is None or gate.price is not None:
        return gate
    return msgspec.structs.replace(gate, price=settings.price)


def advised(gate: Gate, commands: Sequence[str]) -> Gate:
    """With further commands to type next, ahead of the gate's own."""
    return msgspec.structs.replace(gate, next_commands=(*commands, *gate.next_commands))


# who is at fault -----------------------------------------------------------------------------------------


def faults(history: Path, gate: Gate) -> list[str]:
    """What the night's own acceptance accuses, waived findings left out: no history is needed to see that."""
    folder = history / gate.tonight.folder
    if not (folder / KEPT).exists():
        return []
    try:
        found = faults_of(judge(read_acceptance(folder)))
    except RailgaugeError as error:
        return [str(error).splitlines()[0]]
    accused = [fault for fault in found if fault.hosts and fault.verdict in COUNTING]
    told = [fault.brief() for fault in accused[:MOST_FAULTS]]
    left = len(accused) - len(told)
    return [*told, *([f"{left} more nodes or paths are accused by the night"] if left > 0 else [])]


def drain_commands(
    history: Path, settings: Nightly | None, gate: Gate, tell: Callable[[str], None]
) -> list[str]:
    """What to type to drain who the night is sure of; with `drain = "apply"` it is done, once a night.

    `railgauge slurm drain` decides, and keeps to the cap; where it cannot, that is told. A night that has
    been acted on is only advised on: its nodes may have been repaired since.
    """
    if settings is None or settings.drain == "off" or gate.simulated:
        return []
    folder = history / gate.tonight.folder
    words = ["slurm", "drain", str(folder), f"--max-drain={settings.max_drain:g}%"]
    words += [f"--partition={settings.partition}"] if settings.partition else []
    night = nights.read_night(folder)
    acting = settings.drain == "apply" and night is not None and not night.acted
    if night is not None and acting:
        nights.write_night(folder, msgspec.structs.replace(night, acted=True))
    with outside():
        own = python_module("railgauge", *words, *["--apply"] * acting)
        done = execute(own, os.environ, DRAIN_SECONDS)
    for line in done.stderr.splitlines():
        tell(f"drain: {line}")
    if done.returncode or acting or not done.stdout.strip():
        return []
    return [shlex.join(["railgauge", *words])]


# what became of nights ------------------------------------------------------------------------------


def unmeasured(history: Path) -> list[str]:
    """A sentence for each of the last nights, up to the last one that was measured, that has no measurement.

    One that runs now is none of them.
    """
    found = []
    for folder in reversed(nights.nights_of(history)):
        if (folder / KEPT).exists():
            break
        if sentence := became(folder):
            found.append(sentence)
    if len(found) > MOST_UNMEASURED:
        left = len(found) - MOST_UNMEASURED
        return [*found[:MOST_UNMEASURED], f"{left} more nights before them measured nothing"]
    return found


def silent(history: Path, settings: Nightly | None, now: float) -> list[str]:
    """A sentence where the time of a night went by without one: no schedule ran, or its host was down."""
    if settings is None:
        return []
    slot = settings.night_at.slot(datetime.datetime.fromtimestamp(now).astimezone()).timestamp()
    times = [at for folder in nights.nights_of(history) if (at := nights.time_of(folder))]
    late = min((abs(at - slot) for at in times), default=0.0)
    if not times or min(times) > slot or any(at >= slot for at in times) or late < SLACK_SECONDS:
        return []
    return [
        f"no night was submitted at {settings.at}: {nights.stamp(max(times))} was the last time"
    ]


def became(folder: Path) -> str:
    """What became of a night without a measurement; "" while it runs."""
    try:
        night = nights.read_night(folder)
    except NotMeasuredError as error:
        return str(error).splitlines()[0]
    if night is None:
        return f"{folder.name} is empty: nothing was measured and nothing was asked of Slurm"
    if night.refused:
        first = " ".join(night.refused.split("\n  next:")[0].split())
        return f"{folder.name} was refused: {first}"
    if not night.job:
        return f"{folder.name} was not submitted: the process that did so ended before it had a job"
    state, why = state_of(night)
    if state in RUNNING:
        return ""
    if state in WAITING:
        return f"{folder.name} has not begun: job {night.job} waits ({why or state})"
    return (
        f"{folder.name} measured nothing: job {night.job} {state or 'is gone'}{why and f' ({why})'}"
    )


def state_of(night: Night) -> tuple[str, str]:
    """(state, reason) of a night's job in Slurm's words; ("", "") once it has forgotten it."""
    try:
        with outside():
            found = jobs.jobs([night.job])
    except RailgaugeError as error:
        return "cannot be asked after", str(error).splitlines()[0]
    if not found:
        return "", ""
    reason = found[0].reason
    return found[0].state, "" if reason == "None" else reason


# files ------------------------------------------------------------------------------------------------


def write_reports(history: Path, gate: Gate) -> list[Path]:
    """`reports/DATE.*` of the night that is judged, and `latest.*`; each written whole."""
    place = history / nights.REPORTS
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror or error}") from None
    made = []
    for name, suffix in FORMATS.items():
        shown = formats.gate_renderer(name)(gate)
        for path in (place / f"{_date(gate)}.{suffix}", history / f"{LATEST}.{suffix}"):
            write(path, shown, "the report")
            made.append(path)
    return made


def _date(gate: Gate) -> str:
    """The day of the report, of the clock that it was judged by; a page of the same day is replaced."""
    day = datetime.datetime.fromtimestamp(gate.judged_at)
    return f"{day:%Y-%m-%d}"


# what is let go ------------------------------------------------------------------------------------------


def needed(history: Path, gate: Gate) -> dict[str, str]:
    """Night -> why the gate needs it still: flagged, acknowledged, in a baseline, or the last deep ones."""
    folders = nights.nights_of(history)
    records = nights.records_of(folders)
    why: dict[str, str] = {}
    deep = [folder.name for folder in folders if folder in records and records[folder].deep]
    for name in deep[-(RULE.window + 1) :]:
        why[name] = "a deep night that later ones are compared with"
    accepted = [night for night in gate.nights if night.state in ("accepted", "learning")]
    for night in accepted[-RULE.window :]:
        why[night.folder] = "in a baseline"
    for series in gate.series:
        taken = [k for k, state in enumerate(series.states) if state in ("accepted", "learning")]
        for index in taken[-RULE.window :]:
            why[gate.nights[index].folder] = "in a baseline"
    acknowledged = {ack.night for ack in gate.acks}
    for night in gate.nights:
        if night.flagged or night.state in ("flagged", "changed", "corrupt"):
            why[night.folder] = night.state
        if acknowledged & {night.name, night.folder}:
            why[night.folder] = "acknowledged"
    for epoch in gate.epochs:
        why[gate.nights[epoch.night].folder] = "the first of its environment"
    return why


def planned_pruning(history: Path, settings: Nightly, gate: Gate, now: float) -> Pruning:
    """What would go now."""
    return pruning(
        nights.nights_of(history), now, settings.keep, settings.keep_nights, needed(history, gate)
    )


def _prune(
    history: Path, settings: Nightly, gate: Gate, now: float, tell: Callable[[str], None]
) -> None:
    for folder in left_over(history):
        sweep(folder)
    done = prune(planned_pruning(history, settings, gate, now), tell)
    for sentence in done.failed:
        tell(f"retention: {sentence}")
