"""The folders of a history: one a night, named by when it was submitted and by its profile.

    HISTORY/20261123T020003Z-nightly/   an acceptance, what confirms it, what was asked of Slurm
            reports/2026-11-23.html     one a morning; latest.* beside the nights
            logs/                       what schedules and reports printed

All times of a night are those of the host that submitted it: clocks of other hosts name nothing here. Where
that clock runs backwards the night is kept under the time that it was told, and said to stand before one that
was submitted earlier. The id of the job is in the record and not in the name: the script that Slurm keeps
names the folder, and is handed over before there is an id.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import time
from pathlib import Path

import msgspec

from railgauge import __version__
from railgauge.errors import NotMeasuredError
from railgauge_reports.kept import read_record, write_record

RECORD, FORMAT = "slurm-night.json", 1
LOGS, REPORTS = "logs", "reports"
_NAME = re.compile(r"(\d{8}T\d{6}Z)-[A-Za-z0-9_.-]+")
_STAMP = "%Y%m%dT%H%M%SZ"


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """slurm-night.json: what was asked of Slurm, by whom, and what came of it besides measurements.

    `submitted` is the clock of `host`. `job` "" and `refused`: why Slurm took none. `report` and `other` are
    the ids of the jobs that report, and that confirm on other nodes. `acted`: nodes were drained for it, or
    would have been: that is done once. `notes` are sentences for people.
    """

    format: int
    version: str
    submitted: float
    host: str
    profile: str
    deep: bool
    nodes: int
    job: str = ""
    report: str = ""
    other: str = ""
    refused: str = ""
    acted: bool = False
    notes: tuple[str, ...] = ()

    def noted(self, *sentences: str) -> Night:
        """The same with further notes, each once."""
        notes = dict.fromkeys((*self.notes, *filter(None, sentences)))
        return msgspec.structs.replace(self, notes=tuple(notes))


def fresh(submitted: float, host: str, profile: str, deep: bool, nodes: int) -> Night:
    """What stands in the record before Slurm was asked."""
    return Night(
        format=FORMAT,
        version=__version__,
        submitted=submitted,
        host=host,
        profile=profile,
        deep=deep,
        nodes=nodes,
    )


def stamp(seconds: float) -> str:
    """`20261123T020003Z` of seconds of the epoch."""
    return time.strftime(_STAMP, time.gmtime(seconds))


def time_of(folder: Path) -> float | None:
    """Seconds of the epoch that the folder's name says; None of a folder that is no night."""
    found = _NAME.fullmatch(folder.name)
    if found is None:
        return None
    try:
        read = datetime.datetime.strptime(found[1], _STAMP)
    except ValueError:  # the 31st of June
        return None
    return read.replace(tzinfo=datetime.timezone.utc).timestamp()


def nights_of(history: Path) -> list[Path]:
    """The folders of all nights, the earliest first; empty where there is no history yet."""
    try:
        found = [path for path in history.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotMeasuredError(
            f"{history}: {error.strerror or error}.\n  expected: the folder of a history\n"
            f"  next: ls -la {history}"
        ) from None
    return sorted((path for path in found if time_of(path) is not None), key=lambda p: p.name)


def make_folder(history: Path, seconds: float, profile: str) -> Path:
    """A new folder for a night; where there is one of that name, with a number. Raises NotMeasuredError."""
    word = re.sub(r"[^A-Za-z0-9_.-]", "-", Path(profile).stem) or "night"
    name, number = f"{stamp(seconds)}-{word}", 1
    while True:
        folder = history / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise NotMeasuredError(
                f"{folder}: {error.strerror or error}.\n"
                "  expected: a history that this host and all nodes share\n  next: ls -la "
                + str(history)
            ) from None
        else:
            return folder


def read_night(folder: Path) -> Night | None:
    """The record; None of a night that was measured by hand. Raises NotMeasuredError for a foreign one."""
    if not (folder / RECORD).exists():
        return None
    return read_record(
        folder / RECORD,
        Night,
        FORMAT,
        "a night",
        "a night that railgauge slurm nightly submitted",
        f"railgauge gate {folder.parent}",
    )


def records_of(nights: list[Path]) -> dict[Path, Night]:
    """The records that can be read, of those that have one."""
    found = {}
    for folder in nights:
        with contextlib.suppress(NotMeasuredError):
            if night := read_night(folder):
                found[folder] = night
    return found


def write_night(folder: Path, night: Night) -> None:
    """Replace the record as a whole; raises NotMeasuredError."""
    more = f".\n  expected: a folder that takes files\n  next: ls -la {folder}"
    write_record(folder / RECORD, night, more)


def backwards(history: Path, now: float) -> str:
    """A sentence where a night has been submitted later than now; "" where clocks run as they should."""
    nights = nights_of(history)
    last = time_of(nights[-1]) if nights else None
    if last is None or last <= now:
        return ""
    return (
        f"the clock says {stamp(now)}, and {nights[-1].name} was submitted {last - now:.0f} s later than"
        " that: the clock of one of the hosts is wrong, and this night stands before that one"
    )
