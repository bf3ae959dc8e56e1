"""Confirming runs: what is flagged on a night is measured again, on the same nodes or on others.

Only the cases that are flagged, and one run of each plan that has them. The runs lie inside the night, so
that the next gate finds them: `NIGHT/confirm-same/...` and `NIGHT/confirm-other/...`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from railgauge.errors import EXIT_PASS, NotMeasuredError, RailgaugeError, UsageError
from railgauge.journal import JOURNAL, PLAN, read_stored_plan
from railgauge.launching.launch import failed_error
from railgauge.launching.rank_process import Signals
from railgauge.plan import Case, Plan, cases
from railgauge.plan_rules import validate
from railgauge.topology import some
from railgauge_reports.acceptance.launching import Launched, Modelled
from railgauge_reports.history import CONFIRM_OTHER, CONFIRM_SAME
from railgauge_reports.history.answer import Gate, SeriesKey, SeriesResult
from railgauge_reports.history.gate import gate_of
from railgauge_reports.history.history import read_history
from railgauge_reports.history.lock import locked
from railgauge_reports.history.measured import variant_of
from railgauge_reports.history.summary import RunSummary
from railgauge_reports.stored import read_run

#: States that another look can settle, on the same nodes and on others.
_SAME, _OTHER = ("unconfirmed", "changed"), ("unconfirmed", "changed", "regression")
#: A soak is looked at again for so many seconds at most.
_MOST_SECONDS = 120.0
#: Confirming runs of one plan, of other cases each.
_MOST_AGAIN = 9

Tell = Callable[[str], None]


class Wanted(NamedTuple):
    """A confirming run: of which run of the night, and its plan with the flagged cases alone."""

    run: RunSummary
    plan: Plan


def confirm(
    history: Path,
    night: str | None,
    launcher: Sequence[str],
    other: bool,
    timeout: float,
    tell: Tell,
) -> Path:
    """Make the confirming runs of a night (None: the last one); the folder that holds them.

    `launcher` may hold {hosts}, the nodes of the night split by commas. `timeout` seconds each may take.
    Raises UsageError where nothing is to be looked at again, or it cannot be done like that; NotMeasuredError
    where a run ended on the wrong nodes; the run's own error where it failed.
    """
    gate = gate_of(history, night)
    tonight = gate.tonight
    folder = history / tonight.folder
    wanted = list(plans(gate, history, other))
    if not wanted:
        raise UsageError(
            f"night {tonight.name}: nothing is flagged that another look would settle.\n"
            f"  next: railgauge gate {history}"
        )
    into = folder / (CONFIRM_OTHER if other else CONFIRM_SAME)
    with locked(history, "confirm"):
        for want in wanted:
            _check(want, launcher, other)
            words = [word.replace("{hosts}", ",".join(want.run.hosts)) for word in launcher]
            place = _place(into, want)
            tell(f"confirming {len(cases(want.plan))} case(s) of {_name(want.run)}: {place}")
            _run(want.plan, place, words, timeout)
            _assert_hosts(want.run.hosts, into, place, other)
    return into


def plans(gate: Gate, history: Path, other: bool) -> Iterator[Wanted]:
    """What is to run: of each plan of the night those cases that are flagged."""
    states = _OTHER if other else _SAME
    flagged = [one for one in gate.series if one.state in states and not _looked(one, other)]
    summary = next(n for n in read_history(history).nights if n.folder == gate.tonight.folder)
    seen = set()
    for run in summary.runs:
        keys = [one.key for one in flagged if one.key.stage == run.stage]
        plan = read_stored_plan(history / summary.folder / run.path)
        if not keys or plan.imported is not None or plan.sha256() in seen:
            continue
        seen.add(plan.sha256())
        if made := restricted(plan, keys, 2 if other else 1):
            yield Wanted(run, made)


def _looked(one: SeriesResult, other: bool) -> bool:
    return (one.confirm_other if other else one.confirm_same) is not None


def restricted(plan: Plan, keys: Iterable[SeriesKey], draw: int) -> Plan | None:
    """The plan with the cases of these series alone; None where it has none of them.

    Axes are cut to what is flagged, so that a case may be among them that is not. `draw` makes another
    seed: noise that is drawn is drawn anew.
    """
    named = {(key.operation, key.nbytes, key.variant) for key in keys}
    sized = {
        size: _flagged(msgspec.structs.replace(plan, sizes=(size,)), named) for size in plan.sizes
    }
    found = [case for own in sized.values() for case in own]
    if not found:
        return None

    def only(axis: tuple[str, ...], used: Iterable[str | None]) -> tuple[str, ...]:
        kept = set(used)
        return tuple(value for value in axis if value in kept) or axis

    changes: dict[str, object] = {
        "operations": only(plan.operations, (case.operation for case in found)),
        "sizes": tuple(size for size, own in sized.items() if own),
        "dtypes": only(plan.dtypes, (case.dtype for case in found)),
        "ops": only(plan.ops, (case.op for case in found)),
        "roots": tuple(r for r in plan.roots if r in {c.root for c in found}) or plan.roots,
        "seed": plan.seed + draw,
    }
    if plan.duration is not None:
        changes["duration"] = min(plan.duration, _MOST_SECONDS)
    if plan.algorithms is not None:
        changes["algorithms"] = only(plan.algorithms, (case.algorithm for case in found))
    return validate(msgspec.structs.replace(plan, **changes))


def _flagged(plan: Plan, named: set[tuple[str, int, str]]) -> list[Case]:
    """The cases of a plan that are meant; a round's setting stands behind the words of its case."""
    return [
        case
        for case in cases(plan)
        if any(
            (case.operation, case.nbytes) == (operation, nbytes)
            and f"{words} ".startswith(f"{variant_of(plan, case)} ")
            for operation, nbytes, words in named
        )
    ]


