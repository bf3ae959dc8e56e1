"""Where the runs of a night lie: a run folder, an acceptance, or a folder of either."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from railgauge.errors import EXIT_PASS, NotMeasuredError
from railgauge.journal import ENVIRONMENT, JOURNAL, PLAN
from railgauge_reports.acceptance import KEPT
from railgauge_reports.acceptance.kept import Kept, read_kept
from railgauge_reports.history import CONFIRM_OTHER, CONFIRM_SAME
from railgauge_reports.history.summary import Trouble

FACTS = "facts.toml"
_READ = (PLAN, JOURNAL, ENVIRONMENT, KEPT, FACTS)
#: Folders below a night that hold no runs of their own.
_DATA = ("samples", "counters")
_CONFIRMING = (CONFIRM_SAME, CONFIRM_OTHER)
#: A second confirming run, and so on, in the folder of the first.
_AGAIN = re.compile(r"again\d+")
#: How deep runs lie below a night: confirm-same / again2 / 05-sweep / nodes0016.
_DEEP = 4


class Place(NamedTuple):
    """A run folder, and of an acceptance its stage."""

    path: Path
    stage: str


class Laid(NamedTuple):
    """The runs of a folder, what is amiss with them, and when an acceptance began."""

    places: tuple[Place, ...]
    trouble: tuple[Trouble, ...] = ()
    started: float | None = None


def nights_in(history: Path) -> list[Path]:
    """The child folders that hold runs, by name; raises NotMeasuredError where there is no such folder."""
    try:
        children = sorted(child for child in history.iterdir() if child.is_dir())
    except OSError as error:
        raise NotMeasuredError(
            f"{history}: {error.strerror or error}.\n"
            "  expected: a folder whose child folders are nights (runs, or acceptances)\n"
            f"  next: railgauge run --output {history}/NIGHT"
        ) from None
    return [child for child in children if not child.name.startswith(".") and _holds_runs(child)]


def _holds_runs(folder: Path) -> bool:
    return any(True for _ in _files(folder))


def laid(night: Path) -> Laid:
    """The runs of a night, its confirming runs left out."""
    if (night / KEPT).exists():
        return _of_acceptance(night)
    if _is_run(night):
        return Laid((Place(night, ""),))
    places: list[Place] = []
    trouble: list[Trouble] = []
    started: list[float] = []
    for child in _children(night):
        if child.name in _CONFIRMING:
            continue
        if (child / KEPT).exists():
            inside = _of_acceptance(child)
            places += inside.places
            trouble += [_below(child.name, one) for one in inside.trouble]
            started += [] if inside.started is None else [inside.started]
        elif _is_run(child):
            places.append(Place(child, ""))
    return Laid(tuple(places), tuple(trouble), min(started, default=None))


def confirming(night: Path, name: str) -> Laid:
    """The runs of `NIGHT/confirm-same` or `confirm-other`; none where there is no such folder.

    A run or an acceptance that somebody put there may have more of its kind in `again2`, `again3` ...
    """
    folder = night / name
    if not folder.is_dir():
        return Laid(())
    if (folder / KEPT).exists() or _is_run(folder):
        looks = [folder, *sorted(child for child in _children(folder) if _AGAIN.match(child.name))]
        all_laid = [laid(look) for look in looks]
        return Laid(
            tuple(place for one in all_laid for place in one.places),
            tuple(trouble for one in all_laid for trouble in one.trouble),
            all_laid[0].started,
        )
    staged = (night / KEPT).exists()
    found = sorted(path for path in _folders(folder, _DEEP) if path != folder and _is_run(path))
    return Laid(
        tuple(Place(p, stage_of(str(p.relative_to(folder))) if staged else "") for p in found)
    )


def stage_of(path: str) -> str:
    """`sweep/nodes0016` of the folder `05-sweep/nodes0016`: stages move when a profile is edited.

    Below the folder of confirming runs a second one of a stage lies in `again2/05-sweep`.
    """
    return re.sub(rf"^({_AGAIN.pattern}/)?\d+-", "", path)


def readable(text: str) -> str:
    """The text with U+FFFD for what is no UTF-8 in a file's name: JSON and terminals have no bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def signature(night: Path) -> tuple[tuple[str, int, int], ...]:
    """(file, time of its last change in ns, size) of everything that a summary is made of."""
    made = []
    for path in _files(night):
        try:
            told = path.stat()
        except OSError:
            continue
        made.append((str(path.relative_to(night)), told.st_mtime_ns, told.st_size))
    return tuple(sorted(made))


def _files(night: Path) -> Iterator[Path]:
    for folder in _folders(night, _DEEP):
        for name in _READ:
            path = folder / name
            if path.exists():
                yield path


def _folders(folder: Path, deep: int) -> Iterator[Path]:
    """The folder and those below it, without those that hold a run's data."""
    yield folder
    if deep:
        for child in _children(folder):
            yield from _folders(child, deep - 1)


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            named = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return []
    return [folder / name for name in sorted(named) if name not in _DATA]


def _is_run(folder: Path) -> bool:
    return (folder / JOURNAL).exists() or (folder / PLAN).exists()


def _of_acceptance(folder: Path) -> Laid:
    """The runs of its stages: follow-ups look at suspects alone, and are another thing every night."""
    try:
        kept = read_kept(folder)
    except NotMeasuredError as error:
        why = str(error).splitlines()[0]
        return Laid((), (Trouble(path="", kind="corrupt", why=why),))
    followed = tuple(follow.folder for follow in kept.followed)
    places, trouble = [], list(_unfinished(kept))
    for ran in kept.ran:
        if any(ran.folder == name or ran.folder.startswith(f"{name}/") for name in followed):
            continue
        path = folder / ran.folder
        if _is_run(path):
            places.append(Place(path, stage_of(ran.folder)))
        elif ran.exit_code != EXIT_PASS:
            said = f": {ran.message.splitlines()[0]}" if ran.message else ""
            why = f"ended with {ran.exit_code} and left no run{said}"
            trouble.append(Trouble(path=ran.folder, kind="incomplete", why=why))
    return Laid(tuple(places), tuple(trouble), kept.started)


def _unfinished(kept: Kept) -> Iterator[Trouble]:
    if kept.finished is None:
        why = "the acceptance has not come to its end; --resume goes on"
        yield Trouble(path="", kind="incomplete", why=why)
    for stage, reason in kept.skipped.items():
        yield Trouble(path=stage, kind="incomplete", why=f"left out: {reason}")


def _below(name: str, trouble: Trouble) -> Trouble:
    return Trouble(
        path="/".join(filter(None, (name, trouble.path))), kind=trouble.kind, why=trouble.why
    )
