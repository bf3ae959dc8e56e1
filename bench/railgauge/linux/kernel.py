"""Which kernel is running."""

from __future__ import annotations

from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Identity of the running kernel: processes under one share CLOCK_MONOTONIC. Empty if hidden."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
