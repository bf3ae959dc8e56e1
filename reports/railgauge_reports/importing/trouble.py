"""Lines of others that a reader of a log must know of: warnings and ends of libraries and launchers."""

from __future__ import annotations


def troubled(raw: bytes) -> bool:
    """Whether a line speaks of an error or a warning; asked of most lines of a log, so spelled out."""
    return (
        b"rror" in raw
        or b"ailure" in raw
        or b"WARN" in raw
        or b"imed out" in raw
        or b"illed" in raw
        or b"CANCEL" in raw
        or b"egmentation" in raw
        or b"not enough" in raw
    )
