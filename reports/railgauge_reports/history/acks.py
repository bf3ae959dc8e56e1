"""`acks.toml`: changes that somebody accepts, under a name, for a reason, and where asked until a day.

    [[acks]]
    series = "*/all_reduce/*"        # as reports call series; * stands for anything, "all" for all of them
    night = "2026-11-26"             # the night on which it is accepted: its folder, or its date
    author = "A. Operator"
    reason = "new firmware, ticket 4711"
    expires = 2027-01-31             # left out: for good

What is flagged on that night is the level that later nights are held against; after the last day, the level
from before counts again. Nothing else of the series is accepted: what gets worse afterwards is flagged anew.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import write_synced
from railgauge_reports.acceptance.waivers import MOST_BYTES, Words
from railgauge_reports.history import ACKS
from railgauge_reports.history.lock import locked
from railgauge_reports.toml_strings import toml_string

#: Seconds that one waits for another acknowledgement that is being written.
_PATIENCE = 10.0


class Ack(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """See the module; `expires` is the last day on which it holds."""

    series: Annotated[str, Meta(min_length=1, max_length=1000)]
    night: Annotated[str, Meta(min_length=1, max_length=1000)]
    author: Words
    reason: Words
    expires: datetime.date | None = None

    def covers(self, name: str) -> bool:
        """Is it about the series of that name?"""
        if self.series == "all":
            return True
        pattern = ".*".join(re.escape(part) for part in self.series.split("*"))
        return re.fullmatch(pattern, name, re.DOTALL) is not None

    def sentence(self) -> str:
        """`*/all_reduce/*, by A. Operator on night 2026-11-26, for good: new firmware`."""
        until = f"until {self.expires.isoformat()}" if self.expires else "for good"
        return f"{self.series}, by {self.author} on night {self.night}, {until}: {self.reason}"


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    acks: tuple[Ack, ...] = ()


def read_acks(history: Path) -> tuple[Ack, ...]:
    """The acknowledgements of a history; raises UsageError that names the field."""
    path = history / ACKS
    if not path.exists():
        return ()
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError(f"{path}: longer than {MOST_BYTES} B")
        return msgspec.toml.decode(raw, type=_File).acks
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"{path}: {getattr(error, 'strerror', None) or error}.\n"
            "  expected: tables [[acks]] with series, night, author, reason and, if it ends, "
            "expires = 2027-01-31\n  next: correct the file"
        ) from None


def add_ack(history: Path, ack: Ack) -> None:
    """Append one, and see it on the disk; what a person wrote into the file stays as it is.

    Raises HeldError where another one is being written for long, NotMeasuredError where the folder takes
    nothing, UsageError where the file is damaged.
    """
    path = history / ACKS
    with locked(history, "acks", wait=_PATIENCE):
        read_acks(history)
        try:
            before = path.read_text(encoding="utf-8").rstrip("\n") if path.exists() else ""
            whole = (f"{before}\n\n" if before else "") + _toml(ack)
            _check(whole, ack)
            write_synced(path, whole.encode())
        except OSError as error:
            raise NotMeasuredError(
                f"{path}: {error.strerror or error}.\n"
                f"  expected: a folder that this user may write\n  next: ls -ld {history}"
            ) from None


def _check(text: str, ack: Ack) -> None:
    """Will the file be read as it is meant? Raises UsageError."""
    try:
        if msgspec.toml.decode(text, type=_File).acks[-1] == ack:
            return
    except (UnicodeError, msgspec.DecodeError, msgspec.ValidationError):
        pass
    raise UsageError(f"--ack: {ack.sentence()!r} cannot be written down.\n  next: plain words")


def _toml(ack: Ack) -> str:
    """One table."""
    told = {name: getattr(ack, name) for name in Ack.__struct_fields__}
    lines = [
        f"{name} = {v.isoformat() if isinstance(v, datetime.date) else _quoted(v)}"
        for name, v in told.items()
        if v is not None
    ]
    return "\n".join(["[[acks]]", *lines])


def _quoted(text: str) -> str:
    """A string of TOML; raises UsageError for what is no Unicode (bytes of a command line)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"--ack: {text!r} is no text in UTF-8.\n  next: plain words") from None
    return toml_string(text)
