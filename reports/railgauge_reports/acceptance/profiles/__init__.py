"""Profiles that ship with railgauge: `railgauge accept NAME`."""

from __future__ import annotations

from pathlib import Path

from railgauge import shipped


def names() -> dict[str, str]:
    """Name -> what the profile is for."""
    return shipped.names(__name__)


def path_of(text: str) -> Path:
    """The file of a shipped profile where `text` is its name, else `text` as a path."""
    return shipped.path_of(__name__, text)
