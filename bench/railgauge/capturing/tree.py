"""A part of /sys that was flattened into text, laid out again for those who read folders.

So what another host wrote down is read by the same code as this host's own files.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

#: A host with 8 NICs and all their settings has some 5,000.
MOST_FILES = 100_000
_BUS = "sys/bus/pci/devices"


@contextlib.contextmanager
def laid_out(files: Mapping[str, str]) -> Iterator[tuple[Path, list[str]]]:
    """A temporary folder with these files (absolute path: content), and what could not be put there.

    A content `-> TARGET` is a link, which never leads out of the folder. Devices that stand below
    /sys/bus/pci/devices stand in /sys/class as well, as on the host.
    """
    with tempfile.TemporaryDirectory(prefix="railgauge-") as name:
        root, amiss = Path(name), list[str]()
        for path, content in list(files.items())[:MOST_FILES]:
            _put(root, path, content, amiss)
        if len(files) > MOST_FILES:
            amiss.append(f"{len(files) - MOST_FILES} files beyond {MOST_FILES} are left out")
        _show_classes(root)
        yield root, amiss


def _put(root: Path, path: str, content: str, amiss: list[str]) -> None:
    inside = _inside(path)
    try:
        place = root / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            target = _inside(posixpath.join("/", posixpath.dirname(inside), content[3:].strip()))
            place.symlink_to(root / target)
        else:
            with place.open("x", encoding="utf-8", errors="replace") as file:
                file.write(content)
    except (OSError, ValueError) as error:  # a file where a folder is, a name too long, a NUL
        why = error.strerror if isinstance(error, OSError) else str(error)
        amiss.append(f"{path[:100]}: {why}")


def _inside(path: str) -> str:
    """The path below the root; `..` ends there."""
    return posixpath.normpath(posixpath.join("/", path)).lstrip("/")


def _show_classes(root: Path) -> None:
    for device in _folders(root / _BUS):
        for kind in ("infiniband", "net"):
            for own in _folders(device / kind):
                shown = root / "sys/class" / kind / own.name
                with contextlib.suppress(OSError):  # it stands there as itself
                    shown.parent.mkdir(parents=True, exist_ok=True)
                    shown.symlink_to(own)
                with contextlib.suppress(OSError):
                    (own / "device").symlink_to(device)


def _folders(folder: Path) -> list[Path]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    return [Path(entry) for entry in found if entry.is_dir(follow_symlinks=False)]
