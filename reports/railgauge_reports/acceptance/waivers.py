"""Waivers: findings that somebody accepts, under a name, for a reason, until a day.

    [[waivers]]
    finding = "pairs/busbw-of-median/node0017*"
    author = "A. Buyer"
    reason = "cable on order, ticket 4711"
    expires = 2027-01-31

`finding` is stage/finding/host, where `*` stands for anything. A waiver holds to the end of its day.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from railgauge.decoding import NOT_FITTING, told
from railgauge.errors import UsageError

MOST_BYTES = 1 << 20
Words = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\S")]


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module; `expires` is the last day on which it holds."""

    finding: Annotated[str, Meta(max_length=1000, pattern=r"^[^/]+/[^/]+/[^/]+$")]
    author: Words
    reason: Words
    expires: datetime.date

    def covers(self, key: str) -> bool:
        """Is it about the finding with this stage/finding/host?"""
        pattern = ".*".join(re.escape(part) for part in self.finding.split("*"))
        return re.fullmatch(pattern, key, re.DOTALL) is not None

    def holds(self, day: datetime.date) -> bool:
        return day <= self.expires

    def sentence(self) -> str:
        """`pairs/*/n3, by A. Buyer until 2027-01-31: cable on order`."""
        return f"{self.finding}, by {self.author} until {self.expires.isoformat()}: {self.reason}"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    waivers: tuple[Waiver, ...] = ()


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a TOML file; raises UsageError that names the field."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError(f"--waivers {path}: longer than {MOST_BYTES} B")
        return msgspec.toml.decode(raw, type=_File).waivers
    except (OSError, *NOT_FITTING) as error:
        raise UsageError(
            f"--waivers {path}: {getattr(error, 'strerror', None) or told(error, _File)}\n"
            '  the file has: tables [[waivers]] with finding = "stage/finding/host", author, reason and'
            " expires = 2027-01-31\n  next: correct the file"
        ) from None
