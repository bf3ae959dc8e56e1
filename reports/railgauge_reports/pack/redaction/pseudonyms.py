"""Which name or address stands for which, and the file that its owner may keep of it.

Format history (`Map.version`)
    1  first format
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from railgauge.errors import UsageError
from railgauge_reports.pack.redaction import addresses
from railgauge_reports.whole_files import replacing

KIND = "railgauge redaction map"
VERSION = 1
#: What names of a kind begin with: the first whose numbered names no host of the site bears.
PREFIXES = {
    "host": ("node", "host", "machine", "computer", "box"),
    "leaf": ("leaf", "switch", "tier", "crossbar"),
    "user": ("user", "person", "account"),
    "board": ("board", "card", "module"),
    "serial": ("serial", "label", "item"),
    "name": ("name", "peer", "other"),
}
_NUMBER = re.compile(r"(.*?)(\d+)(\.invalid)?")


class Map(msgspec.Struct, forbid_unknown_fields=True):
    """Original -> replacement by kind. Addresses stand as `addresses.Address.canonical`."""

    kind: str = KIND
    version: int = VERSION
    prefixes: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    addresses: dict[str, dict[str, str]] = {}


class Pseudonyms:
    """Gives every name and address one that stands for it, in the order in which they come."""

    def __init__(self, known: Map | None = None) -> None:
        self.map = known or Map()
        self._last: dict[str, int] = {}
        self._taken: set[str] = set()
        for kind in PREFIXES:
            for made in self.map.words.get(kind, {}).values():
                self._note(kind, made)
        self._made = {kind: set(found.values()) for kind, found in self.map.addresses.items()}
        self._last |= {kind: len(found) for kind, found in self.map.addresses.items()}

    def _note(self, kind: str, made: str) -> None:
        number = _NUMBER.fullmatch(made)
        self._last[kind] = max(self._last.get(kind, 0), int(number[2]) if number else 0)
        self._taken.add(made.lower())

    # words --------------------------------------------------------------------------------------

    def choose_prefixes(self, originals: Iterable[str]) -> None:
        """Choose what names begin with so that none is one of `originals`.

        Raises UsageError where the map that was given holds one that is.
        """
        lower = {name.lower() for name in originals}
        clash = sorted(lower & self._taken)
        if clash:
            raise UsageError(
                f"--map: it replaces something by {clash[0]!r}, and this run has a name like that.\n"
                "  expected: a map of packs of this site\n  next: --map ANOTHER_FILE, a new one"
            )
        for kind, prefixes in PREFIXES.items():
            free = (p for p in prefixes if not any(re.search(rf"{p}\d", name) for name in lower))
            self.map.prefixes.setdefault(kind, next(free, "replaced-" + kind))

    def word(self, kind: str, original: str, like: str | None = None) -> str:
        """What stands for a name; `like` is another name of the same thing."""
        words = self.map.words.setdefault(kind, {})
        if original not in words:
            words[original] = self._like(kind, like) or self._new(kind)
        return words[original]

    def _like(self, kind: str, like: str | None) -> str | None:
        return None if like is None else self.map.words.get(kind, {}).get(like)

    def _new(self, kind: str) -> str:
        number = self._last[kind] = self._last.get(kind, 0) + 1
        made = f"{self.map.prefixes[kind]}{number:04d}"
        return f"{made}.invalid" if kind == "name" else made

    def words(self) -> dict[str, str]:
        """All names -> what stands for them."""
        merged: dict[str, str] = {}
        for words in self.map.words.values():
            for original, made in words.items():
                merged.setdefault(original, made)
        return merged

    # addresses ----------------------------------------------------------------------------------

    def add_addresses(self, found: Mapping[str, Iterable[str]]) -> None:
        """Give all of these one; raises UsageError where the map's stand for others already."""
        for kind in addresses.KINDS:
            originals = set(found.get(kind, ()))
            known = self.map.addresses.setdefault(kind, {})
            if clash := sorted(originals & self._made.get(kind, set()) - known.keys()):
                raise UsageError(
                    f"--map: it replaces an address by {clash[0]}, and this run has that one.\n"
                    "  expected: the map of unredacted runs of this site\n"
                    "  next: --map ANOTHER_FILE, a new one"
                )
            for original in found.get(kind, ()):
                if original not in known:
                    known[original] = self._address(kind, original, originals)
                    self._made.setdefault(kind, set()).add(known[original])

    def _address(self, kind: str, original: str, originals: set[str]) -> str:
        if kind == "ipv6" and (ipv4 := addresses.mapped_ipv4(original)):
            return addresses.mapping(self.address("ipv4", ipv4) or ipv4)
        while True:
            number = self._last[kind] = self._last.get(kind, 0) + 1
            made = addresses.made_up(kind, original, number)
            if made not in originals:
                return made

    def address(self, kind: str, canonical: str) -> str | None:
        """What stands for it; itself where it is a made-up one; None for one that nobody knew."""
        known = self.map.addresses.get(kind, {})
        if canonical in known:
            return known[canonical]
        return canonical if canonical in self._made.get(kind, ()) else None

    def is_original(self, kind: str, canonical: str) -> bool:
        return canonical in self.map.addresses.get(kind, {})

    def counts(self, kinds: Iterable[str] = (*PREFIXES, *addresses.KINDS)) -> dict[str, int]:
        """How many of each kind are known, those of none left out."""
        both = {**self.map.addresses, **self.map.words}
        return {kind: len(set(both[kind].values())) for kind in kinds if both.get(kind)}


# the file -----------------------------------------------------------------------------------------


def read_map(path: Path) -> Map:
    """A map that an earlier pack wrote, a new one where the file is not there; UsageError if it is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Map()
    except OSError as error:
        raise _no_map(path, error.strerror or str(error)) from None
    try:
        found = msgspec.json.decode(data, type=Map)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _no_map(path, str(error)) from None
    if found.kind != KIND or found.version > VERSION:
        raise _no_map(path, f"{found.kind} {found.version}")
    return found


def write_map(path: Path, found: Map) -> None:
    """Replace the file as a whole; nobody but its owner may read it."""
    data = msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
    try:
        with replacing(path, 0o600) as file:
            file.write(data)
    except OSError as error:
        raise _no_map(path, error.strerror or str(error)) from None


def _no_map(path: Path, why: str) -> UsageError:
    return UsageError(
        f"--map {path}: {why}.\n  expected: a file that railgauge pack --redact --map wrote, or a new one\n"
        "  next: --map ANOTHER_FILE"
    )
