"""What stands where in a pack, and which names a member may have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

README, SUMS, MANIFEST, SIGNATURE = "README.txt", "SHA256SUMS", "manifest.json", "manifest.sig"
RUNS, REPORTS = "runs", "reports"
MOST_NAME_BYTES = 1024
_MOST_PART_BYTES = 255  # NAME_MAX of Linux's file systems
_DRIVE = re.compile(r"[A-Za-z]:")
#: Of the name of a run, what every file system takes and no shell reads.
_ODD = re.compile(r"[^A-Za-z0-9._=,+-]+")


def unsafe(name: str) -> str:
    """Why a member's name is refused, "" where it is good: it stays below the folder it is put in."""
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if not name or length > MOST_NAME_BYTES:
        return f"is empty or longer than {MOST_NAME_BYTES} B"
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        return "holds control characters"
    if "\\" in name or _DRIVE.match(name):
        return "is a path of another system"
    if name.startswith("/"):
        return "is an absolute path"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "leads out of the folder, or is no file's"
    if any(len(part.encode()) > _MOST_PART_BYTES for part in parts):
        return f"has a part longer than {_MOST_PART_BYTES} B"
    return ""


def folded(name: str) -> str:
    """What a file system without upper and lower case takes the name for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def collisions(names: Iterable[str]) -> list[str]:
    """Sentences about names that are one file somewhere: twice the same, or a file and a folder."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    found = []
    for name in names:
        key = folded(name)
        if key in seen:
            same = "stands there twice" if seen[key] == name else f"is {seen[key]!r} in other case"
            found.append(f"{name!r} {same}")
        seen.setdefault(key, name)
        for parent in PurePosixPath(name).parents:
            folders.setdefault(folded(str(parent)), name)
    found += [f"{seen[k]!r} is a file and a folder" for k in seen if k in folders]
    return found


def run_name(text: str, taken: Iterable[str]) -> str:
    """A folder's name as it stands in a pack: odd characters are `_`, and no two are alike."""
    plain = _ODD.sub("_", text).strip(".")[:80] or "run"
    used = {folded(name) for name in taken}
    made, number = plain, 1
    while folded(made) in used:
        number += 1
        made = f"{plain}-{number}"
    return made


def in_order(names: Iterable[str]) -> list[str]:
    """The order of the members of a pack: README, what is packed by name, then what vouches for it."""
    last = {README: 0, SUMS: 2, MANIFEST: 3, SIGNATURE: 4}
    return sorted(names, key=lambda name: (last.get(name, 1), name.encode()))
