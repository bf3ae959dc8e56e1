"""A history as it was read: its nights, its settings, and what was acknowledged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from railgauge.errors import NotMeasuredError
from railgauge.journal import JOURNAL
from railgauge_reports.acceptance import is_acceptance
from railgauge_reports.history.acks import Ack, read_acks
from railgauge_reports.history.cache import summaries
from railgauge_reports.history.settings import Settings, read_settings
from railgauge_reports.history.summary import Keys, NightSummary


@dataclasses.dataclass(frozen=True)
class History:
    """`nights` by folder name, `keys` of the series that they speak of."""

    folder: Path
    settings: Settings
    acks: tuple[Ack, ...]
    keys: Keys
    nights: tuple[NightSummary, ...]


def read_history(folder: Path) -> History:
    """Read all of it.

    Raises NotMeasuredError (exit 3) where there is nothing to read, UsageError for bad settings.
    """
    if (folder / JOURNAL).exists() or is_acceptance(folder):
        raise NotMeasuredError(
            f"{folder}: a run or an acceptance, and no history.\n"
            "  expected: the folder that holds nights\n"
            f"  next: railgauge gate {folder.resolve().parent}"
        )
    settings, acks = read_settings(folder), read_acks(folder)
    keys, nights = summaries(folder)
    if not nights:
        raise NotMeasuredError(
            f"{folder}: no night in it.\n"
            "  expected: child folders that railgauge run or railgauge accept made\n"
            f"  next: railgauge accept nightly --output {folder}/NIGHT"
        )
    if not any(night.runs for night in nights):
        first = nights[-1]
        why = first.trouble[0].why if first.trouble else "nothing was measured"
        raise NotMeasuredError(
            f"{folder}: none of its {len(nights)} nights can be read ({first.folder}: {why}).\n"
            f"  next: railgauge report {folder / first.folder}"
        )
    return History(folder, settings, acks, keys, tuple(nights))
