"""Text files that an option names."""

from __future__ import annotations

from pathlib import Path

from railgauge.errors import UsageError


def text_of(path: Path, option: str, most_bytes: int, expected: str) -> str:
    """The text of a file; raises UsageError that names it and what was `expected`, as `  expected: ...`."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(f"{option} {path}: cannot be read ({why}).\n{expected}") from None
    if len(raw) > most_bytes:
        raise UsageError(f"{option} {path}: longer than {most_bytes} B")
    return text
