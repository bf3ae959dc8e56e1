"""Importers of what other benchmarks printed, one file each; the file name is the tool's name.

Each has MARKS, bytes of which one stands in its tool's output; `looks_like(text)`, which is cheap and
says how sure it is (`importing.source`); and `read(source, found)`, which streams the file into runs and
series (`importing.found`) and never fails on text that is malformed or cut off: it says what was odd.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from railgauge import plugins
from railgauge.errors import UsageError, unknown
from railgauge_reports.importing.encoded import blocks
from railgauge_reports.importing.found import Found
from railgauge_reports.importing.lines import cleaned, head_of
from railgauge_reports.importing.source import NOTHING, TABLE, Source

#: Bytes around a mark that are looked at to tell tools apart.
AROUND = 1 << 14


class Importer:
    """A file of `railgauge_reports.importers`."""

    def __init__(self, name: str) -> None:
        module = importlib.import_module(f"{__name__}.{name}")
        self.name = name
        self.summary: str = (module.__doc__ or "").splitlines()[0].rstrip(".")
        self.marks: Sequence[bytes] = module.MARKS
        self.looks_like: Callable[[str], int] = module.looks_like
        self.read: Callable[[Source, Found], None] = module.read


def names() -> list[str]:
    """The tools whose output can be imported; imports none of them."""
    return plugins.names(__name__)


@functools.cache
def importer_named(name: str) -> Importer:
    """The importer of a tool (`nccl-tests` is nccl_tests); raises UsageError with the closest name."""
    plain = name.replace("-", "_").lower()
    if plain not in names():
        raise unknown("tool", name, names(), "railgauge import --help")
    return Importer(plain)


def opened(path: Path, tool: str | None = None) -> tuple[Source, Importer]:
    """The file and the importer of the tool that printed it, or of the one named.

    Raises UsageError where no tool or more than one is recognised, NotMeasuredError where it cannot be read.
    """
    source = Source(path, head_of(path))
    return source, importer_named(tool) if tool else _recognised(source)


def _recognised(source: Source) -> Importer:
    hints: dict[str, int] = {}
    for text in _candidates(source):
        scores = {name: importer_named(name).looks_like(text) for name in names()}
        best = max(scores.values())
        if best >= TABLE:
            return _only([name for name, score in scores.items() if score == best], source.path)
        for name, score in scores.items():
            if score > NOTHING:
                hints.setdefault(name, score)
    if hints:
        return _only(list(hints), source.path)
    known = ", ".join(names())
    raise UsageError(
        f"{source.path}: not the output of a tool known here, it begins with"
        f" {source.text.strip()[:60]!r}.\n"
        f"  known: {known}\n  next: railgauge import --tool NAME {source.path}"
    )


def _only(candidates: list[str], path: Path) -> Importer:
    if len(candidates) == 1:
        return importer_named(candidates[0])
    raise UsageError(
        f"{path}: may be {' or '.join(candidates)}.\n"
        f"  next: railgauge import --tool {candidates[0]} {path}"
    )


def _candidates(source: Source) -> Iterator[str]:
    """The head; then, block by block, what stands around a mark of a tool."""
    yield source.text
    marks = [mark for name in names() for mark in importer_named(name).marks]
    for block in blocks(source.path):
        places = sorted(at for mark in marks if (at := block.find(mark)) >= 0)
        if places:
            around = block[max(0, places[0] - AROUND) : places[0] + AROUND]
            yield "\n".join(map(cleaned, around.split(b"\n")))
