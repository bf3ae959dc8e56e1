"""Words of railgauge itself. A host that bears one (`node`, `send`) is not given away by that word.

So such a name, and a bare number, is replaced where a name can stand, and not inside words, keys and
numbers of ours, where it would break what the reports read.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import railgauge
import railgauge_reports
from railgauge.auditing.records import FILE as AUDIT
from railgauge.dtypes import DTYPES
from railgauge.journal import ENVIRONMENT, JOURNAL, PLAN
from railgauge.operations import OPERATIONS
from railgauge_reports.compare.kept import KEPT

_LETTERS = re.compile(r"[^\W\d_]+")
_ADDRESS_MARKS = re.compile(r"\d[.:-](?=\d)")
_FEWEST_MARKS = 3  # of what could be an address or a date: 10.1.2.3
#: The files of a run and of a comparison; samples and counters are named after their node's number.
FILES = frozenset((PLAN, JOURNAL, ENVIRONMENT, AUDIT, KEPT))
_WORD = re.compile(r"[A-Za-z_]+")


@functools.cache
def words() -> frozenset[str]:
    """Every word of our code and tables in lower case, with and without its underscores; our files.

    None of them has a digit: what looks like a numbered host is never taken for one of ours.
    """
    found = {name.lower() for name in (*OPERATIONS, *DTYPES)}
    for package in (railgauge, railgauge_reports):
        folder = Path(package.__file__ or "").parent
        for path in sorted((*folder.rglob("*.py"), *folder.rglob("*.toml"))):
            found.update(word.lower() for word in _WORD.findall(path.read_text()))
    return frozenset(found | {part for word in found for part in word.split("_")} | FILES)


def is_weak(name: str) -> bool:
    """Is it a word of ours, several of them in a row, or nothing but digits and marks?"""
    if name.lower() in words():
        return True
    letters = _LETTERS.findall(name)
    if not letters:
        return len(_ADDRESS_MARKS.findall(name)) < _FEWEST_MARKS
    return " " in name and all(word.lower() in words() for word in letters)


#: Keys of our JSON and what their values look like when they are data of ours and no name or address.
PLAIN = {
    key: re.compile(pattern)
    for keys, pattern in (
        ("operation operations op ops dtype dtypes placement placements call calls", r"[a-z0-9_]+"),
        ("timing pattern loads backend memory register clock record stopped side", r"[a-z0-9_]+"),
        ("op_implementation link_layer topology routing thread_level algorithm kind", r"[\w ]+"),
        ("buffer", r"send|receive \d+|guard of [a-z]+( \d+)?"),
        ("expected found", r"0x[0-9a-fA-F]+"),
        ("ranks idle", r"[\d,-]*"),
        ("columns sources source check checks verdict class", r"[A-Za-z0-9_ ]+"),
        ("device", r"host"),
        ("driver operstate duplex machine", r"[a-z0-9_-]+"),
        ("state phys_state", r"\d+: \w+"),
        ("rate speed mtu", r"-?\d+(\.\d+)?( Gb/sec[\w ()]*)?"),
        ("version railgauge kernel fw_ver firmware", r"v?\d[\w.+~-]*"),
        ("vendor", r"0x[0-9a-f]{4}"),
        ("plan_sha256", r"[0-9a-f]{64}"),
        ("order", r"[AB]+"),
    )
    for key in keys.split()
}
#: Under this key names map to versions.
VERSIONS = "versions"


def is_plain(key: str, value: str) -> bool:
    """Is the value of that key ours whatever it says?"""
    pattern = PLAIN.get(key)
    return pattern is not None and pattern.fullmatch(value) is not None
