"""What an audit leaves behind: what ranks read, and what was found in it.

Format history (`Report.format`)
    1  first format
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from railgauge.errors import NotMeasuredError

FILE = "audit.json"
Status = Literal["PASS", "WARN", "FAIL", "INFO", "UNKNOWN", "NOT APPLICABLE"]

FORMAT = 1


class Read(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a check read of one thing: a value, or why there is none. See `checks.Item`."""

    check: str
    where: str = ""
    value: Any = None
    unknown: str = ""
    root_command: str = ""
    inapplicable: str = ""
    group: str = ""
    vote: Any = None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one rank read; `leads`: it read for its node, too."""

    host: str
    rank: int
    leads: bool
    seconds: float
    reads: tuple[Read, ...]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A judgement. `ranks` is empty for what belongs to the node; `hosts` are all that say the same.

    An `agreement` is about how nodes compare, and stands beside the findings about their values.
    """

    check: str
    subject: str
    title: str
    status: Status
    hosts: tuple[str, ...]
    where: str = ""
    ranks: str = ""
    value: Any = None
    found: str = ""
    expected: str = ""
    reason: str = ""
    remedy: str = ""
    root_command: str = ""
    source: str = ""
    agreement: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole audit: `verdict` PASS, FAIL or INCONCLUSIVE, and why."""

    format: int
    profile: str
    profile_because: str
    priorities: tuple[int, ...]
    hosts: tuple[str, ...]
    ranks: int
    verdict: str
    because: str
    exit_code: int
    findings: tuple[Finding, ...]
    taken: tuple[Taken, ...]

    def counts(self) -> dict[str, int]:
        """Status -> how many findings."""
        made: dict[str, int] = {}
        for finding in self.findings:
            made[finding.status] = made.get(finding.status, 0) + 1
        return made


class Stored(msgspec.Struct, frozen=True):
    """What an `audit.json` holds at least: a run's no more, a report's beside its findings."""

    taken: tuple[Taken, ...]
    format: int = FORMAT


def read_stored(path: Path) -> list[Taken]:
    """What ranks read, from an `audit.json` or the folder that holds it; raises NotMeasuredError."""
    file = path / FILE if path.is_dir() else path
    try:
        return list(msgspec.json.decode(file.read_bytes(), type=Stored).taken)
    except OSError as error:
        raise NotMeasuredError(
            f"{file}: {error.strerror or error}.\n"
            "  expected: a run that took counters, or what railgauge audit --output wrote\n"
            "  next: railgauge audit, on those nodes"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotMeasuredError(
            f"{file}: {error}.\n  expected: what railgauge audit --output, or a run, has written"
        ) from error
