"""The search for what a redaction has left: every file is read again as its bytes will be packed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from railgauge_reports.pack.redaction.rewriting import Redactor

_CHUNK = 1 << 20
_OVERLAP = 512
#: Text in binary data: integers of eight bytes never look like eight printable ones.
_PRINTABLE = re.compile(rb"[\x20-\x7e]{8,}")


def left_in_report(redactor: Redactor, text: str) -> str:
    """What of the site a report shows, as it stands or as its format escapes it; "" if nothing."""
    for line in text.splitlines():
        for spelling in _spellings(line):
            if left := redactor.left_in(spelling):
                return left
    return ""


def _spellings(line: str) -> Iterator[str]:
    yield line
    if "&" in line:
        yield html.unescape(line)
    if '""' in line:
        yield line.replace('""', '"')  # CSV
    if "\\" in line:
        yield line.replace("\\", "")  # Markdown
        yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), line)  # JSON


def left_in_binary(redactor: Redactor, path: Path) -> str:
    """What of the site stands as text in a file of samples; "" if nothing."""
    with path.open("rb") as file:
        behind = b""
        while chunk := file.read(_CHUNK):
            for match in _PRINTABLE.finditer(behind + chunk):
                if left := redactor.left_in(match[0].decode()):
                    return left
            behind = chunk[-_OVERLAP:]
    return ""