# running ------------------------------------------------------------------------------------------------


def _check(want: Wanted, launcher: Sequence[str], other: bool) -> None:
    """Raise UsageError where ranks would not be where they have to be."""
    if want.plan.cluster is not None:
        if other or launcher:
            raise UsageError(
                f"{_name(want.run)}: a modelled cluster has no other nodes, and no launcher.\n"
                "  next: railgauge gate HISTORY --confirm"
            )
        return
    if not launcher and (other or len(want.run.hosts) > 1):
        where = "--exclude={hosts}" if other else "--nodelist={hosts}"
        raise UsageError(
            f"{_name(want.run)}: {want.plan.ranks} ranks on {len(want.run.hosts)} nodes, and nothing said"
            f" what starts them.\n  next: --launcher 'srun -n {want.plan.ranks} {where}'"
        )


def _place(into: Path, want: Wanted) -> Path:
    """Where the run goes: a folder that holds its beginning is gone on with."""
    for number in range(1, _MOST_AGAIN + 1):
        under = into if number == 1 else into / f"again{number}"
        place = under / (want.run.path or "run")
        if not (place / PLAN).exists():
            return place
        try:
            if read_stored_plan(place) == want.plan:
                return place
        except NotMeasuredError:
            continue
    raise UsageError(
        f"{into}: {_MOST_AGAIN} confirming runs, and what is flagged is another thing now"
    )


def _run(plan: Plan, place: Path, launcher: Sequence[str], timeout: float) -> None:
    """Run the plan into the folder; raises the error that it ended with."""
    place.parent.mkdir(parents=True, exist_ok=True)
    signals = Signals() if plan.cluster is not None else None
    try:
        if signals is not None:
            heard = signals
            ended = Modelled(lambda: heard.seen).run(plan, place)
        else:
            ended = Launched(launcher, plan.ranks, timeout).run(plan, place)
    finally:
        if signals is not None:
            signals.forget()
    if ended.exit_code != EXIT_PASS and not (place / JOURNAL).exists():
        raise _failed(ended.message, place, ended.exit_code)


def _failed(message: str, place: Path, exit_code: int) -> RailgaugeError:
    return failed_error(f"the confirming run {place} failed: {message}", exit_code)


def _assert_hosts(hosts: Sequence[str], into: Path, place: Path, other: bool) -> None:
    """Was it where it had to be? One that was not is put aside, so that nobody counts it."""
    used = set(read_run(place).last.hosts)
    wrong = sorted(used & set(hosts)) if other else sorted(used - set(hosts))
    if not wrong:
        return
    number = 1
    while (aside := into.parent / f".{into.name}-elsewhere{number}").exists():
        number += 1
    place.rename(aside)
    asked = f"other nodes than {some(hosts)}" if other else f"the nodes of the night, {some(hosts)}"
    raise NotMeasuredError(
        f"the confirming run was on {some(wrong)}: it was to run on {asked}.\n"
        f"  it is kept in {aside}, and counts for nothing\n"
        f"  next: --launcher 'srun {'--exclude' if other else '--nodelist'}={{hosts}} ...'"
    )


def _name(run: RunSummary) -> str:
    return run.path or "the night's run"
