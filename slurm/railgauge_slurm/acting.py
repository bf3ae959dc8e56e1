"""Doing it: commands to Slurm one by one, each kept in drain.json before and after.

Format history (`Kept.format`)
    1  first format
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from railgauge import __version__
from railgauge.errors import UsageError
from railgauge_reports.kept import read_record, write_record
from railgauge_slurm.draining import Action
from railgauge_slurm.programs import RefusedError, ask

FILE = "drain.json"
FORMAT = 1
#: What Slurm says to who is no operator (slurm_strerror: ESLURM_USER_ID_MISSING, ESLURM_ACCESS_DENIED).
NOT_ALLOWED = ("invalid user id", "access/permission denied", "permission denied")
NEXT_ALLOWED = "the same as an operator (sacctmgr: AdminLevel=Operator), SlurmUser or root"


class Done(msgspec.Struct, frozen=True, kw_only=True, rename={"node": "hostname"}):
    """A command to Slurm: `done` unless it was refused, as `said`, or this process ended before it.

    `node` is Slurm's name for the host; in the file it has a key that packs redact.
    """

    host: str
    node: str
    argv: list[str]
    why: str
    time: float
    done: bool = False
    said: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """drain.json: everything that was done about the nodes of a run, the oldest first."""

    format: int = FORMAT
    version: str = __version__
    actions: tuple[Done, ...] = ()


def carry_out(actions: Sequence[Action], folder: Path | None) -> list[Done]:
    """Run the commands in their order; what was done, and is kept beside the run (None: nowhere).

    Raises UsageError where Slurm refuses one (the rest is left), with what was done before; and
    NotMeasuredError where the record cannot be written, before anything is done.
    """
    before = _before(folder)
    made: list[Done] = []
    for action in actions:
        entry = Done(
            host=action.host, node=action.node, argv=action.argv, why=action.why, time=time.time()
        )
        _write(folder, [*before, *made, entry])
        try:
            ask(action.argv, f"scontrol show node {action.node}")
        except RefusedError as error:
            made.append(msgspec.structs.replace(entry, said=error.said))
            _write(folder, [*before, *made])
            raise _refused(error, made) from None
        made.append(msgspec.structs.replace(entry, done=True))
        _write(folder, [*before, *made])
    return made


def _refused(error: RefusedError, made: Sequence[Done]) -> UsageError:
    before = [done.node for done in made if done.done]
    told = f"  done before: {', '.join(before)}\n" if before else "  nothing was done\n"
    if any(words in error.said.lower() for words in NOT_ALLOWED):
        return UsageError(
            f"Slurm does not let this user change a node: {error.said}\n{told}  next: {NEXT_ALLOWED}"
        )
    return UsageError(f"{error}\n{told.rstrip()}")


def _before(folder: Path | None) -> tuple[Done, ...]:
    if folder is None or not (folder / FILE).exists():
        return ()
    what = ("what was drained", "what railgauge slurm drain wrote", f"move {folder / FILE} away")
    return read_record(folder / FILE, Kept, FORMAT, *what).actions


def _write(folder: Path | None, entries: Sequence[Done]) -> None:
    if folder is None:
        return
    more = "  expected: a folder that takes a record of what is done\n"
    more += "  next: the commands without --apply, and by hand"
    write_record(folder / FILE, Kept(actions=tuple(entries)), f".\n{more}")
