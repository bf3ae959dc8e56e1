"""What a run says of who is at fault; `accused` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Accused(NamedTuple):
    """A host at fault: `code` for the reason, `effect` the share of bandwidth that it lost (0: no figure)."""

    host: str
    code: str
    sentence: str
    confirmed: bool
    effect: float = 0.0


class PassedOver(NamedTuple):
    """Who or what was found and drains nothing, and why."""

    who: str
    why: str


class Accusation(NamedTuple):
    """What a folder says: the surest first. `good` are hosts that were tested and of whom nothing is said."""

    folder: Path
    measured: float
    warning: str
    partition: str
    accused: tuple[Accused, ...] = ()
    passed: tuple[PassedOver, ...] = ()
    good: frozenset[str] = frozenset()

    @property
    def run(self) -> str:
        """What a reason calls it."""
        return self.folder.resolve().name
