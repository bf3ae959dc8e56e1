"""What an acceptance keeps beside its run folders: `accept.json`, written whole after every step."""

from __future__ import annotations

from pathlib import Path

import msgspec

from railgauge import __version__
from railgauge.errors import UsageError
from railgauge_reports.acceptance import KEPT
from railgauge_reports.acceptance.planning import Asked
from railgauge_reports.acceptance.profile import Profile, overridden, parse
from railgauge_reports.acceptance.waivers import Waiver
from railgauge_reports.kept import read_record, write_record

FORMAT = 1


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A run, or an audit, that was made: its folder, how it ended, and what it said where it failed."""

    folder: str
    exit_code: int
    seconds: float
    message: str = ""


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A follow-up of a stage, decided before it ran.

    `kind`: verify, quiet, hang (a trial of a search), without (the stage once more, without who hangs).
    `targets` are hosts (of a leaf pair: leaves, in `leaf_pairs`), `partners` those known to be good.
    """

    kind: str
    stage: str
    folder: str
    reason: str
    cost: str
    targets: tuple[str, ...] = ()
    leaf_pairs: tuple[tuple[str, str], ...] = ()
    outcome: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """accept.json: the profile's own text, what was asked, the waivers, and how far it is.

    `skipped` maps a stage to why it was left out while the acceptance ran. `finished` is when the last stage
    ended: the day that waivers are held against.
    """

    format: int
    version: str
    profile: str
    profile_text: str
    asked: Asked
    adaptive: bool
    started: float
    waivers: tuple[Waiver, ...] = ()
    ran: tuple[Ran, ...] = ()
    followed: tuple[Followed, ...] = ()
    skipped: dict[str, str] = {}
    finished: float | None = None

    def parsed(self) -> Profile:
        """The profile with what --set replaced in it."""
        return overridden(parse(self.profile, self.profile_text), self.asked.overrides)

    def run_of(self, folder: str) -> Ran | None:
        return next((ran for ran in self.ran if ran.folder == folder), None)

    def write(self, folder: Path) -> None:
        """Replace accept.json as a whole; raises NotMeasuredError where the folder takes nothing."""
        more = "  expected: a folder that takes files\n  next: railgauge accept --resume --output"
        write_record(folder / KEPT, self, f".\n{more} {folder}")


def fresh(profile: str, text: str, asked: Asked, adaptive: bool, started: float) -> Kept:
    """What stands in accept.json before the first stage."""
    return Kept(
        format=FORMAT,
        version=__version__,
        profile=profile,
        profile_text=text,
        asked=asked,
        adaptive=adaptive,
        started=started,
    )


def read_kept(folder: Path) -> Kept:
    """accept.json of a folder; raises NotMeasuredError where there is none, or not one of ours."""
    return read_record(
        folder / KEPT,
        Kept,
        FORMAT,
        "an acceptance",
        "a folder that railgauge accept --output made",
        "railgauge accept quick --output ANOTHER_FOLDER",
    )


def check_same(folder: Path, kept: Kept, text: str, asked: Asked) -> None:
    """Raise UsageError unless the folder holds the acceptance that is asked for."""
    differ = [
        name
        for name in Asked.__struct_fields__
        if getattr(kept.asked, name) != getattr(asked, name)
    ]
    differ += ["profile"] if kept.profile_text != text else []
    if differ:
        raise UsageError(
            f"--output {folder} holds another acceptance: {', '.join(differ)} differ.\n"
            "  next: --output ANOTHER_FOLDER, or --resume --output alone, without a profile"
        )
