"""`history.toml`: what a history's nights are to be. All of it may be left out.

every = "1d"                    # how often a night is expected: "12h", "7d"; "off": at no time
time_zone = "Europe/Zurich"     # in which nights have dates  [UTC]
cluster = "alps"                # instead of the partition that jobs ran in
price = 2.5                     # of a GPU-hour, for reports
[rule]
effect = 0.02                   # the smallest share that counts
mads = 4.0                      # and how many MADs of the accepted nights it has to be
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from railgauge.errors import UsageError
from railgauge_reports.history import SETTINGS
from railgauge_reports.history.rule import RULE, Rule

_MOST_BYTES = 1 << 16
_SECONDS = {"h": 3600.0, "d": 86400.0}


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be replaced of `Rule`."""

    effect: Annotated[float, Meta(gt=0, lt=1)] = RULE.effect
    mads: Annotated[float, Meta(gt=0, le=100)] = RULE.mads
    window: Annotated[int, Meta(ge=7, le=365)] = RULE.window
    least: Annotated[int, Meta(ge=3, le=365)] = RULE.least


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module."""

    every: Annotated[str, Meta(pattern=r"^(off|\d+(\.\d+)?[hd])$")] = "1d"
    time_zone: Annotated[str, Meta(max_length=100)] = "UTC"
    cluster: Annotated[str, Meta(max_length=200)] = ""
    price: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    rule: RuleSettings = RuleSettings()

    @property
    def interval(self) -> float | None:
        """Seconds from night to night; None: no schedule."""
        found = re.fullmatch(r"([\d.]+)([hd])", self.every)
        seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
        return seconds or None

    @property
    def decision(self) -> Rule:
        kept = self.rule
        least = min(kept.least, kept.window)
        return Rule(window=kept.window, least=least, mads=kept.mads, effect=kept.effect)

    def moment(self, seconds: float) -> datetime.datetime:
        """A time of a journal in the history's zone; one that no calendar has is the epoch's."""
        zone = zoneinfo.ZoneInfo(self.time_zone)
        try:
            return datetime.datetime.fromtimestamp(seconds, zone)
        except (OverflowError, ValueError, OSError):
            return datetime.datetime.fromtimestamp(0, zone)

    def date(self, seconds: float) -> datetime.date:
        return self.moment(seconds).date()


def read_settings(history: Path) -> Settings:
    """The settings of a history; raises UsageError that names the field."""
    path = history / SETTINGS
    if not path.exists():
        return Settings()
    try:
        with path.open("rb") as file:
            made = msgspec.toml.decode(file.read(_MOST_BYTES), type=Settings)
        zoneinfo.ZoneInfo(made.time_zone)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or error) from None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise _unreadable(path, f"no time zone of that name: {error}") from None
    return made


def _unreadable(path: Path, why: object) -> UsageError:
    return UsageError(
        f"{path}: {why}.\n"
        '  expected: every = "1d", time_zone = "Europe/Zurich", cluster = "NAME", price = 2.5,'
        " [rule] effect, mads, window, least\n  next: correct the file"
    )
