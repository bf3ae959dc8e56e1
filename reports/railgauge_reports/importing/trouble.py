"""Lines of others that a reader of a log must know of: warnings and ends of libraries and launchers.

A block is searched as a whole, once for each mark: to ask every line costs three times as much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from railgauge_reports.importing.found import Found
from railgauge_reports.importing.lines import DEBUG, Chunk, cleaned, is_debug
from railgauge_reports.importing.source import Source

MARKS = (
    b"rror", b"ERROR", b"ailure", b"WARN", b"imed out", b"illed", b"CANCEL", b"egmentation", b"not enough",
)  # fmt: skip
TROUBLED = re.compile("|".join(mark.decode() for mark in MARKS))
#: What has such a mark and is none, or is told otherwise.
_HARMLESS = (b"NCCL INFO", b"MPI_ERRORS_RETURN")
#: Comments of a tool speak of errors in other ways (a column, a setting); this one is nccl-tests' last line.
_OWN_ERROR = re.compile(r"#\s*(?:error|ERROR|WARN(?:ING)?)\b")
#: Lines of trouble that are looked at in a file; more say nothing new.
MOST_LINES = 2000


class Trouble:
    """Tells of the troubled lines of a file."""

    def __init__(self, found: Found) -> None:
        self._found, self._left = found, MOST_LINES

    def scan(self, chunk: Chunk) -> None:
        """Warn of the lines of a chunk that speak of an error or a warning, each once."""
        block, seen = chunk.block, set()
        for mark in MARKS:
            at = block.find(mark)
            while at >= 0 and self._left > 0:
                begin, end = block.rfind(b"\n", 0, at) + 1, block.find(b"\n", at)
                end = len(block) if end < 0 else end
                if begin not in seen:
                    seen.add(begin)
                    self._left -= 1
                    self._tell(block, begin, end, chunk.number)
                at = block.find(mark, end)

    def _tell(self, block: bytes, begin: int, end: int, number: int) -> None:
        line = block[begin : min(end, begin + 4096)]
        if any(words in line for words in _HARMLESS):
            return
        text = cleaned(line).strip()
        if not text.startswith("#") or _OWN_ERROR.match(text):
            self._found.warn(number + block.count(b"\n", 0, begin), text)


def lines_of(source: Source, found: Found) -> Iterator[tuple[int, str]]:
    """(number, text without prefixes) of the lines of a tool; troubled ones of anybody are told in passing.

    Those that are empty and those of NCCL's log are none.
    """
    trouble = Trouble(found)
    for chunk in source.lines:
        trouble.scan(chunk)
        for number, raw in enumerate(chunk.lines, chunk.number):
            if raw and not raw.isspace() and not (DEBUG in raw and is_debug(raw)):
                yield number, cleaned(raw)
