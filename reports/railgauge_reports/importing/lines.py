"""A log of any size as lines: read in blocks, with bounds on what is kept, and cleaned of prefixes.

Whoever starts ranks may put something before every line: `mpirun --tag-output`, `srun --label`, hydra's
`-prepend-rank`, timestamps, kubectl and docker. `cleaned` takes them off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from railgauge.errors import NotMeasuredError
from railgauge_reports.importing.encoded import blocks

#: A longer line is no row of any tool: the rest of it is passed over.
MOST_LINE = 1 << 16
_CONTROLS = bytes({*range(1, 32), 127} - set(b"\t\n\r\f\x1b\b"))
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PREFIX = re.compile(
    r"""
    \ *(?:
    (?:[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ +\d+\ [\d:]{8}\ \d{4})?  # mpirun --timestamp-output
    \[[\w.@-]*?\d+,\d+\](?:<std(?:out|err)>)?:?\ ?             # [1,0]<stdout>: of Open MPI and PRRTE
    | \[\d+\]\ (?!NCCL)                                       # [0] of hydra -prepend-rank
    | (?:[A-Za-z][\w.-]*\d[\w.-]*\ )?\d{1,7}:(?:\ |$)            # 0: of srun --label, nid0001 0: of PALS
    | [A-Za-z][\w.-]*\d[\w.-]*:\                                # node01: of pdsh and clush
    | \[[A-Za-z_]+\d+\]:\ ?                                    # [default0]: of torchrun --tee, [rank0]:
    | [A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d\ (?:[\w.-]+\ [\w./-]+\[\d+\]:\ ?)?  # ts, journalctl
    | \d\d:\d\d:\d\d(?:[.,]\d+)?\                            # a time alone
    | \[?\d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?:?\ (?:std(?:out|err)\ [FP]\ )?
    | \[pod/[^\]]+\]\ ?                                       # kubectl logs --prefix
    | [A-Za-z][\w.-]*\ +\|\ ?(?=[\ \#\d])                     # docker compose logs
    )
    """,
    re.VERBOSE,
)
_MOST_PREFIXES = 4
#: What NCCL and its plug-ins say of themselves.
DEBUG = b" NCCL INFO "


class Chunk(NamedTuple):
    """Whole lines without their ends; `number` is that of the first one, `block` what was read for them."""

    number: int
    lines: list[bytes]
    block: bytes


class Lines:
    """The lines of a file, chunk by chunk; afterwards `whole` says whether the last one ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.whole = True
        self.long = 0

    def __iter__(self) -> Iterator[Chunk]:
        number, rest, skipping = 1, b"", False
        for block in blocks(self.path):
            first, *others = block.split(b"\n")
            if not others:  # a block without an end of line
                rest, skipping = self._lengthened(rest, first, skipping)
                continue
            lines = [rest if skipping else rest + first, *others]
            rest, skipping = lines.pop(), False
            yield Chunk(number, lines, block)
            number += len(lines)
        if rest:
            self.whole = False
            yield Chunk(number, [rest], b"")

    def _lengthened(self, rest: bytes, more: bytes, skipping: bool) -> tuple[bytes, bool]:
        if skipping or len(rest) + len(more) <= MOST_LINE:
            return (rest if skipping else rest + more), skipping
        self.long += 1
        return (rest + more)[:MOST_LINE], True


def head_of(path: Path, most: int = 1 << 16) -> bytes:
    """The beginning of a file; raises where it is empty or no text, or has to be unpacked first."""
    head = next(blocks(path), b"")[:most]
    if not head.strip():
        raise NotMeasuredError(f"{path}: empty; expected what a benchmark printed")
    if _is_binary(head):
        raise NotMeasuredError(
            f"{path}: binary, begins with {head[:8].hex(' ')}.\n"
            "  expected: the text that a benchmark printed"
        )
    return head


def _is_binary(head: bytes) -> bool:
    """Control characters give it away; some zeros may stand in a log that a file system lost a part of."""
    zeros = head.count(b"\0")
    controls = len(head) - zeros - len(head.translate(None, _CONTROLS))
    return zeros > 0.3 * len(head) or controls > 0.02 * len(head)


def is_debug(raw: bytes) -> bool:
    """Whether NCCL's log is all of a line: a row before it, to which it is glued, would have wide gaps."""
    at = raw.find(DEBUG)
    return at >= 0 and raw.find(b"  ", 0, at) < 0


def cleaned(raw: bytes) -> str:
    """The text of a line without colours, prefixes and what ends it."""
    text = raw[:MOST_LINE].decode("utf-8", "replace")
    if not (b":" in raw or b"[" in raw or b"|" in raw or b"\x1b" in raw):
        return text.rstrip("\r\n ")  # no prefix is without them, and no colour
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    for _ in range(_MOST_PREFIXES):
        found = _PREFIX.match(text)
        if not found:
            break
        text = text[found.end() :]
    return text.rstrip("\r\n ")
