"""Small files of the kernel, read as fast as Python can: one open, one read, never more than a page.

What cannot be read is None (absent, not permitted, or the device refuses with EINVAL).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

#: No file of sysfs is longer than a page; a file that is has something else in it.
MOST_BYTES = 4096
FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO in its place does not stop us


def raw(path: Path | str, folder: int | None = None) -> bytes:
    """The first page of a file, below the open `folder` where one is given; raises OSError.

    Walking a long path costs as much as reading the file: hence the open folder.
    """
    file = os.open(path, FLAGS, dir_fd=folder)
    try:
        return os.read(file, MOST_BYTES)
    finally:
        os.close(file)


def open_folder(path: Path | str) -> int:
    """A descriptor of a folder, for `raw`; raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)


def entries(folder: Path | str | int) -> list[str]:
    """Names in a folder (or in an open one), sorted; none where it is not there."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def text(path: Path | str, folder: int | None = None) -> str | None:
    try:
        return raw(path, folder).decode(errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> float | None:
    """The number at the start of `32.0 GT/s PCIe` or `400 Gb/sec (4X NDR)`, None of `Unknown`."""
    found = re.match(r"\d+(\.\d+)?", text(path) or "")
    return float(found[0]) or None if found else None


def whole(path: Path) -> int | None:
    found = number(path)
    return None if found is None else int(found)


def numa_node(folder: Path) -> int | None:
    found = text(folder / "numa_node")
    return int(found) if found and found.isdecimal() else None  # -1: the firmware does not say
