"""What a buyer asks, and which stage answers it: checklist.toml."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that a buyer `asks` for; `kinds` empty: not measured here, `instead` says by what.

    `finding` is the beginning of the names of those findings that are about it ("": all of the stage).
    """

    id: str
    asks: str
    kinds: tuple[str, ...]
    test: str = ""
    evidence: str = ""
    finding: str = ""
    instead: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    items: tuple[Item, ...]


@functools.cache
def items() -> dict[str, Item]:
    """Id -> item, in the order of the file."""
    file = resources.files(__package__) / "checklist.toml"
    found = msgspec.toml.decode(file.read_bytes(), type=_File).items
    return {item.id: item for item in found}
