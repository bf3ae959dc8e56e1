"""Lists of hosts as Slurm writes them: `node[08-10,12],gpu7`."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

from railgauge.errors import UsageError

MOST_HOSTS = 1 << 20  # that one word may stand for
MOST_DIGITS = 40  # of a range


def hosts_in(text: str, where: str = "host list") -> Iterator[str]:
    """The hosts of words split by blanks, and by commas outside brackets; raises UsageError."""
    for word in re.findall(r"(?:\[[^\]]*\]|[^\s,\[])+(?:\[[^\]]*\]?)?", text):
        yield from expanded(word, where)


def expanded(word: str, where: str = "host list") -> Iterator[str]:
    """`n[08-10,12]x` -> n08x n09x n10x n12x; raises UsageError that begins with `where`."""
    pieces = re.split(r"\[([^\]]*)\]", word)
    if any("[" in piece or "]" in piece for piece in pieces):
        raise UsageError(f"{where}: {word[:80]!r} has brackets that do not match")
    choices = [
        list(_numbers(piece, word, where)) if k % 2 else [piece] for k, piece in enumerate(pieces)
    ]
    if math.prod(map(len, choices)) > MOST_HOSTS:
        raise UsageError(f"{where}: {word[:80]!r} stands for more than {MOST_HOSTS} hosts")
    for parts in itertools.product(*choices):
        yield "".join(parts)


def _numbers(inside: str, word: str, where: str) -> Iterator[str]:
    for item in inside.split(","):
        first, dash, last = item.partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            raise UsageError(f"{where}: {word[:80]!r}: {item!r} is no number and no range")
        if len(item) > MOST_DIGITS:
            raise UsageError(f"{where}: {word[:80]!r}: {item[:80]!r} is no number of a host")
        end = int(last or first)
        if not 0 <= end - int(first) < MOST_HOSTS:
            raise UsageError(f"{where}: {word[:80]!r}: {item!r} runs backwards or too far")
        for value in range(int(first), end + 1):
            yield f"{value:0{len(first)}d}"
