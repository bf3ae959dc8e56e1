"""The kernel's own messages since boot, from /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""

from __future__ import annotations

import os
from pathlib import Path

KMSG = Path("/dev/kmsg")
MOST_MESSAGES, MOST_BYTES = 200_000, 8192


def messages(path: Path = KMSG) -> list[tuple[float, str]]:
    """(seconds since boot, text) of all that the ring still holds; raises OSError.

    Where `dmesg_restrict` is set only root may read it.
    """
    found = []
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        for _ in range(MOST_MESSAGES):
            try:
                record = os.read(file, MOST_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:  # it was overwritten meanwhile: the next one follows
                continue
            if not record:
                break
            head, _, text = record.decode(errors="replace").partition(";")
            microseconds = [*head.split(","), "", "", ""][2]
            if microseconds.isdecimal():
                found.append((int(microseconds) / 1e6, text.partition("\n")[0]))
    finally:
        os.close(file)
    return found
