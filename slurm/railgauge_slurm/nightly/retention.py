"""What a history lets go: raw samples after some days, whole nights after many, never what is still needed.

Age counts from the newest night, or from now where that is earlier: a clock that jumps ahead makes nothing
old, and where no night is made nothing is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from railgauge.errors import NotMeasuredError
from railgauge_reports.acceptance import KEPT
from railgauge_slurm.nightly.nights import RECORD, time_of

DAY_SECONDS = 86_400.0
_GOING = ".removing-"


class Pruning(NamedTuple):
    """What is to go: nights whose samples are dropped, nights that are removed, and why others stay."""

    thin: tuple[Path, ...]
    remove: tuple[Path, ...]
    stay: Mapping[Path, str]


class Pruned(NamedTuple):
    """What went: bytes, folders, and what could not go."""

    freed: int
    thinned: tuple[Path, ...]
    removed: tuple[Path, ...]
    failed: tuple[str, ...]


def pruning(
    nights: Sequence[Path],
    now: float,
    keep_days: int,
    keep_nights: int,
    needed: Mapping[str, str],
) -> Pruning:
    """What may go of these nights (the earliest first). `needed` maps a night's name to why it stays.

    `keep_days` 0 keeps samples for ever. A night that stays beyond `keep_nights` has no samples any more.
    """
    times = [(night, at) for night in nights if (at := time_of(night)) is not None]
    newest = min([now, *(at for _, at in times[-1:])])
    old = nights[: max(0, len(nights) - keep_nights)]
    remove = tuple(night for night in old if night.name not in needed)
    stay = {night: needed[night.name] for night in old if night.name in needed}
    horizon = newest - keep_days * DAY_SECONDS if keep_days else float("-inf")
    gone = set(remove)
    thin = tuple(night for night, at in times if at < horizon and night not in gone)
    return Pruning(thin, remove, stay)


def prune(plan: Pruning, tell: Callable[[str], None]) -> Pruned:
    """Let it go; the caller holds the history's lock. What cannot be read or removed stays, and is named."""
    from railgauge_reports.thinning import runs_below, thin

    freed, thinned, removed, failed = 0, [], [], []
    for night in plan.thin:
        own = 0
        for run in runs_below(night):
            try:
                own += thin(run)
            except NotMeasuredError as error:
                failed.append(str(error).splitlines()[0])
        if own:
            freed += own
            thinned.append(night)
    for night in plan.remove:
        own = size_of(night)
        try:
            remove(night)
        except NotMeasuredError as error:
            failed.append(str(error).splitlines()[0])
            continue
        freed += own
        removed.append(night)
    for night in (*thinned, *removed):
        tell(f"retention: {night.name}")
    return Pruned(freed, tuple(thinned), tuple(removed), tuple(failed))


def remove(night: Path) -> None:
    """Remove a night's folder; raises NotMeasuredError. It gives up its name first: no half of it is read."""
    if not ((night / KEPT).exists() or (night / RECORD).exists()):
        raise NotMeasuredError(
            f"{night}: neither {KEPT} nor {RECORD}: not a night, and not removed"
        )
    going = night.with_name(f"{_GOING}{night.name}")
    try:
        night.rename(going)
        shutil.rmtree(going)
    except OSError as error:
        raise NotMeasuredError(f"{night}: cannot be removed ({error.strerror or error})") from None


def sweep(folder: Path) -> None:
    """Go on with a removal that was cut off; what cannot go stays, and is tried again the next time."""
    shutil.rmtree(folder, ignore_errors=True)


def left_over(history: Path) -> list[Path]:
    """Folders whose removal was cut off."""
    return sorted(history.glob(f"{_GOING}*"))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
