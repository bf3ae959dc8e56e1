"""A file that is to be imported, as an importer gets it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from railgauge.errors import NotMeasuredError
from railgauge_reports.importing.encoded import blocks
from railgauge_reports.importing.lines import Lines, cleaned

#: How sure `looks_like` is: not at all, a program or an error of the tool, its table, its table and its name.
NOTHING, HINT, TABLE, NAMED = 0, 1, 2, 3
MOST_DOCUMENT = 1 << 28  # bytes of a JSON document, which is read as a whole
_JSON = re.compile(rb"\s*(?:\{|\[\s*\{)")  # `[1,0]<stdout>:` is none
_BARE = re.compile(r"(?<=[:,\[])\s*-?(?:inf|nan|Infinity|NaN)\b")


@dataclasses.dataclass(frozen=True)
class Source:
    """`head` is the beginning of the file; `lines` all of it, once."""

    path: Path
    head: bytes

    @cached_property
    def lines(self) -> Lines:
        return Lines(self.path)

    @cached_property
    def text(self) -> str:
        """The head without prefixes."""
        return "\n".join(map(cleaned, self.head.split(b"\n")))

    @property
    def is_json(self) -> bool:
        return _JSON.match(self.head) is not None

    def texts(self) -> Iterator[tuple[int, bytes, str]]:
        """(number, as it stands, cleaned) of every line that is not empty."""
        for chunk in self.lines:
            for number, raw in enumerate(chunk.lines, chunk.number):
                if raw and not raw.isspace():
                    yield number, raw, cleaned(raw)

    def document(self) -> tuple[Any, bool]:
        """(the JSON document, whether it is whole); what is not whole is the text.

        `inf` and `nan`, which some tools print bare, are null. Raises NotMeasuredError where it is too large.
        """
        parts, size = [], 0
        for block in blocks(self.path):
            size += len(block)
            if size > MOST_DOCUMENT:
                raise NotMeasuredError(
                    f"{self.path}: a JSON document of more than {MOST_DOCUMENT >> 20} MiB.\n"
                    "  expected: one run of a benchmark\n  next: import the text that it printed"
                )
            parts.append(block)
        raw = b"".join(parts)
        try:
            return msgspec.json.decode(raw), True
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            text = _BARE.sub(" null", raw.decode("utf-8", "replace"))
        try:
            return msgspec.json.decode(text.encode("utf-8", "replace")), True
        except (msgspec.DecodeError, RecursionError):
            return text, False
